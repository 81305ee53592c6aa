"""The mapper: what it chooses is legal, within its machine's bound, and better than doing without."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from functools import cache
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from swkpu.dialects.df import RecurrenceOp
from swkpu.errors import MappingError
from swkpu.io import parse_text
from swkpu.mapping.mapper import Mapper
from swkpu.mapping.nests import nests
from swkpu.mapping.objective import Goal, goal_of
from swkpu.mapping.problem import Problem, problem_of
from swkpu.mapping.residency import plan
from swkpu.mapping.sharing import divide, shares_of, unit_of
from swkpu.mapping.spreading import spreads
from swkpu.mapping.streams import Nest, dram_time, nest_fits
from swkpu.passes.df_choose_mapping import DfChooseMappingPass
from swkpu.program.model import Dataflow
from swkpu.target import Machine, load_target

CONV = """
func.func @main(%x: tensor<1x{h}x{h}x{c}xbf16>, %w: tensor<{o}x3x3x{c}xbf16>) -> tensor<1x{h}x{h}x{o}xbf16> {{
  %y = df.recurrence (n = 1, oh = {h}, ow = {h}, oc = {o} | kh = 3, kw = 3, ic = {c})
    ins(%x[n, oh + kh - 1, ow + kw - 1, ic] : tensor<1x{h}x{h}x{c}xbf16>, %w[oc, kh, kw, ic] : tensor<{o}x3x3x{c}xbf16>)
    mac epilogue(%acc: f32) {{
      %0 = arith.truncf %acc : f32 to bf16
      df.yield %0 : bf16
    }} -> [n, oh, ow, oc] : tensor<1x{h}x{h}x{o}xbf16>
  func.return %y : tensor<1x{h}x{h}x{o}xbf16>
}}
"""


def conv(h: int, c: int, o: int) -> ModuleOp:
    return parse_text(CONV.format(h=h, c=c, o=o), "conv.mlir")


def recurrence(module: ModuleOp) -> RecurrenceOp:
    return next(o for o in module.walk() if isinstance(o, RecurrenceOp))


@cache
def conv_problem(h: int, c: int, o: int, budget: int, in_dram: bool = False) -> Problem:
    problem = problem_of(recurrence(conv(h, c, o)), (in_dram, True), False, budget)
    weights = dataclasses.replace(problem.operands[1], constant=True)
    return dataclasses.replace(problem, operands=(problem.operands[0], weights))


def bound(problem: Problem, machine: Machine) -> int:
    macs = 1
    for e in problem.domain.extents:
        macs *= e
    return ceil(macs / machine.peak_macs_per_cycle("bf16"))


@pytest.mark.parametrize("target", ["kpu-t64", "kpu-t256", "kpu-t768", "swkpu-v1", "kpu-16x16"])
@pytest.mark.parametrize("h,c,o", [(56, 64, 64), (14, 256, 256), (7, 512, 512)])
def test_estimates_respect_the_bound_and_are_near_it(target: str, h: int, c: int, o: int) -> None:
    machine = load_target(target)
    problem = conv_problem(h, c, o, machine.l2.capacity_bytes // 2)
    choice = Mapper(machine).choose(problem)
    assert choice is not None
    least = bound(problem, machine)
    assert least <= choice.cycles
    if target in ("kpu-16x16", "swkpu-v1", "kpu-t64"):
        assert choice.cycles < 1.6 * least


def test_equal_problems_are_searched_once() -> None:
    machine = load_target("kpu-t64")
    mapper = Mapper(machine)
    problem = conv_problem(14, 64, 64, 1 << 20)
    assert mapper.choose(problem) is mapper.choose(dataclasses.replace(problem, l2_budget=problem.l2_budget - 16))


def test_streams_are_cut_until_they_fit() -> None:
    problem = conv_problem(7, 512, 512, 600_000)
    assert not nest_fits(problem, Nest())
    machine = load_target("kpu-t64")
    found = nests(problem, machine, machine.tile_groups)
    assert found
    assert all(nest_fits(problem, n) for n in found)
    oc = problem.domain.index("oc")
    assert all(oc in dict(n.tiles) for n in found)


def test_a_reduction_too_long_for_l2_goes_through_it_in_pieces() -> None:
    """With activations and weights in DRAM and little L2, whole reductions leave room for hardly any results."""
    problem = conv_problem(65, 1024, 512, 1_500_000, in_dram=True)
    machine = load_target("kpu-t64")
    found = nests(problem, machine, machine.tile_groups)
    ic = problem.domain.index("ic")
    assert found[0].tiles[-1][0] == ic
    assert problem.domain.extents[ic] % found[0].tiles[-1][1] == 0
    choice = Mapper(machine).choose(problem)
    assert choice is not None
    assert choice.cycles < 1.3 * bound(problem, machine)


def test_short_rows_cost_whole_bursts() -> None:
    """A stripe of output channels writes rows of 32 bytes: twice the traffic of whole rows."""
    machine = load_target("swkpu-v1")
    problem = conv_problem(14, 64, 64, 1 << 20)
    result = dataclasses.replace(problem.result, dram=True)
    problem = dataclasses.replace(problem, result=result)
    oc, oh = problem.domain.index("oc"), problem.domain.index("oh")
    by_rows = dram_time(problem, machine, Nest(((oh, 7),)))
    by_channels = dram_time(problem, machine, Nest(((oc, 16),)))
    assert by_channels.activations > by_rows.activations
    assert by_channels.constants >= by_rows.constants > 0


def test_spreads_use_what_there_is() -> None:
    found = spreads([1, 56, 56, 64], [1, 2, 3], 4, 13)
    assert max(s.count for s in found) >= 12
    for spread in found:
        assert 13 // 2 <= spread.count <= 13 and len(spread.dims) <= 2


def test_a_reduction_is_spread_beside_one_parallel_dim() -> None:
    found = spreads([7, 512, 512], [0, 1, 2], 2, 300)
    split = [s for s in found if s.tiles(2) > 1]
    assert split
    assert all(sum(d < 2 for d, _ in s.dims) <= 1 for s in split)


@given(st.lists(st.lists(st.integers(1, 1000), min_size=8, max_size=8), min_size=1, max_size=3))
def test_shares_are_the_best_there_are(times: list[list[int]]) -> None:
    """Against every way to share 8 units; a group's time for none is 0."""
    units = divide([np.array(t, dtype=np.int64) for t in times])
    assert sum(units) == 8

    def slowest(shares: Sequence[int]) -> int:
        return max(t[u - 1] if u else 0 for t, u in zip(times, shares))

    every = [s for s in itertools.product(range(9), repeat=len(times)) if sum(s) == 8]
    assert slowest(units) == min(map(slowest, every))


@given(st.integers(1, 5000))
def test_units_of_a_dim(extent: int) -> None:
    unit = unit_of(extent)
    shares = shares_of(extent, unit)
    assert shares[-1] == extent and len(shares) <= 64
    assert all(b > a for a, b in itertools.pairwise(shares))


@pytest.mark.parametrize("goal", ["energy", "edp"])
def test_objectives_trade_cycles_for_energy(goal: Goal) -> None:
    machine = load_target("kpu-t64")
    problem = conv_problem(14, 256, 256, machine.l2.capacity_bytes // 2)
    fast, other = Mapper(machine).choose(problem), Mapper(machine, goal).choose(problem)
    assert fast is not None and other is not None
    assert other.cycles >= fast.cycles


def test_an_unknown_objective_is_named() -> None:
    with pytest.raises(MappingError, match="unknown objective 'speed'; expected one of latency, energy, edp"):
        goal_of("speed")


def test_the_next_best_are_other_mappings_and_no_faster() -> None:
    machine = load_target("kpu-t64")
    choice = Mapper(machine).choose(conv_problem(14, 256, 256, machine.l2.capacity_bytes // 2))
    assert choice is not None and choice.alternatives
    assert all(m.cycles is not None and m.cycles >= choice.cycles for m in choice.alternatives)
    assert len({choice.mapping, *choice.alternatives}) == 1 + len(choice.alternatives)


def test_a_hand_written_mapping_is_kept() -> None:
    from xdsl.parser import Parser

    module = conv(8, 16, 16)
    op = recurrence(module)
    part = "<bf16, space = {oh = 4}, l1 = {oh = 2}, order = [], rows = [oh, ow], cols = [oc], os, buffers = 1>"
    text = f"#df.mapping<result = dram, parts = [{part}]>"
    from swkpu.io import make_context

    attr = Parser(make_context(), text).parse_attribute()
    op.properties["mapping"] = attr
    DfChooseMappingPass(target="kpu-t64").apply(Context(), module)
    assert op.mapping == attr


def test_a_precision_the_arrays_lack_goes_to_the_vector_lanes() -> None:
    module = parse_text(
        CONV.format(h=8, c=16, o=16)
        .replace("bf16", "f32")
        .replace("arith.truncf %acc : f32 to f32", "arith.negf %acc : f32"),
        "m",
    )
    DfChooseMappingPass(target="swkpu-v1").apply(Context(), module)
    (op,) = [o for o in module.walk() if isinstance(o, RecurrenceOp)]
    assert op.mapping is not None
    assert all(p.dataflow is Dataflow.VECTOR and not p.rows and not p.cols for p in op.mapping.data.parts)


def test_residency_spills_only_what_does_not_fit() -> None:
    two = """
    func.func @main(%x: tensor<1x64x64x32xbf16>) -> tensor<1x64x64x32xbf16> {
      %a = df.recurrence (n = 1, h = 64, w = 64, c = 32) none with(%x[n, h, w, c] : tensor<1x64x64x32xbf16>)
        epilogue(%v: bf16) { df.yield %v : bf16 } -> [n, h, w, c] : tensor<1x64x64x32xbf16>
      %b = df.recurrence (n = 1, h = 64, w = 64, c = 32) none with(%a[n, h, w, c] : tensor<1x64x64x32xbf16>)
        epilogue(%v: bf16) { df.yield %v : bf16 } -> [n, h, w, c] : tensor<1x64x64x32xbf16>
      func.return %b : tensor<1x64x64x32xbf16>
    }"""
    module = parse_text(two, "two.mlir")
    func = next(o for o in module.walk() if isinstance(o, FuncOp))
    first, second = [o for o in module.walk() if isinstance(o, RecurrenceOp)]
    roomy = plan(func, 1 << 20)
    assert not roomy.is_dram(first.result) and roomy.is_dram(second.result)
    assert roomy.budget == [(1 << 20) - 64 * 64 * 32 * 2] * 2
    tight = plan(func, 1 << 17)
    assert tight.is_dram(first.result)
