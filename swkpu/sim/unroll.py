"""What every dynamic instance of every command costs, computed for all instances of a command at once.

A command inside loops runs once per point of the grid of their counters. Coordinates are affine in the counters and
in the tile coordinates, so the part of a box inside a map is a product of interval lengths, each an array that
varies along few axes of the grid; numpy broadcasting does the rest. Axes are: one per enclosing loop (outermost
first), the two tile coordinates, then one per box dim that shares a map dim with a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from swkpu.program.loops import sites
from swkpu.program.model import (
    Block,
    Coord,
    End,
    Engine,
    Exec,
    Gather,
    Load,
    Loop,
    Program,
    Pull,
    Push,
    Reduce,
    Space,
    Stage,
    Store,
    Stream,
    TensorMap,
    Transfer,
)
from swkpu.target import cost
from swkpu.target.cost import Count

if TYPE_CHECKING:
    from swkpu.target.machine import Machine

Array: TypeAlias = npt.NDArray[np.int64]

DRAM, L2_READ, L2_WRITE, NOC = range(4)
RESOURCES = ("dram", "l2_read", "l2_write", "noc")
"""The single servers that streams share."""

STREAM_RESOURCES: dict[Engine, tuple[int, ...]] = {
    Engine.DMA_IN: (DRAM, L2_WRITE, L2_READ),
    Engine.DMA_OUT: (DRAM, L2_READ),
    Engine.BM_IN: (L2_READ, NOC),
    Engine.BM_OUT: (L2_WRITE, NOC),
    Engine.FABRIC: (NOC,),
}

CHUNK = 1 << 22
"""Grid points evaluated at once."""


@dataclass(frozen=True)
class Counts:
    """What one instance moves and computes, over all its tiles; or sums of that."""

    macs: int = 0
    vector_ops: int = 0
    dram_read_bytes: int = 0
    dram_write_bytes: int = 0
    l2_read_bytes: int = 0
    l2_write_bytes: int = 0
    noc_bytes: int = 0
    l1_read_bytes: int = 0
    l1_write_bytes: int = 0
    transfers: int = 0
    program_loads: int = 0
    semaphore_ops: int = 0
    commands: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{k: v + getattr(other, k) for k, v in vars(self).items()})


@dataclass(frozen=True)
class CommandCost:
    """All instances of one static command, in execution order.

    shared   cycles at each of the stream's shared resources (see STREAM_RESOURCES), 0 where not used
    own      cycles of what the engine does not share (L1 port, array)
    """

    shared: tuple[Array, ...]
    own: Array
    counts: Counts
    mac_type: str | None = None


@dataclass(frozen=True)
class UnrolledStream:
    """One stream as the linear sequence of items it executes.

    An item is a dynamic command, or a `loop` or `end` that carries semaphores. `command` is the index of each item's
    static command in the stream; `own` is what it takes of the engine alone, at least 1 cycle for a command. Commands
    of zero trip count never appear.
    """

    engine: Engine
    group: int
    name: str
    resources: tuple[int, ...]
    latency: int
    command: Array
    shared: tuple[Array, ...]
    own: Array
    is_control: npt.NDArray[np.bool_]
    counts: tuple[Counts, ...]
    mac_types: tuple[str | None, ...]
    instances: tuple[int, ...]

    @property
    def uncontended(self) -> Array:
        """Occupancy of the engine by each item when nothing else is moving."""
        result = self.own
        for occupancy in self.shared:
            result = np.maximum(result, occupancy)
        return result


def unroll(program: Program, machine: Machine) -> tuple[UnrolledStream, ...]:
    """Every stream of the program, unrolled."""
    return tuple(unroll_stream(program, machine, s) for s in program.streams)


def stream_name(machine: Machine, stream: Stream) -> str:
    """`dma_in`, `bm_in.int8`, `fabric.matrix` ..."""
    name = stream.engine.name.lower()
    if stream.engine in (Engine.DMA_IN, Engine.DMA_OUT):
        return name
    return f"{name}.{machine.tile_groups[stream.group].kind}"


def unroll_stream(program: Program, machine: Machine, stream: Stream) -> UnrolledStream:
    places, length = sites(stream)
    shared_count = len(STREAM_RESOURCES[stream.engine])
    command = np.zeros(length, dtype=np.int64)
    shared = tuple(np.zeros(length, dtype=np.int64) for _ in range(shared_count))
    own = np.zeros(length, dtype=np.int64)
    is_control = np.zeros(length, dtype=np.bool_)
    fabric = np.full(length, -1, dtype=np.int64)
    costs: dict[int, CommandCost] = {}
    for site in places:
        static = stream.commands[site.index]
        at = site.positions()
        command[at] = site.index
        if isinstance(static, Loop | End):
            is_control[at] = True
            continue
        if not len(at):
            continue
        this = command_cost(program, machine, static, site.trips)
        costs[site.index] = this
        own[at] = this.own
        for target, occupancy in zip(shared, this.shared, strict=True):
            target[at] = occupancy
        if isinstance(static, Exec):
            fabric[at] = static.fabric
    loads = _program_loads(fabric)
    if loads.any():
        own = own + loads * machine.tile_groups[stream.group].program_load_cycles
    own = np.where(is_control, 0, np.maximum(own, 1))
    instances = np.bincount(command, minlength=len(stream.commands))
    load_counts = np.bincount(command[loads], minlength=len(stream.commands))
    counts: list[Counts] = []
    for index, static in enumerate(stream.commands):
        runs = int(instances[index])
        base = costs[index].counts if index in costs else Counts()
        tiles = static.tiles.count if isinstance(static, Exec) else 1
        sem_ops = runs * (len(static.acquire) + len(static.release))
        control = Counts(program_loads=int(load_counts[index]) * tiles, semaphore_ops=sem_ops, commands=runs)
        counts.append(base + control)
    return UnrolledStream(
        engine=stream.engine,
        group=stream.group,
        name=stream_name(machine, stream),
        resources=STREAM_RESOURCES[stream.engine],
        latency=_latency(machine, stream.engine),
        command=command,
        shared=shared,
        own=own,
        is_control=is_control,
        counts=tuple(counts),
        mac_types=tuple(costs[i].mac_type if i in costs else None for i in range(len(stream.commands))),
        instances=tuple(int(n) for n in instances),
    )


def _latency(machine: Machine, engine: Engine) -> int:
    if engine is Engine.FABRIC:
        return 0
    if engine in (Engine.DMA_IN, Engine.DMA_OUT):
        return cost.dma_latency_cycles(machine)
    return cost.mover_latency_cycles(machine)


def _program_loads(fabric: Array) -> npt.NDArray[np.bool_]:
    """Where an exec runs another fabric program than the exec before it; the first always loads."""
    loads = np.zeros(len(fabric), dtype=np.bool_)
    execs = np.flatnonzero(fabric >= 0)
    if len(execs):
        ran = fabric[execs]
        loads[execs[0]] = True
        loads[execs[1:]] = ran[1:] != ran[:-1]
    return loads


# ------------------------------------------------------------------------------------------------------- one command


@dataclass
class _Grid:
    """The axes over which a command is evaluated, and a broadcastable index array for each."""

    shape: tuple[int, ...]
    loops: int
    first: int
    counters: list[Array] = field(init=False)

    def __post_init__(self):
        self.counters = []
        for axis, size in enumerate(self.shape):
            start = self.first if axis == 0 and self.loops else 0
            index = np.arange(start, start + size, dtype=np.int64)
            self.counters.append(index.reshape((-1,) + (1,) * (len(self.shape) - axis - 1)))

    def coord(self, coord: Coord) -> Array:
        value = np.full((1,) * len(self.shape), coord.const, dtype=np.int64)
        for depth, coef in coord.loops:
            value = value + self.counters[depth] * coef
        for tile, coef in enumerate(coord.tiles):
            if coef != 0:
                value = value + self.counters[self.loops + tile] * coef
        return value

    def whole(self, value: Count) -> Array:
        """A count as an array with all the axes of the grid (of size 1 where it does not vary)."""
        array = np.asarray(value, dtype=np.int64)
        return array.reshape((1,) * (len(self.shape) - array.ndim) + array.shape)

    def total(self, value: Count, axes: Sequence[int]) -> Array:
        """The sum along axes."""
        array = self.whole(value)
        for axis in axes:
            array = array.sum(axis=axis, keepdims=True) * (self.shape[axis] // array.shape[axis])
        return array

    def largest(self, value: Count, axes: Sequence[int]) -> Array:
        """The largest along axes."""
        array = self.whole(value)
        for axis in axes:
            array = array.max(axis=axis, keepdims=True)
        return array

    def instances(self, value: Count) -> Array:
        """One number per instance, of a count that no longer varies beyond the loops."""
        loops = self.shape[: self.loops]
        array = self.whole(value)
        return np.broadcast_to(array.reshape(array.shape[: self.loops]), loops).reshape(-1)

    def grand_total(self, value: Count) -> int:
        """The sum over the instances, of a count that no longer varies beyond the loops."""
        return int(self.total(value, range(self.loops)).reshape(()))

    @property
    def tiles(self) -> tuple[int, int]:
        return self.loops, self.loops + 1

    @property
    def enumerated(self) -> range:
        return range(self.loops + 2, len(self.shape))


def command_cost(program: Program, machine: Machine, command: object, trips: tuple[int, ...]) -> CommandCost:
    """Cost of every instance of a command inside loops of these trip counts."""
    match command:
        case Load() | Store() | Push() | Pull():
            enumerated = _enumerated_dims(command)
            tiles = (command.tiles.n0, command.tiles.n1) if isinstance(command, Push | Pull) else (1, 1)
            inner = (*tiles, *(command.box[d] for d in enumerated))
            return _in_chunks(trips, inner, lambda grid: _transfer(program, machine, command, enumerated, grid))
        case Gather():
            return _in_chunks(trips, (1, 1), lambda grid: _gather(program, machine, command, grid))
        case Exec():
            inner = (command.tiles.n0, command.tiles.n1)
            return _in_chunks(trips, inner, lambda grid: _exec(program, machine, command, trips, grid))
        case Reduce():
            return _in_chunks(trips, (1, 1), lambda grid: _reduce(program, machine, command, grid))
        case _:
            raise TypeError(f"not a command that takes time: {command!r}")


def _grids(trips: tuple[int, ...], inner: tuple[int, ...]) -> Iterator[_Grid]:
    """The grid of all instances in slices of the outermost loop."""
    if not trips:
        yield _Grid(inner, 0, 0)
        return
    if 0 in trips:
        raise ValueError("a command that never runs has no cost")
    per_trip = prod(trips[1:]) * prod(inner)
    step = max(1, CHUNK // max(per_trip, 1))
    for first in range(0, trips[0], step):
        yield _Grid((min(step, trips[0] - first), *trips[1:], *inner), len(trips), first)


def _in_chunks(trips: tuple[int, ...], inner: tuple[int, ...], evaluate: Callable[[_Grid], CommandCost]) -> CommandCost:
    """Evaluate slices of the outermost loop, so that memory stays bounded."""
    parts = [evaluate(grid) for grid in _grids(trips, inner)]
    if len(parts) == 1:
        return parts[0]
    shared = tuple(np.concatenate(arrays) for arrays in zip(*(p.shared for p in parts), strict=True))
    counts = sum((p.counts for p in parts), start=Counts())
    return CommandCost(shared, np.concatenate([p.own for p in parts]), counts, parts[0].mac_type)


# --------------------------------------------------------------------------------------------------------- transfers


def _enumerated_dims(command: Transfer) -> tuple[int, ...]:
    """Box dims that share a map dim with a later box dim: their points are counted one by one."""
    shared: set[int] = set()
    for block in (command.src, command.dst):
        for dim, axis in enumerate(block.axes):
            if command.box[dim] > 1 and any(
                later == axis and command.box[dim + 1 + i] > 1 for i, later in enumerate(block.axes[dim + 1 :])
            ):
                shared.add(dim)
    return tuple(sorted(shared))


@dataclass(frozen=True)
class _Interval:
    """The points `low <= j < high` of a box dim."""

    low: Array
    high: Array

    def __and__(self, other: _Interval) -> _Interval:
        return _Interval(np.maximum(self.low, other.low), np.minimum(self.high, other.high))

    @property
    def length(self) -> Array:
        return np.maximum(self.high - self.low, 0)


def _inside(
    grid: _Grid,
    map_: TensorMap,
    block: Block,
    box: tuple[int, ...],
    enumerated: tuple[int, ...] = (),
    free: int | None = None,
) -> list[_Interval]:
    """Per box dim, which of its points lie inside the map's extents; any coordinate of the map dim `free` does.

    A map dim that no box dim walks, or that only enumerated dims do, empties the first interval where it is outside.
    """
    starts = [grid.coord(c) for c in block.start]
    for number, dim in enumerate(enumerated):
        starts[block.axes[dim]] = starts[block.axes[dim]] + grid.counters[grid.loops + 2 + number] * block.steps[dim]
    zero = np.zeros((1,) * len(grid.shape), dtype=np.int64)
    intervals: list[_Interval] = []
    walked: set[int] = set()
    for dim, size in enumerate(box):
        axis, step = block.axes[dim], block.steps[dim]
        if dim in enumerated:
            intervals.append(_Interval(zero, zero + 1))
        elif size == 1 or step == 0 or axis == free:
            intervals.append(_Interval(zero, zero + size))
        else:
            walked.add(axis)
            intervals.append(_walk(starts[axis], step, map_.extents[axis], size))
    outside = np.zeros((1,) * len(grid.shape), dtype=np.bool_)
    for axis in range(map_.rank):
        if axis not in walked and axis != free:
            outside = outside | (starts[axis] < 0) | (starts[axis] >= map_.extents[axis])
    if not intervals:
        intervals = [_Interval(zero, zero + 1)]
    if outside.any():
        intervals[0] = _Interval(intervals[0].low, np.where(outside, 0, intervals[0].high))
    return intervals


def _walk(start: Array, step: int, extent: int, size: int) -> _Interval:
    """The j in [0, size) with 0 <= start + step * j < extent, for step != 0."""
    first, last = int(start.min(initial=0)), int(start.max(initial=0))
    span = step * (size - 1)
    if min(first, first + span) >= 0 and max(last, last + span) < extent:
        whole = np.zeros((1,) * start.ndim, dtype=np.int64)
        return _Interval(whole, whole + size)
    if step > 0:
        low, high = -(start // step), -((start - extent) // step)
    else:
        low, high = (start - extent) // -step + 1, start // -step + 1
    return _Interval(np.clip(low, 0, size), np.clip(high, 0, size))


def _points(intervals: Sequence[_Interval]) -> Array:
    return np.asarray(cost.product([i.length for i in intervals]))


def _charged_dram_bytes(
    machine: Machine, map_: TensorMap, block: Block, intervals: Sequence[_Interval], scattered: Collection[int]
) -> Array:
    """Bytes the DRAM is charged for the part of a box given by intervals: rows rounded up to bursts.

    A row is the longest suffix of box dims whose moved bytes are adjacent; points of `scattered` dims never are.
    """
    row = np.full((1,) * intervals[0].low.ndim, map_.dtype.step, dtype=np.int64)
    rows = np.ones_like(row)
    adjacent = np.ones_like(row, dtype=np.bool_)
    for dim in range(len(block.axes) - 1, -1, -1):
        points = intervals[dim].length
        stride = map_.strides[block.axes[dim]] * block.steps[dim]
        adjacent = adjacent & ((points == 1) | (stride == row)) & (dim not in scattered)
        row = np.where(adjacent, row * points, row)
        rows = np.where(adjacent, rows, rows * points)
    if not block.axes:
        rows = rows * intervals[0].length
    row_bytes = cost.ceil_div(row, map_.dtype.addresses_per_byte)
    return np.asarray(cost.dram_charged_bytes(row_bytes, rows, machine.dram.burst_bytes))


def _transfer(
    program: Program, machine: Machine, command: Transfer, enumerated: tuple[int, ...], grid: _Grid
) -> CommandCost:
    src_map, dst_map = program.maps[command.src.map], program.maps[command.dst.map]
    src = _inside(grid, src_map, command.src, command.box, enumerated)
    dst = _inside(grid, dst_map, command.dst, command.box, enumerated)
    both = [a & b for a, b in zip(src, dst, strict=True)]
    moved = grid.total(_points(both), grid.enumerated)
    n = prod(grid.shape[: grid.loops])
    match command:
        case Load():
            dram = grid.total(_charged_dram_bytes(machine, src_map, command.src, both, enumerated), grid.enumerated)
            l2 = dst_map.dtype.bytes_of(grid.total(_points(dst), grid.enumerated))
            cycles = cost.load_cost(machine, dram, l2)
            shared, own = (cycles.dram, cycles.l2, 0), cycles.l1
            counts = Counts(dram_read_bytes=grid.grand_total(dram), l2_write_bytes=grid.grand_total(l2), transfers=n)
        case Store():
            dram = grid.total(_charged_dram_bytes(machine, dst_map, command.dst, both, enumerated), grid.enumerated)
            l2 = src_map.dtype.bytes_of(moved)
            cycles = cost.store_cost(machine, dram, l2)
            shared, own = (cycles.dram, cycles.l2), cycles.l1
            counts = Counts(dram_write_bytes=grid.grand_total(dram), l2_read_bytes=grid.grand_total(l2), transfers=n)
        case Push():
            group = machine.tile_groups[command.tiles.group]
            scatter = [a for t, a in enumerate(grid.tiles) if any(c.tiles[t] != 0 for c in command.src.start)]
            multicast = [a for a in grid.tiles if a not in scatter]
            l2 = src_map.dtype.bytes_of(grid.total(grid.largest(moved, multicast), scatter))
            l1 = dst_map.dtype.bytes_of(grid.total(_points(dst), grid.enumerated))
            cycles = cost.push_cost(machine, group, l2, grid.largest(l1, grid.tiles))
            shared, own = (cycles.l2, cycles.noc), cycles.l1
            counts = Counts(
                l2_read_bytes=grid.grand_total(l2),
                noc_bytes=grid.grand_total(l2),
                l1_write_bytes=grid.grand_total(grid.total(l1, grid.tiles)),
                transfers=n,
            )
        case Pull():
            group = machine.tile_groups[command.tiles.group]
            l2 = dst_map.dtype.bytes_of(grid.total(moved, grid.tiles))
            l1 = src_map.dtype.bytes_of(moved)
            cycles = cost.pull_cost(machine, group, l2, grid.largest(l1, grid.tiles))
            shared, own = (cycles.l2, cycles.noc), cycles.l1
            counts = Counts(
                l2_write_bytes=grid.grand_total(l2),
                noc_bytes=grid.grand_total(l2),
                l1_read_bytes=grid.grand_total(grid.total(l1, grid.tiles)),
                transfers=n,
            )
    return CommandCost(tuple(grid.instances(s) for s in shared), grid.instances(own), counts)


def _gather(program: Program, machine: Machine, command: Gather, grid: _Grid) -> CommandCost:
    """A load whose rows end where the index changes, and a read of the indices, each once."""
    src_map, index_map, dst_map = (program.maps[b.map] for b in (command.src, command.index, command.dst))
    src = _inside(grid, src_map, command.src, command.box, free=command.dim)
    index = _inside(grid, index_map, command.index, command.box)
    dst = _inside(grid, dst_map, command.dst, command.box)
    both = [i & d for i, d in zip(index, dst, strict=True)]
    moved = [s & b for s, b in zip(src, both, strict=True)]
    repeated = [index_map.strides[axis] * step == 0 for axis, step in zip(command.index.axes, command.index.steps)]
    indices = [_Interval(b.low, b.low + np.minimum(b.length, 1)) if again else b for b, again in zip(both, repeated)]
    scattered = [d for d, again in enumerate(repeated) if not again and command.box[d] > 1]
    dram: Count = 0
    l2_read: Count = 0
    if src_map.space is Space.DRAM:
        dram = dram + _charged_dram_bytes(machine, src_map, command.src, moved, scattered)
    else:
        l2_read = l2_read + src_map.dtype.bytes_of(_points(moved))
    if index_map.space is Space.DRAM:
        dram = dram + _charged_dram_bytes(machine, index_map, command.index, indices, ())
    else:
        l2_read = l2_read + index_map.dtype.bytes_of(_points(indices))
    written = dst_map.dtype.bytes_of(_points(dst))
    counts = Counts(
        dram_read_bytes=grid.grand_total(dram),
        l2_read_bytes=grid.grand_total(l2_read),
        l2_write_bytes=grid.grand_total(written),
        transfers=prod(grid.shape[: grid.loops]),
    )
    shared = (
        cost.dram_cycles(machine, dram),
        cost.l2_write_cycles(machine, written),
        cost.l2_read_cycles(machine, l2_read),
    )
    return CommandCost(tuple(grid.instances(s) for s in shared), grid.instances(1), counts)


# -------------------------------------------------------------------------------------------------------------- exec


def _exec_cost(
    program: Program, machine: Machine, command: Exec, trips: tuple[int, ...], grid: _Grid
) -> tuple[list[Any], cost.ExecCost]:
    """The points per domain dim of every instance and tile, and what they cost."""
    group = machine.tile_groups[command.tiles.group]
    fabric = program.fabrics[command.fabric]
    maps = [program.maps[o.map] for o in command.operands]
    dtypes = [m.dtype for m in maps]
    points: list[Any] = list(command.box)
    for clip in command.clips:
        points[clip.dim] = np.clip(clip.limit - grid.coord(clip.start), 0, points[clip.dim])
    if command.stage is Stage.FINISH:
        return points, cost.finish_cost(group, fabric, dtypes, points[: fabric.parallel])
    raw_in: Count = 0
    raw_out: Count = int(command.stage is Stage.PARTIAL)
    for depth, count in enumerate(trips):
        if command.reduction_loops >> depth & 1:
            raw_in = raw_in | (grid.counters[depth] != 0).astype(np.int64)
            raw_out = raw_out | (grid.counters[depth] != count - 1).astype(np.int64)
    contracts = cost.exec_kind(fabric) is not cost.ExecKind.VECTOR
    run = cost.reduction_run(fabric, command.box, [m.strides for m in maps[:2]], dtypes) if contracts else 0
    return points, cost.exec_cost(group, fabric, dtypes, points, run, raw_in, raw_out)


def _exec(program: Program, machine: Machine, command: Exec, trips: tuple[int, ...], grid: _Grid) -> CommandCost:
    group = machine.tile_groups[command.tiles.group]
    fabric = program.fabrics[command.fabric]
    points, this = _exec_cost(program, machine, command, trips, grid)
    contracts = cost.exec_kind(fabric) is not cost.ExecKind.VECTOR and command.stage is not Stage.FINISH
    tiles = grid.tiles
    counts = Counts(
        macs=grid.grand_total(grid.total(cost.product(points), tiles)) if contracts else 0,
        vector_ops=grid.grand_total(grid.total(this.vector_ops, tiles)),
        l1_read_bytes=grid.grand_total(grid.total(this.l1_read_bytes, tiles)),
        l1_write_bytes=grid.grand_total(grid.total(this.l1_write_bytes, tiles)),
    )
    own = grid.instances(grid.largest(this.cycles, tiles))
    dtypes = [program.maps[o.map].dtype for o in command.operands[:2]]
    multiplied = group.multiplied_as(cost.mac_type(dtypes[0], dtypes[1])) if contracts else None
    return CommandCost((grid.instances(0),), own, counts, multiplied)


@dataclass(frozen=True)
class TileCycles:
    """What the tiles of one exec command do in their cycles, summed over its instances and tiles.

    steps           MAC steps of the array, whether or not each processing element has something to multiply
    drain_limited   what passes take longer because the array's rows drain or load
    stream_limited  ... because of the L1's rate
    vector_limited  ... because of the vector lanes' part of the epilogue
    fill            skew, the last drain, the last vector work
    partial_sums    raw accumulators read and written
    vector          work on the vector lanes of an exec without the array
    """

    steps: int = 0
    drain_limited: int = 0
    stream_limited: int = 0
    vector_limited: int = 0
    fill: int = 0
    partial_sums: int = 0
    vector: int = 0

    def __add__(self, other: TileCycles) -> TileCycles:
        return TileCycles(**{k: v + getattr(other, k) for k, v in vars(self).items()})

    @property
    def total(self) -> int:
        return sum(vars(self).values())


def tile_cycles(program: Program, machine: Machine, command: Exec, trips: tuple[int, ...]) -> TileCycles:
    """Where the cycles of an exec inside loops of these trip counts go. They add up to those of all its tiles."""
    inner = (command.tiles.n0, command.tiles.n1)
    parts = _grids(trips, inner)
    return sum((_tile_cycles(program, machine, command, trips, grid) for grid in parts), start=TileCycles())


def _tile_cycles(program: Program, machine: Machine, command: Exec, trips: tuple[int, ...], grid: _Grid) -> TileCycles:
    this = _exec_cost(program, machine, command, trips, grid)[1]
    some = np.asarray(this.cycles, dtype=np.int64) > 0

    def total(cycles: Count) -> int:
        return int(grid.total(np.where(some, cycles, 0), range(len(grid.shape))).reshape(()))

    if this.array is None:
        work = cost.ceil_div(this.vector_ops, machine.tile_groups[command.tiles.group].vector_lanes)
        return TileCycles(vector=total(work), stream_limited=total(this.cycles - work))
    a = this.array
    with_rows = cost.maximum(a.steps, a.rows)
    one_pass = cost.maximum(with_rows, a.stream)
    return TileCycles(
        steps=total(a.passes * a.steps),
        drain_limited=total(a.passes * (with_rows - a.steps)),
        stream_limited=total(a.passes * (one_pass - with_rows)),
        vector_limited=total(a.finishing * (cost.maximum(one_pass, a.vector) - one_pass)),
        fill=total(a.fill),
        partial_sums=total(a.raw),
    )


def _reduce(program: Program, machine: Machine, command: Reduce, grid: _Grid) -> CommandCost:
    this = cost.reduce_cost(
        machine,
        machine.tile_groups[command.tiles.group],
        points=prod(command.box),
        members=command.tiles.n0,
        receivers=command.receivers,
        groups=command.tiles.n1,
        element_bytes=program.maps[command.src.map].dtype.bytes,
    )
    counts = Counts(
        vector_ops=grid.grand_total(this.vector_ops),
        noc_bytes=grid.grand_total(this.noc_bytes),
        l1_read_bytes=grid.grand_total(this.l1_read_bytes),
        l1_write_bytes=grid.grand_total(this.l1_write_bytes),
        transfers=prod(grid.shape[: grid.loops]),
    )
    return CommandCost((grid.instances(this.noc),), grid.instances(this.own), counts)
