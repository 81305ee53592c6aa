"""Import of elementwise operators: each form that ATen allows gives torch's values, shapes and types."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import check, module_of

from swkpu.errors import UnsupportedOpError

SEED = torch.Generator().manual_seed(1)
X = torch.randn(2, 4, generator=SEED)
Y = torch.randn(4, generator=SEED)
INTS = torch.tensor([[7, -7, 5, 0], [1, 2, -3, 4]])
BOOLS = torch.tensor([[True, False, True, False], [True, True, False, False]])
ODD = torch.tensor([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.5])

Function = Callable[..., object]

FLOATS: dict[str, tuple[Function, list[str]]] = {
    "log1p": (lambda x: x.abs().log1p(), ["nn.abs", "nn.log1p"]),
    "erfc": (torch.erfc, ["nn.erfc"]),
    "atan2": (lambda x: torch.atan2(x, Y), ["nn.atan2"]),
    "reciprocal": (torch.reciprocal, ["nn.div"]),
    "gelu": (F.gelu, ["nn.gelu"]),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), ["nn.gelu"]),
    "silu": (F.silu, ["nn.silu"]),
    "hardswish": (F.hardswish, ["nn.hardswish"]),
    "hardsigmoid": (F.hardsigmoid, ["nn.hardsigmoid"]),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), ["nn.gt", "nn.mul", "nn.where"]),
    "elu": (F.elu, ["nn.expm1", "nn.mul", "nn.gt", "nn.where"]),
    "square": (lambda x: x**2, ["nn.mul"]),
    "cube": (lambda x: x**3, ["nn.mul", "nn.mul"]),
    "eighth": (lambda x: x**8, ["nn.mul", "nn.mul", "nn.mul"]),
    "inverse_square": (lambda x: x**-2, ["nn.mul", "nn.div"]),
    "root": (lambda x: x.abs() ** 0.5, ["nn.abs", "nn.sqrt"]),
    "inverse_root": (lambda x: x.abs() ** -0.5, ["nn.abs", "nn.rsqrt"]),
    "power": (lambda x: x.abs() ** 1.7, ["nn.abs", "nn.pow"]),
    "to_the_power_0": (lambda x: x**0, []),
    "two_to_the": (lambda x: 2**x, ["nn.exp2"]),
    "three_to_the": (lambda x: 3**x, ["nn.pow"]),
    "pow_tensor": (lambda x: x.abs() ** Y, ["nn.abs", "nn.pow"]),
    "div_floor": (lambda x: torch.div(x, 0.3, rounding_mode="floor"), ["nn.floor_divide"]),
    "div_trunc": (lambda x: torch.div(x, 0.3, rounding_mode="trunc"), ["nn.div", "nn.trunc"]),
    "remainder": (lambda x: x % 0.3, ["nn.remainder"]),
    "remainder_of_scalar": (lambda x: torch.remainder(2.5, x), ["nn.remainder"]),
    "fmod": (lambda x: torch.fmod(x, -0.3), ["nn.fmod"]),
    "round": (torch.round, ["nn.round"]),
    "round_decimals": (lambda x: x.round(decimals=2), ["nn.mul", "nn.round", "nn.div"]),
    "round_tens": (lambda x: (x * 50).round(decimals=-1), ["nn.mul", "nn.div", "nn.round", "nn.mul"]),
    "hypot": (lambda x: torch.hypot(x, Y), ["nn.mul", "nn.mul", "nn.add", "nn.sqrt"]),
    "isfinite": (torch.isfinite, ["nn.abs", "nn.lt"]),
    "where": (lambda x: torch.where(x > 0, x, 0.5), ["nn.gt", "nn.where"]),
    "masked_fill": (lambda x: x.masked_fill(BOOLS, -math.inf), ["nn.where"]),
    "clamp_one_tensor": (lambda x: x.clamp(min=Y), ["nn.maximum"]),
}


@pytest.mark.parametrize("case", FLOATS)
def test_floats(case: str) -> None:
    function, ops = FLOATS[case]
    check(function, X, ops=ops)


@pytest.mark.parametrize(
    "function",
    [
        *(F.softplus, F.mish, F.celu, F.selu, F.hardshrink, F.softshrink, F.logsigmoid, F.tanhshrink, F.softsign),
        lambda x: F.softplus(x, beta=3, threshold=0.2),
        lambda x: F.threshold(x, 0.1, 20),
        lambda x: F.prelu(x, torch.tensor([0.25])),
        lambda x: F.glu(x, -1),
        lambda x: F.elu(x, alpha=1.5),
        lambda x: torch.lerp(x, Y, 0.25),
        lambda x: torch.addcmul(x, x, Y, value=0.5),
        lambda x: torch.addcdiv(x, x, Y, value=0.5),
        lambda x: torch.logaddexp(x, Y),
        torch.sinc,
        lambda x: torch.rsub(x, 2, alpha=3),
        lambda x: torch.special.xlogy(x, Y.abs()),
        lambda x: torch.special.expit(x) + torch.special.ndtr(x),
    ],
)
def test_decomposed(function: Function) -> None:
    check(function, X)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_that_of_torch(dtype: torch.dtype) -> None:
    check(lambda x: (F.gelu(x), x * 3, x > 0.5, x.clamp(-1, 0.5), torch.where(x > 0, x, 0)), X.to(dtype))


# ---- integers and bools ----


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.int64])
@pytest.mark.parametrize(
    "function",
    [
        *(torch.neg, torch.abs, torch.sign, torch.relu, torch.floor, torch.round, torch.isnan, torch.isfinite),
        *(torch.bitwise_not, torch.logical_not, torch.signbit),
        lambda x: (x + 1, x - 2, 3 - x, x * x, x / 2, x**2, x**3, x**0),
        lambda x: (x // 2, x % 3, torch.fmod(x, 3), torch.div(x, 2, rounding_mode="trunc")),
        lambda x: (x & 6, x | 1, x ^ x.flip(0), x << 1, x >> 1),
        lambda x: (x + 0.5, x * 2.0, x / x.abs().clamp(1), x > 0.5, x == 2),
        lambda x: (x.clamp(-2, 3), x.clamp(min=1), x.clamp(-1.5, 2.5), x.clamp_max(0)),
        lambda x: (torch.maximum(x, x.flip(0)), x.masked_fill(x > 0, 9), torch.where(x > 0, x, 1.5)),
        lambda x: (x.sin(), x.abs().sqrt(), torch.exp(x), x.sigmoid()),
        lambda x: 2 ** x.abs() + x.abs() ** x.abs().flip(0),
    ],
)
def test_integers(function: Function, dtype: torch.dtype) -> None:
    check(function, INTS.to(dtype))


def test_integer_powers() -> None:
    base = torch.tensor([2, -3, 1, -1, 0, 2, -1, -1, 5, 1])
    exponent = torch.tensor([10, 3, 5, 7, 0, 62, 100, 101, -1, -2])
    check(torch.pow, base, exponent)


def test_bools() -> None:
    check(lambda x: (~x, x & x.flip(0), x | x.flip(0), x ^ x.flip(0), x + x.flip(0), x * x.flip(0)), BOOLS)
    check(lambda x: (x == x.flip(0), x < x.flip(0), torch.maximum(x, x.flip(0)), torch.logical_xor(x, ~x)), BOOLS)
    check(lambda x: (x + 1, x * 2.5, x.float(), x / 2, torch.where(x, 1.0, x)), BOOLS)


DTYPES = st.sampled_from(
    [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int8, torch.bool]
)


@settings(deadline=None, max_examples=25)
@given(
    left=DTYPES, right=DTYPES, ranks=st.tuples(st.integers(0, 2), st.integers(0, 2)), number=st.sampled_from([2, 1.5])
)
def test_promotion_is_torchs(left: torch.dtype, right: torch.dtype, ranks: tuple[int, int], number: float) -> None:
    x, y = (torch.ones((2, 3)[2 - rank :], dtype=dtype) for rank, dtype in zip(ranks, (left, right)))
    check(lambda x, y: (x + y, x * number, number / y, x < y, y >= number, torch.where(x > 0, x, y)), x, y)


# ---- special values ----


def test_special_values() -> None:
    check(lambda x: (torch.isnan(x), torch.isinf(x), torch.isfinite(x), torch.isposinf(x), torch.signbit(x)), ODD)
    check(lambda x: (torch.nan_to_num(x), torch.sign(x), torch.relu(x), x.clamp(0, 1), x.clamp(-math.inf, 1)), ODD)
    check(lambda x: (torch.fmax(x, x.flip(0)), torch.fmin(x, x.flip(0)), torch.maximum(x, x.flip(0))), ODD)
    check(lambda x: (torch.heaviside(x, torch.tensor(0.5)), torch.copysign(torch.ones(6), x), x == x, x != x), ODD)
    check(lambda x: (x.bool(), torch.logical_and(x, x.flip(0)), torch.logical_not(x)), ODD)


# ---- numbers on either side, casts, creation ----


def test_scalars_on_either_side() -> None:
    check(lambda x: (1 + x, x + 1, 1 - x, x - 1, 2 / x, x / 2, x > 2, x < 2, 2**x, torch.copysign(x, -1)), X)


def test_casts() -> None:
    check(lambda x: ((x * 10).int(), (x * 10).long(), x.half(), x.bool(), (x * 10).to(torch.int8), x.float()), X)


def test_made_like_another() -> None:
    def like(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (
            torch.zeros_like(x),
            torch.full_like(x, 2, dtype=torch.int32),
            x.new_ones(3),
            torch.ones_like(x).cumsum(0),
        )

    check(like, X, ops=[])


def test_tensors_without_elements() -> None:
    check(lambda x: (x + 1, x.sum(), x.sum(1), x.prod(0)), torch.zeros(0, 3), ops=[])


@pytest.mark.parametrize("function", [lambda x: torch.complex(x, x), torch.special.bessel_j0])
def test_refused(function: Function) -> None:
    with pytest.raises(UnsupportedOpError):
        module_of(function, X)
