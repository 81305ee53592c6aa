"""How the work along one dim is shared between tile groups of unequal speed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from swkpu.mapping.blocks import Array

MAX_UNITS = 64
"""A dim is shared in at most so many units."""


def unit_of(extent: int) -> int:
    """The least power of two that makes at most MAX_UNITS units of a dim."""
    unit = 1
    while extent > unit * MAX_UNITS:
        unit *= 2
    return unit


def shares_of(extent: int, unit: int) -> list[int]:
    """All shares that end at a unit, the whole last."""
    return [*range(unit, extent, unit), extent]


def divide(times: Sequence[Array]) -> list[int]:
    """How many units each group takes so that the slowest is done soonest; a group may take none.

    `times[g][u - 1]` are group g's cycles for u units. One group after the other: the least time for u units over the
    groups so far is the least, over the units of the new group, of the larger of its time and of the others' for the
    rest.
    """
    units = len(times[0])
    best = np.concatenate([[0], times[0]])
    taken: list[Array] = []
    for own in times[1:]:
        own = np.concatenate([[0], own])
        table = np.full((units + 1, units + 1), np.iinfo(np.int64).max, dtype=np.int64)
        for u in range(units + 1):
            table[u, : u + 1] = np.maximum(own[: u + 1], best[u::-1] if u else best[:1])
        taken.append(np.argmin(table, axis=1))
        best = table.min(axis=1)
    left = units
    out: list[int] = []
    for choice in reversed(taken):
        out.append(int(choice[left]))
        left -= out[-1]
    return [left, *reversed(out)]
