"""Elementwise ops: df agrees with nn, exactly but for a few roundings of floats; kpu and binary equal df."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_levels import ELEMENTS, Build, at_df, at_kpu_and_binary, at_nn

from swkpu.dialects import nn
from swkpu.dialects.nn_base import Kind, kind_of

FLOATS = (torch.float32, torch.bfloat16, torch.float16)
INTEGERS = (torch.int8, torch.int32, torch.int64)
SPECIAL = torch.tensor([0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 40.0, float("inf"), float("-inf"), float("nan")])


def accepted(kind: Kind) -> list[torch.dtype]:
    return [d for d, element in ELEMENTS.items() if kind_of(element) in kind]


def values(dtype: torch.dtype, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Random values, special ones among the floats; no integer is 0, so that divisions are defined."""
    g = torch.Generator().manual_seed(seed)
    if dtype == torch.bool:
        return torch.rand(shape, generator=g) < 0.5
    if dtype in INTEGERS:
        x = torch.randint(1, 100, shape, generator=g) * (torch.randint(0, 2, shape, generator=g) * 2 - 1)
        return x.to(dtype)
    x = torch.randn(shape, generator=g) * 4
    pick = torch.rand(shape, generator=g) < 0.2
    chosen = SPECIAL[torch.randint(0, len(SPECIAL), shape, generator=g)]
    return torch.where(pick, chosen, x).to(dtype)


def assert_close(a: torch.Tensor, b: torch.Tensor) -> None:
    assert a.dtype == b.dtype and a.shape == b.shape
    if not a.is_floating_point():
        assert torch.equal(a, b)
        return
    eps = torch.finfo(a.dtype).eps
    torch.testing.assert_close(a.double(), b.double(), rtol=8 * eps, atol=4e-7, equal_nan=True)


def assert_levels(build: Build, *inputs: torch.Tensor, targets: tuple[str, ...] = ("kpu-t64", "swkpu-v1")) -> None:
    """df as nn; kpu and binary as df, bit for bit."""
    df = at_df(build, *inputs)
    assert_close(df, at_nn(build, *inputs))
    for target in targets:
        kpu, binary = at_kpu_and_binary(build, *inputs, target=target)
        narrowed = df.to(torch.int32) if df.dtype == torch.int64 else df
        bits = narrowed.float().numpy() if narrowed.is_floating_point() else narrowed.numpy()
        for level in (kpu, binary):
            assert np.array_equal(np.asarray(level, bits.dtype), bits, equal_nan=bits.dtype.kind == "f")


UNARY = [(op, d) for op in nn.UNARY for d in accepted(op.ACCEPTS)] + [
    (op, d) for op in nn.PREDICATES for d in accepted(op.ACCEPTS)
]
BINARY = [(op, d) for op in (*nn.BINARY, *nn.COMPARE) for d in accepted(op.ACCEPTS)]


def ids(case: object) -> str:
    return case.name.removeprefix("nn.") if isinstance(case, type) else str(case).removeprefix("torch.")  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("op", "dtype"), UNARY, ids=ids)
def test_unary(op: Callable[..., nn.UnaryOp], dtype: torch.dtype) -> None:
    x = values(dtype, (3, 7, 11), 1)
    assert_close(at_df(op, x), at_nn(op, x))


@pytest.mark.parametrize(("op", "dtype"), BINARY, ids=ids)
def test_binary(op: type[nn.BinaryOp], dtype: torch.dtype) -> None:
    x, y = values(dtype, (3, 7, 11), 1), values(dtype, (7, 1), 2)
    if op in (nn.ShiftLeftOp, nn.ShiftRightOp):
        y = y.abs() % 5
    assert_close(at_df(op, x, y), at_nn(op, x, y))


@pytest.mark.parametrize("target", ["kpu-t64", "swkpu-v1"])
@pytest.mark.parametrize("op", [*nn.UNARY, *nn.PREDICATES, *nn.BINARY, *nn.COMPARE], ids=ids)
def test_to_binary(op: type[nn.UnaryOp] | type[nn.BinaryOp], target: str) -> None:
    """One element type of each kind."""
    for kind, dtype in ((Kind.FLOAT, torch.float32), (Kind.INTEGER, torch.int32), (Kind.BOOL, torch.bool)):
        if kind in op.ACCEPTS:
            x, y = values(dtype, (5, 33), 1), values(dtype, (33,), 2)
            if op in (nn.ShiftLeftOp, nn.ShiftRightOp):
                y = y.abs() % 5
            inputs = (x, y) if issubclass(op, nn.BinaryOp) else (x,)
            assert_levels(op, *inputs, targets=(target,))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 9), max_size=5),
    st.sampled_from([d for d in ELEMENTS if d != torch.int64]),
    st.integers(0, 1 << 20),
    st.data(),
)
def test_broadcasts_reach_the_binary(shape: list[int], dtype: torch.dtype, seed: int, data: st.DataObject) -> None:
    """where, of three operands that each miss some dims."""

    def part() -> tuple[int, ...]:
        kept = [n if data.draw(st.booleans()) else 1 for n in shape]
        return tuple(kept[data.draw(st.integers(0, max(len(kept) - 1, 0))) :])

    condition = values(torch.bool, tuple(shape), seed)
    assert_levels(nn.WhereOp, condition, values(dtype, part(), seed + 1), values(dtype, part(), seed + 2),
                  targets=("kpu-t64",))  # fmt: skip


CASTS = [(a, b) for a in ELEMENTS for b in ELEMENTS]


@pytest.mark.parametrize(("source", "target"), CASTS, ids=ids)
def test_cast(source: torch.dtype, target: torch.dtype) -> None:
    x = values(source, (4, 50), 3)
    if source.is_floating_point and target in INTEGERS:
        x = torch.nan_to_num(x, nan=0.0, posinf=99.0, neginf=-99.0)  # torch leaves the others open
    build: Build = lambda v: nn.CastOp(v, ELEMENTS[target])  # noqa: E731
    df, expected = at_df(build, x), at_nn(build, x)
    assert df.dtype == expected.dtype
    assert torch.equal(df.nan_to_num(7.0), expected.nan_to_num(7.0))


def test_casts_saturate() -> None:
    x = torch.tensor([1e20, -1e20, float("inf"), float("nan"), 127.9, -128.9, 300.0])
    build: Build = lambda v: nn.CastOp(v, ELEMENTS[torch.int8])  # noqa: E731
    assert at_df(build, x).tolist() == [127, -128, 127, 0, 127, -128, 127]


@pytest.mark.parametrize("source", [torch.bool, torch.int8, torch.int32, torch.float32, torch.bfloat16])
def test_casts_reach_the_binary(source: torch.dtype) -> None:
    x = values(source, (3, 40), 3)
    if source.is_floating_point:
        x = torch.nan_to_num(x, nan=0.0, posinf=99.0, neginf=-99.0)
    for target in (torch.bool, torch.int8, torch.int32, torch.float32, torch.float16):
        if target != source:
            assert_levels(lambda v, to=target: nn.CastOp(v, ELEMENTS[to]), x, targets=("kpu-t64",))


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate: str) -> None:
    x = torch.nan_to_num(values(torch.float32, (6, 50), 4)).clamp(-50, 50)
    build: Build = lambda v: nn.GeluOp(v, approximate)  # noqa: E731
    # Of 1 + erf(x) few digits are left where it is nearly 0; torch has its own.
    torch.testing.assert_close(at_df(build, x), at_nn(build, x), rtol=1e-6, atol=2e-6)
    assert_levels(build, x.abs())


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (None, 1.5), (-2.0, None), (-1.0, float("inf"))])
def test_clamp(low: float | None, high: float | None) -> None:
    x = values(torch.float32, (6, 50), 4)
    assert_levels(lambda v: nn.ClampOp(v, low, high), x)


@pytest.mark.parametrize("op", [nn.FmodOp, nn.RemainderOp, nn.FloorDivideOp], ids=ids)
def test_what_is_left_of_a_division_is_exact(op: type[nn.BinaryOp]) -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(20000, generator=g) * torch.exp(torch.randn(20000, generator=g) * 4)
    y = torch.randn(20000, generator=g) * torch.exp(torch.randn(20000, generator=g))
    whole = torch.arange(1, 101, dtype=torch.float32)
    multiples = (whole[:, None] * whole[None, :]).reshape(-1) * torch.tensor([0.1, 0.3])[:, None]
    x = torch.cat([x, multiples.reshape(-1)])
    y = torch.cat([y, whole.repeat(100).repeat(2) * torch.tensor([0.1, 0.3]).repeat_interleave(10000)])
    fits = (x / y).abs() < 2**24
    assert torch.equal(at_df(op, x, y)[fits], at_nn(op, x, y)[fits])


def test_erfc_keeps_its_digits() -> None:
    x = torch.linspace(-4, 9, 2001)
    expected = torch.erfc(x.double())
    assert ((at_df(nn.ErfcOp, x).double() - expected).abs() <= 6e-6 * expected).all()
