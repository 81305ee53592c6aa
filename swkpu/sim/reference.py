"""A slow second implementation of docs/timing.md, for tests: it steps a clock and counts every element.

Nothing is shared with `unroll.py` and `timing.py` but the static facts of a fabric program (its kind, its split over
the array, its micro-ops on the vector lanes). Every dynamic command enumerates the points of its box; every engine
and port is a small state machine that advances one cycle at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise, product
from math import ceil, gcd, prod
from typing import TYPE_CHECKING

from swkpu.errors import SimulationError
from swkpu.program.model import (
    Block,
    Combiner,
    Command,
    Coord,
    Dataflow,
    End,
    Exec,
    FabricProgram,
    Gather,
    Halt,
    Load,
    Loop,
    Program,
    Push,
    Reduce,
    Space,
    Stage,
    Store,
    TensorMap,
    Transfer,
)
from swkpu.target.cost import ExecKind, array_split, exec_kind, mac_type, vector_micro_ops

if TYPE_CHECKING:
    from swkpu.target.machine import Machine, TileGroup

MAX_CYCLES = 10_000_000


@dataclass(frozen=True)
class Instance:
    """When one dynamic command arrived, freed its engine, and was complete."""

    arrival: int
    end: int
    completion: int


@dataclass(frozen=True)
class ReferenceTiming:
    """`instances` are by stream number and index of the command in it, in order of execution."""

    cycles: int
    instances: dict[tuple[int, int], list[Instance]]


def reference_timing(program: Program, machine: Machine, contention: bool = True) -> ReferenceTiming:
    """The timing of a small program, cycle by cycle. Raises SimulationError on a deadlock."""
    tokens = list(program.semaphores)
    ports: dict[str, deque[_Job]] = {}
    engines = [_Engine(number, _dynamic(s.commands)) for number, s in enumerate(program.streams)]
    instances: dict[tuple[int, int], list[Instance]] = {}
    now = 0
    while now < MAX_CYCLES:
        while any(engine.step_over_control(tokens, now) for engine in engines):
            pass
        arrived = [engine for engine in engines if engine.arrives(tokens)]
        for engine in arrived:
            engine.start(program, machine, tokens, ports, contention, now)
        if all(engine.finished for engine in engines):
            last = max((i.completion for runs in instances.values() for i in runs), default=0)
            return ReferenceTiming(last, instances)
        if not any(engine.active for engine in engines):
            waiting = ", ".join(str(e.number) for e in engines if not e.finished)
            raise SimulationError(f"deadlock at cycle {now}: streams {waiting} wait for each other")
        for queue in ports.values():
            if queue:
                queue[0].remaining -= 1
                if queue[0].remaining == 0:
                    queue.popleft()
        now += 1
        for engine in engines:
            engine.tick(now, instances)
    raise SimulationError(f"the program takes more than {MAX_CYCLES} cycles")


@dataclass
class _Dynamic:
    """A command about to run: where it stands and the counters and trip counts of the loops around it."""

    index: int
    command: Command
    counters: tuple[int, ...]
    trips: tuple[int, ...]


def _dynamic(commands: tuple[Command, ...]) -> Iterator[_Dynamic]:
    """The commands of a stream as they execute; loop once on entry, end once on exit."""

    def run(low: int, high: int, counters: tuple[int, ...], trips: tuple[int, ...]) -> Iterator[_Dynamic]:
        index = low
        while index < high:
            command = commands[index]
            if isinstance(command, Loop):
                close = _matching_end(commands, index)
                yield _Dynamic(index, command, counters, trips)
                for counter in range(command.count):
                    yield from run(index + 1, close, (*counters, counter), (*trips, command.count))
                yield _Dynamic(close, commands[close], counters, trips)
                index = close
            elif not isinstance(command, Halt):
                yield _Dynamic(index, command, counters, trips)
            index += 1

    yield from run(0, len(commands), (), ())


def _matching_end(commands: tuple[Command, ...], loop: int) -> int:
    depth = 0
    for index in range(loop, len(commands)):
        depth += isinstance(commands[index], Loop) - isinstance(commands[index], End)
        if depth == 0:
            return index
    raise SimulationError(f"command {loop}: loop without end")


@dataclass
class _Job:
    """What is left of one transfer's service at one port."""

    remaining: int


@dataclass
class _Engine:
    """One stream: its next command, the one that occupies it, and those on their way to completion."""

    number: int
    commands: Iterator[_Dynamic]
    next: _Dynamic | None = field(init=False)
    running: _Dynamic | None = None
    arrival: int = 0
    own_remaining: int = 0
    latency: int = 0
    jobs: list[_Job] = field(default_factory=list["_Job"])
    private: list[_Job] = field(default_factory=list["_Job"])
    in_flight: deque[tuple[int, Command]] = field(default_factory=deque[tuple[int, Command]])
    last_completion: int = 0
    loaded: int | None = None

    def __post_init__(self):
        self.next = next(self.commands, None)

    @property
    def finished(self) -> bool:
        return self.next is None and self.running is None and not self.in_flight

    @property
    def active(self) -> bool:
        """Whether something happens without any new token."""
        return self.running is not None or bool(self.in_flight)

    def step_over_control(self, tokens: list[int], now: int) -> bool:
        """Post what is complete by now, and step over one loop or end. True when anything happened."""
        if self.in_flight and self.in_flight[0][0] <= now:
            for op in self.in_flight.popleft()[1].release:
                tokens[op.semaphore] += op.count
            return True
        if self.running is not None or self.next is None or not isinstance(self.next.command, Loop | End):
            return False
        command = self.next.command
        if not _available(command, tokens):
            return False
        _take(command, tokens)
        self.last_completion = max(self.last_completion, now if command.acquire else 0)
        if command.release:
            self.in_flight.append((self.last_completion, command))
        self.next = next(self.commands, None)
        return True

    def arrives(self, tokens: list[int]) -> bool:
        return self.running is None and self.next is not None and _available(self.next.command, tokens)

    def start(
        self,
        program: Program,
        machine: Machine,
        tokens: list[int],
        ports: dict[str, deque[_Job]],
        contention: bool,
        now: int,
    ) -> None:
        """Take the tokens, occupy the engine, and queue at the ports."""
        assert self.next is not None
        self.running, self.arrival = self.next, now
        command = self.running.command
        _take(command, tokens)
        self.jobs, self.private = [], []
        if isinstance(command, Exec):
            self.own_remaining = _exec_cycles(program, machine, command, self.running)
            if self.loaded != command.fabric:
                self.own_remaining += machine.tile_groups[command.tiles.group].program_load_cycles
            self.loaded = command.fabric
            self.latency = 0
        elif isinstance(command, Transfer | Gather | Reduce):
            self.own_remaining, shared, self.latency = _port_cycles(program, machine, command, self.running)
            for port, cycles in shared.items():
                if cycles:
                    job = _Job(cycles)
                    self.jobs.append(job)
                    if contention:
                        ports.setdefault(port, deque()).append(job)
                    else:
                        self.private.append(job)
        self.own_remaining = max(self.own_remaining, 1)
        self.next = next(self.commands, None)

    def tick(self, now: int, instances: dict[tuple[int, int], list[Instance]]) -> None:
        """One cycle passes, up to the time `now`."""
        if self.running is None:
            return
        self.own_remaining -= 1
        for job in self.private:
            job.remaining -= 1
        if self.own_remaining > 0 or any(job.remaining > 0 for job in self.jobs):
            return
        self.last_completion = max(now + self.latency, self.last_completion)
        self.in_flight.append((self.last_completion, self.running.command))
        key = (self.number, self.running.index)
        instances.setdefault(key, []).append(Instance(self.arrival, now, self.last_completion))
        self.running = None


def _available(command: Command, tokens: list[int]) -> bool:
    return all(tokens[op.semaphore] >= op.count for op in command.acquire)


def _take(command: Command, tokens: list[int]) -> None:
    for op in command.acquire:
        tokens[op.semaphore] -= op.count


# --------------------------------------------------------------------------------------------------------- transfers


def _at(coord: Coord, run: _Dynamic, tile: tuple[int, int]) -> int:
    loops = sum(coef * run.counters[depth] for depth, coef in coord.loops)
    return coord.const + loops + sum(c * t for c, t in zip(coord.tiles, tile, strict=True))


def _coordinate(block: Block, point: tuple[int, ...], run: _Dynamic, tile: tuple[int, int]) -> list[int]:
    where = [_at(c, run, tile) for c in block.start]
    for j, axis, step in zip(point, block.axes, block.steps, strict=True):
        where[axis] += j * step
    return where


def _is_inside(where: list[int], map_: TensorMap) -> bool:
    return all(0 <= c < e for c, e in zip(where, map_.extents, strict=True))


def _points(
    program: Program, command: Transfer, run: _Dynamic, tile: tuple[int, int]
) -> tuple[list[tuple[int, ...]], int]:
    """The points of the box inside both maps, and how many are inside the destination."""
    src, dst = program.maps[command.src.map], program.maps[command.dst.map]
    moved: list[tuple[int, ...]] = []
    written = 0
    for point in product(*(range(n) for n in command.box)):
        writes = _is_inside(_coordinate(command.dst, point, run, tile), dst)
        written += writes
        if writes and _is_inside(_coordinate(command.src, point, run, tile), src):
            moved.append(point)
    return moved, written


def _dram_bytes(
    machine: Machine, map_: TensorMap, block: Block, box: tuple[int, ...], other: Block, points: list[tuple[int, ...]]
) -> int:
    """Bytes charged: find the longest suffix of box dims whose points are adjacent, round each row up to bursts."""
    element, burst = map_.dtype.step, machine.dram.burst_bytes
    offsets = {p: _offset(map_, block, p) for p in points}
    for suffix in range(len(box) + 1):
        shares = any(
            box[d] > 1 and any(axes[d] == axes[e] and box[e] > 1 for e in range(d + 1, len(box)))
            for d in range(suffix, len(box))
            for axes in (block.axes, other.axes)
        )
        rows: dict[tuple[int, ...], list[int]] = {}
        for p in points:
            rows.setdefault(p[:suffix], []).append(offsets[p])
        adjacent = all(b - a == element for row in rows.values() for a, b in pairwise(row))
        if adjacent and not shares:
            return sum(ceil(Fraction(_bytes(map_, len(row)), burst)) * burst for row in rows.values())
    raise SimulationError("a row of one element is always contiguous")


def _port_cycles(
    program: Program, machine: Machine, command: Transfer | Gather | Reduce, run: _Dynamic
) -> tuple[int, dict[str, int], int]:
    """Cycles of the engine's own port, cycles at the shared ports, latency."""
    if isinstance(command, Gather):
        return _gather_cycles(program, machine, command, run)
    if isinstance(command, Reduce):
        return _reduce_cycles(program, machine, command)
    return _transfer_cycles(program, machine, command, run)


def _transfer_cycles(
    program: Program, machine: Machine, command: Transfer, run: _Dynamic
) -> tuple[int, dict[str, int], int]:
    """As `_port_cycles`, of a load, store, push or pull."""
    src, dst = program.maps[command.src.map], program.maps[command.dst.map]
    dma_latency = machine.dram_latency_cycles + machine.l2.latency_cycles
    mover_latency = machine.l2.latency_cycles + machine.noc.latency_cycles
    if isinstance(command, Load | Store):
        points, written = _points(program, command, run, (0, 0))
        if isinstance(command, Load):
            dram = _dram_bytes(machine, src, command.src, command.box, command.dst, points)
            l2, port, rate = _bytes(dst, written), "l2_write", machine.l2.write_bytes_per_cycle
        else:
            dram = _dram_bytes(machine, dst, command.dst, command.box, command.src, points)
            l2, port, rate = _bytes(src, len(points)), "l2_read", machine.l2.read_bytes_per_cycle
        shared = {"dram": ceil(dram / machine.dram_bytes_per_cycle), port: ceil(Fraction(l2, rate))}
        return 1, shared, dma_latency
    group = machine.tile_groups[command.tiles.group]
    tiles = list(product(range(command.tiles.n0), range(command.tiles.n1)))
    counted = {tile: _points(program, command, run, tile) for tile in tiles}
    if isinstance(command, Push):
        # Tiles that differ only along a coordinate the source does not depend on share one read.
        depends = [any(c.tiles[t] != 0 for c in command.src.start) for t in (0, 1)]
        reads: dict[tuple[int, ...], int] = {}
        for tile, (points, _) in counted.items():
            key = tuple(t if d else 0 for t, d in zip(tile, depends, strict=True))
            reads[key] = max(reads.get(key, 0), len(points))
        moved = _bytes(src, sum(reads.values()))
        l1 = _bytes(dst, max(written for _, written in counted.values()))
        own = ceil(Fraction(l1, group.l1_write_bytes_per_cycle))
        port, rate = "l2_read", machine.l2.read_bytes_per_cycle
    else:
        moved = _bytes(dst, sum(len(points) for points, _ in counted.values()))
        l1 = _bytes(src, max(len(points) for points, _ in counted.values()))
        own = ceil(Fraction(l1, group.l1_read_bytes_per_cycle))
        port, rate = "l2_write", machine.l2.write_bytes_per_cycle
    noc = ceil(Fraction(moved, machine.noc.bytes_per_cycle))
    return own, {port: ceil(Fraction(moved, rate)), "noc": noc}, mover_latency


def _gather_cycles(
    program: Program, machine: Machine, command: Gather, run: _Dynamic
) -> tuple[int, dict[str, int], int]:
    """As `_port_cycles`, of a gather."""
    src, index, dst = (program.maps[b.map] for b in (command.src, command.index, command.dst))
    rows: dict[tuple[int, ...], list[int]] = {}
    moved: list[tuple[int, ...]] = []
    indices: dict[tuple[int, ...], tuple[int, ...]] = {}
    changes = [d for d, n in enumerate(command.box) if n > 1 and _offset(index, command.index, _unit(command.box, d))]
    written = 0
    for point in product(*(range(n) for n in command.box)):
        if not _is_inside(_coordinate(command.dst, point, run, (0, 0)), dst):
            continue
        written += 1
        where = _coordinate(command.index, point, run, (0, 0))
        if not _is_inside(where, index):
            continue
        # An index is read at the first point that needs it.
        indices.setdefault(tuple(point[d] for d in changes), point)
        at = _coordinate(command.src, point, run, (0, 0))
        at[command.dim] = 0
        if _is_inside(at, src):
            moved.append(point)
    for suffix in range(len(command.box) + 1):
        rows = {}
        for point in moved:
            rows.setdefault(point[:suffix], []).append(_offset(src, command.src, point))
        if all(d < suffix for d in changes) and all(
            b - a == src.dtype.step for row in rows.values() for a, b in pairwise(row)
        ):
            break
    burst = machine.dram.burst_bytes
    shared = {
        "dram": 0,
        "l2_read": 0,
        "l2_write": ceil(Fraction(_bytes(dst, written), machine.l2.write_bytes_per_cycle)),
    }
    dram = l2 = 0
    if src.space is Space.DRAM:
        dram += sum(ceil(Fraction(_bytes(src, len(row)), burst)) * burst for row in rows.values())
    else:
        l2 += _bytes(src, len(moved))
    if index.space is Space.DRAM:
        dram += _dram_bytes(machine, index, command.index, command.box, command.index, list(indices.values()))
    else:
        l2 += _bytes(index, len(indices))
    shared["dram"] = ceil(dram / machine.dram_bytes_per_cycle)
    shared["l2_read"] = ceil(Fraction(l2, machine.l2.read_bytes_per_cycle))
    return 1, shared, machine.dram_latency_cycles + machine.l2.latency_cycles


def _reduce_cycles(program: Program, machine: Machine, command: Reduce) -> tuple[int, dict[str, int], int]:
    """As `_port_cycles`, of a reduce: every element that a tile reads, sends, takes in or adds is counted."""
    group = machine.tile_groups[command.tiles.group]
    size = program.maps[command.src.map].dtype.bytes
    read: dict[tuple[int, int], int] = {}
    taken: dict[tuple[int, int], int] = {}
    added: dict[tuple[int, int], int] = {}
    sent = 0
    for receiver, column, _ in product(range(command.receivers), range(command.tiles.n1), range(prod(command.box))):
        here = (receiver, column)
        for sender in range(command.tiles.n0):
            there = (sender, column)
            read[there] = read.get(there, 0) + size
            sent += size if there != here else 0
            taken[here] = taken.get(here, 0) + size
            added[here] = added.get(here, 0) + (1 if sender else 0)
    noc = ceil(Fraction(sent, machine.noc.bytes_per_cycle))
    own = max(
        ceil(Fraction(max(read.values()), group.l1_read_bytes_per_cycle)),
        ceil(Fraction(max(taken.values()), group.l1_write_bytes_per_cycle)),
        ceil(Fraction(max(added.values()), group.vector_lanes)),
        noc,
    )
    return machine.noc.latency_cycles + own, {"noc": noc}, 0


def _bytes(map_: TensorMap, elements: int) -> int:
    return ceil(Fraction(elements * map_.dtype.bits, 8))


def _unit(box: tuple[int, ...], dim: int) -> tuple[int, ...]:
    return tuple(int(d == dim) for d in range(len(box)))


def _offset(map_: TensorMap, block: Block, point: tuple[int, ...]) -> int:
    steps = zip(point, block.axes, block.steps, strict=True)
    return sum(j * step * map_.strides[axis] for j, axis, step in steps)


# -------------------------------------------------------------------------------------------------------------- exec


def _exec_cycles(program: Program, machine: Machine, command: Exec, run: _Dynamic) -> int:
    """The slowest tile."""
    loops = [d for d in range(len(run.trips)) if command.reduction_loops >> d & 1]
    resumes = any(run.counters[d] != 0 for d in loops)
    stays_raw = command.stage is Stage.PARTIAL or any(run.counters[d] != run.trips[d] - 1 for d in loops)
    slowest = 0
    for tile in product(range(command.tiles.n0), range(command.tiles.n1)):
        points = list(command.box)
        for clip in command.clips:
            points[clip.dim] = min(points[clip.dim], max(clip.limit - _at(clip.start, run, tile), 0))
        if command.stage is Stage.FINISH:
            cycles = _finish_cycles(program, machine, command, points)
        else:
            cycles = _tile_cycles(program, machine, command, points, resumes, stays_raw)
        slowest = max(slowest, cycles)
    return slowest


def _finish_cycles(program: Program, machine: Machine, command: Exec, points: list[int]) -> int:
    """The epilogue alone, on accumulators that are read from L1 into the array and drained."""
    group = machine.tile_groups[command.tiles.group]
    fabric = program.fabrics[command.fabric]
    *extras, result = (program.maps[o.map].dtype.bytes for o in command.operands)
    results = prod(points[: fabric.parallel])
    if results == 0:
        return 0
    lane_ops = vector_micro_ops(fabric)
    reads, writes = group.l1_read_bytes_per_cycle, group.l1_write_bytes_per_cycle
    raw = ceil(Fraction(4 * results, reads))
    if exec_kind(fabric) is ExecKind.VECTOR:
        read, written = results * (4 + sum(extras)), results * result
        work = results * lane_ops
        return max(
            ceil(Fraction(work, group.vector_lanes)), ceil(Fraction(read, reads)), ceil(Fraction(written, writes)), 1
        )
    split = array_split(fabric)
    m, n, b = (prod(points[d] for d in dims) for dims in (split.rows, split.cols, split.others))
    drain = ceil(Fraction(group.rows, group.drain_rows_per_cycle))
    v = ceil(Fraction(group.rows * group.cols * lane_ops, group.vector_lanes))
    passes = b * ceil(Fraction(m, group.rows)) * ceil(Fraction(n, group.cols))
    return passes * max(drain, v) + v + raw


def _tile_cycles(
    program: Program, machine: Machine, command: Exec, points: list[int], resumes: bool, stays_raw: bool
) -> int:
    group = machine.tile_groups[command.tiles.group]
    fabric = program.fabrics[command.fabric]
    maps = [program.maps[o.map] for o in command.operands]
    results = prod(points[: fabric.parallel])
    if results == 0:
        return 0
    reads, writes = group.l1_read_bytes_per_cycle, group.l1_write_bytes_per_cycle
    lane_ops = 0 if stays_raw else vector_micro_ops(fabric)
    kind = exec_kind(fabric)
    if kind is ExecKind.VECTOR:
        combined = 0 if fabric.combiner is Combiner.NONE else prod(points)
        read = sum(_bytes(maps[i], _elements(fabric, i, points)) for i in range(fabric.inputs))
        if not stays_raw:
            read += results * sum(m.dtype.bytes for m in maps[fabric.inputs : -1])
        read += 4 * results if resumes else 0
        written = results * (4 if stays_raw else maps[-1].dtype.bytes)
        work = combined + results * lane_ops
        return max(
            ceil(Fraction(work, group.vector_lanes)), ceil(Fraction(read, reads)), ceil(Fraction(written, writes)), 1
        )
    raw = ceil(Fraction(4 * results, reads)) if resumes else 0
    raw += ceil(Fraction(4 * results, writes)) if stays_raw else 0
    array = _depthwise if kind is ExecKind.DEPTHWISE else _contraction
    result = 0 if stays_raw else maps[-1].dtype.bytes
    return array(group, fabric, command.box, maps, points, lane_ops, result) + raw


def _array_time(group: TileGroup, passes: int, one_pass: int, load: int = 0) -> int:
    """Passes back to back behind each other's wavefronts; or each by itself, counting cycles from 0."""
    skew = group.rows + group.cols - 2
    if not group.pass_overlap:
        return sum(load + one_pass + skew for _ in range(passes)) - 1
    return passes * one_pass + skew + ceil(Fraction(group.rows, group.drain_rows_per_cycle))


def _hidden(group: TileGroup, cycles: Fraction | int) -> int:
    """What goes on beside a pass, where passes overlap."""
    return ceil(cycles) if group.pass_overlap else 0


def _depthwise(
    group: TileGroup,
    fabric: FabricProgram,
    box: tuple[int, ...],
    maps: list[TensorMap],
    points: list[int],
    lane_ops: int,
    result: int,
) -> int:
    split = array_split(fabric)
    m, n = prod(points[d] for d in split.rows), prod(points[d] for d in split.cols)
    k = prod(points[fabric.parallel :])
    rate = group.rate(mac_type(maps[0].dtype, maps[1].dtype))
    stream = Fraction(group.rows * group.cols * maps[0].dtype.bits + group.rows * k * maps[1].dtype.bits, 8)
    v = ceil(Fraction(group.rows * group.cols * lane_ops, group.vector_lanes))
    drain = _hidden(group, Fraction(group.rows, group.drain_rows_per_cycle))
    one_pass = max(ceil(k / rate), drain, ceil(Fraction(stream, group.l1_read_bytes_per_cycle)), v)
    return _array_time(group, ceil(Fraction(m, group.rows)) * ceil(Fraction(n, group.cols)), one_pass) + v


def _contraction(
    group: TileGroup,
    fabric: FabricProgram,
    box: tuple[int, ...],
    maps: list[TensorMap],
    points: list[int],
    lane_ops: int,
    result: int,
) -> int:
    split = array_split(fabric)
    m, n = prod(points[d] for d in split.rows), prod(points[d] for d in split.cols)
    b = prod(points[d] for d in split.others)
    k = prod(points[fabric.parallel :])
    rate = group.rate(mac_type(maps[0].dtype, maps[1].dtype))
    row_bytes, col_bytes = (Fraction(maps[i].dtype.bits, 8) for i in (split.rows_input, split.cols_input))
    reads, writes = group.l1_read_bytes_per_cycle, group.l1_write_bytes_per_cycle
    if fabric.dataflow is Dataflow.OS:
        run = prod(points[_run_start(fabric, box, maps) :])
        steps = k // run * ceil(run / rate) if run else 0
        v = ceil(Fraction(group.rows * group.cols * lane_ops, group.vector_lanes))
        stream = k * (group.rows * row_bytes + group.cols * col_bytes)
        passes = b * ceil(Fraction(m, group.rows)) * ceil(Fraction(n, group.cols))
        drain = _hidden(group, Fraction(group.rows, group.drain_rows_per_cycle))
        return _array_time(group, passes, max(steps, drain, ceil(Fraction(stream, reads)), v)) + v
    stationary = 1 if fabric.dataflow is Dataflow.WS else 0
    if split.cols_input != stationary:
        m, n, row_bytes, col_bytes = n, m, col_bytes, row_bytes
    depth = group.rows * max(rate, 1)
    kp = ceil(k / depth)
    partial = 4 * group.cols if kp > 1 else 0
    read = m * (depth * row_bytes + partial) + depth * group.cols * col_bytes
    write = m * (partial if kp > 1 else group.cols * result)
    v = ceil(Fraction(m * group.cols * lane_ops, group.vector_lanes))
    loads = _hidden(group, group.rows)
    one_pass = max(ceil(m / min(rate, 1)), loads, ceil(Fraction(read) / reads), ceil(Fraction(write, writes)))
    blocks = b * ceil(Fraction(n, group.cols))
    waits = blocks * max(v - one_pass, 0) if kp else 0
    return _array_time(group, blocks * kp, one_pass, group.rows) + waits + v


def _run_start(fabric: FabricProgram, box: tuple[int, ...], maps: list[TensorMap]) -> int:
    """The first of the trailing reduction dims whose elements are adjacent in both inputs, in the unclipped box."""
    for start in range(fabric.parallel, len(box)):
        if all(_adjacent(fabric, number, start, box, maps[number]) for number in (0, 1)):
            return start
    return len(box)


def _adjacent(fabric: FabricProgram, number: int, start: int, box: tuple[int, ...], map_: TensorMap) -> bool:
    exprs = fabric.accesses[number].exprs
    strides = map_.strides[map_.rank - len(exprs) :]
    addresses: list[int] = []
    for point in product(*(range(n) for n in box[start:])):
        at = (0,) * start + point
        where = [sum(coef * at[dim] for dim, coef in e.terms) for e in exprs]
        addresses.append(sum(c * s for c, s in zip(where, strides, strict=True)))
    return all(b - a == map_.dtype.step for a, b in pairwise(addresses))


def _elements(fabric: FabricProgram, number: int, points: list[int]) -> int:
    total = 1
    for expr in fabric.accesses[number].exprs:
        terms = [(dim, coef) for dim, coef in expr.terms if coef]
        if terms:
            step = gcd(*(coef for _, coef in terms))
            span = 1 + sum(abs(coef) // step * (points[dim] - 1) for dim, coef in terms)
            total *= min(span, prod(points[dim] for dim, _ in terms))
    return total
