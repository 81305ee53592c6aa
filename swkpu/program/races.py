"""Proof that a program has no races and cannot deadlock.

Two accesses of the same bytes, at least one of them a write, must be ordered by the program's semaphores
(`swkpu/program/ordering.py`); which values they carry does not matter.

Uses of memory by static commands are compared first, all instances together: most pairs touch different bytes, or the
last instance of one is known to be complete when the first of the other starts. Only what is left is compared
instance by instance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from swkpu.errors import ProgramError
from swkpu.program.accesses import Boxes, Use, accesses
from swkpu.program.loops import Array, Site, stream_name
from swkpu.program.model import Program, Space
from swkpu.program.ordering import Ordering

CHUNK = 1 << 20
"""Pairs that are looked at together."""

Conflict = tuple[tuple[int, int, int], Use, Use]
"""Two uses that race, the later one in the abstract run first. The key orders conflicts as that run meets them."""


class _Table:
    """The uses of one memory by one stream, in the order of their first instances."""

    def __init__(self, ordering: Ordering, stream: int, uses: Sequence[Use]):
        self.uses = sorted(uses, key=lambda u: u.first)
        first = np.array([u.first for u in self.uses], dtype=np.int64)
        last = np.array([u.last for u in self.uses], dtype=np.int64)
        self.known = ordering.known(stream, first)
        self.last = ordering.own(stream, last)
        self.low = np.array([u.low for u in self.uses], dtype=np.int64)
        self.high = np.array([u.high for u in self.uses], dtype=np.int64)
        self.tile = np.array([u.access.tiles.first for u in self.uses], dtype=np.int64)
        self.end = self.tile + np.array([u.access.tiles.count for u in self.uses], dtype=np.int64)


class _Instances:
    """The instances of a use, one by one."""

    def __init__(self, ordering: Ordering, use: Use):
        self.items = use.site.positions()
        self.own = ordering.own(use.stream, self.items)
        self.boxes: Boxes = use.access.boxes(use.site.trips)
        self.some = self.boxes.some
        self.low, self.high = self.boxes.addresses


class RaceChecker:
    """Finds the conflicts of a program, which must have passed `check`. Raises ProgramError for a deadlock."""

    def __init__(self, program: Program):
        self.program = program
        self.ordering = Ordering(program)
        self._instances: dict[int, _Instances] = {}

    def check(self) -> None:
        """Raises ProgramError for a race, naming the two commands that an abstract run meets first."""
        found: list[Conflict] = []
        for by_stream in self._uses.values():
            tables = [
                (writes, stream, _Table(self.ordering, stream, uses))
                for (stream, writes), uses in sorted(by_stream.items())
            ]
            for n, (writes, stream, table) in enumerate(tables):
                for other_writes, other_stream, other in tables[n + 1 :]:
                    if stream != other_stream and (writes or other_writes):
                        found += self._conflicts(table, other, stream, other_stream)
        if found:
            _, later, earlier = min(found, key=lambda conflict: conflict[0])
            raise ProgramError(self._race(later, earlier))

    @cached_property
    def _uses(self) -> dict[tuple[Space, int], dict[tuple[int, bool], list[Use]]]:
        """By memory, then by stream and whether they write."""
        uses: dict[tuple[Space, int], dict[tuple[int, bool], list[Use]]] = {}
        for stream, sites in enumerate(self.ordering.sites):
            for site in sites:
                for use in self._uses_of(stream, site):
                    by_stream = uses.setdefault(use.access.memory, {})
                    by_stream.setdefault((stream, use.access.writes), []).append(use)
        return uses

    def _uses_of(self, stream: int, site: Site) -> Iterator[Use]:
        command = self.program.streams[stream].commands[site.index]
        for number, access in enumerate(accesses(self.program, command)):
            span = access.span(site.trips)
            if span is not None:
                yield Use(stream, site, number, access, *span)

    def _conflicts(self, a: _Table, b: _Table, stream_a: int, stream_b: int) -> Iterator[Conflict]:
        """Between the uses of two streams."""
        # Of a's uses in order: from the first that b does not know to be complete to the last that does not know b's.
        begin = np.searchsorted(np.maximum.accumulate(a.last), b.known[:, stream_a], side="right")
        end = np.searchsorted(a.known[:, stream_b], b.last, side="left")
        for j, i in _pairs(begin, end):
            meet = (a.last[i] > b.known[j, stream_a]) & (a.low[i] < b.high[j]) & (b.low[j] < a.high[i])
            meet &= (a.tile[i] < b.end[j]) & (b.tile[j] < a.end[i])
            for k in np.flatnonzero(meet).tolist():
                yield from self._compare(a.uses[int(i[k])], b.uses[int(j[k])])

    def _compare(self, use_a: Use, use_b: Use) -> Iterator[Conflict]:
        """Instance by instance."""
        a, b = self._of(use_a), self._of(use_b)
        begin = np.searchsorted(a.own, self.ordering.known(use_b.stream, b.items, use_a.stream), side="right")
        end = np.searchsorted(self.ordering.known(use_a.stream, a.items, use_b.stream), b.own, side="left")
        for j, i in _pairs(begin, end):
            meet = (a.low[i] < b.high[j]) & (b.low[j] < a.high[i]) & a.some[i] & b.some[j]
            i, j = i[meet], j[meet]
            if not len(i):
                continue
            race = ~a.boxes.apart(b.boxes, i, j)
            for k in np.flatnonzero(race)[:1].tolist():
                yield self._conflict(use_a, use_b, int(a.items[i[k]]), int(b.items[j[k]]))

    def _conflict(self, a: Use, b: Use, item_a: int, item_b: int) -> Conflict:
        ran_a, ran_b = self.ordering.executed(a.stream, item_a), self.ordering.executed(b.stream, item_b)
        if ran_a > ran_b:
            return (ran_a, a.number, ran_b), a, b
        return (ran_b, b.number, ran_a), b, a

    def _of(self, use: Use) -> _Instances:
        key = id(use)
        if key not in self._instances:
            self._instances[key] = _Instances(self.ordering, use)
        return self._instances[key]

    def _race(self, later: Use, earlier: Use) -> str:
        verb = "writes" if later.access.writes else "reads"
        where, names = later.access.map.space.name, (self._name(later), self._name(earlier))
        return f"race in {where}: {names[0]} {verb} memory that {names[1]} uses, and no semaphore orders them"

    def _name(self, use: Use) -> str:
        stream, index = self.program.streams[use.stream], use.site.index
        command = stream.commands[index]
        layer = self.program.layers[command.layer].name
        return f"{stream_name(stream)} command {index} ({command.mnemonic}, layer '{layer}')"


def _pairs(begin: Array, end: Array) -> Iterator[tuple[Array, Array]]:
    """All (j, i) with begin[j] <= i < end[j], some at a time."""
    counts = np.maximum(end - begin, 0)
    total = np.cumsum(counts)
    first = 0
    while first < len(counts):
        before = int(total[first - 1]) if first else 0
        last = max(int(np.searchsorted(total, before + CHUNK, side="right")), first + 1)
        some = counts[first:last]
        if some.any():
            j = np.repeat(np.arange(first, last), some)
            starts = np.repeat(begin[first:last] - (np.cumsum(some) - some), some)
            yield j, starts + np.arange(len(j))
        first = last


def check_races(program: Program) -> None:
    """Raises ProgramError where two commands race or the program deadlocks. The program must have passed `check`."""
    RaceChecker(program).check()
