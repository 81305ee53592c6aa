"""Weights of i4 are multiplied with i8 exactly, at every level; and stand nowhere else."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from int4_cases import CASES, Case, compiled, conv, module_of, values
from xdsl.context import Context

from swkpu.dialects import nn
from swkpu.dialects.weights import WeightAttr
from swkpu.errors import IRError
from swkpu.interp import run_module
from swkpu.interp.kpu import run_kpu
from swkpu.io import module_text, parse_file, parse_text, write_module
from swkpu.passes.convert_nn_to_df import ConvertNnToDfPass
from swkpu.sim.functional import run_program
from swkpu.target import load_target


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


@st.composite
def cases(draw: st.DrawFn) -> Case:
    if draw(st.booleans()):
        rows, depth, outputs = (draw(st.sampled_from(n)) for n in ([1, 7, 40], [1, 7, 63, 2049], [1, 3, 77, 130]))
        return Case((rows, depth), (outputs, depth), nn.LinearOp, F.linear)
    groups = draw(st.sampled_from([1, 1, 3]))
    inputs, outputs = draw(st.sampled_from([1, 3, 17])), draw(st.sampled_from([1, 7, 35]))
    kernel, stride = draw(st.sampled_from([1, 2, 3])), draw(st.sampled_from([1, 2]))
    size = draw(st.integers(kernel, 20))
    shape = (draw(st.sampled_from([1, 2])), groups * inputs, size, size + 1)
    return conv(shape, (groups * outputs, inputs, kernel, kernel), stride, kernel // 2, 1, groups)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(cases(), st.sampled_from(["kpu-t64", "kpu-t256", "kpu-t64-r2", "swkpu-v1", "kpu-16x16", "kpu-sim"]))
def test_random_contractions(case: Case, target: str) -> None:
    run_levels(case, target, False)


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
