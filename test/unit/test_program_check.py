"""Every check of the loader: a valid program with one thing broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from programs import (
    B_L1,
    IN_L1,
    X_DRAM,
    X_L1,
    X_L1_FULL,
    X_L2,
    X_L2_FREE,
    X_L2_FULL,
    Y_DRAM,
    Y_L1,
    access,
    acquire,
    block,
    coord,
    group_for,
    linear_program,
    operand,
    tensor_map,
)

from swkpu.errors import ProgramError
from swkpu.program.check import check, check_target
from swkpu.program.limits import MAX_COMMANDS_RUN
from swkpu.program.loops import placed
from swkpu.program.model import (
    AffineExpr,
    Clip,
    Combiner,
    Command,
    Coord,
    DType,
    End,
    Engine,
    Halt,
    Loop,
    MicroOp,
    MicroOpcode,
    Program,
    Segment,
    SemOp,
    Space,
    Stream,
    Symbol,
    TileRange,
)
from swkpu.target import load_target
from swkpu.target.machine import Machine

MACHINE = load_target("kpu-t64")
PROGRAM = linear_program(MACHINE)
GROUP = group_for(MACHINE, "bf16")
HUGE = 1 << 63
L1_BYTES = MACHINE.tile_groups[GROUP].l1_bytes

# Where the commands are.
LOAD_X, PUSH_X, EXEC, PULL, STORE = (
    (Engine.DMA_IN, 3),
    (Engine.BM_IN, 3),
    (Engine.FABRIC, 1),
    (Engine.BM_OUT, 1),
    (Engine.DMA_OUT, 1),
)
LOOP_X = (Engine.DMA_IN, 2)
END_X = (Engine.DMA_IN, 4)


def stream_of(program: Program, engine: Engine) -> Stream:
    return next(s for s in program.streams if s.engine is engine)


def with_stream(engine: Engine, change: Callable[[Stream], Stream], program: Program = PROGRAM) -> Program:
    return replace(program, streams=tuple(change(s) if s.engine is engine else s for s in program.streams))


def with_commands(engine: Engine, *commands: Command) -> Program:
    return with_stream(engine, lambda s: replace(s, commands=commands))


def get(place: tuple[Engine, int]) -> Any:
    engine, index = place
    return stream_of(PROGRAM, engine).commands[index]


def edit(place: tuple[Engine, int], program: Program = PROGRAM, **changes: Any) -> Program:
    """The program with fields of one command changed."""
    engine, index = place

    def change(stream: Stream) -> Stream:
        commands = list(stream.commands)
        commands[index] = replace(commands[index], **changes)
        return replace(stream, commands=tuple(commands))

    return with_stream(engine, change, program)


def edit_map(index: int, **changes: Any) -> Program:
    maps = list(PROGRAM.maps)
    maps[index] = replace(maps[index], **changes)
    return replace(PROGRAM, maps=tuple(maps))


def edit_fabric(**changes: Any) -> Program:
    return replace(PROGRAM, fabrics=(replace(PROGRAM.fabrics[0], **changes),))


def edit_micro_op(index: int, op: MicroOp) -> Program:
    ops = list(PROGRAM.fabrics[0].micro_ops)
    ops[index] = op
    return edit_fabric(micro_ops=tuple(ops))


def edit_layer(**changes: Any) -> Program:
    return replace(PROGRAM, layers=(replace(PROGRAM.layers[0], **changes),))


def edit_access(index: int, *exprs: AffineExpr) -> Program:
    accesses = list(PROGRAM.fabrics[0].accesses)
    accesses[index] = replace(accesses[index], exprs=exprs)
    return edit_fabric(accesses=tuple(accesses))


def refused(program: Program, message: str, machine: Machine = MACHINE) -> None:
    with pytest.raises(ProgramError, match=message):
        check(program, machine)


def test_the_program_is_valid():
    check(PROGRAM, MACHINE)


@pytest.mark.parametrize("target", ["swkpu-v1", "kpu-t256", "kpu-t64-r2"])
def test_a_program_for_another_target(target: str):
    machine = load_target(target)
    refused(PROGRAM, f"compiled for target 'kpu-t64', and this is '{target}'", machine)


def test_a_program_may_deliberately_run_on_a_changed_target():
    changed = replace(MACHINE, l2=replace(MACHINE.l2, capacity_bytes=MACHINE.l2.capacity_bytes * 2))
    refused(PROGRAM, "another description of target 'kpu-t64'", changed)
    with pytest.raises(ProgramError, match="compile again"):
        check_target(PROGRAM, changed)
    check(PROGRAM, changed, any_target=True)
    check(PROGRAM, load_target("kpu-t256"), any_target=True)


def test_errors_name_stream_command_and_layer():
    refused(
        edit(PUSH_X, box=(0, 16)),
        r"^stream bm_in\[1\], command 3 \(push, layer 'linear'\): box \(0, 16\), expected at least 1 in every dim$",
    )
    refused(edit(LOAD_X, layer=7), r"^stream dma_in, command 3 \(load, layer 7\): layer 7, and there are 1$")


MAPS: dict[str, tuple[Program, str]] = {
    "rank 0": (edit_map(0, extents=(), strides=(), moduli=()), "map 0: rank 0, expected 1 to 7"),
    "rank 8": (edit_map(0, extents=(1,) * 8, strides=(2,) * 8, moduli=(1,) * 8), "rank 8"),
    "strides missing": (edit_map(0, strides=(2,)), "2 extents, 1 strides, 2 moduli"),
    "moduli missing": (edit_map(0, moduli=(32, 16, 1)), "2 extents, 2 strides, 3 moduli"),
    "negative extent": (edit_map(0, extents=(-1, 16)), "extent -1"),
    "huge extent": (edit_map(0, extents=(HUGE, 16)), f"extent {HUGE}"),
    "negative stride": (edit_map(0, strides=(-32, 2)), "stride -32"),
    "huge stride": (edit_map(0, strides=(HUGE, 2)), f"stride {HUGE}"),
    "modulus 0": (edit_map(0, moduli=(0, 16)), "modulus 0, expected at least 1"),
    "huge modulus": (edit_map(0, moduli=(HUGE, 16)), f"modulus {HUGE}"),
    "negative buffer": (edit_map(0, buffer=-1), "buffer -1"),
    "misaligned base": (edit_map(0, base=1), "map 0: base 1 .* multiples of the 2-byte element"),
    "misaligned stride": (edit_map(0, strides=(33, 2)), "multiples of the 2-byte element"),
    "negative base": (edit_map(0, base=-2), "map 0: bytes -2 to 1022 of DRAM"),
    "beyond DRAM": (edit_map(0, base=MACHINE.dram.capacity_bytes - 1022), "of DRAM, which has 8589934592"),
    "beyond L2": (edit_map(X_L2, base=MACHINE.l2.capacity_bytes - 510), "of L2, which has 4194304"),
    "beyond every L1": (edit_map(X_L1, base=max(g.l1_bytes for g in MACHINE.tile_groups)), "of L1, which has"),
    "pad out of range": (
        replace(PROGRAM, maps=(*PROGRAM.maps, tensor_map(Space.L2, 0, DType.I8, (4,), pad=128.0))),
        "map 12: pad value 128.0 is no i8",
    ),
    "pad between integers": (
        replace(PROGRAM, maps=(*PROGRAM.maps, tensor_map(Space.L2, 0, DType.I32, (4,), pad=0.5))),
        "pad value 0.5 is no i32",
    ),
    "pad NaN": (
        replace(PROGRAM, maps=(*PROGRAM.maps, tensor_map(Space.L2, 0, DType.I8, (4,), pad=float("nan")))),
        "pad value nan is no i8",
    ),
}

FABRICS: dict[str, tuple[Program, str]] = {
    "no dims": (edit_fabric(dims=(), parallel=0), r"fabric program 0 \('linear_relu'\): 0 dims"),
    "same dims": (edit_fabric(dims=("m", "m", "k")), "same name"),
    "parallel": (edit_fabric(parallel=4), "4 parallel dims of 3"),
    "reduction without combiner": (edit_fabric(combiner=Combiner.NONE), "no combiner to reduce them"),
    "rows out of range": (edit_fabric(rows=(3,)), "not distinct parallel dims"),
    "rows and cols overlap": (edit_fabric(rows=(1,)), "not distinct parallel dims"),
    "reduction dim on rows": (edit_fabric(rows=(2,)), r"rows \(2,\) and cols \(1,\) are not distinct parallel dims"),
    "inputs": (edit_fabric(inputs=1), "1 inputs, and mac combines 2"),
    "no result": (
        edit_fabric(accesses=PROGRAM.fabrics[0].accesses[:2]),
        "2 accesses, expected 2 for the inputs and one",
    ),
    "access dim": (edit_access(0, AffineExpr(0, ((3, 1),))), r"access 0: an expression over the dims \[3\]"),
    "access dim twice": (edit_access(0, AffineExpr(0, ((0, 1), (0, 2)))), r"access 0: .* dims \[0, 0\]"),
    "result over reduction": (edit_access(3, AffineExpr(0, ((2, 1),))), "access 3: .* distinct ones from 0 to 1"),
    "epilogue over reduction": (edit_access(2, AffineExpr(0, ((2, 1),))), "access 2: .* distinct ones from 0 to 1"),
    "access rank": (edit_access(0, *[AffineExpr(0, ())] * 8), "access 0: rank 8, expected at most 7"),
    "huge constant": (edit_access(0, AffineExpr(HUGE, ())), "is too large"),
    "huge coefficient": (edit_access(0, AffineExpr(0, ((0, -HUGE),))), "is too large"),
    "arity": (
        edit_micro_op(0, MicroOp(MicroOpcode.ADDF, DType.F32, (0,))),
        r"micro-op 0 \(addf\): 1 arguments, expected 2",
    ),
    "later register": (
        edit_micro_op(0, MicroOp(MicroOpcode.ADDF, DType.F32, (0, 2))),
        r"micro-op 0 \(addf\): register 2, expected an earlier one \(below 2\)",
    ),
    "negative register": (edit_micro_op(0, MicroOp(MicroOpcode.ADDF, DType.F32, (0, -1))), "register -1"),
    "result register": (edit_fabric(result=6), "the result is register 6, and there are 6"),
}

TYPES: dict[str, tuple[Program, str]] = {
    "mixed arguments": (
        edit_micro_op(0, MicroOp(MicroOpcode.ADDF, DType.BF16, (0, 1))),
        r"command 1 \(exec.*micro-op 0: no addf from f32, f32 to bf16",
    ),
    "truncf that extends": (
        edit_micro_op(3, MicroOp(MicroOpcode.TRUNCF, DType.F32, (4,))),
        "no truncf from f32 to f32",
    ),
    "extf that truncates": (edit_micro_op(3, MicroOp(MicroOpcode.EXTF, DType.BF16, (4,))), "no extf from f32 to bf16"),
    "integer arithmetic": (
        replace(edit_fabric(acc_dtype=DType.I32), maps=edit_map(B_L1, dtype=DType.I32).maps),
        "no addf from i32, i32 to f32|a transfer converts nothing",
    ),
    "stored type": (edit_fabric(result=4), "'linear_relu' stores f32 in a map of bf16"),
}

STREAMS: dict[str, tuple[Program, str]] = {
    "two of a kind": (replace(PROGRAM, streams=PROGRAM.streams * 2), "two streams for dma_in"),
    "group of a DMA": (with_stream(Engine.DMA_IN, lambda s: replace(s, group=1)), "stream dma_in: group 1, .* has 1"),
    "unknown group": (
        with_stream(Engine.BM_IN, lambda s: replace(s, group=3)),
        r"stream bm_in\[3\]: group 3, .* has 3",
    ),
    "negative group": (with_stream(Engine.BM_IN, lambda s: replace(s, group=-1)), "group -1"),
    "empty": (with_commands(Engine.DMA_IN), "stream dma_in does not end with `halt`"),
    "no halt": (with_commands(Engine.DMA_IN, get(LOAD_X)), "stream dma_in does not end with `halt`"),
    "halt inside": (
        with_stream(Engine.DMA_IN, lambda s: replace(s, commands=(Halt(), *s.commands))),
        r"command 0 \(halt.*`halt` before the end of the stream",
    ),
    "end without loop": (with_commands(Engine.DMA_IN, End(), Halt()), "command 0: `end` without a `loop`"),
    "loop without end": (with_commands(Engine.DMA_IN, Loop(count=2), Halt()), "command 0: this `loop` has no `end`"),
    "loops too deep": (
        with_commands(Engine.DMA_IN, *[Loop(count=1)] * 7, *[End()] * 7, Halt()),
        r"command 6 \(loop.*loops nested deeper than 6",
    ),
    "no iterations": (edit(LOOP_X, count=0), "0 iterations, expected at least 1"),
    "huge count": (edit(LOOP_X, count=HUGE), "iterations"),
    "runs for ever": (
        with_commands(Engine.DMA_IN, *[Loop(count=1000)] * 3, *[End()] * 3, Halt()),
        f"the program runs 1002002002 commands, expected at most {MAX_COMMANDS_RUN}",
    ),
    "engine": (with_commands(Engine.DMA_OUT, get(LOAD_X), Halt()), "`load` runs on dma_in"),
    "layer": (edit(LOAD_X, layer=-1), "layer -1, and there are 1"),
    "layer of a halt": (with_commands(Engine.DMA_IN, Halt(layer=1)), "layer 1, and there are 1"),
}

TRANSFERS: dict[str, tuple[Program, str]] = {
    "map index": (edit(LOAD_X, src=block(12, 0, 0)), "src: map 12, and there are 12"),
    "negative map": (edit(LOAD_X, src=block(-1, 0, 0)), "src: map -1, and there are 12"),
    "load from L2": (edit(LOAD_X, src=block(X_L2, 0, 0)), "src: map 4 is in L2, expected DRAM"),
    "load to DRAM": (edit(LOAD_X, dst=block(X_DRAM, 0, 0)), "dst: map 0 is in DRAM, expected L2"),
    "store from DRAM": (edit(STORE, src=block(X_DRAM, 0, 0)), "src: map 0 is in DRAM, expected L2"),
    "store to L2": (edit(STORE, dst=block(X_L2, 0, 0)), "dst: map 4 is in L2, expected DRAM"),
    "push from L1": (edit(PUSH_X, src=block(X_L1, 0, 0, 0)), "src: map 8 is in L1, expected L2"),
    "push to L2": (edit(PUSH_X, dst=block(X_L2, 0, 0)), "dst: map 4 is in L2, expected L1"),
    "pull from L2": (edit(PULL, src=block(X_L2, 0, 0)), "src: map 4 is in L2, expected L1"),
    "pull to L1": (edit(PULL, dst=block(Y_L1, 0, 0, 0)), "dst: map 11 is in L1, expected L2"),
    "start": (edit(LOAD_X, src=block(X_DRAM, 0, axes=(0, 1))), "src: 1 start coordinates for map 0 of rank 2"),
    "axes": (edit(LOAD_X, src=block(X_DRAM, 0, 0, axes=(0,))), "1 axes and 1 steps for a box of rank 2"),
    "steps": (edit(LOAD_X, src=replace(block(X_DRAM, 0, 0), steps=(1,))), "2 axes and 1 steps for a box of rank 2"),
    "axis beyond": (edit(LOAD_X, src=block(X_DRAM, 0, 0, axes=(0, 2))), r"axes \(0, 2\) are not distinct dims"),
    "axis twice": (edit(LOAD_X, src=block(X_DRAM, 0, 0, axes=(1, 1))), r"axes \(1, 1\) are not distinct dims"),
    "negative axis": (edit(LOAD_X, src=block(X_DRAM, 0, 0, axes=(0, -1))), "are not distinct dims"),
    "box rank 0": (edit(LOAD_X, box=()), "a box of rank 0"),
    "box rank 8": (edit(LOAD_X, box=(1,) * 8), "a box of rank 8, expected 1 to 7"),
    "empty box": (edit(LOAD_X, box=(8, 0)), "expected at least 1 in every dim"),
    "huge box": (edit(LOAD_X, box=(1 << 40, 1)), "more than the on-chip memory of 4194304"),
    "box beyond L1": (edit(PUSH_X, box=(L1_BYTES, 1)), "more than the on-chip memory"),
    "no step in dst": (edit(LOAD_X, dst=block(X_L2, 0, 0, steps=(0, 1))), "dst has a step of 0"),
    "loop not open": (
        edit(LOAD_X, src=block(X_DRAM, Coord(0, ((1, 8),)), 0)),
        r"counters of loops \[1\], and 1 loops are",
    ),
    "loop closed": (
        edit((Engine.DMA_IN, 0), src=block(1, Coord(0, ((0, 1),)), 0)),
        r"command 0 .*counters of loops \[0\], and 0 loops",
    ),
    "negative depth": (edit(LOAD_X, src=block(X_DRAM, Coord(0, ((-1, 8),)), 0)), r"counters of loops \[-1\]"),
    "depth twice": (edit(LOAD_X, src=block(X_DRAM, Coord(0, ((0, 8), (0, 1))), 0)), r"counters of loops \[0, 0\]"),
    "tile coordinate": (edit(LOAD_X, src=block(X_DRAM, coord(tiles=(1, 0)), 0)), "the command names no tiles"),
    "huge constant": (edit(LOAD_X, src=block(X_DRAM, HUGE, 0)), f"src: a coordinate reaches {HUGE}"),
    "huge coefficient": (edit(LOAD_X, src=block(X_DRAM, coord(loops={0: -HUGE}), 0)), "a coordinate reaches"),
    "huge tile coefficient": (edit(PUSH_X, src=block(X_L2, coord(tiles=(HUGE, 0)), 0)), "a coordinate reaches"),
    "huge step": (edit(LOAD_X, src=block(X_DRAM, 0, 0, steps=(HUGE, 1))), "src: a coordinate reaches"),
    "conversion": (
        replace(PROGRAM, maps=edit_map(X_L2, dtype=DType.F16).maps),
        "src is bf16 and dst f16: a transfer converts nothing",
    ),
    "tiles write the same": (
        edit(PULL, dst=block(7, coord(loops={0: 8}), 0)),
        "dst does not depend on tile coordinate T0, so that 2 tiles",
    ),
    "tile group": (edit(PUSH_X, tiles=TileRange(GROUP + 1, 0, 2, 1)), "tiles of group .* in the stream of group"),
    "too many tiles": (edit(PUSH_X, tiles=TileRange(GROUP, 0, 7, 2)), "tiles 0 to 13, and group 1 has 13"),
    "negative tile": (edit(PUSH_X, tiles=TileRange(GROUP, -1, 2, 1)), "tiles -1 to 0"),
    "no tiles": (edit(PUSH_X, tiles=TileRange(GROUP, 0, 2, 0)), "a range of 2 x 0 tiles"),
    "negative tiles": (edit(PUSH_X, tiles=TileRange(GROUP, 0, -2, -1)), "a range of -2 x -1 tiles"),
}

EXECS: dict[str, tuple[Program, str]] = {
    "fabric program": (edit(EXEC, fabric=1), r"command 1 \(exec, layer 'linear'\): fabric program 1, and there are 1"),
    "operands": (edit(EXEC, operands=get(EXEC).operands[:3]), "3 operands, .* has 4 accesses"),
    "operand in L2": (
        edit(EXEC, operands=(operand(X_L2, 0, 0), *get(EXEC).operands[1:])),
        "operand 0: map 4 is in L2, expected L1",
    ),
    "operand start": (
        edit(EXEC, operands=(operand(X_L1, 0, 0), *get(EXEC).operands[1:])),
        "operand 0: 2 start coordinates for map 8 of rank 3",
    ),
    "access rank": (
        edit_access(2, *access(1, 0).exprs),
        "operand 2: an access of rank 2 to map 10 of rank 1",
    ),
    "operand reach": (
        edit(EXEC, edit_access(0, AffineExpr(0, ((0, 1 << 62),)), AffineExpr(0, ()))),
        "operand 0: a coordinate reaches",
    ),
    "box rank": (edit(EXEC, box=(4, 8)), "a box of rank 2, and 'linear_relu' has 3 domain dims"),
    "empty box": (edit(EXEC, box=(4, 0, 16)), "expected at least 1 in every dim"),
    "huge box": (edit(EXEC, box=(1 << 20, 1 << 20, 2)), "at most 68719476736 points"),
    "huge operand": (edit(EXEC, box=(1 << 16, 1, 1 << 11)), "operand 0: read or written at 134217728 points"),
    "clip dim": (edit(EXEC, clips=(Clip(3, Coord(), 4),)), "a clip of domain dim 3, expected 0 to 2"),
    "clip limit": (edit(EXEC, clips=(Clip(0, Coord(), HUGE),)), "a clip of"),
    "clip coordinate": (edit(EXEC, clips=(Clip(0, Coord(0, ((1, 1),)), 4),)), "clip: a coordinate uses"),
    "tiles": (edit(EXEC, tiles=TileRange(GROUP, 12, 2, 1)), "tiles 12 to 13, and group 1 has 13"),
    "mask": (edit(EXEC, reduction_loops=2, accumulator=operand(Y_L1, 0, 0, 0)), "mask 0x2, and 1 loops are open"),
    "negative mask": (edit(EXEC, reduction_loops=-1, accumulator=operand(Y_L1, 0, 0, 0)), "mask -0x1"),
    "no accumulator": (edit(EXEC, reduction_loops=1), "there is no accumulator operand"),
    "accumulator type": (
        edit(EXEC, reduction_loops=1, accumulator=operand(Y_L1, 0, 0, 0)),
        "kept in a map of bf16, and it is f32",
    ),
    "accumulator rank": (
        edit(EXEC, reduction_loops=1, accumulator=operand(B_L1, 0)),
        "accumulator: an access of rank 2 to map 10 of rank 1",
    ),
}

SEMAPHORES: dict[str, tuple[Program, str]] = {
    "index": (edit(LOAD_X, acquire=acquire(10)), "acquire: semaphore 10, and there are 10"),
    "negative index": (edit(LOAD_X, release=acquire(-1)), "release: semaphore -1, and there are 10"),
    "no tokens": (edit(LOAD_X, acquire=(SemOp(X_L2_FREE, 0),)), "acquire: 0 tokens of semaphore 3"),
    "huge count": (edit(LOAD_X, acquire=(SemOp(X_L2_FREE, HUGE),)), "tokens of semaphore 3"),
    "twice in a list": (edit(LOAD_X, acquire=acquire(3, 3)), "acquire lists a semaphore twice"),
    "five in a list": (edit(LOAD_X, release=acquire(0, 1, 2, 3, 4)), "release lists 5 semaphores, expected at most 4"),
    "more than the machine has": (replace(PROGRAM, semaphores=(0,) * 65), "65 semaphores, and kpu-t64 has 64"),
    "negative tokens": (replace(PROGRAM, semaphores=(-1, *PROGRAM.semaphores[1:])), "semaphore 0: -1 initial tokens"),
    "never used": (replace(PROGRAM, semaphores=(*PROGRAM.semaphores, 0)), "semaphore 10: .* to acquire it, found none"),
    "never released": (edit(LOAD_X, release=()), "semaphore 2: expected one stream to release it, found none"),
    "two acquire": (
        edit(EXEC, acquire=(*get(EXEC).acquire, SemOp(X_L2_FULL, 1))),
        r"semaphore 2: expected one stream to acquire it, found bm_in\[1\] and fabric\[1\]",
    ),
    "two release": (
        edit(STORE, release=(*get(STORE).release, SemOp(X_L1_FULL, 1))),
        r"semaphore 4: expected one stream to release it, found bm_in\[1\] and dma_out",
    ),
    "one token short": (
        edit((Engine.FABRIC, 0), acquire=(SemOp(IN_L1, 3),)),
        r"command 0 \(loop, layer 'linear'\): semaphore 1: the stream acquires 3 tokens in all.* 0 at first and 2 rel",
    ),
    "one iteration more": (
        edit((Engine.BM_IN, 2), count=5),
        r"command 3 \(push.*semaphore 2: the stream acquires 5 tokens in all, and there are 0 at first and 4 released",
    ),
    "loop releases": (edit(LOOP_X, release=acquire(X_L2_FULL)), "`loop` cannot release"),
    "end acquires": (edit(END_X, acquire=acquire(X_L2_FREE)), "`end` cannot acquire"),
    "halt acquires": (edit((Engine.DMA_IN, 5), acquire=acquire(X_L2_FREE)), "`halt` carries no semaphores"),
    "halt releases": (edit((Engine.DMA_IN, 5), release=acquire(X_L2_FULL)), "`halt` carries no semaphores"),
}

HOST: dict[str, tuple[Program, str]] = {
    "segment beyond constants": (
        replace(PROGRAM, segments=(Segment(0, 200, 100),)),
        "segment 0: bytes 200 to 300 of the co",
    ),
    "segment offset": (replace(PROGRAM, segments=(Segment(0, -1, 1),)), "segment 0: bytes -1"),
    "segment size": (replace(PROGRAM, segments=(Segment(0, 10, -1),)), "segment 0: bytes 10 to 9"),
    "segment beyond DRAM": (
        replace(PROGRAM, segments=(Segment(MACHINE.dram.capacity_bytes, 0, 1),)),
        "segment 0: .* of DRAM",
    ),
    "segment address": (replace(PROGRAM, segments=(Segment(-1, 0, 1),)), "segment 0: bytes -1 to 0 of DRAM"),
    "segments overlap": (
        replace(PROGRAM, segments=(Segment(100, 0, 8), Segment(96, 0, 5))),
        "segments 1 and 0 overlap in DRAM",
    ),
    "symbol map": (
        replace(PROGRAM, inputs=(Symbol("x", 12, (32, 16), DType.BF16),)),
        "input 'x': map 12, and there are",
    ),
    "symbol in L2": (
        replace(PROGRAM, inputs=(Symbol("x", X_L2, (32, 16), DType.BF16),)),
        "map 4 is in L2, expected DRAM",
    ),
    "symbol shape": (
        replace(PROGRAM, outputs=(Symbol("y", Y_DRAM, (8, 32), DType.BF16),)),
        r"output 'y': shape \(8, 32\), and map 3 has the extents \(32, 8\)",
    ),
    "symbol that repeats": (
        replace(
            edit_map(Y_DRAM, extents=(1 << 30, 8), moduli=(1 << 30, 8), strides=(0, 2)),
            outputs=(Symbol("y", Y_DRAM, (1 << 30, 8), DType.BF16),),
        ),
        "output 'y': 17179869184 bytes, more than the DRAM of 8589934592",
    ),
    "symbol wraps": (edit_map(Y_DRAM, moduli=(16, 8)), "output 'y': map 3 has moduli"),
    "same name": (replace(PROGRAM, inputs=PROGRAM.inputs * 2), "two inputs are named 'x'"),
    "negative MACs": (edit_layer(macs=-1), "layer 'linear': macs -1, expected at least 0"),
    "negative bytes": (edit_layer(compulsory_dram_bytes=-1), "compulsory_dram_bytes -1"),
    "negative estimate": (edit_layer(estimated_cycles=-1), "estimated_cycles -1"),
}


@pytest.mark.parametrize(("program", "message"), MAPS.values(), ids=MAPS)
def test_maps(program: Program, message: str):
    refused(program, message)


@pytest.mark.parametrize(("program", "message"), FABRICS.values(), ids=FABRICS)
def test_fabric_programs(program: Program, message: str):
    refused(program, message)


@pytest.mark.parametrize(("program", "message"), TYPES.values(), ids=TYPES)
def test_types(program: Program, message: str):
    refused(program, message)


@pytest.mark.parametrize(("program", "message"), STREAMS.values(), ids=STREAMS)
def test_streams(program: Program, message: str):
    refused(program, message)


@pytest.mark.parametrize(("program", "message"), TRANSFERS.values(), ids=TRANSFERS)
def test_transfers(program: Program, message: str):
    refused(program, message)


@pytest.mark.parametrize(("program", "message"), EXECS.values(), ids=EXECS)
def test_exec(program: Program, message: str):
    refused(program, message)


@pytest.mark.parametrize(("program", "message"), SEMAPHORES.values(), ids=SEMAPHORES)
def test_semaphores(program: Program, message: str):
    refused(program, message)


@pytest.mark.parametrize(("program", "message"), HOST.values(), ids=HOST)
def test_segments_symbols_and_layers(program: Program, message: str):
    refused(program, message)


def test_l1_of_the_group_not_the_largest():
    groups = list(MACHINE.tile_groups)
    groups[GROUP] = replace(groups[GROUP], l1_bytes=512)
    small = replace(MACHINE, tile_groups=tuple(groups))
    with pytest.raises(ProgramError, match="of L1, and tiles of group 1 have 512"):
        check(PROGRAM, small, any_target=True)


def test_tiles_that_cannot_multiply():
    groups = list(MACHINE.tile_groups)
    groups[GROUP] = replace(groups[GROUP], macs_per_pe={"i8": groups[GROUP].macs_per_pe["bf16"]})
    with pytest.raises(ProgramError, match="has no bf16 multipliers"):
        check(PROGRAM, replace(MACHINE, tile_groups=tuple(groups)), any_target=True)


def test_a_reduction_over_loops():
    maps = (*PROGRAM.maps, tensor_map(Space.L1, 1024, DType.F32, (4, 8), buffer=12))
    program = edit(EXEC, replace(PROGRAM, maps=maps), reduction_loops=1, accumulator=operand(12, 0, 0))
    check(program, MACHINE)
    none = replace(
        program.fabrics[0], dims=("m", "n"), combiner=Combiner.NONE, inputs=0, accesses=(access(0, 1), access(0, 1)),
        micro_ops=(), result=0,
    )  # fmt: skip
    operands = (operand(Y_L1, 0, 0, 0), operand(Y_L1, 0, 0, 0))
    refused(
        edit(EXEC, replace(program, fabrics=(none,)), operands=operands, box=(4, 8)),
        "'linear_relu' reduces nothing",
    )


def test_elements_may_be_broadcast_and_reversed():
    check(edit(LOAD_X, src=block(X_DRAM, 31, 0, steps=(-1, 0))), MACHINE)


def test_tokens_of_nested_loops():
    program = edit((Engine.FABRIC, 0), acquire=(SemOp(IN_L1, 1),))
    fabric = stream_of(program, Engine.FABRIC).commands
    # Twice the loop, each entry acquires one token and runs half of the iterations.
    inner = (replace(fabric[0], count=2), *fabric[1:3])
    nested = with_stream(Engine.FABRIC, lambda s: replace(s, commands=(Loop(count=2), *inner, End(), Halt())), program)
    check(nested, MACHINE)
    thrice = with_stream(Engine.FABRIC, lambda s: replace(s, commands=(Loop(count=3), *inner, End(), Halt())), program)
    refused(thrice, "semaphore 1: the stream acquires 3 tokens|semaphore 4")


def test_a_loop_and_its_end_stand_outside_the_loop():
    stream = stream_of(PROGRAM, Engine.DMA_IN)
    assert [p.loops for p in placed(stream)] == [(), (), (), (4,), (), ()]
    assert [p.runs for p in placed(stream)] == [1, 1, 1, 4, 1, 1]


def test_scalars_have_a_map_of_one_element():
    maps = (*PROGRAM.maps, tensor_map(Space.DRAM, 4096, DType.F32, (1,), buffer=12))
    check(replace(PROGRAM, maps=maps, inputs=(*PROGRAM.inputs, Symbol("t", 12, (), DType.F32))), MACHINE)


def test_a_command_of_a_later_version():
    class Later(Command):
        mnemonic = "later"
        engines = (Engine.DMA_IN,)

    refused(with_commands(Engine.DMA_IN, Later(), Halt()), "unknown command 'later'")
