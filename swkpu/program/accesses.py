"""What commands touch: the bounding box, per map dim, of each use of a map over all tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from swkpu.program.footprint import Footprint
from swkpu.program.loops import Array, Site
from swkpu.program.model import (
    Command,
    Coord,
    Exec,
    Gather,
    Load,
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

Bools: TypeAlias = npt.NDArray[np.bool_]
WHOLE = TileRange(0, 0, 1, 1)


@dataclass(frozen=True)
class Access:
    """A command's use of one map: where its block starts at given loop counters, and how far it reaches from there."""

    map: TensorMap
    start: tuple[Coord, ...]
    reach: tuple[tuple[int, int], ...]
    tiles: TileRange
    writes: bool

    @property
    def memory(self) -> tuple[Space, int]:
        """A memory that other commands may touch too: an L1 is its tile group's own."""
        return self.map.space, self.tiles.group if self.map.space is Space.L1 else 0

    def span(self, trips: Sequence[int]) -> tuple[int, int] | None:
        """First byte that any instance inside loops of these trip counts may touch, and one past the last."""
        map = self.map
        first = last = map.base
        for c, (before, after), extent, modulus, stride in zip(
            self.start, self.reach, map.extents, map.moduli, map.strides
        ):
            low = high = c.const
            for depth, coef in c.loops:
                if coef < 0:
                    low += coef * (trips[depth] - 1)
                else:
                    high += coef * (trips[depth] - 1)
            low, high = max(low + before, 0), min(high + after, extent - 1)
            if low > high:
                return None
            if modulus < extent:
                if high - low >= modulus or low % modulus > high % modulus:
                    low, high = 0, modulus - 1
                else:
                    low, high = low % modulus, high % modulus
            first += low * stride
            last += high * stride
        unit = map.dtype.addresses_per_byte
        return first // unit, -(-(last + map.dtype.step) // unit)

    def boxes(self, trips: Sequence[int]) -> Boxes:
        """What each instance touches."""
        low = np.empty((self.map.rank, prod(trips)), dtype=np.int64)
        high = np.empty_like(low)
        for d, (c, (before, after)) in enumerate(zip(self.start, self.reach)):
            at = _coordinates(c, trips)
            extent, modulus = self.map.extents[d], self.map.moduli[d]
            first, last = np.maximum(at + before, 0), np.minimum(at + after, extent - 1)
            if modulus < extent:
                wraps = (last - first >= modulus) | (first % modulus > last % modulus)
                empty = first > last
                first = np.where(wraps, 0, first % modulus)
                last = np.where(empty, -1, np.where(wraps, modulus - 1, last % modulus))
            low[d], high[d] = first, last
        return Boxes(self.map, low, high)


def _coordinates(c: Coord, trips: Sequence[int]) -> Array | np.int64:
    """A coordinate at every point of the loop counters' grid, or once where none moves it."""
    if not c.loops:
        return np.int64(c.const)
    step = [0] * len(trips)
    for depth, coef in c.loops:
        step[depth] += coef
    shape = [n if coef else 1 for n, coef in zip(trips, step)]
    at = np.array(c.const, dtype=np.int64)
    for depth, (n, coef) in enumerate(zip(trips, step)):
        if coef:
            at = at + (np.arange(n, dtype=np.int64) * coef).reshape(
                [-1 if d == depth else 1 for d in range(len(trips))]
            )
    return np.broadcast_to(at.reshape(shape), trips).reshape(-1)


@dataclass(frozen=True)
class Boxes:
    """Coordinates of a map, first and last per dim (rows) and instance (columns). A box with a dim whose last is before
    its first is empty."""

    map: TensorMap
    low: Array
    high: Array

    @property
    def some(self) -> Bools:
        """Which of them are not empty."""
        return np.logical_and.reduce(self.low <= self.high)

    @property
    def addresses(self) -> tuple[Array, Array]:
        """First byte of each, and one past the last."""
        strides = np.array(self.map.strides, dtype=np.int64)
        unit = self.map.dtype.addresses_per_byte
        first, last = self.map.base + strides @ self.low, self.map.base + strides @ self.high
        return first // unit, -(-(last + self.map.dtype.step) // unit)

    def apart(self, other: Boxes, mine: Array, its: Array) -> Bools:
        """Do boxes `mine` of these not meet boxes `its` of the others, pair by pair? Decided per dim where both maps
        walk memory in the same way, else byte by byte."""
        a, b = self.map, other.map
        if a.base == b.base and a.strides == b.strides and a.dtype.addresses_per_byte == b.dtype.addresses_per_byte:
            result = np.zeros(len(mine), dtype=np.bool_)
            for d, stride in enumerate(a.strides):
                if stride != 0:
                    result |= self.high[d, mine] < other.low[d, its]
                    result |= other.high[d, its] < self.low[d, mine]
            return result
        known: dict[tuple[bytes, bytes], bool] = {}
        result = np.zeros(len(mine), dtype=np.bool_)
        for n, (i, j) in enumerate(zip(mine.tolist(), its.tolist())):
            key = self._key(i), other._key(j)
            if key not in known:
                known[key] = not self.footprint(i).meets(other.footprint(j))
            result[n] = known[key]
        return result

    def footprint(self, instance: int) -> Footprint:
        """In half bytes, the smallest that an address counts."""
        map, low, high = self.map, self.low[:, instance].tolist(), self.high[:, instance].tolist()
        unit = 2 // map.dtype.addresses_per_byte
        start = map.base + sum(lo * s for lo, s in zip(low, map.strides))
        counts = [last - first + 1 for first, last in zip(low, high)]
        return Footprint.of(unit * start, [unit * s for s in map.strides], counts, unit * map.dtype.step)

    def _key(self, instance: int) -> bytes:
        return self.low[:, instance].tobytes() + self.high[:, instance].tobytes()


def accesses(program: Program, command: Command) -> Iterator[Access]:
    """Everything a command reads and writes."""
    maps = program.maps
    match command:
        case Load() | Store() | Push() | Pull():
            tiles = command.tiles if isinstance(command, Push | Pull) else WHOLE
            for block, writes in ((command.src, False), (command.dst, True)):
                reach = _reach(block.start, block.axes, block.steps, command.box, tiles)
                yield Access(maps[block.map], block.start, reach, tiles, writes)
        case Gather():
            for block, writes in ((command.src, False), (command.index, False), (command.dst, True)):
                start = list(block.start)
                reach = list(_reach(block.start, block.axes, block.steps, command.box, WHOLE))
                if block is command.src:
                    # Which of its coordinates are read is known when the program runs.
                    start[command.dim] = Coord()
                    reach[command.dim] = (0, maps[block.map].extents[command.dim] - 1)
                yield Access(maps[block.map], tuple(start), tuple(reach), WHOLE, writes)
        case Exec():
            written = len(command.operands) - (command.stage is not Stage.PARTIAL)
            for i, operand in enumerate(command.operands):
                yield _operand(program, operand, command.tiles, i >= written)
            if command.accumulator is not None:
                yield _operand(program, command.accumulator, command.tiles, command.stage is not Stage.FINISH)
        case Reduce():
            for block, tiles, writes in (
                (command.src, command.tiles, False),
                (command.dst, command.receiving, True),
            ):
                reach = _reach(block.start, block.axes, block.steps, command.box, command.receiving)
                yield Access(maps[block.map], block.start, reach, tiles, writes)
        case _:
            return


def _reach(
    start: Sequence[Coord], axes: Sequence[int], steps: Sequence[int], box: Sequence[int], tiles: TileRange
) -> tuple[tuple[int, int], ...]:
    """Per map dim, the least and largest coordinate relative to the start of tile (0, 0)."""
    moves: list[tuple[int, int]] = []
    for c in start:
        t0, t1 = c.tiles[0] * (tiles.n0 - 1), c.tiles[1] * (tiles.n1 - 1)
        moves.append((min(t0, 0) + min(t1, 0), max(t0, 0) + max(t1, 0)))
    for axis, step, extent in zip(axes, steps, box):
        walk, (before, after) = step * (extent - 1), moves[axis]
        moves[axis] = (before + min(walk, 0), after + max(walk, 0))
    return tuple(moves)


def _operand(program: Program, operand: Operand, tiles: TileRange, writes: bool) -> Access:
    """An operand block, taken whole: all of its map but the slot dims."""
    map = program.maps[operand.map]
    reach = tuple((0, 0) if m < e else (0, m - 1) for e, m in zip(map.extents, map.moduli))
    return Access(map, operand.start, reach, tiles, writes)


@dataclass(frozen=True)
class Use:
    """One access of a static command, all its instances together. `first` and `last` are its first and last instance's
    items in the stream, `low` and `high` the bytes that all of them lie in."""

    stream: int
    site: Site
    number: int
    access: Access
    low: int
    high: int

    @property
    def first(self) -> int:
        return self.site.offset

    @property
    def last(self) -> int:
        return self.site.last
