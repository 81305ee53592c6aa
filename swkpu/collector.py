"""Python's cycle collector, told to run seldom while a program is made.

A module is a large graph of objects that all live to the end. The collector would walk it again and again, a quarter to
a third of a compilation's time, and free nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

ALLOCATIONS = 100_000
"""New objects between two collections of the youngest; Python's own default is 700."""


@contextmanager
def rare_collections() -> Generator[None]:
    """Within, cycles are collected seldom."""
    before = gc.get_threshold()
    gc.set_threshold(max(ALLOCATIONS, before[0]) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
