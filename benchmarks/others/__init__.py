"""Comparisons with the tools of others, each installed in an environment of its own when it is first asked for."""
