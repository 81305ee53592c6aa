"""Reductions, running reductions, softmax, norms and attention: df agrees with nn, kpu and binary with df."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_levels import Build, at_df, at_kpu_and_binary, at_nn
from xdsl.ir import SSAValue

from swkpu.dialects import nn

SHAPES = st.lists(st.integers(1, 7), min_size=1, max_size=5).map(tuple)
TARGETS = ("kpu-t64", "swkpu-v1")


def values(dtype: torch.dtype, shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    if dtype == torch.bool:
        return torch.rand(shape, generator=g) < 0.3
    if not dtype.is_floating_point:
        return torch.randint(-9, 10, shape, generator=g).to(dtype)
    return torch.randn(shape, generator=g).to(dtype)


def assert_close(a: np.ndarray | torch.Tensor, b: torch.Tensor, tolerance: float = 2e-6) -> None:
    a = a if isinstance(a, torch.Tensor) else torch.as_tensor(a)
    assert a.shape == b.shape
    if not b.is_floating_point():
        assert torch.equal(a.to(b.dtype), b)
        return
    scale = float(b.nan_to_num(0.0, 0.0, 0.0).abs().max()) if b.numel() else 1.0
    torch.testing.assert_close(a.double(), b.double(), rtol=tolerance, atol=tolerance * max(scale, 1.0), equal_nan=True)


def assert_levels(build: Build, *inputs: torch.Tensor, targets: tuple[str, ...] = TARGETS) -> None:
    df = at_df(build, *inputs)
    expected = at_nn(build, *inputs)
    assert df.dtype == expected.dtype
    assert_close(df, expected)
    for target in targets:
        kpu, binary = at_kpu_and_binary(build, *inputs, target=target)
        assert np.array_equal(kpu, binary, equal_nan=df.is_floating_point())
        if df.is_floating_point():
            assert_close(binary.astype(np.float32), df.float())
        else:
            assert_close(binary, df)


REDUCE = [
    (op, dtype)
    for op in nn.REDUCE
    for dtype in (torch.float32, torch.bfloat16, torch.int8, torch.int32, torch.bool)
    if (op is nn.AnyOp) == (dtype == torch.bool) or (op in (nn.MaxOp, nn.MinOp) and dtype == torch.bool)
]


@pytest.mark.parametrize(("op", "dtype"), REDUCE, ids=lambda c: getattr(c, "name", str(c)))
def test_reductions(op: type[nn.ReduceOp], dtype: torch.dtype) -> None:
    for dims, keepdim in (([1], False), ([0, 2], True), ([0, 1, 2], False)):
        x = values(dtype, (5, 6, 7))
        build: Build = lambda v, d=dims, k=keepdim: op(v, d, k)  # noqa: E731
        assert_close(at_df(build, x), at_nn(build, x))
    assert_levels(lambda v: op(v, [1], False), values(dtype, (3, 40, 5)), targets=("kpu-t64",))
    assert_levels(lambda v: op(v, [0, 1], False), values(dtype, (3, 40)), targets=("kpu-t64",))


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.data(), st.integers(0, 1 << 20))
def test_random_reductions(shape: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    op = data.draw(st.sampled_from(nn.REDUCE[:-1]))
    dims = sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    keepdim = data.draw(st.booleans())
    x = values(data.draw(st.sampled_from([torch.float32, torch.int32])), shape, seed)
    build: Build = lambda v: op(v, dims, keepdim)  # noqa: E731
    assert_close(at_df(build, x), at_nn(build, x))


@pytest.mark.parametrize("op", [nn.ArgMaxOp, nn.ArgMinOp], ids=lambda o: o.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int32, torch.bool], ids=str)
def test_arg_reductions(op: type[nn.ArgReduceOp], dtype: torch.dtype) -> None:
    """Ties go to the first, NaN wins."""
    x = (values(dtype, (4, 30, 3)) * 2).to(dtype)
    if dtype.is_floating_point:
        x = x.round()
        x[1, 7, 1] = x[1, 20, 1] = float("nan")
        x[2, :, 2] = float("-inf")
    for dim, keepdim in ((0, False), (1, True), (2, False)):
        build: Build = lambda v, d=dim, k=keepdim: op(v, d, k)  # noqa: E731
        assert torch.equal(at_df(build, x), at_nn(build, x))
    assert_levels(lambda v: op(v, 1, False), x)


@pytest.mark.parametrize("op", nn.CUMULATIVE, ids=lambda o: o.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int32, torch.int8], ids=str)
def test_cumulative(op: type[nn.CumulativeOp], dtype: torch.dtype) -> None:
    for size in (1, 2, 31, 32, 33, 100, 1025):
        x = values(dtype, (2, size))
        if op is nn.CumProdOp:
            x = x.sign() if not dtype.is_floating_point else (1 + x / 50).to(dtype)
        build: Build = lambda v: op(v, 1)  # noqa: E731
        # A running sum's error grows with its length, in torch too.
        assert_close(at_df(build, x), at_nn(build, x), 2e-5)
    assert_levels(lambda v: op(v, 0), x.reshape(-1)[:40].reshape(20, 2))
    assert_levels(lambda v: op(v, 0), x.reshape(-1)[:40], targets=("kpu-t64",))


@pytest.mark.parametrize("op", [nn.SoftmaxOp, nn.LogSoftmaxOp], ids=lambda o: o.name)
def test_softmax(op: type[nn.SoftmaxBaseOp]) -> None:
    x = values(torch.float32, (3, 5, 33)) * 30
    x[1, 1, :20] = float("-inf")
    for dim in (0, 1, 2):
        assert_close(at_df(lambda v, d=dim: op(v, d), x), at_nn(lambda v, d=dim: op(v, d), x))
    assert_levels(lambda v: op(v, 2), x)
    assert_levels(lambda v: op(v, 1), values(torch.bfloat16, (2, 21, 4, 5)), targets=("kpu-t64",))


def norm(kind: str, *parameters: SSAValue, has_bias: bool = False) -> nn.NormOp:
    x, *rest = parameters
    weight = rest.pop(0) if rest and (len(rest) == 2 or not has_bias) else None
    bias = rest.pop(0) if rest else None
    if kind == "group":
        return nn.GroupNormOp(x, 3, 1e-5, weight, bias)
    return (nn.LayerNormOp if kind == "layer" else nn.RmsNormOp)(x, 2 if kind == "rms" else 1, 1e-5, weight, bias)


@pytest.mark.parametrize("kind", ["layer", "rms", "group"])
@pytest.mark.parametrize("which", ["none", "weight", "bias", "both"])
def test_norms(kind: str, which: str) -> None:
    shape = {"layer": (2, 3, 50), "rms": (2, 4, 25), "group": (2, 12, 5, 4)}[kind]
    size = {"layer": (50,), "rms": (4, 25), "group": (12,)}[kind]
    inputs = [values(torch.float32, shape) * 3 + 2]
    inputs += [values(torch.float32, size, seed) for seed in range({"none": 0, "both": 2}.get(which, 1))]
    assert_levels(lambda *v: norm(kind, *v, has_bias=which in ("bias", "both")), *inputs)


@pytest.mark.parametrize("shape", [(2, 6), (1, 6, 9), (2, 6, 3, 4, 2)])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm_of_any_rank(shape: tuple[int, ...], groups: int) -> None:
    x, weight, bias = values(torch.float32, shape), values(torch.float32, (6,), 1), values(torch.float32, (6,), 2)
    if shape == (2, 6) and groups == 6:
        return  # the variance of one element
    build: Build = lambda x, w, b: nn.GroupNormOp(x, groups, 1e-3, w, b)  # noqa: E731
    assert_levels(build, x, weight, bias, targets=("kpu-t64",))


def sdpa(scale: float, causal: bool) -> Build:
    return lambda q, k, v, mask=None: nn.SdpaOp(q, k, v, mask, scale, causal)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", [None, (9, 13), (2, 1, 1, 13), (13,)], ids=str)
def test_attention(causal: bool, mask: tuple[int, ...] | None) -> None:
    q, k, v = (values(torch.float32, s, i) for i, s in enumerate([(2, 3, 9, 8), (2, 3, 13, 8), (2, 3, 13, 5)]))
    inputs = [q, k, v]
    if mask is not None:
        hidden = values(torch.bool, mask, 5)
        inputs.append(torch.where(hidden, float("-inf"), values(torch.float32, mask, 6)))
    assert_levels(sdpa(0.3, causal), *inputs, targets=("kpu-t64", "kpu-t256"))


def test_a_row_that_sees_nothing_is_zero() -> None:
    q, k, v = (values(torch.float32, (4, 8), i) for i in range(3))
    mask = torch.zeros(4, 4)
    mask[2] = float("-inf")
    df = at_df(sdpa(1.0, False), q, k, v, mask)
    assert torch.equal(df[2], torch.zeros(8)) and df.isfinite().all()
    _, binary = at_kpu_and_binary(sdpa(1.0, False), q, k, v, mask, target="kpu-t64")
    assert np.array_equal(binary[2], np.zeros(8))


def test_attention_in_bf16() -> None:
    """Powers are stored as bf16, and divided by the sum of what is stored."""
    q, k, v = (values(torch.bfloat16, (2, 2, 40, 16), i) for i in range(3))
    df, expected = at_df(sdpa(0.25, True), q, k, v), at_nn(sdpa(0.25, True), q, k, v)
    assert (df - expected).abs().max() < 2**-8 * expected.abs().max()
    kpu, binary = at_kpu_and_binary(sdpa(0.25, True), q, k, v, target="kpu-t64")
    assert np.array_equal(kpu, binary)
    assert np.abs(binary - df.numpy()).max() < 2**-8 * float(df.abs().max())


def test_broadcast_heads() -> None:
    """Keys and values of one head, for many queries' heads."""
    inputs = [values(torch.float32, s, i) for i, s in enumerate([(2, 3, 9, 8), (2, 1, 13, 8), (1, 1, 13, 5)])]
    assert_levels(sdpa(0.3, False), *inputs, targets=("kpu-t64",))


def test_a_reduction_larger_than_l2() -> None:
    """Cut into pieces by `df-split-reductions`; 5 MB of f32, and an L2 of 4 MB."""
    x = values(torch.float32, (2, 650_003))
    assert_levels(lambda v: nn.MaxOp(v, [1], False), x, targets=("kpu-t64",))
    assert_levels(lambda v: nn.ArgMinOp(v, 1, False), x, targets=("kpu-t64",))
    whole = (x[:1] * 100).to(torch.int32)
    assert_levels(lambda v: nn.SumOp(v, [0, 1], False), whole, targets=("kpu-t64",))
    assert_levels(lambda v: nn.ProdOp(v, [1], True), whole | 1, targets=("kpu-t64",))
