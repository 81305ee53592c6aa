"""Which bytes of a memory are taken at which step, and how early a block of memory can be had.

A step is a layer. The search for the earliest step walks backwards from the step in which the memory is needed; on
the way it only meets the blocks whose life ends there, so a walk costs what it passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from swkpu.mapping.packing import Placed, Request

Gap = tuple[int, int]
"""(first byte, one past the last)"""


@dataclass(frozen=True)
class Place:
    """An offset that is free from step `start` on."""

    offset: int
    start: int


class Occupancy:
    def __init__(self, capacity: int, placed: Iterable[Placed] = ()):
        self.capacity = capacity
        self.live: dict[int, dict[Placed, None]] = {}
        self.ending: dict[int, dict[Placed, None]] = {}
        for p in placed:
            self.add(p)

    def add(self, placed: Placed) -> None:
        if not placed.request.size:
            return
        for step in range(placed.request.start, placed.request.end + 1):
            self.live.setdefault(step, {})[placed] = None
        self.ending.setdefault(placed.request.end, {})[placed] = None

    def remove(self, placed: Placed) -> None:
        if not placed.request.size:
            return
        for step in range(placed.request.start, placed.request.end + 1):
            del self.live[step][placed]
        del self.ending[placed.request.end][placed]

    def gaps(self, start: int, end: int) -> list[Gap]:
        """Free ranges over all the steps from `start` to `end`, in address order."""
        taken = dict(self.live.get(end, {}))
        for step in range(start, end):
            taken |= self.ending.get(step, {})
        return _free(taken, self.capacity)

    def bytes_at(self, step: int) -> int:
        return sum(p.request.size for p in self.live.get(step, {}))

    def largest_gap(self, start: int, end: int) -> int:
        return max((high - low for low, high in self.gaps(start, end)), default=0)

    def earliest(self, size: int, latest: int, end: int, least: int = 0, top: bool = False) -> Place | None:
        """Where `size` bytes are free until step `end`, from as early a step as can be, between `least` and `latest`.

        Of the gaps that are free as early, the tightest; the end of it with `top`. None where no gap is free from
        `latest` on.
        """
        fitting = [g for g in self.gaps(latest, end) if g[1] - g[0] >= size]
        if not fitting:
            return None
        start = latest
        while start > least:
            fewer = _without(fitting, self.ending.get(start - 1, {}), size)
            if not fewer:
                break
            fitting, start = fewer, start - 1
        low, high = min(fitting, key=lambda g: (g[1] - g[0], g[0]))
        return Place(high - size if top else low, start)


def _free(taken: Iterable[Placed], capacity: int) -> list[Gap]:
    out: list[Gap] = []
    at = 0
    for low, high in sorted((p.offset, p.limit) for p in taken):
        if low > at:
            out.append((at, low))
        at = max(at, high)
    if at < capacity:
        out.append((at, capacity))
    return out


def _without(gaps: Sequence[Gap], taken: Iterable[Placed], size: int) -> list[Gap]:
    """The parts of some gaps that are at least `size` large when what is taken is cut out."""
    out = list(gaps)
    for p in taken:
        cut: list[Gap] = []
        for low, high in out:
            if p.limit <= low or high <= p.offset:
                cut.append((low, high))
                continue
            if p.offset - low >= size:
                cut.append((low, p.offset))
            if high - p.limit >= size:
                cut.append((p.limit, high))
        out = cut
    return out


def placed_at(place: Place, size: int, end: int) -> Placed:
    return Placed(Request(size, place.start, end), place.offset)
