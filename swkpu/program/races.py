"""Proof that a program has no races and cannot deadlock: happens-before over its semaphores.

The program is run abstractly: streams advance through their commands, semaphores count, and every stream carries a
vector clock (Mattern, "Virtual Time and Global States of Distributed Systems", 1989) of the commands of other streams
that are known to be complete. A semaphore has one releasing and one acquiring stream, so the n-th token taken is the
n-th given, and whoever takes it knows what the giver knew. Two accesses of the same bytes, at least one of them a
write, must be ordered by these clocks; which values they carry does not matter. The order in which the streams are
advanced does not matter either: tokens decide, and they are the same in every order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from swkpu.errors import ProgramError
from swkpu.program.footprint import Footprint
from swkpu.program.loops import steps as walk
from swkpu.program.loops import stream_name
from swkpu.program.model import (
    Command,
    Coord,
    End,
    Exec,
    Gather,
    Load,
    Loop,
    Operand,
    Program,
    Pull,
    Push,
    Reduce,
    Space,
    Stage,
    Store,
    TensorMap,
    TileRange,
)

Ints = np.ndarray[Any, np.dtype[np.int64]]
WHOLE = TileRange(0, 0, 1, 1)
_COMPACT = 4096


@dataclass(frozen=True)
class Region:
    """The bounding box, per map dim, of what a command touches through one map over all its tiles."""

    map: TensorMap
    low: tuple[int, ...]
    high: tuple[int, ...]
    tiles: TileRange

    @cached_property
    def address(self) -> tuple[int, int]:
        """First byte and one past the last."""
        dtype = self.map.dtype
        low = self.map.base + sum(c * s for c, s in zip(self.low, self.map.strides))
        high = self.map.base + sum(c * s for c, s in zip(self.high, self.map.strides)) + dtype.step
        return low // dtype.addresses_per_byte, -(-high // dtype.addresses_per_byte)

    def disjoint(self, other: Region) -> bool:
        """Do the boxes not meet? Decided per dim where both walk memory in the same way, else byte by byte."""
        a, b = self.map, other.map
        if (
            self.tiles.first + self.tiles.count <= other.tiles.first
            or other.tiles.first + other.tiles.count <= self.tiles.first
        ):
            return True
        if a.base != b.base or a.strides != b.strides or a.dtype.addresses_per_byte != b.dtype.addresses_per_byte:
            return not self.footprint.meets(other.footprint)
        return any(
            stride != 0 and (h1 < l2 or h2 < l1)
            for l1, h1, l2, h2, stride in zip(self.low, self.high, other.low, other.high, a.strides)
        )

    @property
    def footprint(self) -> Footprint:
        """In half bytes, the smallest that an address counts."""
        map = self.map
        unit = 2 // map.dtype.addresses_per_byte
        start = map.base + sum(lo * s for lo, s in zip(self.low, map.strides))
        counts = [high - low + 1 for low, high in zip(self.low, self.high)]
        return Footprint.of(unit * start, [unit * s for s in map.strides], counts, unit * map.dtype.step)


@dataclass
class _Reference:
    """A command's use of one map, prepared for evaluation at loop counters."""

    map: TensorMap
    start: tuple[Coord, ...]
    reach: tuple[tuple[int, int], ...]
    tiles: TileRange
    writes: bool

    def region(self, counters: Sequence[int]) -> Region | None:
        """What is touched at these counters, cut to the map's extents; None where that is nothing."""
        low: list[int] = []
        high: list[int] = []
        for c, (before, after), extent, modulus in zip(self.start, self.reach, self.map.extents, self.map.moduli):
            at = c.const
            for d, coef in c.loops:
                at += coef * counters[d]
            first, last = max(at + before, 0), min(at + after, extent - 1)
            if first > last:
                return None
            if modulus < extent:
                if last - first >= modulus or first % modulus > last % modulus:
                    first, last = 0, modulus - 1
                else:
                    first, last = first % modulus, last % modulus
            low.append(first)
            high.append(last)
        return Region(self.map, tuple(low), tuple(high), self.tiles)


def _reach(
    start: Sequence[Coord], axes: Sequence[int], steps: Sequence[int], box: Sequence[int], tiles: TileRange
) -> tuple[tuple[int, int], ...]:
    """Per map dim, the least and largest coordinate relative to the start of tile (0, 0)."""
    size = dict.fromkeys(range(len(start)), 0)
    for axis, step, extent in zip(axes, steps, box):
        size[axis] = step * (extent - 1)
    out: list[tuple[int, int]] = []
    for d, c in enumerate(start):
        moves = (c.tiles[0] * (tiles.n0 - 1), c.tiles[1] * (tiles.n1 - 1))
        out.append((sum(min(0, m) for m in moves), sum(max(0, m) for m in moves) + size[d]))
    return tuple(out)


class _Log:
    """Accesses of one memory, searched by address."""

    def __init__(self) -> None:
        self.count = 0
        self.data: Ints = np.zeros((_COMPACT, 5), np.int64)  # low, high, stream, sequence, writes
        self.who: list[tuple[Region, Command, int]] = []

    def append(self, rows: Ints, who: Sequence[tuple[Region, Command, int]]) -> None:
        while self.count + len(rows) > len(self.data):
            self.data = np.concatenate([self.data, np.zeros_like(self.data)])
        self.data[self.count : self.count + len(rows)] = rows
        self.who += who
        self.count += len(rows)

    def unordered(
        self, region: Region, stream: int, clock: Ints, writes: bool
    ) -> Iterator[tuple[Region, Command, int]]:
        low, high = region.address
        d = self.data[: self.count]
        hit = (d[:, 0] < high) & (d[:, 1] > low) & (d[:, 3] > clock[d[:, 2]]) & (d[:, 2] != stream)
        if not writes:
            hit &= d[:, 4] != 0
        for i in np.nonzero(hit)[0]:
            yield self.who[i]

    def unknown(self, known: Ints) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which accesses lie after what is known of each stream."""
        d = self.data[: self.count]
        return d[:, 3] > known[d[:, 2]]

    def take(self, which: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[Ints, list[tuple[Region, Command, int]]]:
        """Remove some accesses and return them."""
        taken = self.data[: self.count][which].copy(), [w for w, out in zip(self.who, which) if out]
        kept = self.data[: self.count][~which]
        self.who = [w for w, out in zip(self.who, which) if not out]
        self.count = len(kept)
        self.data[: self.count] = kept
        return taken


class _History:
    """Accesses of one memory that some stream may not know of yet. Those that all busy streams know of are `old`: only
    a stream that has been idle looks there.
    """

    def __init__(self, streams: int) -> None:
        self.recent, self.old = _Log(), _Log()
        self.latest_old: Ints = np.zeros(streams, np.int64)

    def add(self, region: Region, command: Command, stream: int, sequence: int, writes: bool) -> None:
        low, high = region.address
        row = np.array([[low, high, stream, sequence, writes]], np.int64)
        self.recent.append(row, [(region, command, stream)])

    def unordered(
        self, region: Region, stream: int, clock: Ints, writes: bool
    ) -> Iterator[tuple[Region, Command, int]]:
        """Accesses that touch the same bytes, conflict, and are not known to be complete."""
        yield from self.recent.unordered(region, stream, clock, writes)
        if self.old.count and (self.latest_old > clock).any():
            yield from self.old.unordered(region, stream, clock, writes)

    def compact(self, known: Ints, known_to_busy: Ints) -> None:
        """Forget what every stream knows of: `known[s]` is the least any other stream knows of stream s."""
        for log in (self.recent, self.old):
            log.take(~log.unknown(known))
        self.old.append(*self.recent.take(~self.recent.unknown(known_to_busy)))
        self.latest_old[:] = 0
        rows = self.old.data[: self.old.count]
        np.maximum.at(self.latest_old, rows[:, 2], rows[:, 3])


@dataclass
class _Semaphore:
    """Tokens given so far with the giver's clock at each, and tokens taken."""

    initial: int
    given: int = 0
    taken: int = 0
    clocks: list[tuple[int, Ints]] = field(default_factory=list[tuple[int, Ints]])
    at: int = 0


class RaceChecker:
    def __init__(self, program: Program):
        self.program = program
        count = len(program.streams)
        self.clocks: list[Ints] = [np.zeros(count, np.int64) for _ in range(count)]
        self.semaphores = [_Semaphore(n) for n in program.semaphores]
        self.history: dict[tuple[Space, int], _History] = {}
        self.references: dict[int, list[_Reference]] = {}
        self.since_compact = 0
        self.finished: set[int] = set()
        self.at_compact: Ints = np.zeros(count, np.int64)

    def check(self) -> None:
        """Raises ProgramError for a race or a deadlock, naming the commands."""
        steps = [walk(s) for s in self.program.streams]
        current = [next(s, None) for s in steps]
        while any(c is not None for c in current):
            progress = False
            for number, step in enumerate(current):
                while step is not None and self._ready(step[1]):
                    self._run(number, step[1], step[2])
                    progress = True
                    step = next(steps[number], None)
                current[number] = step
                if step is None:
                    self.finished.add(number)
            if not progress:
                blocked = [self._blocked(i, c[0], c[1]) for i, c in enumerate(current) if c is not None]
                raise ProgramError("the program deadlocks: " + "; ".join(blocked))

    def _ready(self, command: Command) -> bool:
        for a in command.acquire:
            s = self.semaphores[a.semaphore]
            if s.initial + s.given - s.taken < a.count:
                return False
        return True

    def _blocked(self, stream: int, index: int, command: Command) -> str:
        name = stream_name(self.program.streams[stream])
        for a in command.acquire:
            s = self.semaphores[a.semaphore]
            if s.initial + s.given - s.taken < a.count:
                return f"{name} command {index} ({command.mnemonic}) waits for semaphore {a.semaphore}"
        return f"{name} command {index}"

    def _run(self, stream: int, command: Command, counters: Sequence[int]) -> None:
        clock = self.clocks[stream]
        for a in command.acquire:
            s = self.semaphores[a.semaphore]
            s.taken += a.count
            wanted = s.taken - s.initial
            while s.at < len(s.clocks) and (s.at == 0 or s.clocks[s.at - 1][0] < wanted) and wanted > 0:
                np.maximum(clock, s.clocks[s.at][1], out=clock)
                s.at += 1
        if not isinstance(command, Loop | End):
            clock[stream] += 1
            for reference in self._references(command):
                self._access(stream, command, reference, counters)
        for r in command.release:
            s = self.semaphores[r.semaphore]
            s.given += r.count
            s.clocks.append((s.given, clock.copy()))
        self.since_compact += 1
        if self.since_compact >= _COMPACT:
            self._compact()

    def _access(self, stream: int, command: Command, reference: _Reference, counters: Sequence[int]) -> None:
        region = reference.region(counters)
        if region is None:
            return
        clock = self.clocks[stream]
        key = (reference.map.space, reference.tiles.group if reference.map.space is Space.L1 else 0)
        if key not in self.history:
            self.history[key] = _History(len(self.clocks))
        history = self.history[key]
        for other, first, owner in history.unordered(region, stream, clock, reference.writes):
            if not region.disjoint(other):
                raise ProgramError(self._race(stream, command, reference, owner, first, key[0]))
        history.add(region, command, stream, int(clock[stream]), reference.writes)

    def _race(
        self, stream: int, command: Command, reference: _Reference, other: int, first: Command, space: Space
    ) -> str:
        verb = "writes" if reference.writes else "reads"
        return (
            f"race in {space.name}: {self._name(stream, command)} {verb} memory that {self._name(other, first)} uses, "
            f"and no semaphore orders them"
        )

    def _name(self, stream: int, command: Command) -> str:
        s = self.program.streams[stream]
        index = next(i for i, c in enumerate(s.commands) if c is command)
        return (
            f"{stream_name(s)} command {index} ({command.mnemonic}, layer '{self.program.layers[command.layer].name}')"
        )

    def _compact(self) -> None:
        self.since_compact = 0
        own = np.array([clock[i] for i, clock in enumerate(self.clocks)])
        left = [i for i in range(len(own)) if i not in self.finished]
        busy = [i for i in left if own[i] > self.at_compact[i]]
        self.at_compact = own
        table = np.stack(self.clocks)
        np.fill_diagonal(table, np.iinfo(np.int64).max)
        forever = np.full(len(own), np.iinfo(np.int64).max)
        known = table[left].min(axis=0, initial=np.iinfo(np.int64).max) if left else forever
        known_to_busy = table[busy].min(axis=0, initial=np.iinfo(np.int64).max) if busy else known
        for history in self.history.values():
            history.compact(known, known_to_busy)
        for s in self.semaphores:
            if s.at > _COMPACT:
                del s.clocks[: s.at - 1]
                s.at = 1

    # -- what commands touch --

    def _references(self, command: Command) -> list[_Reference]:
        key = id(command)
        if key not in self.references:
            self.references[key] = list(self._prepare(command))
        return self.references[key]

    def _prepare(self, command: Command) -> Iterator[_Reference]:
        maps = self.program.maps
        match command:
            case Load() | Store() | Push() | Pull():
                tiles = command.tiles if isinstance(command, Push | Pull) else WHOLE
                for block, writes in ((command.src, False), (command.dst, True)):
                    reach = _reach(block.start, block.axes, block.steps, command.box, tiles)
                    yield _Reference(maps[block.map], block.start, reach, tiles, writes)
            case Gather():
                for block, writes in ((command.src, False), (command.index, False), (command.dst, True)):
                    start = list(block.start)
                    reach = list(_reach(block.start, block.axes, block.steps, command.box, WHOLE))
                    if block is command.src:
                        # Which of its coordinates are read is known when the program runs.
                        start[command.dim] = Coord()
                        reach[command.dim] = (0, maps[block.map].extents[command.dim] - 1)
                    yield _Reference(maps[block.map], tuple(start), tuple(reach), WHOLE, writes)
            case Exec():
                written = len(command.operands) - (command.stage is not Stage.PARTIAL)
                for i, operand in enumerate(command.operands):
                    yield self._operand(operand, command.tiles, i >= written)
                if command.accumulator is not None:
                    yield self._operand(command.accumulator, command.tiles, command.stage is not Stage.FINISH)
            case Reduce():
                for block, tiles, writes in (
                    (command.src, command.tiles, False),
                    (command.dst, command.receiving, True),
                ):
                    reach = _reach(block.start, block.axes, block.steps, command.box, command.receiving)
                    yield _Reference(maps[block.map], block.start, reach, tiles, writes)
            case _:
                return

    def _operand(self, operand: Operand, tiles: TileRange, writes: bool) -> _Reference:
        """An operand block, taken whole: all of its map but the slot dims."""
        map = self.program.maps[operand.map]
        reach = tuple((0, 0) if m < e else (0, m - 1) for e, m in zip(map.extents, map.moduli))
        return _Reference(map, operand.start, reach, tiles, writes)


def check_races(program: Program) -> None:
    """Raises ProgramError where two commands race or the program deadlocks. The program must have passed `check`."""
    RaceChecker(program).check()
