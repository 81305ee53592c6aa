"""The text of a program: readable, and never the same for two programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program_strategies import programs
from programs import block, coord, linear_program

from swkpu.errors import ProgramError
from swkpu.program.assembly import command_text, disassemble, value_text
from swkpu.program.codec import encode
from swkpu.program.container import to_bytes
from swkpu.program.model import (
    Access,
    AffineExpr,
    Block,
    Clip,
    Coord,
    DType,
    End,
    Exec,
    Load,
    Loop,
    MicroOp,
    MicroOpcode,
    Operand,
    Program,
    Push,
    SemOp,
    TileRange,
)
from swkpu.program.schema import schema
from swkpu.target import load_target

SMALL = st.integers(-2, 2)
COORDS = st.builds(Coord, SMALL, st.lists(st.tuples(SMALL, SMALL), max_size=2).map(tuple), st.tuples(SMALL, SMALL))
EXPRS = st.builds(AffineExpr, SMALL, st.lists(st.tuples(SMALL, SMALL), max_size=2).map(tuple))
BLOCKS = st.integers(0, 2).flatmap(
    lambda n: st.builds(
        Block,
        SMALL,
        st.lists(COORDS, max_size=2).map(tuple),
        st.tuples(*[SMALL] * n),
        st.tuples(*[SMALL] * n),
    )
)
FLOATS = st.sampled_from([0.0, -0.0, 0.1, float("inf"), float("nan"), -float("nan")])
# Values from a small range, so that two of them are often alike.
SMALL_VALUES: dict[Any, st.SearchStrategy[Any]] = {
    Coord: COORDS,
    AffineExpr: EXPRS,
    Access: st.builds(Access, st.lists(EXPRS, max_size=2).map(tuple)),
    Block: BLOCKS,
    Operand: st.builds(Operand, SMALL, st.lists(COORDS, max_size=2).map(tuple)),
    TileRange: st.builds(TileRange, SMALL, SMALL, SMALL, SMALL),
    SemOp: st.builds(SemOp, SMALL, SMALL),
    Clip: st.builds(Clip, SMALL, COORDS, SMALL),
    MicroOp: st.builds(
        MicroOp,
        st.sampled_from([MicroOpcode.CONSTANT, MicroOpcode.ADDF]),
        st.sampled_from(DType),
        st.lists(SMALL, max_size=2).map(tuple),
        FLOATS,
    ),
    float: FLOATS,
    str: st.text('"\\, \n;é', max_size=3),
    tuple[str, ...]: st.lists(st.text('",] ', max_size=3), max_size=2).map(tuple),
}


@pytest.mark.parametrize("annotation", SMALL_VALUES, ids=str)
def test_different_values_have_different_texts(annotation: Any):
    one = SMALL_VALUES[annotation]

    @given(st.lists(one, min_size=2, max_size=12))
    @settings(max_examples=200, deadline=None)
    def law(values: list[Any]):
        s = schema(annotation)
        pairs = {(value_text(v, s), encode(v, annotation)) for v in values}
        assert len({text for text, _ in pairs}) == len({code for _, code in pairs}) == len(pairs)

    law()


@given(programs())
@settings(max_examples=30, deadline=None)
def test_any_program_prints_or_is_refused(program: Program):
    try:
        text = disassemble(program)
    except ProgramError:
        assert any(len(b.axes) != len(b.steps) for b in blocks(program))
        return
    assert text.isascii() or any(not layer.name.isascii() for layer in program.layers)


def blocks(program: Program) -> list[Block]:
    commands = [c for s in program.streams for c in s.commands]
    return [b for c in commands for b in (getattr(c, "src", None), getattr(c, "dst", None)) if b is not None]


def test_every_change_of_a_program_shows():
    program = linear_program(load_target("kpu-t64"))
    changed = [
        replace(program, target="other"),
        replace(program, target_digest="other"),
        replace(program, semaphores=(1, *program.semaphores[1:])),
        replace(program, segments=program.segments[:1]),
        replace(program, inputs=()),
        replace(program, outputs=()),
        replace(program, layers=(replace(program.layers[0], tiling={}),)),
        replace(program, metadata=replace(program.metadata, batch=2)),
        replace(program, maps=(replace(program.maps[0], pad=1.0), *program.maps[1:])),
        replace(program, fabrics=(replace(program.fabrics[0], rows=()),)),
        replace(program, streams=program.streams[1:]),
    ]
    assert len({disassemble(p) for p in [program, *changed]}) == 12
    assert len({to_bytes(p) for p in [program, *changed]}) == 12


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Coord(), "0"),
        (Coord(-1), "-1"),
        (coord(-1, loops={0: 14}, tiles=(2, 0)), "14*L0 + 2*T0 - 1"),
        (coord(3, loops={1: -1}, tiles=(0, 1)), "-L1 + T1 + 3"),
        (coord(loops={0: 0}), "0*L0"),
        (block(3, 0, coord(loops={0: 1})), "m3[0, L0]"),
        (block(3, 0, 1, 2, axes=(2, 1), steps=(1, 2)), "m3[0, 1, 2] along [2, 1 step 2]"),
        (TileRange(1, 0, 6, 2), "g1[0:6x2]"),
        (SemOp(1, 6), "s1 x 6"),
        (Clip(0, coord(loops={0: 14}), 112), "d0 < 112 - (14*L0)"),
        (Access((AffineExpr(-1, ((0, 2), (3, 1))), AffineExpr(0, ()))), "[2*d0 + d3 - 1, 0]"),
        (MicroOp(MicroOpcode.ADDF, DType.F32, (0, 1)), "addf.f32(r0, r1)"),
        (MicroOp(MicroOpcode.CONSTANT, DType.F32, (), 0.0), "constant.f32() 0.0"),
        (MicroOp(MicroOpcode.RESCALE, DType.I8, (0, 1, 2), integers=(0, -128)), "rescale.i8(r0, r1, r2) [0, -128]"),
        (MicroOp(MicroOpcode.TABLE, DType.I8, (3,), integers=(1,)), "table.i8(r3) [1]"),
    ],
)
def test_values(value: Any, text: str):
    assert value_text(value, schema(type(value))) == text


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (End(), "end"),
        (Loop(count=4, acquire=(SemOp(1, 2),)), "loop count=4 acquire=[s1 x 2]"),
        (
            Load(src=block(0, 0), dst=block(1, 0), box=(8,), layer=3, release=(SemOp(0, 1), SemOp(2, 1))),
            "load src=m0[0] dst=m1[0] box=[8] release=[s0 x 1, s2 x 1] layer=3",
        ),
        (
            Push(tiles=TileRange(0, 4, 2, 2), src=block(0, 0), dst=block(1, 0), box=(8,)),
            "push tiles=g0[4:2x2] src=m0[0] dst=m1[0] box=[8]",
        ),
        (
            Exec(
                tiles=TileRange(0, 0, 1, 1),
                fabric=2,
                operands=(Operand(0, (Coord(),)),),
                box=(4,),
                clips=(Clip(0, Coord(), 3),),
                reduction_loops=1,
                accumulator=Operand(5, (Coord(1),)),
            ),
            "exec tiles=g0[0:1x1] fabric=2 operands=[m0[0]] box=[4] clips=[d0 < 3 - (0)] reduction_loops=1 "
            "accumulator=m5[1]",
        ),
    ],
)
def test_commands(command: Any, text: str):
    assert command_text(command) == text


def test_streams_are_blocks_with_indented_loops():
    lines = disassemble(linear_program(load_target("kpu-t64"))).splitlines()
    at = lines.index(".stream dma_out group=0")
    assert lines[at + 1 :] == [
        "  loop count=4",
        "    store src=m7[8*L0, 0] dst=m3[8*L0, 0] box=[8, 8] acquire=[s8 x 1] release=[s9 x 1] ; linear",
        "  end",
        "  halt",
    ]


def test_a_layer_name_cannot_leave_its_comment():
    program = linear_program(load_target("kpu-t64"))
    evil = replace(program, layers=(replace(program.layers[0], name="a\n  halt"),))
    assert len(disassemble(evil).splitlines()) == len(disassemble(program).splitlines())
