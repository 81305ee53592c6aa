"""`gather`: from `kpu.gather` to the binary, against numpy; what is refused, and when it stops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import block, layer, metadata, tensor_map
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from swkpu.dialects.kpu_buffers import element_strides
from swkpu.emit import emit
from swkpu.errors import ProgramError, SimulationError
from swkpu.interp.kpu import run_kpu
from swkpu.io import make_context
from swkpu.passes.kpu_assign_memory import KpuAssignMemoryPass
from swkpu.passes.kpu_schedule import KpuSchedulePass
from swkpu.program.assembly import disassemble
from swkpu.program.check import check
from swkpu.program.container import from_bytes, to_bytes
from swkpu.program.model import DType, Engine, Gather, Halt, Program, Space, Store, Stream
from swkpu.program.races import check_races
from swkpu.sim.functional import run_program
from swkpu.sim.timing import simulate_timing
from swkpu.target import load_target

MACHINE = load_target("kpu-t64")


def buffer(shape: tuple[int, ...], element: str, memory: str) -> str:
    return f"!kpu.buffer<{''.join(f'{n}x' for n in shape)}{element}, {memory}>"


def views(x: tuple[int, ...], ids: tuple[int, ...], dim: int, elementwise: bool) -> tuple[str, tuple[int, ...]]:
    """The views, and the shape of the result, of an index_select (`x[:, ids]`) or of torch.gather."""
    if elementwise:
        out, index = ids, element_strides(ids)
        walked = list(element_strides(x))
        walked[dim] = 0
    else:
        out = x[:dim] + ids + x[dim + 1 :]
        index = (0,) * dim + element_strides(ids) + (0,) * (len(x) - dim - 1)
        strides = element_strides(x)
        walked = [*strides[:dim], *(0 for _ in ids), *strides[dim + 1 :]]
    src_shape = (*out[:dim], x[dim], *out[dim:])
    src_strides = [*walked[:dim], element_strides(x)[dim], *walked[dim:]]
    text = (
        f"%v = kpu.view %x from 0 strides {list(src_strides)} : {buffer(x, 'f32', 'dram')} to "
        f"{buffer(src_shape, 'f32', 'dram')}\n"
        f"%w = kpu.view %ids from 0 strides {list(index)} : {buffer(ids, 'i32', 'dram')} to "
        f"{buffer(out, 'i32', 'dram')}\n"
    )
    origin = ", ".join("0" for _ in out)
    text += f"""kpu.layer "take" info {{}} {{
      %b = kpu.alloc : {buffer(out, "f32", "l2")}
      kpu.gather %v[{", ".join("0" for _ in src_shape)}] dim {dim} by %w[{origin}] to %b[{origin}] box {list(out)}
        : {buffer(src_shape, "f32", "dram")}, {buffer(out, "i32", "dram")} to {buffer(out, "f32", "l2")}
      kpu.store %b[{origin}] to %y[{origin}] box {list(out)}
        : {buffer(out, "f32", "l2")} to {buffer(out, "f32", "dram")}
    }}"""
    return text, out


def module(x: tuple[int, ...], ids: tuple[int, ...], dim: int, elementwise: bool) -> ModuleOp:
    body, out = views(x, ids, dim, elementwise)
    return Parser(
        make_context(),
        f"""kpu.program "main" target "kpu-t64" info {{}} {{
          %x = kpu.input "x" : {buffer(x, "f32", "dram")}
          %ids = kpu.input "ids" : {buffer(ids, "i32", "dram")}
          %y = kpu.alloc : {buffer(out, "f32", "dram")}
          {body}
          kpu.output "y" %y : {buffer(out, "f32", "dram")}
        }}""",
    ).parse_module()


def binary(m: ModuleOp) -> Program:
    for p in (KpuAssignMemoryPass(target="kpu-t64"), KpuSchedulePass(target="kpu-t64")):
        p.apply(Context(), m)
    m.verify()
    return emit(m, MACHINE)


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], int, bool]:
    x = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    dim = draw(st.integers(0, len(x) - 1))
    elementwise = draw(st.booleans())
    if elementwise:
        ids = tuple(draw(st.integers(1, n)) for n in x)
        return x, (*ids[:dim], draw(st.integers(1, 6)), *ids[dim + 1 :]), dim, True
    return x, tuple(draw(st.lists(st.integers(1, 4), max_size=3))), dim, False


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(0, 1 << 30))
def test_levels_agree_with_numpy(case: tuple[tuple[int, ...], tuple[int, ...], int, bool], seed: int) -> None:
    x_shape, ids_shape, dim, elementwise = case
    random = np.random.default_rng(seed)
    x = random.standard_normal(x_shape).astype(np.float32)
    ids = random.integers(0, x_shape[dim], ids_shape, dtype=np.int32)
    inputs = {"x": x, "ids": ids}
    if elementwise:
        trimmed = x[tuple(slice(None) if d == dim else slice(0, n) for d, n in enumerate(ids_shape))]
        expected = np.take_along_axis(trimmed, ids, dim)
    else:
        expected = np.take(x, ids, dim)
    m = module(*case)
    assert np.array_equal(run_kpu(m, inputs)["y"], expected)
    program = binary(m)
    check(program, MACHINE)
    check_races(program)
    assert np.array_equal(run_program(program, MACHINE, inputs)["y"], expected)
    assert from_bytes(to_bytes(program)) == program


def test_rows_and_indices_are_charged_in_bursts() -> None:
    """9 rows of 100 floats: 7 bursts of 64 bytes each; 9 indices: one burst."""
    program = binary(module((50, 100), (9,), 0, False))
    counts = simulate_timing(program, MACHINE).streams[0].counts[0]
    burst = MACHINE.dram.burst_bytes
    assert counts.dram_read_bytes == 9 * -(-400 // burst) * burst + -(-36 // burst) * burst
    assert counts.l2_write_bytes == 9 * 400
    assert "gather src=m0[0, 0, 0] along [1, 2] index=m1[0, 0] dst=" in disassemble(program)


@pytest.mark.parametrize("bad", [-1, 50, 1 << 30])
def test_an_index_outside_the_extent_stops_the_program(bad: int) -> None:
    inputs = {"x": np.zeros((50, 3), np.float32), "ids": np.array([0, 49, bad], np.int32)}
    m = module((50, 3), (3,), 0, False)
    message = rf"layer 'take'.*index {bad} is outside dim 0 of extent 50"
    with pytest.raises(SimulationError, match=message):
        run_kpu(m, inputs)
    with pytest.raises(SimulationError, match=message):
        run_program(binary(m), MACHINE, inputs)


# What the checker refuses, and what races, on a program of one gather.


def gathers(*commands: Gather) -> Program:
    """m0: table in DRAM, m1: indices in DRAM, m2: result in L2, m3: table in L2."""
    table = tensor_map(Space.DRAM, 0, DType.F32, (8, 4), buffer=0)
    maps = (
        replace(table, extents=(8, 3, 4), strides=(16, 0, 4), moduli=(8, 3, 4)),
        tensor_map(Space.DRAM, 1024, DType.I32, (3, 4), buffer=1),
        tensor_map(Space.L2, 0, DType.F32, (3, 4), buffer=2),
        tensor_map(Space.DRAM, 2048, DType.F32, (3, 4), buffer=3),
        tensor_map(Space.L2, 512, DType.F32, (8, 3, 4), buffer=4),
    )
    return Program(
        target=MACHINE.name, target_digest=MACHINE.digest,
        streams=(Stream(Engine.DMA_IN, 0, (*commands, Halt())),), maps=maps, fabrics=(), semaphores=(),
        segments=(), constants=b"", inputs=(), outputs=(), layers=(layer("take"),), metadata=metadata(),
    )  # fmt: skip


TAKE = Gather(src=block(0, 0, 0, 0, axes=(1, 2)), index=block(1, 0, 0), dst=block(2, 0, 0), box=(3, 4), dim=0)


def test_a_gather_may_read_dram_and_l2() -> None:
    check(gathers(TAKE, replace(TAKE, src=block(4, 0, 0, 0, axes=(1, 2)))), MACHINE)


@pytest.mark.parametrize(
    "command, message",
    [
        (replace(TAKE, dim=3), "indices count along dim 3 of src, which has 3"),
        (replace(TAKE, index=block(3, 0, 0)), "index is f32, expected i32"),
        (replace(TAKE, dst=block(3, 0, 0)), "dst: map 3 is in DRAM, expected L2"),
        (replace(TAKE, dst=block(2, 0, 0, steps=(0, 1))), "dst has a step of 0"),
        (replace(TAKE, box=(3,)), "src: 2 axes and 2 steps for a box of rank 1"),
        (replace(TAKE, box=(3, 1 << 40)), "more than the on-chip memory"),
    ],
)
def test_what_is_refused(command: Gather, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        check(gathers(command), MACHINE)


def test_a_destination_of_stride_0_is_refused() -> None:
    program = gathers(TAKE)
    maps = list(program.maps)
    maps[2] = replace(maps[2], strides=(0, 4))
    with pytest.raises(ProgramError, match="dst has a stride of 0"):
        check(replace(program, maps=tuple(maps)), MACHINE)


def test_any_row_of_the_table_may_be_read() -> None:
    """A store to the last row races with a gather, which starts at the first."""
    program = gathers(TAKE)
    maps = (*program.maps, tensor_map(Space.L2, 4096, DType.F32, (1, 4), buffer=5),
            tensor_map(Space.DRAM, 0, DType.F32, (8, 4), buffer=0))  # fmt: skip
    store = Store(src=block(5, 0, 0), dst=block(6, 7, 0), box=(1, 4))
    streams = (*program.streams, Stream(Engine.DMA_OUT, 0, (store, Halt())))
    with pytest.raises(ProgramError, match="race in DRAM"):
        check_races(replace(program, maps=maps, streams=streams))
    aside = replace(store, dst=block(6, 8, 0))
    check_races(replace(program, maps=maps, streams=(*program.streams, replace(streams[1], commands=(aside, Halt())))))


def test_places_along_a_stride_of_0_are_one_place() -> None:
    program = gathers(TAKE)
    store = Store(src=block(2, 0, 0), dst=block(0, 0, 2, 0, axes=(1, 2)), box=(1, 4))
    streams = (Stream(Engine.DMA_OUT, 0, (store, Halt())),)
    gather = replace(TAKE, src=block(0, 0, 0, 0, axes=(1, 2)), dst=block(4, 0, 0, 0, axes=(1, 2)), box=(1, 4))
    with pytest.raises(ProgramError, match="race in DRAM"):
        check_races(replace(gathers(gather), streams=(*gathers(gather).streams, *streams), maps=program.maps))
