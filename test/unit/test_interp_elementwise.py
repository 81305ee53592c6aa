"""The meaning of elementwise nn ops on each storage type, against numpy's functions in f64 and exact integers."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from nn_ops import FLOATS, rand, run
from xdsl.dialects.builtin import bf16, f16, f32
from xdsl.ir import Attribute

from swkpu.dialects import nn
from swkpu.types import dtype_of, i1, i8, i32, i64, torch_dtype

Function = Callable[..., Any]

erf, erfc = np.vectorize(math.erf), np.vectorize(math.erfc)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def relu6(x: np.ndarray) -> np.ndarray:
    return np.clip(x, 0, 6)


UNARY: dict[type[nn.UnaryOp], Function] = {
    nn.NegOp: np.negative,
    nn.AbsOp: np.abs,
    nn.SignOp: np.sign,
    nn.FloorOp: np.floor,
    nn.CeilOp: np.ceil,
    nn.RoundOp: np.rint,
    nn.TruncOp: np.trunc,
    nn.ReluOp: lambda x: np.maximum(x, 0),
    nn.SigmoidOp: sigmoid,
    nn.SiluOp: lambda x: x * sigmoid(x),
    nn.HardswishOp: lambda x: x * relu6(x + 3) / 6,
    nn.HardsigmoidOp: lambda x: relu6(x + 3) / 6,
    nn.ExpOp: np.exp,
    nn.Exp2Op: np.exp2,
    nn.Expm1Op: np.expm1,
    nn.LogOp: np.log,
    nn.Log2Op: np.log2,
    nn.Log10Op: np.log10,
    nn.Log1pOp: np.log1p,
    nn.SqrtOp: np.sqrt,
    nn.RsqrtOp: lambda x: 1 / np.sqrt(x),
    nn.ErfOp: erf,
    nn.ErfcOp: erfc,
    nn.SinOp: np.sin,
    nn.CosOp: np.cos,
    nn.TanOp: np.tan,
    nn.AsinOp: np.arcsin,
    nn.AcosOp: np.arccos,
    nn.AtanOp: np.arctan,
    nn.SinhOp: np.sinh,
    nn.CoshOp: np.cosh,
    nn.TanhOp: np.tanh,
    nn.AsinhOp: np.arcsinh,
    nn.AcoshOp: np.arccosh,
    nn.AtanhOp: np.arctanh,
}
BINARY: dict[type[nn.BinaryOp], Function] = {
    nn.AddOp: np.add,
    nn.SubOp: np.subtract,
    nn.MulOp: np.multiply,
    nn.DivOp: np.divide,
    nn.FloorDivideOp: np.floor_divide,
    nn.FmodOp: np.fmod,
    nn.RemainderOp: np.remainder,
    nn.MaximumOp: np.maximum,
    nn.MinimumOp: np.minimum,
    nn.PowOp: lambda x, y: np.power(np.abs(x), y),
    nn.Atan2Op: np.arctan2,
    nn.CopysignOp: np.copysign,
}
BITS: dict[type[nn.BinaryOp], Function] = {
    nn.BitwiseAndOp: np.bitwise_and,
    nn.BitwiseOrOp: np.bitwise_or,
    nn.BitwiseXorOp: np.bitwise_xor,
}
SHIFTS: dict[type[nn.BinaryOp], Function] = {
    nn.ShiftLeftOp: np.left_shift,
    nn.ShiftRightOp: np.right_shift,
}
COMPARE: dict[type[nn.CompareOp], Function] = {
    nn.EqOp: np.equal,
    nn.NeOp: np.not_equal,
    nn.LtOp: np.less,
    nn.LeOp: np.less_equal,
    nn.GtOp: np.greater,
    nn.GeOp: np.greater_equal,
}


def test_every_elementwise_op_is_covered() -> None:
    assert {*UNARY, nn.BitwiseNotOp} == set(nn.UNARY)
    assert {*BINARY, *BITS, *SHIFTS} == set(nn.BINARY)
    assert set(COMPARE) == set(nn.COMPARE)


@pytest.mark.parametrize("element", FLOATS, ids=str)
@pytest.mark.parametrize("op", UNARY)
def test_unary_computes_in_f32(op: type[nn.UnaryOp], element: Attribute) -> None:
    x = rand(3, 50, element=element)
    if op in (nn.LogOp, nn.Log2Op, nn.Log10Op, nn.Log1pOp, nn.SqrtOp, nn.RsqrtOp, nn.AcoshOp):
        x = x.abs() + (op is nn.AcoshOp)
    elif op in (nn.AsinOp, nn.AcosOp, nn.AtanhOp):
        x = torch.tanh(x) * 0.99
    expected = torch.from_numpy(UNARY[op](x.double().numpy())).to(x.dtype)
    torch.testing.assert_close(run(op, x), expected)


@pytest.mark.parametrize("op", [nn.ReluOp, nn.NegOp, nn.AbsOp, nn.SignOp])
def test_unary_of_integers(op: type[nn.UnaryOp]) -> None:
    x = torch.tensor([-7, 0, 5], dtype=torch.int32)
    assert run(op, x).tolist() == UNARY[op](x.numpy()).tolist()


def test_round_takes_the_even_of_two() -> None:
    assert run(nn.RoundOp, torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5])).tolist() == [0, 2, 2, 0, -2]


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate: str) -> None:
    x = rand(100)
    wide = x.double().numpy()
    inner = math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)
    expected = wide * (1 + erf(wide / math.sqrt(2))) / 2 if approximate == "none" else wide * (1 + np.tanh(inner)) / 2
    torch.testing.assert_close(run(nn.GeluOp, x, approximate=approximate), torch.from_numpy(expected).float())


def test_predicates() -> None:
    x = torch.tensor([math.nan, math.inf, -math.inf, 1.0])
    assert run(nn.IsNanOp, x).tolist() == [True, False, False, False]
    assert run(nn.IsInfOp, x).tolist() == [False, True, True, False]


@pytest.mark.parametrize("op", [*BINARY, *COMPARE])
def test_binary_broadcasts(op: type[nn.BinaryOp]) -> None:
    for a, b in [((2, 3), (2, 3)), ((2, 1, 4), (3, 1)), ((), (5,)), ((1,), ())]:
        x, y = rand(*a), rand(*b, seed=1)
        x = x.abs() if op is nn.PowOp else x
        expected = torch.from_numpy(np.asarray({**BINARY, **COMPARE}[op](x.double().numpy(), y.double().numpy())))
        result = run(op, x, y)
        torch.testing.assert_close(result, expected.to(result.dtype))


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.int64])
@pytest.mark.parametrize(
    "op", [nn.AddOp, nn.SubOp, nn.MulOp, nn.FloorDivideOp, nn.FmodOp, nn.RemainderOp, *BITS, *COMPARE]
)
def test_binary_of_integers(op: type[nn.BinaryOp], dtype: torch.dtype) -> None:
    x, y = torch.tensor([7, -7, 5, -3], dtype=dtype), torch.tensor([2, 2, -3, -3], dtype=dtype)
    result = run(op, x, y)
    assert result.tolist() == {**BINARY, **BITS, **COMPARE}[op](x.numpy(), y.numpy()).tolist()


def test_integer_division_truncates() -> None:
    x, y = torch.tensor([7, -7, 5], dtype=torch.int32), torch.tensor([2, 2, -3], dtype=torch.int32)
    assert run(nn.DivOp, x, y).tolist() == [3, -3, -1]


@pytest.mark.parametrize("op", SHIFTS)
def test_shifts(op: type[nn.BinaryOp]) -> None:
    x, y = torch.tensor([7, -7, 1], dtype=torch.int32), torch.tensor([1, 1, 30], dtype=torch.int32)
    assert run(op, x, y).tolist() == SHIFTS[op](x.numpy(), y.numpy()).tolist()


def test_logic_on_bools() -> None:
    x, y = torch.tensor([False, False, True, True]), torch.tensor([False, True, False, True])
    for op, function in BITS.items():
        assert run(op, x, y).tolist() == function(x.numpy(), y.numpy()).tolist()
    assert run(nn.BitwiseNotOp, x).tolist() == [True, True, False, False]
    assert run(nn.BitwiseNotOp, torch.tensor([0, 5], dtype=torch.int32)).tolist() == [-1, -6]


def test_comparison_with_nan() -> None:
    nan, one = torch.tensor(math.nan), torch.tensor(1.0)
    assert [bool(run(op, nan, one)) for op in nn.COMPARE] == [False, True, False, False, False, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8, torch.int64, torch.bool])
def test_where_broadcasts_and_rounds_nothing(dtype: torch.dtype) -> None:
    condition = torch.tensor([[True], [False]])
    x, y = torch.tensor([1, 0, 1]).to(dtype), torch.tensor(0).to(dtype)
    assert torch.equal(run(nn.WhereOp, condition, x, y), torch.where(condition, x, y))


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (None, 0.5), (-0.5, None)])
def test_clamp(low: float | None, high: float | None) -> None:
    x = rand(20) * 5
    torch.testing.assert_close(run(nn.ClampOp, x, min=low, max=high), x.clamp(low, high))


def test_not_a_number_stays() -> None:
    x = torch.tensor([float("nan"), 1.0])
    assert run(nn.ReluOp, x).isnan().tolist() == [True, False]
    assert run(nn.ClampOp, x, min=0.0, max=6.0).isnan().tolist() == [True, False]
    assert run(nn.MaximumOp, x, torch.zeros(2)).isnan().tolist() == [True, False]


# ---- casts ----


def test_cast_rounds_to_nearest_even() -> None:
    one = 1.0
    halfway, above = one + 2**-8, one + 2**-8 + 2**-20
    x = torch.tensor([halfway, one + 3 * 2**-8, above, -halfway])
    assert run(nn.CastOp, x, element=bf16).tolist() == [1.0, 1 + 4 * 2**-8, 1 + 2**-7, -1.0]
    assert run(nn.CastOp, torch.tensor([65520.0, 65519.0]), element=f16).tolist() == [float("inf"), 65504.0]


def test_cast_back_is_exact() -> None:
    every = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    back = run(nn.CastOp, run(nn.CastOp, every, element=f32), element=bf16)
    assert torch.equal(back.view(torch.int16)[~every.isnan()], every.view(torch.int16)[~every.isnan()])


@pytest.mark.parametrize("element", [i8, i32, i64], ids=str)
def test_cast_to_integers_truncates(element: Attribute) -> None:
    result = run(nn.CastOp, torch.tensor([1.9, -1.9, 0.0]), element=element)
    assert result.dtype == torch_dtype(dtype_of(element)) and result.tolist() == [1, -1, 0]


def test_cast_to_bool_is_not_zero() -> None:
    assert run(nn.CastOp, torch.tensor([0.25, 0.0, -3.0, math.nan]), element=i1).tolist() == [True, False, True, True]
    assert run(nn.CastOp, torch.tensor([True, False]), element=f32).tolist() == [1, 0]
