"""Products of integers are exact: at every depth, for extremes, whatever the shape, in every path that makes them."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swkpu.interp.integer_contractions import convolved, multiplied
from swkpu.program.dtypes import DType
from swkpu.program.model import Access, AffineExpr, Combiner, Dataflow, FabricProgram
from swkpu.sim import integer_matmul as module
from swkpu.sim.integer_matmul import F32_EXACT_DEPTH, SMALL_PRODUCT, integer_matmul
from swkpu.sim.recurrence import evaluate

KINDS = ("random", "least", "largest", "opposite")
SETTINGS = settings(max_examples=60, deadline=None)


def integers(shape: tuple[int, ...], kind: str, second: bool = False, seed: int = 0) -> torch.Tensor:
    """int8 values: random, or all of one extreme."""
    if kind == "random":
        generator = torch.Generator().manual_seed(seed + second)
        return torch.randint(-128, 128, shape, dtype=torch.int8, generator=generator)
    value = {"least": -128, "largest": 127, "opposite": 127 if second else -128}[kind]
    return torch.full(shape, value, dtype=torch.int8)


def exactly(x: torch.Tensor) -> Any:
    return x.numpy().astype(np.int64)


@given(
    st.integers(0, 4), st.integers(0, 9), st.integers(0, 9), st.sampled_from([0, 1, 2, 63, 64, 65, 1023, 1025, 3000]),
    st.sampled_from(KINDS),
)  # fmt: skip
@SETTINGS
def test_products_are_exact(batch: int, m: int, n: int, depth: int, kind: str) -> None:
    a, b = integers((batch, m, depth), kind), integers((batch, n, depth), kind, second=True)
    expected = np.matmul(exactly(a), exactly(b).transpose(0, 2, 1))
    for of in (integer_matmul, module._through_f32):
        result = of(a, b)
        assert result.dtype is torch.int32
        np.testing.assert_array_equal(exactly(result), expected)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_shallow_products(depth: int) -> None:
    """Of every small shape: at a depth of 1 torch's own int8 product is wrong."""
    for m, n in product((1, 2, 3, 8, 17), repeat=2):
        a, b = integers((1, m, depth), "random", seed=m), integers((1, n, depth), "random", seed=n)
        np.testing.assert_array_equal(
            exactly(integer_matmul(a, b)), np.matmul(exactly(a), exactly(b).transpose(0, 2, 1))
        )


@pytest.mark.parametrize("kind", KINDS)
def test_the_deepest_sum_that_32_bits_hold(kind: str) -> None:
    depth = (1 << 31) // (128 * 128) - 1
    a, b = integers((1, 2, depth), kind), integers((1, 3, depth), kind, second=True)
    np.testing.assert_array_equal(exactly(integer_matmul(a, b)), np.matmul(exactly(a), exactly(b).transpose(0, 2, 1)))


def test_both_ways_through_small_products() -> None:
    """A batch of small products, shallow and deep, and one large product beside each other."""
    for m, depth in ((3, 7), (2, F32_EXACT_DEPTH + 1), (64, 300)):
        a, b = integers((5, m, depth), "random"), integers((5, m, depth), "random", second=True)
        assert (m * m * depth <= SMALL_PRODUCT) == (m < 64)
        np.testing.assert_array_equal(
            exactly(integer_matmul(a, b)), np.matmul(exactly(a), exactly(b).transpose(0, 2, 1))
        )


def test_views_are_multiplied_as_they_look() -> None:
    rows = integers((1, 1, 50), "random").expand(3, 6, 50)
    columns = integers((3, 50, 9), "random").transpose(1, 2)
    strided = integers((3, 12, 100), "random")[:, ::2, ::2]
    for a in (rows, strided):
        expected = np.matmul(exactly(a), exactly(columns).transpose(0, 2, 1))
        np.testing.assert_array_equal(exactly(integer_matmul(a, columns)), expected)


def test_a_processor_that_saturates_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    def saturating(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        pairs = (a.int()[:, :, None] * b.int()).unflatten(1, (-1, 2)).sum(2).clamp(-32768, 32767)
        result = pairs.sum(1).to(torch.int32)
        return result if out is None else out.copy_(result)

    monkeypatch.setattr(module, "INT8_PRODUCT", saturating)
    module._int8_products_are_exact.cache_clear()
    try:
        assert not module._int8_products_are_exact()
        a, b = integers((1, 4, 64), "least"), integers((1, 5, 64), "least", second=True)
        assert (integer_matmul(a, b) == 64 * 128 * 128).all()
    finally:
        module._int8_products_are_exact.cache_clear()


@given(st.integers(-(1 << 31), (1 << 31) - 1), st.integers(-(1 << 31), (1 << 31) - 1), st.integers(1, 20))
@SETTINGS
def test_wider_integers_wrap(a: int, b: int, depth: int) -> None:
    left = torch.full((1, 1, depth), a, dtype=torch.int32)
    right = torch.full((1, 2, depth), b, dtype=torch.int32)
    wrapped = (a * b * depth + (1 << 31)) % (1 << 32) - (1 << 31)
    assert integer_matmul(left, right).flatten().tolist() == [wrapped] * 2
    assert integer_matmul(left, right, torch.int64)[0, 0, 0].item() == (
        (a * b * depth + (1 << 63)) % (1 << 64) - (1 << 63)
    )


# ---- in nn: convolutions and products -------------------------------------------------------------------------------


def convolution(
    x: Any, w: Any, stride: list[int], padding: list[int], dilation: list[int], groups: int, pad: int
) -> Any:
    """By its definition, one tap at a time, in int64 numpy."""
    n = x.shape[0]
    o, per_group, *kernel = w.shape
    pairs = [(padding[2 * i], padding[2 * i + 1]) for i in range(len(kernel))]
    padded = np.pad(x, [(0, 0), (0, 0), *pairs], constant_values=pad)
    extents = [(size - d * (k - 1) - 1) // s + 1 for size, k, s, d in zip(padded.shape[2:], kernel, stride, dilation)]
    out = np.zeros((n, o, *extents), np.int64)
    for tap in product(*(range(k) for k in kernel)):
        places = tuple(slice(t * d, t * d + s * (e - 1) + 1, s) for t, d, s, e in zip(tap, dilation, stride, extents))
        window = padded[:, :, *places].reshape(n, groups, per_group, -1)
        weights = w[:, :, *tap].reshape(groups, o // groups, per_group)
        out += np.einsum("ngcp,goc->ngop", window, weights).reshape(out.shape)
    return out


@given(st.data(), st.sampled_from(KINDS))
@SETTINGS
def test_convolutions_of_integers(data: st.DataObject, kind: str) -> None:
    spatial = data.draw(st.integers(2, 3))

    def each(low: int, high: int, count: int = spatial) -> list[int]:
        return [data.draw(st.integers(low, high)) for _ in range(count)]

    groups, per_group, outputs = each(1, 3, 3)
    kernel, stride, dilation, padding = each(1, 3), each(1, 2), each(1, 2), each(0, 2, 2 * spatial)
    sizes = [d * (k - 1) + 1 + extra for d, k, extra in zip(dilation, kernel, each(0, 3))]
    pad = data.draw(st.sampled_from([0, -128, 127, 3]))
    x = integers((data.draw(st.integers(1, 2)), groups * per_group, *sizes), kind)
    w = integers((groups * outputs, per_group, *kernel), kind, second=True)
    result = convolved(x, w, (stride, padding, dilation, groups), pad, torch.int32)
    expected = convolution(exactly(x), exactly(w), stride, padding, dilation, groups, pad)
    np.testing.assert_array_equal(exactly(result), expected)
    assert result.dtype is torch.int32


@given(st.sampled_from([((), ()), ((2,), (2,)), ((2, 1), (3,)), ((), (4,))]), st.sampled_from(KINDS))
@SETTINGS
def test_products_broadcast(batches: tuple[tuple[int, ...], tuple[int, ...]], kind: str) -> None:
    a, b = integers((*batches[0], 3, 40), kind), integers((*batches[1], 40, 5), kind, second=True)
    np.testing.assert_array_equal(exactly(multiplied(a, b, torch.int32)), exactly(a) @ exactly(b))


# ---- in the simulator: whole fabric programs ------------------------------------------------------------------------


def expr(*terms: tuple[int, int]) -> AffineExpr:
    return AffineExpr(0, terms)


def fabric(accesses: list[list[AffineExpr]], parallel: int, dims: int, combiner: Combiner) -> FabricProgram:
    return FabricProgram(
        "f", tuple("abcdefgh"[:dims]), parallel, len(accesses) - 1, tuple(Access(tuple(a)) for a in accesses),
        combiner, DType.I32, (), 0, (), (), Dataflow.OS,
    )  # fmt: skip


def matmul() -> FabricProgram:
    accesses = [[expr((0, 1)), expr((2, 1))], [expr((1, 1)), expr((2, 1))], [expr((0, 1)), expr((1, 1))]]
    return fabric(accesses, 2, 3, Combiner.MAC)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("channels", "kernel"), [(3, 2), (8, 3), (600, 2)])
def test_a_convolution_on_blocks(kind: str, channels: int, kernel: int) -> None:
    """[T0, T1] tiles: the first has its own rows, the second its own output channels."""
    size, out, outputs = kernel + 3, 4, 5
    x = integers((2, 1, size, size, channels), kind)
    w = integers((1, 3, outputs, kernel, kernel, channels), kind, second=True)
    f = fabric(
        [[expr((0, 1), (3, 1)), expr((1, 1), (4, 1)), expr((5, 1))],
         [expr((2, 1)), expr((3, 1)), expr((4, 1)), expr((5, 1))],
         [expr((0, 1)), expr((1, 1)), expr((2, 1))]], 3, 6, Combiner.MAC,
    )  # fmt: skip
    result = evaluate(f, (out, out, outputs, kernel, kernel, channels), [x, w])
    assert result.shape == (2, 3, out, out, outputs)
    for i, j in product(range(2), range(3)):
        expected = convolution(
            exactly(x)[i].transpose(0, 3, 1, 2), exactly(w)[0, j].transpose(0, 3, 1, 2), [1, 1],
            [0] * 4, [1, 1], 1, 0,
        )  # fmt: skip
        np.testing.assert_array_equal(exactly(result)[i, j], expected[0].transpose(1, 2, 0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kernel", [3, 9])
def test_depthwise_on_blocks(kind: str, kernel: int) -> None:
    out, channels = 4, 6
    x, w = (
        integers((1, 1, out + kernel - 1, out + kernel - 1, channels), kind),
        integers((1, 1, kernel, kernel, channels), kind, second=True),
    )
    f = fabric(
        [[expr((0, 1), (3, 1)), expr((1, 1), (4, 1)), expr((2, 1))], [expr((3, 1)), expr((4, 1)), expr((2, 1))],
         [expr((0, 1)), expr((1, 1)), expr((2, 1))]], 3, 5, Combiner.MAC,
    )  # fmt: skip
    result = evaluate(f, (out, out, channels, kernel, kernel), [x, w])
    taps, weights = exactly(x)[0, 0].transpose(2, 0, 1)[None], exactly(w)[0, 0].transpose(2, 0, 1)[:, None]
    expected = convolution(taps, weights, [1, 1], [0] * 4, [1, 1], channels, 0)
    np.testing.assert_array_equal(exactly(result)[0, 0], expected[0].transpose(1, 2, 0))


@pytest.mark.parametrize("points", [5, 100_000])
def test_sums_of_integers_on_blocks(points: int) -> None:
    x = integers((1, 1, 2, points), "least")
    f = fabric([[expr((0, 1)), expr((1, 1))], [expr((0, 1))]], 1, 2, Combiner.ADD)
    assert evaluate(f, (2, points), [x]).flatten().tolist() == [-128 * points] * 2


def test_an_accumulator_is_resumed_exactly() -> None:
    x, w = integers((1, 1, 2, 2000), "least"), integers((1, 1, 3, 2000), "largest")
    raw = torch.full((1, 1, 2, 3), 1 << 30, dtype=torch.int32)
    assert (evaluate(matmul(), (2, 3, 2000), [x, w], raw) == (1 << 30) - 128 * 127 * 2000).all()


def test_a_reduction_of_nothing_is_what_was_resumed() -> None:
    x, w = integers((1, 1, 2, 0), "least"), integers((1, 1, 3, 0), "largest")
    raw = torch.arange(6, dtype=torch.int32).reshape(1, 1, 2, 3)
    assert torch.equal(evaluate(matmul(), (2, 3, 0), [x, w], raw), raw)
