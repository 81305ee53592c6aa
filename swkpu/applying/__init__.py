"""Mappings applied: what `convert-df-to-kpu` makes of recurrences, copies and gathers."""
