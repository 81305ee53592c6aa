"""`reduce` in a program: what the loader refuses, what races, and what it costs in energy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from programs import access, block, coord, layer, metadata, operand, tensor_map

from swkpu.errors import ProgramError
from swkpu.program.check import check
from swkpu.program.model import (
    Block,
    Combiner,
    Command,
    Dataflow,
    DType,
    Engine,
    Exec,
    FabricProgram,
    Halt,
    Program,
    Pull,
    Reduce,
    SemOp,
    Space,
    Stage,
    Stream,
    TileRange,
)
from swkpu.program.races import check_races
from swkpu.sim.timing import simulate_timing
from swkpu.target import load_target

MACHINE = load_target("kpu-t64")
FABRIC = FabricProgram(
    "matmul", ("m", "n", "k"), 2, 2, (access(0, 2), access(1, 2), access(1), access(0, 1)),
    Combiner.MAC, DType.I32, (), 1, (0,), (1,), Dataflow.OS,
)  # fmt: skip
A, B, PARTIAL, SUM, BIAS, RESULT, FLOATS, OUT, ELSEWHERE = range(9)
MAPS = (
    tensor_map(Space.L1, 0, DType.I8, (8, 16), buffer=0),
    tensor_map(Space.L1, 128, DType.I8, (8, 16), buffer=1),
    tensor_map(Space.L1, 256, DType.I32, (8, 8), buffer=2),
    tensor_map(Space.L1, 512, DType.I32, (2, 8), buffer=3),
    tensor_map(Space.L1, 576, DType.I32, (8,), buffer=4),
    tensor_map(Space.L1, 608, DType.I32, (2, 8), buffer=5),
    tensor_map(Space.L1, 1024, DType.BF16, (8, 8), buffer=6),
    tensor_map(Space.L2, 0, DType.I32, (8, 8), buffer=7),
    tensor_map(Space.L1, 2048, DType.BF16, (8, 8), buffer=8),
)
TILES = TileRange(0, 0, 4, 2)
OPERAND_A, OPERAND_B = operand(A, 0, 0), operand(B, 0, 0)
FINISH = Exec(
    tiles=TileRange(0, 0, 4, 2), fabric=0, operands=(operand(BIAS, 0), operand(RESULT, 0, 0)), box=(2, 8, 0),
    accumulator=operand(SUM, 0, 0), stage=Stage.FINISH,
)  # fmt: skip
MULTIPLY = Exec(
    tiles=TILES, fabric=0, operands=(OPERAND_A, OPERAND_B), box=(8, 8, 16), accumulator=operand(PARTIAL, 0, 0),
    stage=Stage.PARTIAL,
)  # fmt: skip
REDUCE = Reduce(tiles=TILES, src=block(PARTIAL, coord(tiles=(2, 0)), 0), dst=block(SUM, 0, 0), box=(2, 8), receivers=4)


def program(*commands: Command, out: tuple[Command, ...] = (), semaphores: tuple[int, ...] = ()) -> Program:
    streams = (Stream(Engine.FABRIC, 0, (*commands, Halt())), Stream(Engine.BM_OUT, 0, (*out, Halt())))
    return Program(
        target=MACHINE.name, target_digest=MACHINE.digest, streams=streams, maps=MAPS, fabrics=(FABRIC,),
        semaphores=semaphores, segments=(), constants=b"", inputs=(), outputs=(), layers=(layer("split"),),
        metadata=metadata(),
    )  # fmt: skip


def test_a_split_reduction_is_accepted() -> None:
    check(program(MULTIPLY, REDUCE, FINISH), MACHINE)
    check_races(program(MULTIPLY, REDUCE, FINISH))


def moved(command: Reduce, src: Block | None = None, dst: Block | None = None) -> Reduce:
    return replace(command, src=src or command.src, dst=dst or command.dst)


@pytest.mark.parametrize(
    "command, message",
    [
        (replace(REDUCE, combiner=Combiner.MAC), "combined by add, mul, max or min, not by mac"),
        (replace(REDUCE, combiner=Combiner.NONE), "combined by add, mul, max or min, not by none"),
        (moved(REDUCE, block(FLOATS, 0, 0), block(ELSEWHERE, 0, 0)), "add of bf16, expected i32 or i64 or f32"),
        (replace(REDUCE, receivers=5), "5 receivers in groups of 4 tiles, expected 1 to 4"),
        (replace(REDUCE, receivers=0), "0 receivers in groups of 4 tiles, expected 1 to 4"),
        (moved(REDUCE, dst=block(SUM, coord(tiles=(1, 0)), 0)), "dst uses the tile coordinate"),
        (moved(REDUCE, dst=block(PARTIAL, 0, 0)), "dst overlaps src"),
        (moved(REDUCE, block(PARTIAL, coord(1, tiles=(2, 0)), 0)), r"src: coordinates 1 to 8 along dim 0 of map 2"),
        (moved(REDUCE, block(PARTIAL, coord(tiles=(2, 1)), 0)), r"src: coordinates 0 to 8 along dim 0 of map 2"),
        (replace(REDUCE, box=(2, 9)), "src: coordinates 0 to 8 along dim 1 of map 2, which has 8"),
        (moved(REDUCE, block(PARTIAL, 0, 0, steps=(-1, 1))), "src: a step of -1"),
        (moved(REDUCE, block(OUT, 0, 0)), "src: map 7 is in L2, expected L1"),
        (moved(REDUCE, dst=block(FLOATS, 0, 0)), "src is i32 and dst bf16"),
        (replace(REDUCE, tiles=TileRange(0, 0, 40, 2)), "tiles 0 to 79, and group 0 has 44"),
        (replace(MULTIPLY, accumulator=None), "goes on over tiles, and there is no accumulator"),
        (replace(MULTIPLY, operands=(OPERAND_A,)), "1 operands, and fabric program 'matmul' has 2 .* partial exec"),
        (replace(MULTIPLY, accumulator=operand(FLOATS, 0, 0)), "kept in a map of bf16, and it is i32"),
        (replace(FINISH, box=(2, 8, 1)), "expected 0 in every reduction dim"),
        (replace(FINISH, box=(2, 0, 0)), "expected at least 1 in every dim"),
        (replace(FINISH, operands=(operand(BIAS, 0), operand(FLOATS, 0, 0))), "stores i32 in a map of bf16"),
        (replace(FINISH, accumulator=None), "goes on over tiles, and there is no accumulator"),
        (replace(FINISH, reduction_loops=1), "the reduction goes on over the loops of mask 0x1"),
    ],
)
def test_what_is_refused(command: Command, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        check(program(command), MACHINE)


def test_the_largest_of_any_type() -> None:
    src, dst = block(FLOATS, 0, 0), block(ELSEWHERE, 0, 0)
    check(program(replace(REDUCE, src=src, dst=dst, receivers=1, combiner=Combiner.MAX)), MACHINE)


def test_a_pull_of_the_sums_waits_for_the_reduce() -> None:
    def pull(tiles: TileRange) -> Pull:
        dst = block(OUT, coord(tiles=(1, 0)), coord(tiles=(0, 1)))
        return Pull(tiles=tiles, src=block(SUM, 0, 0), dst=dst, box=(1, 1))

    with pytest.raises(ProgramError, match=r"race in L1: .* memory that .* uses, and no semaphore orders them"):
        check_races(program(REDUCE, out=(pull(TileRange(0, 0, 4, 2)),)))
    check_races(program(replace(REDUCE, receivers=2), out=(pull(TileRange(0, 4, 2, 2)),)))
    token = (SemOp(0, 1),)
    ordered = replace(pull(TileRange(0, 0, 4, 2)), acquire=token)
    check_races(program(replace(REDUCE, release=token), out=(ordered,), semaphores=(0,)))


def test_a_reduce_reads_the_partials_of_every_tile() -> None:
    """Also of those that combine nothing themselves."""
    last = TileRange(0, 7, 1, 1)
    early = Pull(tiles=last, src=block(PARTIAL, 0, 0), dst=block(OUT, 0, 0), box=(8, 8))
    check_races(program(replace(REDUCE, receivers=1), out=(early,)))
    with pytest.raises(ProgramError, match="race in L1"):
        check_races(program(MULTIPLY, replace(REDUCE, receivers=1), out=(early,)))


def test_what_it_counts() -> None:
    timing = simulate_timing(program(REDUCE, FINISH), MACHINE)
    (fabric, _) = timing.streams
    counts = fabric.counts[0]
    slice_bytes = 2 * 8 * 4
    assert counts.noc_bytes == 2 * 4 * 3 * slice_bytes
    assert counts.l1_read_bytes == counts.l1_write_bytes == 2 * 4 * 4 * slice_bytes
    assert counts.vector_ops == 2 * 4 * 3 * 16
    assert counts.transfers == 1
    assert timing.resource_busy_cycles["noc"] == -(-counts.noc_bytes // MACHINE.noc.bytes_per_cycle)
    assert fabric.counts[1].macs == 0
