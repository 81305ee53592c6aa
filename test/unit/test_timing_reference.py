"""The event-driven timing and the cycle-stepped reference agree to the cycle, command by command."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from programs import access, linear_program, metadata, tensor_map

from swkpu.program.model import (
    Access,
    AffineExpr,
    Block,
    Clip,
    Combiner,
    Command,
    Coord,
    Dataflow,
    DType,
    End,
    Engine,
    Exec,
    FabricProgram,
    Gather,
    Halt,
    Layer,
    Load,
    Loop,
    MicroOp,
    MicroOpcode,
    Operand,
    Program,
    Pull,
    Push,
    Reduce,
    SemOp,
    Space,
    Stage,
    Store,
    Stream,
    TileRange,
)
from swkpu.sim.reference import reference_timing
from swkpu.sim.timing import simulate_timing
from swkpu.target.loader import load_target
from swkpu.target.machine import Machine

TARGETS = ("kpu-t64", "kpu-16x16", "swkpu-v1", "kpu-t768-r2")

DRAM, L2, L1, L1_WIDE, L1_ACC, INDEX_DRAM, INDEX_L2, TABLE_L2 = range(8)
MAPS = (
    tensor_map(Space.DRAM, 0, DType.I8, (5, 70, 40), buffer=0),
    tensor_map(Space.L2, 0, DType.I8, (6, 60, 40), buffer=1),
    tensor_map(Space.L1, 0, DType.I8, (4, 50, 40), buffer=2),
    tensor_map(Space.L1, 0, DType.I8, (8, 8, 8, 8), buffer=3),
    tensor_map(Space.L1, 0, DType.F32, (4, 50, 40), buffer=4),
    tensor_map(Space.DRAM, 0, DType.I32, (5, 6, 40), buffer=5),
    replace(tensor_map(Space.L2, 0, DType.I32, (5, 6, 40), buffer=6), strides=(160, 0, 4)),
    replace(tensor_map(Space.L2, 0, DType.I8, (9, 30, 40), buffer=7), strides=(40, 40, 0)),
)


def _expr(*terms: tuple[int, int]) -> AffineExpr:
    return AffineExpr(0, terms)


TANH = (MicroOp(MicroOpcode.TANH, DType.F32, (0,)),)
MATMUL = FabricProgram(
    "matmul", ("m", "n", "k"), 2, 2, (access(0, 2), access(1, 2), access(0, 1)), Combiner.MAC, DType.I32, (), 0,
    (0,), (1,), Dataflow.OS,
)  # fmt: skip
CONV = FabricProgram(
    "conv", ("oc", "ow", "kw", "ic"), 2, 2,
    (Access((_expr(), _expr((1, 2), (2, 1)), _expr((3, 1)))), access(0, 2, 3), access(1, 0)),
    Combiner.MAC, DType.I32, TANH, 1, (1,), (0,), Dataflow.OS,
)  # fmt: skip
DEPTHWISE = FabricProgram(
    "depthwise", ("c", "ow", "kw"), 2, 2,
    (Access((_expr((1, 1), (2, 1)), _expr((0, 1)))), access(0, 2), access(1, 0)),
    Combiner.MAC, DType.I32, TANH, 1, (), (), Dataflow.OS,
)  # fmt: skip
POOL = FabricProgram(
    "pool", ("c", "ow", "kw"), 2, 1, (Access((_expr((1, 2), (2, 1)), _expr((0, 1)))), access(1, 0)),
    Combiner.MAX, DType.F32, (), 0, (), (), Dataflow.OS,
)  # fmt: skip
ADD = FabricProgram(
    "add", ("m", "n"), 2, 0, (access(0, 1), access(0, 1), access(0, 1)), Combiner.NONE, DType.F32,
    (MicroOp(MicroOpcode.ADDF, DType.F32, (0, 1)),), 2, (), (), Dataflow.OS,
)  # fmt: skip
FABRICS = (
    MATMUL,
    replace(MATMUL, dataflow=Dataflow.WS, micro_ops=TANH, result=1),
    replace(MATMUL, dataflow=Dataflow.IS, rows=(1,), cols=(0,)),
    replace(MATMUL, rows=(), cols=(1,)),
    CONV,
    DEPTHWISE,
    POOL,
    ADD,
)


class Builder:
    """Draws one program: two chains of stages, each a loop nest, joined by full/free pairs of semaphores."""

    def __init__(self, draw: st.DrawFn, machine: Machine):
        self.draw = draw
        self.machine = machine
        self.semaphores: list[int] = []
        self.layers = count()

    def semaphore(self, initial: int) -> int:
        self.semaphores.append(initial)
        return len(self.semaphores) - 1

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def flag(self) -> bool:
        return self.draw(st.booleans())

    def coord(self, depth: int, tiled: bool) -> Coord:
        loops = tuple((d, self.integer(-1, 9)) for d in range(depth) if self.flag())
        tiles = (self.integer(0, 7), self.integer(0, 3)) if tiled and self.flag() else (0, 0)
        return Coord(self.integer(-3, 4), loops, tiles)

    def block(self, map_: int, depth: int, tiled: bool, rank: int) -> Block:
        axes = (0, 1, 2) if rank == 3 else self.draw(st.sampled_from([(1, 2), (0, 2), (2, 1), (1, 1), (2, 2)]))
        steps = tuple(self.draw(st.sampled_from([1, 1, 1, 2, 40, -1, 0])) for _ in range(rank))
        return Block(map_, tuple(self.coord(depth, tiled) for _ in range(3)), axes, steps)

    def tiles(self, group: int) -> TileRange:
        n1 = min(self.integer(1, 2), self.machine.tile_groups[group].count)
        return TileRange(group, 0, min(self.integer(1, 3), self.machine.tile_groups[group].count // n1), n1)

    def command(self, engine: Engine, group: int, trips: list[int]) -> Command:
        depth = len(trips)
        if engine is Engine.FABRIC:
            return self.reduce(group, depth) if self.integer(0, 3) == 0 else self.exec(group, trips)
        rank = self.integer(2, 3)
        box = (*(self.integer(1, 3) for _ in range(rank - 2)), self.integer(1, 8), self.integer(1, 40))
        layer = self.integer(0, 2)
        if engine is Engine.DMA_IN and self.flag():
            return self.gather(depth, rank, box, layer)
        if engine is Engine.DMA_IN:
            src, dst = self.block(DRAM, depth, False, rank), self.block(L2, depth, False, rank)
            return Load(src=src, dst=dst, box=box, layer=layer)
        if engine is Engine.DMA_OUT:
            src, dst = self.block(L2, depth, False, rank), self.block(DRAM, depth, False, rank)
            return Store(src=src, dst=dst, box=box, layer=layer)
        tiles = self.tiles(group)
        if engine is Engine.BM_IN:
            src, dst = self.block(L2, depth, True, rank), self.block(L1, depth, False, rank)
            return Push(tiles=tiles, src=src, dst=dst, box=box, layer=layer)
        src, dst = self.block(L1, depth, False, rank), self.block(L2, depth, True, rank)
        return Pull(tiles=tiles, src=src, dst=dst, box=box, layer=layer)

    def gather(self, depth: int, rank: int, box: tuple[int, ...], layer: int) -> Gather:
        def block(*maps: int) -> Block:
            axes = tuple(self.draw(st.permutations(range(3))))[:rank]
            return replace(self.block(self.draw(st.sampled_from(maps)), depth, False, 3), axes=axes)

        def steps(b: Block) -> Block:
            return replace(b, steps=b.steps[:rank])

        src, index, dst = steps(block(DRAM, TABLE_L2)), steps(block(INDEX_DRAM, INDEX_L2)), steps(block(L2))
        return Gather(src=src, index=index, dst=dst, box=box, dim=self.integer(0, 2), layer=layer)

    def exec(self, group: int, trips: list[int]) -> Exec:
        number = self.integer(0, len(FABRICS) - 1)
        fabric = FABRICS[number]
        box = tuple(self.integer(1, 40) for _ in fabric.dims)
        origin = (Coord(), Coord(), Coord())
        result = L1 if self.flag() else L1_ACC
        operands = (*(Operand(L1, origin) for _ in fabric.accesses[:-1]), Operand(result, origin))
        clips = tuple(
            Clip(self.integer(0, len(box) - 1), self.coord(len(trips), True), self.integer(0, 40))
            for _ in range(self.integer(0, 2))
        )
        stage = self.draw(st.sampled_from(Stage)) if fabric.inputs else Stage.WHOLE
        mask = self.integer(0, (1 << len(trips)) - 1) if fabric.inputs and stage is not Stage.FINISH else 0
        if stage is Stage.FINISH:
            box = (*box[: fabric.parallel], *(0 for _ in box[fabric.parallel :]))
        return Exec(
            tiles=self.tiles(group), fabric=number, operands=tuple(operands[i] for i in fabric.operands_of(stage)),
            box=box, clips=clips, reduction_loops=mask, layer=self.integer(0, 2), stage=stage,
            accumulator=Operand(L1_ACC, origin) if mask or stage is not Stage.WHOLE else None,
        )  # fmt: skip

    def reduce(self, group: int, depth: int) -> Reduce:
        tiles = self.tiles(group)
        src, dst = self.block(L1_ACC, depth, True, 3), self.block(L1_ACC, depth, False, 3)
        box = (self.integer(1, 3), self.integer(1, 8), self.integer(1, 40))
        return Reduce(
            tiles=tiles, src=src, dst=dst, box=box, receivers=self.integer(1, tiles.n0), layer=self.integer(0, 2)
        )

    def nest(self, iterations: int) -> list[int]:
        """Trip counts whose product is `iterations`."""
        divisors = [d for d in range(1, iterations + 1) if iterations % d == 0]
        outer = self.draw(st.sampled_from(divisors))
        return [outer, iterations // outer] if self.flag() else [iterations]

    def chain(self, engines: list[tuple[Engine, int]]) -> list[Stream]:
        """A pipeline over these engines: stage i hands `iterations` blocks on to stage i + 1."""
        iterations = self.integer(1, 6)
        streams: list[Stream] = []
        before: tuple[int, int, int, int] | None = None
        for position, (engine, group) in enumerate(engines):
            last = position == len(engines) - 1
            after = None if last else (self.semaphore(0), self.semaphore(self.integer(1, 3)), self.semaphore(0),
                                       self.semaphore(0))  # fmt: skip
            streams.append(Stream(engine, group, self.stage(engine, group, iterations, before, after)))
            before = after
        return streams

    def stage(
        self,
        engine: Engine,
        group: int,
        iterations: int,
        before: tuple[int, int, int, int] | None,
        after: tuple[int, int, int, int] | None,
    ) -> tuple[Command, ...]:
        """Prologue, loop nest, epilogue. A link is (full, free, started, done)."""
        trips = self.nest(iterations)
        body = [self.command(engine, group, trips) for _ in range(self.integer(1, 3))]
        wait = [SemOp(before[0], 1)] if before else []
        post = [SemOp(before[1], 1)] if before else []
        if after:
            wait.append(SemOp(after[1], 1))
            post.append(SemOp(after[0], 1))
        body[0] = replace(body[0], acquire=tuple(wait))
        body[-1] = replace(body[-1], release=tuple(post))
        prologue = replace(self.command(engine, group, []), release=(SemOp(after[2], 2),) if after else ())
        epilogue = replace(self.command(engine, group, []), acquire=(SemOp(before[3], 1),) if before else ())
        loops = [Loop(count=n) for n in trips]
        ends = [End() for _ in trips]
        loops[0] = replace(loops[0], acquire=(SemOp(before[2], 2),) if before else ())
        ends[-1] = replace(ends[-1], release=(SemOp(after[3], 1),) if after else ())
        between = [self.command(engine, group, trips[:1])] if len(trips) == 2 and self.flag() else []
        return (prologue, loops[0], *between, *loops[1:], *body, *ends, epilogue, Halt())


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    machine = load_target(draw(st.sampled_from(TARGETS)))
    scale = draw(st.sampled_from([1, 7, 40]))
    overlap = draw(st.sampled_from([True, True, False]))
    return replace(
        machine,
        dram=replace(machine.dram, latency_ns=draw(st.sampled_from([0.0, 20.0, 100.0]))),
        l2=replace(
            machine.l2,
            read_bytes_per_cycle=max(machine.l2.read_bytes_per_cycle // scale, 1),
            write_bytes_per_cycle=max(machine.l2.write_bytes_per_cycle // scale, 1),
        ),
        noc=replace(machine.noc, bytes_per_cycle=max(machine.noc.bytes_per_cycle // scale, 1)),
        tile_groups=tuple(replace(g, pass_overlap=overlap) for g in machine.tile_groups),
    )


@st.composite
def programs(draw: st.DrawFn) -> tuple[Program, Machine]:
    machine = draw(machines())
    build = Builder(draw, machine)
    int8 = [i for i, g in enumerate(machine.tile_groups) if g.supports("i8")]
    first, second = int8[0], int8[-1]
    streams = build.chain(
        [
            (Engine.DMA_IN, 0),
            (Engine.BM_IN, first),
            (Engine.FABRIC, first),
            (Engine.BM_OUT, first),
            (Engine.DMA_OUT, 0),
        ]
    )
    if second != first and build.flag():
        streams += build.chain([(Engine.BM_IN, second), (Engine.FABRIC, second), (Engine.BM_OUT, second)])
    program = Program(
        target=machine.name,
        target_digest="",
        streams=tuple(draw(st.permutations(streams))),
        maps=MAPS,
        fabrics=FABRICS,
        semaphores=tuple(build.semaphores),
        segments=(),
        constants=b"",
        inputs=(),
        outputs=(),
        layers=tuple(Layer(f"layer{i}", "op", "", 0, "i8", 0, 0) for i in range(3)),
        metadata=metadata(),
    )
    return program, machine


def assert_agree(program: Program, machine: Machine, contention: bool) -> None:
    fast = simulate_timing(program, machine, contention)
    slow = reference_timing(program, machine, contention)
    found: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for number, (stream, event) in enumerate(zip(fast.streams, fast.stream_events, strict=True)):
        rows = zip(stream.command, event.arrival, event.end, event.completion, stream.is_control, strict=True)
        for command, arrival, end, completion, control in rows:
            if not control:
                found.setdefault((number, int(command)), []).append((int(arrival), int(end), int(completion)))
    assert found == {k: [(i.arrival, i.end, i.completion) for i in v] for k, v in slow.instances.items()}
    assert fast.cycles == slow.cycles


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(programs(), st.booleans())
def test_random_programs(case: tuple[Program, Machine], contention: bool) -> None:
    assert_agree(*case, contention)


@pytest.mark.parametrize("contention", [True, False])
def test_linear_program(contention: bool) -> None:
    machine = load_target("kpu-t64")
    assert_agree(linear_program(machine), machine, contention)
