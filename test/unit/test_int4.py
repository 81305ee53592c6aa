"""Weights of i4: two to a byte in every memory, multiplied with i8 at the i4 rate, and exact at every level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from math import ceil
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from programs import access
from test_timing_reference import assert_agree
from xdsl.builder import Builder
from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint

from swkpu.compiler import check_precision
from swkpu.dialects import nn
from swkpu.dialects.weights import WeightAttr
from swkpu.emit import emit
from swkpu.errors import IRError, ProgramError, TargetError
from swkpu.interp import run_module
from swkpu.interp.constants import constant
from swkpu.interp.kpu import run_kpu
from swkpu.io import module_text, parse_file, parse_text, write_module
from swkpu.passes.convert_nn_to_df import ConvertNnToDfPass
from swkpu.passes.pipeline import default_pipeline
from swkpu.program.check import check
from swkpu.program.check_stream import check_weights
from swkpu.program.dtypes import DType
from swkpu.program.model import Combiner, Dataflow, FabricProgram, Load, Program, Push, Space, TensorMap
from swkpu.program.races import check_races
from swkpu.report.build import build_report
from swkpu.sim.energy import simulate_energy
from swkpu.sim.functional import run_program
from swkpu.sim.timing import simulate_timing
from swkpu.target import cost, load_target
from swkpu.types import i8

Build = Callable[[SSAValue, SSAValue], Operation]


# ------------------------------------------------------------------------------------------------------- levels


@dataclass(frozen=True)
class Case:
    """A contraction of `x`-shaped activations with `w`-shaped weights, and torch's."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    build: Build
    torch: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def conv(
    x: tuple[int, ...], w: tuple[int, ...], stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1
) -> Case:
    return Case(
        x,
        w,
        lambda a, b: nn.Conv2dOp(a, b, (stride,) * 2, (padding,) * 4, (dilation,) * 2, groups),
        lambda a, b: F.conv2d(a, b, None, stride, padding, dilation, groups),
    )


CASES = {
    "conv": conv((1, 32, 10, 10), (24, 32, 3, 3), padding=1),
    "stem": conv((1, 3, 23, 23), (17, 3, 7, 7), stride=2, padding=3),
    "odd channels": conv((2, 13, 7, 9), (11, 13, 3, 3), stride=2, padding=1),
    "dilated": conv((1, 5, 11, 11), (7, 5, 3, 3), dilation=2, padding=2),
    "depthwise": conv((1, 19, 9, 9), (19, 1, 3, 3), padding=1, groups=19),
    "groups": conv((1, 15, 6, 6), (21, 5, 3, 3), padding=1, groups=3),
    "pointwise": conv((1, 64, 14, 14), (130, 64, 1, 1)),
    "linear": Case((3, 4, 65), (33, 65), nn.LinearOp, F.linear),
    "long": Case((1, 4097), (77, 4097), nn.LinearOp, F.linear),
    "matmul": Case((2, 9, 31), (31, 15), nn.MatmulOp, torch.matmul),
    "batched": Case((3, 5, 7), (3, 7, 11), nn.MatmulOp, torch.matmul),
    "transposed": Case(
        (1, 6, 5, 5),
        (6, 3, 3, 3),
        lambda a, b: nn.ConvTranspose2dOp(a, b, (2, 2), (1, 1, 1, 1)),
        lambda a, b: F.conv_transpose2d(a, b, None, 2, 1),
    ),
}


def values(case: Case, extreme: bool) -> tuple[torch.Tensor, np.ndarray]:
    """Random operands, or those of the largest sum."""
    if extreme:
        return torch.full(case.x, -128, dtype=torch.int8), np.full(case.w, -8, ml_dtypes.int4)
    rng = np.random.default_rng(sum(case.w))
    x = torch.from_numpy(rng.integers(-128, 128, case.x).astype(np.int8))
    return x, rng.integers(-8, 8, case.w).astype(np.int8).astype(ml_dtypes.int4)


def module_of(case: Case, weight: np.ndarray) -> ModuleOp:
    x = TensorType(i8, case.x)
    block = Block(arg_types=[x])
    block.args[0].name_hint = "x"
    builder = Builder(InsertPoint.at_end(block))
    w = builder.insert(constant(weight)).results[0]
    result = builder.insert(case.build(block.args[0], w)).results[0]
    builder.insert(ReturnOp(result))
    module = ModuleOp([FuncOp("main", FunctionType.from_lists([x], [result.type]), Region(block))])
    module.verify()
    return module


def compiled(module: ModuleOp, target: str, at: str = "", then: Callable[[], None] = lambda: None) -> Program:
    """The program of a module; `then` is called before the pass `at`."""
    for p in default_pipeline(target, None, None):
        if p.name == at:
            then()
        p.apply(Context(), module)
    module.verify()
    machine = load_target(target)
    program = emit(module, machine)
    check(program, machine)
    check_races(program)
    return program


@cache
def program_of(name: str, target: str, element: DType = DType.I4) -> Program:
    case = CASES[name]
    weight = values(case, False)[1]
    return compiled(module_of(case, weight if element is DType.I4 else weight.astype(np.int8)), target)


def run_levels(case: Case, target: str, extreme: bool) -> None:
    """Every level gives what torch gives in f64."""
    x, weight = values(case, extreme)
    expected = case.torch(x.double(), torch.from_numpy(weight.astype(np.float64))).to(torch.int32)
    module = module_of(case, weight)
    assert torch.equal(run_module(module, [x])[0], expected)
    at_df = module.clone()
    ConvertNnToDfPass().apply(Context(), at_df)
    assert torch.equal(run_module(at_df, [x])[0], expected)
    sequential: list[np.ndarray] = []

    def run_sequential() -> None:
        sequential.append(run_kpu(module, {"x": x.numpy()})["output"])

    program = compiled(module, target, "kpu-schedule", run_sequential)
    assert np.array_equal(sequential[0], expected)
    assert np.array_equal(run_kpu(module, {"x": x.numpy()})["output"], expected)
    assert np.array_equal(run_program(program, load_target(target), {"x": x.numpy()})["output"], expected)


@pytest.mark.parametrize("name", CASES)
def test_levels(name: str) -> None:
    run_levels(CASES[name], "kpu-t64", False)


@pytest.mark.parametrize("name", CASES)
def test_extremes(name: str) -> None:
    run_levels(CASES[name], "swkpu-v1", True)


@pytest.mark.parametrize("target", ["kpu-16x16", "kpu-t768-r2"])
@pytest.mark.parametrize("name", ["stem", "odd channels", "depthwise", "groups", "linear"])
def test_targets(name: str, target: str) -> None:
    run_levels(CASES[name], target, False)


@pytest.mark.parametrize("name", ["odd channels", "depthwise", "linear"])
@pytest.mark.parametrize("target", ["kpu-t64", "swkpu-v1"])
def test_timing_is_that_of_the_reference(name: str, target: str) -> None:
    assert_agree(program_of(name, target), load_target(target), True)


# ---------------------------------------------------------------------------------------------- bytes and rates


def weight_maps(program: Program, dtype: DType) -> set[int]:
    """The maps that are loaded from the program's constants."""
    constants = range(min(s.address for s in program.segments), max(s.address + s.size for s in program.segments))
    return {
        i for i, m in enumerate(program.maps) if m.dtype is dtype and m.space is Space.DRAM and m.begin in constants
    }


@pytest.mark.parametrize("target", ["kpu-t64", "swkpu-v1", "kpu-16x16"])
def test_half_the_bytes(target: str) -> None:
    machine = load_target(target)
    four, eight = (program_of("pointwise", target, d) for d in (DType.I4, DType.I8))
    weight = 130 * 64
    assert [sum(s.size for s in p.segments) for p in (four, eight)] == [weight // 2, weight]
    assert [p.metadata.weight_bytes for p in (four, eight)] == [weight // 2, weight]
    assert eight.metadata.compulsory_dram_bytes - four.metadata.compulsory_dram_bytes == weight // 2
    read = []
    for program, dtype in ((four, DType.I4), (eight, DType.I8)):
        maps = weight_maps(program, dtype)
        timing = simulate_timing(program, machine)
        dma = next(i for i, s in enumerate(program.streams) if s.engine.name == "DMA_IN")
        counts = [
            n
            for c, n in zip(program.streams[dma].commands, timing.streams[dma].counts, strict=True)
            if isinstance(c, Load) and c.src.map in maps
        ]
        read.append([sum(n.dram_read_bytes for n in counts), sum(n.l2_write_bytes for n in counts)])
    assert read[0][0] == weight // 2
    assert read[1] == [2 * n for n in read[0]]


def test_operand_streams_are_half_as_long() -> None:
    group = replace(load_target("kpu-t64").tile_groups[0], l1_read_bytes_per_cycle=1)
    fabric = FabricProgram(
        "matmul", ("m", "n", "k"), 2, 2, (access(0, 2), access(1, 2), access(0, 1)), Combiner.MAC, DType.I32, (), 0,
        (0,), (1,), Dataflow.OS,
    )  # fmt: skip
    out = [
        cost.exec_cost(group, fabric, (DType.I8, w, DType.I32), (16, 8, 100), run=1).l1_read_bytes
        for w in (DType.I8, DType.I4)
    ]
    assert out == [100 * (16 + 8), 100 * (16 + 4)]


def test_rate() -> None:
    """kpu-t64: int8 tiles multiply i4 at twice the i8 rate, matrix tiles as i8."""
    machine = load_target("kpu-t64")
    assert [cost.macs_per_pe(g, "i4") for g in machine.tile_groups if g.supports("i4")] == [2, 4]
    assert [g.multiplied_as("i4") for g in machine.tile_groups] == ["i4", None, "i8"]
    assert machine.compute_bound_cycles({"i4": 13056}) == 1
    case = conv((1, 128, 28, 28), (128, 128, 3, 3), padding=1)
    four, eight = (
        compiled(module_of(case, np.ones(case.w, w)), "kpu-t64") for w in (np.dtype(ml_dtypes.int4), np.dtype(np.int8))
    )
    macs = 128 * 128 * 9 * 28 * 28
    layer = next(layer for layer in four.layers if layer.macs)
    assert (layer.macs, layer.mac_type) == (macs, "i4")
    timings = [simulate_timing(p, machine) for p in (four, eight)]
    assert timings[0].cycles < 0.75 * timings[1].cycles
    assert timings[0].cycles >= macs / 13056
    energies = [simulate_energy(p, machine, t) for p, t in zip((four, eight), timings)]
    assert energies[0].total.compute < energies[1].total.compute
    report = build_report(four, machine, timings[0], energies[0], 0.0)
    assert report.compute_bound_cycles == ceil(macs / 13056)
    used = {t for u in timings[0].streams for t in u.mac_types if t is not None}
    assert used == {"i4", "i8"}


def test_target_without_a_rate() -> None:
    """Stored in half bytes, multiplied as i8; but it is not one of the target's precisions."""
    machine = load_target("kpu-16x16")
    assert machine.peak_macs_per_cycle("i4") == machine.peak_macs_per_cycle("i8")
    assert not load_target("kpu-sim").groups_for("i4")
    timing = simulate_timing(program_of("pointwise", "kpu-16x16"), machine)
    assert {t for u in timing.streams for t in u.mac_types} == {"i8", None}
    with pytest.raises(TargetError, match="int4"):
        check_precision(machine, "int4")
    check_precision(load_target("swkpu-v1"), "int4")


# ------------------------------------------------------------------------------------------------ files and text


def test_weights_in_a_file(tmp_path: Path) -> None:
    case = CASES["odd channels"]
    x, weight = values(case, False)
    module = module_of(case, weight)
    expected = run_module(module, [x])[0]
    write_module(module, tmp_path / "m.mlir")
    again = parse_file(tmp_path / "m.mlir")
    assert torch.equal(run_module(again, [x])[0], expected)
    write_module(again, tmp_path / "n.mlir")
    assert (tmp_path / "m.safetensors").read_bytes() == (tmp_path / "n.safetensors").read_bytes()


def test_weight_that_is_no_int4() -> None:
    attr = WeightAttr.from_array(np.array([7, 8], np.int8), "w")
    with pytest.raises(IRError, match='weight "w" has values from 7 to 8; those of i4 are -8 to 7'):
        attr.array_for((2,), np.dtype(ml_dtypes.int4))
    assert WeightAttr.from_array(np.array([7, -8], np.int8), "w").array_for((2,), np.dtype(ml_dtypes.int4))[1] == -8


LINEAR = """
func.func @main(%x: tensor<2x4x{x}>) -> tensor<2x3x{y}> {{
  %w = nn.constant dense<[[-8, 7, 0, -1], [1, 2, 3, 4], [-8, -8, 7, 7]]> : tensor<3x4x{w}> : tensor<3x4x{w}>
  %y = nn.linear %x, %w : (tensor<2x4x{x}>, tensor<3x4x{w}>) -> tensor<2x3x{y}>
  func.return %y : tensor<2x3x{y}>
}}
"""


def test_text() -> None:
    module = parse_text(LINEAR.format(x="i8", w="i4", y="i32"), "t")
    x = torch.tensor([[1, 0, 0, 0], [-128, 127, 1, -1]], dtype=torch.int8)
    (y,) = run_module(parse_text(module_text(module), "t"), [x])
    assert y.tolist() == [[-8, 1, -8], [1914, 125, 8]]


@pytest.mark.parametrize(("x", "w"), [("i4", "i8"), ("i32", "i4"), ("i8", "i32")])
def test_other_operands_of_contractions(x: str, w: str) -> None:
    with pytest.raises(IRError, match="differ in element type"):
        parse_text(LINEAR.format(x=x, w=w, y="i32"), "t")


# ---------------------------------------------------------------------------------------------------- the loader


def matmul(combiner: Combiner = Combiner.MAC, inputs: int = 2) -> FabricProgram:
    accesses = (access(0, 2), access(1, 2), access(0, 1), access(0, 1))
    return FabricProgram(
        "matmul", ("m", "n", "k"), 2, inputs, accesses, combiner, DType.I32, (), 0, (0,), (1,), Dataflow.OS
    )


@pytest.mark.parametrize(
    ("fabric", "dtypes", "number"),
    [
        (matmul(), (DType.I4, DType.I8, DType.I32, DType.I32), 0),
        (matmul(), (DType.I4, DType.I4, DType.I32, DType.I32), 0),
        (matmul(), (DType.BF16, DType.I4, DType.I32, DType.I32), 1),
        (matmul(), (DType.I8, DType.I4, DType.I4, DType.I32), 2),
        (matmul(), (DType.I8, DType.I8, DType.I32, DType.I4), 3),
        (matmul(Combiner.ADD, 1), (DType.I8, DType.I4, DType.I32, DType.I32), 1),
    ],
)
def test_i4_is_only_a_weight(fabric: FabricProgram, dtypes: tuple[DType, ...], number: int) -> None:
    with pytest.raises(ProgramError, match=f"operand {number} is i4; only the second input of a mac"):
        check_weights(fabric, dtypes)
    check_weights(matmul(), (DType.I8, DType.I4, DType.I32, DType.I32))


def with_map(program: Program, space: Space, change: Callable[[TensorMap], TensorMap]) -> Program:
    index = next(i for i, m in enumerate(program.maps) if m.dtype is DType.I4 and m.space is space)
    maps = list(program.maps)
    maps[index] = change(maps[index])
    return replace(program, maps=tuple(maps))


@pytest.mark.parametrize(
    ("space", "change", "message"),
    [
        (Space.DRAM, lambda m: replace(m, pad=8.0), "pad value 8.0 is no i4"),
        (Space.L1, lambda m: replace(m, base=2 * 2**18), r"of L1, which has 262144"),
        (Space.L1, lambda m: replace(m, base=2 * 2**18 - 1), r"bytes 262143 to"),
        (Space.L2, lambda m: replace(m, dtype=DType.I8), "a transfer converts nothing"),
    ],
)
def test_loader(space: Space, change: Callable[[TensorMap], TensorMap], message: str) -> None:
    machine = load_target("kpu-t64")
    program = program_of("linear", "kpu-t64")
    assert any(isinstance(c, Push) for s in program.streams for c in s.commands)
    with pytest.raises(ProgramError, match=message):
        check(with_map(program, space, change), machine)


def test_recurrences() -> None:
    """Of i4 there is a second input of a mac, and no other."""
    text = """
func.func @main(%x: tensor<4xi4>) -> tensor<4xi8> {
  %y = df.recurrence (i = 4) none with (%x[i] : tensor<4xi4>)
    epilogue(%a: i4) { %b = arith.extsi %a : i4 to i8 df.yield %b : i8 } -> [i] : tensor<4xi8>
  func.return %y : tensor<4xi8>
}
"""
    with pytest.raises(IRError, match="only the second input of a mac with an i8 is i4; input 0 is"):
        parse_text(text, "t")
