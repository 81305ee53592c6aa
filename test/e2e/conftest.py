"""Tests share the machine with each other: torch must not spin while it waits. Before torch is imported."""

from swkpu.tools.console import prepare

prepare()
