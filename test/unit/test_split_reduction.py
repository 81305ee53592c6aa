"""Reductions that are split over tiles: values at every level against numpy, timing against the reference."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from int4_cases import CASES, compiled, module_of, values
from test_timing_reference import assert_agree
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from swkpu.dialects import kpu
from swkpu.dialects.df import RecurrenceOp
from swkpu.emit import emit
from swkpu.interp.kpu import run_kpu
from swkpu.io import make_context, parse_text
from swkpu.mapping.reducing import slice_of, split_cost
from swkpu.passes.convert_df_to_kpu import ConvertDfToKpuPass
from swkpu.passes.kpu_assign_memory import KpuAssignMemoryPass
from swkpu.passes.kpu_schedule import KpuSchedulePass
from swkpu.program.check import check
from swkpu.program.model import DType, Engine, Exec, Program, Reduce, Stage
from swkpu.program.races import check_races
from swkpu.sim.functional import run_program
from swkpu.sim.timing import simulate_timing
from swkpu.target import Machine, load_target

TARGET = "kpu-t64"
MACHINE = load_target(TARGET)
Array = np.ndarray[Any, Any]

CONV = """
func.func @main(%x: tensor<1x{h}x{h}x{c}x{t}>, %w: tensor<{o}x3x3x{c}x{t}>, %r: tensor<1x{h}x{h}x{o}x{a}>,
    %b: tensor<{o}x{a}>) -> tensor<1x{h}x{h}x{o}x{a}> {{
  %y = df.recurrence (n = 1, oh = {h}, ow = {h}, oc = {o} | kh = 3, kw = 3, ic = {c})
    ins(%x[n, oh + kh - 1, ow + kw - 1, ic] pad -3.0 : tensor<1x{h}x{h}x{c}x{t}>,
        %w[oc, kh, kw, ic] : tensor<{o}x3x3x{c}x{t}>)
    mac with(%b[oc] : tensor<{o}x{a}>, %r[n, oh, ow, oc] : tensor<1x{h}x{h}x{o}x{a}>)
    epilogue(%acc: {a}, %bias: {a}, %residual: {a}) {{
      %0 = arith.{mul} %acc, %bias : {a}
      %1 = arith.{add} %0, %residual : {a}
      df.yield %1 : {a}
    }} -> [n, oh, ow, oc] mapping {mapping} : tensor<1x{h}x{h}x{o}x{a}>
  func.return %y : tensor<1x{h}x{h}x{o}x{a}>
}}
"""
REDUCTION = """
func.func @main(%x: tensor<{m}x{k}x{n}xf32>, %b: tensor<{n}xf32>) -> tensor<{n}x{m}xf32> {{
  %y = df.recurrence (m = {m}, n = {n} | k = {k}) ins(%x[m, k, n] : tensor<{m}x{k}x{n}xf32>)
    {combiner} with(%b[n] : tensor<{n}xf32>)
    epilogue(%acc: f32, %bias: f32) {{
      %0 = arith.subf %acc, %bias : f32
      df.yield %0 : f32
    }} -> [n, m] mapping {mapping} : tensor<{n}x{m}xf32>
  func.return %y : tensor<{n}x{m}xf32>
}}
"""
DEPTHWISE = """
func.func @main(%x: tensor<1x5x5x6xbf16>, %w: tensor<6x3x3xbf16>) -> tensor<1x5x5x6xf32> {{
  %y = df.recurrence (n = 1, oh = 5, ow = 5, c = 6 | kh = 3, kw = 3)
    ins(%x[n, oh + kh - 1, ow + kw - 1, c] pad -3.0 : tensor<1x5x5x6xbf16>, %w[c, kh, kw] : tensor<6x3x3xbf16>)
    mac epilogue(%acc: f32) {{ df.yield %acc : f32 }} -> [n, oh, ow, c]
    mapping {mapping} : tensor<1x5x5x6xf32>
  func.return %y : tensor<1x5x5x6xf32>
}}
"""
ON_LANES = """
func.func @main(%x: tensor<4x32xi32>, %w: tensor<6x32xi32>) -> tensor<4x6xi32> {
  %y = df.recurrence (m = 4, n = 6 | k = 32) ins(%x[m, k] : tensor<4x32xi32>, %w[n, k] : tensor<6x32xi32>)
    mac epilogue(%acc: i32) { df.yield %acc : i32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<int8, space = {k = 5, n = 3}, finish = {m = 1}, vector>]>
    : tensor<4x6xi32>
  func.return %y : tensor<4x6xi32>
}
"""
TYPES = {"i8": ("i32", "muli", "addi"), "bf16": ("f32", "mulf", "addf")}


def kpu_module(text: str, target: str = TARGET) -> ModuleOp:
    module = parse_text(text, "split.mlir")
    ConvertDfToKpuPass(target=target).apply(Context(), module)
    module.verify()
    return module


def binary(module: ModuleOp, machine: Machine = MACHINE) -> Program:
    for p in (KpuAssignMemoryPass(target=machine.name), KpuSchedulePass(target=machine.name)):
        p.apply(Context(), module)
    module.verify()
    program = emit(module, machine)
    check(program, machine)
    check_races(program)
    return program


def assert_computes(text: str, inputs: dict[str, Array], expected: Array) -> Program:
    """At kpu and in the binary."""
    module = kpu_module(text)
    assert np.array_equal(next(iter(run_kpu(module, inputs).values())), expected)
    program = binary(module)
    assert np.array_equal(next(iter(run_program(program, MACHINE, inputs).values())), expected)
    return program


def conv(x: Array, w: Array) -> Array:
    _, h, _, c = x.shape
    padded = np.full((h + 2, h + 2, c), -3.0)
    padded[1:-1, 1:-1] = x[0]
    out = np.zeros((1, h, h, len(w)))
    for kh in range(3):
        for kw in range(3):
            out[0] += np.einsum("hwc,oc->hwo", padded[kh : kh + h, kw : kw + h], w[:, kh, kw].astype(float))
    return out


def conv_text(h: int, c: int, o: int, kind: str, mapping: str) -> str:
    accumulator, mul, add = TYPES[kind]
    return CONV.format(h=h, c=c, o=o, t=kind, a=accumulator, mul=mul, add=add, mapping=mapping)


def conv_inputs(h: int, c: int, o: int, kind: str, seed: int = 0) -> tuple[dict[str, Array], Array]:
    """Small integers, so that floats are exact in any order."""
    random = np.random.default_rng(seed)

    def some(*shape: int) -> Array:
        return random.integers(-8, 8, shape)

    x, w, r, b = some(1, h, h, c), some(o, 3, 3, c), some(1, h, h, o), some(o)
    expected = conv(x, w) * b + r
    element, accumulator = (np.int8, np.int32) if kind == "i8" else (np.float32, np.float32)
    return {
        "x": x.astype(element), "w": w.astype(element), "r": r.astype(accumulator), "b": b.astype(accumulator)
    }, expected.astype(accumulator)  # fmt: skip


def divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


@st.composite
def conv_mappings(draw: st.DrawFn, h: int, c: int, o: int, group: str) -> str:
    """A reduction dim and perhaps a parallel one over tiles, pieces of some dims, a slice of a piece for each tile."""
    extents = {"oh": h, "ow": h, "oc": o, "ic": c, "kh": 3, "kw": 3}
    reduced = draw(st.sampled_from(["ic", "ic", "kh", "kw"]))
    # What lies beyond the end of `ic` is outside the weight, too, and 0 there; a window must be cut exactly.
    members = draw(st.integers(2, 4)) if reduced == "ic" else 3
    space = [(reduced, members)]
    if draw(st.booleans()):
        space.insert(draw(st.integers(0, 1)), (draw(st.sampled_from(["oh", "ow", "oc"])), draw(st.integers(2, 3))))
    tiles = dict(space)
    l2 = {}
    if draw(st.booleans()) and "oc" not in tiles:
        l2["oc"] = o // 2
        extents["oc"] = o // 2
    sizes, order = {}, []
    for dim in ("oh", "oc", "ic"):
        share = ceil(extents[dim] / tiles.get(dim, 1))
        exact = dim in l2
        pieces = draw(st.sampled_from(divisors(share) if exact else list(range(1, share + 1))))
        sizes[dim] = pieces
        if ceil(extents[dim] / (tiles.get(dim, 1) * pieces)) > 1:
            order.append(dim)
    piece = {"oh": sizes["oh"], "oc": sizes["oc"], "ow": ceil(h / tiles.get("ow", 1))}
    finish = ""
    if draw(st.booleans()):
        dim = draw(st.sampled_from(sorted(piece)))
        points = draw(st.sampled_from([d for d in divisors(piece[dim]) if piece[dim] // d <= members]))
        finish = f"finish = {{{dim} = {points}}}, "
    dataflow, rows, cols = draw(
        st.sampled_from(
            [("os", "oh, ow", "oc"), ("os", "oc", "oh, ow"), ("ws", "oh, ow", "oc"), ("is", "oc", "oh, ow")]
        )
    )
    named = {"space": space, "l1": sizes.items(), "l2": l2.items()}
    text = {k: "{" + ", ".join(f"{d} = {n}" for d, n in v) + "}" for k, v in named.items()}
    l2_text = f"l2 = {text['l2']}, " if l2 else ""
    return (
        f"#df.mapping<{l2_text}result = dram, parts = [<{group}, space = {text['space']}, "
        f"{finish}l1 = {text['l1']}, order = [{', '.join(order)}], rows = [{rows}], cols = [{cols}], {dataflow}>]>"
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_split_convolution(data: st.DataObject) -> None:
    h, c, o = (
        data.draw(st.integers(1, 5)),
        data.draw(st.integers(4, 9)),
        data.draw(st.sampled_from([4, 6, 8])),
    )
    kind = data.draw(st.sampled_from(["i8", "bf16"]))
    mapping = data.draw(conv_mappings(h, c, o, "int8" if kind == "i8" else "bf16"))
    inputs, expected = conv_inputs(h, c, o, kind)
    program = assert_computes(conv_text(h, c, o, kind, mapping), inputs, expected)
    assert_agree(program, MACHINE, data.draw(st.booleans()))


@pytest.mark.parametrize("points", [1, 3])
def test_a_split_depthwise_convolution(points: int) -> None:
    part = (
        f"<bf16, space = {{kw = 3, c = 2}}, finish = {{oh = {points}}}, l1 = {{oh = 3}}, order = [oh], rows = [c], "
        "cols = [n, oh, ow]>"
    )
    random = np.random.default_rng(0)
    x, w = random.integers(-8, 8, (1, 5, 5, 6)), random.integers(-8, 8, (6, 3, 3))
    expected = np.stack([conv(x[..., c : c + 1], w[c : c + 1, ..., None])[..., 0] for c in range(6)], axis=-1)
    text = DEPTHWISE.format(mapping=f"#df.mapping<result = dram, parts = [{part}]>")
    inputs = {"x": x.astype(np.float32), "w": w.astype(np.float32)}
    assert_agree(assert_computes(text, inputs, expected.astype(np.float32)), MACHINE, True)


def test_a_contraction_on_the_lanes_with_a_ragged_last_share() -> None:
    random = np.random.default_rng(0)
    x = random.integers(-800, 800, (4, 32)).astype(np.int32)
    w = random.integers(-800, 800, (6, 32)).astype(np.int32)
    assert_agree(assert_computes(ON_LANES, {"x": x, "w": w}, x @ w.T), MACHINE, True)


@pytest.mark.parametrize("combiner", ["add", "max", "min", "mul"])
@pytest.mark.parametrize("finish", ["", "finish = {n = 2}, "])
def test_other_combiners(combiner: str, finish: str) -> None:
    part = f"<bf16, space = {{k = 4, m = 2}}, {finish}l1 = {{m = 1, k = 2}}, order = [m, k]>"
    text = REDUCTION.format(m=3, k=16, n=4, combiner=combiner, mapping=f"#df.mapping<result = dram, parts = [{part}]>")
    random = np.random.default_rng(1)
    x = random.integers(1, 3, (3, 16, 4)).astype(np.float32)
    b = random.integers(-5, 5, 4).astype(np.float32)
    reduced = {"add": np.sum, "max": np.max, "min": np.min, "mul": np.prod}[combiner](x, axis=1)
    program = assert_computes(text, {"x": x, "b": b}, (reduced - b).T)
    assert_agree(program, MACHINE, True)


def test_the_order_of_a_sum_is_that_of_the_tiles() -> None:
    part = "<bf16, space = {k = 4}, finish = {n = 1}, rows = [], cols = []>"
    text = REDUCTION.format(m=1, k=4, n=4, combiner="add", mapping=f"#df.mapping<result = dram, parts = [{part}]>")
    terms = np.array([1e8, 1.0, -1e8, 1.0], np.float32)
    x = np.stack([np.roll(terms, i) for i in range(4)], axis=-1)[None]
    expected = [((c[0] + c[1]) + c[2]) + c[3] for c in x[0].T]
    assert len(set(expected)) > 1
    assert_computes(text, {"x": x, "b": np.zeros(4, np.float32)}, np.array(expected)[:, None])


def test_slices_are_combined_where_they_are_finished() -> None:
    """Every tile of a group takes in a slice; without `finish` the first takes in all, which takes longer."""

    def reduce_of(finish: str) -> tuple[Program, Reduce]:
        part = f"<int8, space = {{ic = 4, oc = 2}}, {finish}rows = [oc], cols = [oh, ow]>"
        text = conv_text(4, 32, 32, "i8", f"#df.mapping<result = dram, parts = [{part}]>")
        inputs, expected = conv_inputs(4, 32, 32, "i8")
        program = assert_computes(text, inputs, expected)
        (command,) = [c for s in program.streams for c in s.commands if isinstance(c, Reduce)]
        return program, command

    _, sliced = reduce_of("finish = {oh = 1}, ")
    _, whole = reduce_of("")
    assert (sliced.receivers, sliced.box) == (4, (1, 1, 4, 16))
    assert (whole.receivers, whole.box) == (1, (1, 4, 4, 16))


def test_the_search_costs_what_the_simulator_counts() -> None:
    """`split_cost`, of two candidates at once, and the cycles of a program's reduce and finish."""
    group = next(g for g in MACHINE.tile_groups if g.kind == "int8")
    found: list[int] = []
    for members in (4, 1):
        space = f"space = {{ic = {members}, oc = 2}}, {'finish = {oh = 1}, ' if members > 1 else ''}"
        text = conv_text(4, 32, 32, "i8", f"#df.mapping<result = dram, parts = [<int8, {space}rows = [oc]>]>")
        program = binary(kpu_module(text))
        timing = simulate_timing(program, MACHINE)
        commands = [(c, program.streams[c.stream].commands[c.index]) for c in timing.commands]
        behind = [c for c, x in commands if isinstance(x, Reduce) or (isinstance(x, Exec) and x.stage is Stage.FINISH)]
        found.append(sum(c.busy_cycles for c in behind))
    dtypes = [DType.I8, DType.I8, DType.I32, DType.I32, DType.I32]
    both = np.array([4, 1])
    cost = split_cost(
        MACHINE, group, program.fabrics[0], dtypes,
        piece=[1, 4, 4, 16], slices=[1, 4 // both, 4, 16], members=both, receivers=both, groups=2,
    )  # fmt: skip
    assert found == list(cost.cycles)
    assert list(cost.noc_bytes) == [2 * 4 * 3 * 64 * 4, 0]
    assert list(cost.l1_bytes) == [4 * 256 + 4 * 64, 0]


LARGE = """
func.func @main(%x: tensor<1x7x7x512xi8>, %w: tensor<512x3x3x512xi8>) -> tensor<1x7x7x512xi32> {{
  %y = df.recurrence (n = 1, oh = 7, ow = 7, oc = 512 | kh = 3, kw = 3, ic = 512)
    ins(%x[n, oh + kh - 1, ow + kw - 1, ic] : tensor<1x7x7x512xi8>, %w[oc, kh, kw, ic] : tensor<512x3x3x512xi8>)
    mac epilogue(%acc: i32) {{ df.yield %acc : i32 }} -> [n, oh, ow, oc]
    mapping #df.mapping<result = dram, split = oc, parts = [{parts}]> : tensor<1x7x7x512xi32>
  func.return %y : tensor<1x7x7x512xi32>
}}
"""


def test_few_results_and_a_long_reduction_on_many_tiles() -> None:
    """The convolution of docs/mapping.md on 614 tiles: near their peak, from which parallel dims alone are far."""
    machine = load_target("kpu-t768")
    peak = machine.compute_bound_cycles({"i8": 7 * 7 * 512 * 9 * 512})

    def cycles(*parts: str) -> int:
        module = kpu_module(LARGE.format(parts=", ".join(parts)), "kpu-t768")
        timing = simulate_timing(binary(module, machine), machine)
        return max(e.busy_cycles for e in timing.engines if e.engine is Engine.FABRIC)

    split = cycles(
        "<int8, share = [0, 400], space = {ic = 10, oc = 50}, finish = {oh = 1}, rows = [oh, ow], cols = [oc], ws>",
        "<matrix, share = [400, 512], space = {ic = 5, oc = 14}, finish = {oc = 2}, rows = [oh, ow], cols = [oc], ws>",
    )
    parallel = cycles(
        "<int8, share = [0, 366], space = {oh = 7, oc = 61}, rows = [oc], cols = [oh, ow], os>",
        "<matrix, share = [366, 512], space = {oh = 4, oc = 19}, rows = [oh, ow], cols = [oc], ws>",
    )
    assert peak < split < 1.4 * peak
    assert parallel > 3.5 * peak


def test_slices_divide_a_piece() -> None:
    assert [slice_of(7, n) for n in (1, 6, 7, 16)] == [7, 7, 1, 1]
    assert [slice_of(16, n) for n in (1, 3, 5, 15, 16)] == [16, 8, 4, 2, 1]


def test_prints_and_parses() -> None:
    part = "<int8, space = {ic = 4, oc = 2}, finish = {oh = 1}, rows = [oc], cols = [oh, ow]>"
    module = kpu_module(conv_text(4, 32, 32, "i8", f"#df.mapping<result = dram, parts = [{part}]>"))
    again = parse_text(str(module), "again.mlir")
    assert str(again) == str(module)
    assert [type(o) for o in again.walk()].count(kpu.ReduceOp) == 1


@pytest.mark.parametrize("members", [2, 5])
def test_weights_of_half_a_byte_are_cut_anywhere(members: int) -> None:
    case = CASES["linear"]
    x, weight = values(case, False)
    module = module_of(case, weight)

    def split() -> None:
        (op,) = [o for o in module.walk() if isinstance(o, RecurrenceOp)]
        reduced = op.domain.names[-1]
        text = f"#df.mapping<result = dram, parts = [<int8, space = {{{reduced} = {members}}}>]>"
        op.properties["mapping"] = Parser(make_context(), text).parse_attribute()

    program = compiled(module, TARGET, at="df-choose-mapping", then=split)
    assert any(isinstance(c, Reduce) for s in program.streams for c in s.commands)
    (got,) = run_program(program, MACHINE, {"x": x.numpy()}).values()
    expected = x.numpy().astype(np.int32) @ weight.astype(np.int32).T
    assert np.array_equal(got, expected)
