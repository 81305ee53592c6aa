"""Quantized operators in plain numpy, from the formulas of TOSA 1.0 and of the numerics page; nothing here calls swkpu.

Integers are int64 (rescales: Python's), reals float64; where a value is f32 by definition, float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import ceil, erf, exp, floor, log2, prod, tanh
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
F = np.float32


@dataclass(frozen=True)
class Q:
    """Scale and zero point of stored int8: real = scale * (stored - zero)."""

    scale: float
    zero: int = 0

    def store(self, reals: Array) -> Array:
        """As PyTorch's quantize_per_tensor: in f32, half to even, saturated."""
        steps = np.rint(reals.astype(F) * F(1 / self.scale)).astype(np.float64) + self.zero
        return np.clip(steps, -128, 127).astype(np.int64)

    def real(self, stored: Array) -> Array:
        return (stored.astype(F) - F(self.zero)) * F(self.scale)


def activation(low: float, high: float) -> Q:
    """The stored int8 that cover a range, with 0 among them."""
    scale = high / 255 - low / 255
    return Q(scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)))


def weight(reals: Array) -> tuple[Array, Array]:
    """Int8 by output channel, and the scales: the largest magnitude is 127."""
    largest = np.abs(reals).reshape(len(reals), -1).max(1)
    scales = largest / F(127)
    stored = np.rint(reals / scales.reshape(-1, *(1,) * (reals.ndim - 1)))
    return stored.astype(np.int64), scales.astype(np.float64)


# ---- RESCALE and TABLE ---------------------------------------------------------------------------------------------


def factor_of(ratio: float) -> tuple[int, int]:
    """A 31-bit multiplier and a shift of 2 to 62 with multiplier / 2^shift nearest to the ratio."""
    exact, shift = Fraction(ratio), 62
    while exact * 2**shift >= 2**31 - Fraction(1, 2):
        shift -= 1
    assert shift >= 2
    return round(exact * 2**shift), shift


def apply_scale(value: int, multiplier: int, shift: int) -> int:
    """TOSA 1.0 apply_scale_32 without double rounding."""
    assert 0 <= multiplier < 2**31
    assert 2 <= shift <= 62
    assert -(2**31) <= value < 2**31
    return (value * multiplier + (1 << (shift - 1))) >> shift


def rescale(x: Array, factors: Sequence[tuple[int, int]], axis: int = 1, zero: int = 0, bits: int = 8) -> Array:
    """Every element in Python's integers; one factor, or one by index of `axis`."""
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    out = np.empty(x.size, np.int64)
    each = np.broadcast_to(by_axis(np.arange(len(factors)), x.ndim, axis), x.shape).reshape(-1)
    for i, (value, own) in enumerate(zip(x.reshape(-1).tolist(), each.tolist())):
        out[i] = min(max(apply_scale(value, *factors[own]) + zero, low), high)
    return out.reshape(x.shape)


def requantize(x: Array, scales: Array | float, to: Q, axis: int = 1) -> Array:
    """Integers of a scale, or of one by index of `axis`, as another tensor stores them."""
    factors = [factor_of(s / to.scale) for s in np.atleast_1d(np.asarray(scales, np.float64)).tolist()]
    return rescale(x, factors, axis, to.zero)


def table(function: Callable[[float], float], before: Q, after: Q) -> list[int]:
    """The function in f64 at all 256 stored values."""
    out: list[int] = []
    for q in range(-128, 128):
        step = Fraction(function(before.scale * (q - before.zero))) / Fraction(after.scale)
        out.append(min(max(round(step) + after.zero, -128), 127))
    return out


def look_up(entries: Sequence[int], x: Array) -> Array:
    return np.asarray(entries, np.int64)[x + 128]


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def silu(x: float) -> float:
    return x * sigmoid(x)


def gelu(x: float) -> float:
    return 0.5 * x * (1 + erf(x / 2**0.5))


def gelu_tanh(x: float) -> float:
    return 0.5 * x * (1 + tanh((2 / 3.141592653589793) ** 0.5 * (x + 0.044715 * x**3)))


def hardsigmoid(x: float) -> float:
    return min(max(x / 6 + 0.5, 0.0), 1.0)


def hardswish(x: float) -> float:
    return x * hardsigmoid(x)


# ---- contractions --------------------------------------------------------------------------------------------------


def by_axis(values: Array, rank: int, axis: int) -> Array:
    return values.reshape([-1 if d == axis % rank else 1 for d in range(rank)]) if values.size > 1 else values


def conv2d(
    x: Array,
    w: Array,
    zero: int,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Array:
    """Sum of (x - zero) w over every window. Padding is the zero point, and so adds nothing."""
    top, bottom, left, right = padding
    (n, c, _, _), (o, own, kh, kw) = x.shape, w.shape
    centred = np.pad(x - zero, ((0, 0), (0, 0), (top, bottom), (left, right)))
    height, width = (
        (size - d * (k - 1) - 1) // s + 1 for size, k, s, d in zip(centred.shape[2:], (kh, kw), stride, dilation)
    )
    out = np.zeros((n, o, height, width), np.int64)
    for channel in range(o):
        first = channel // (o // groups) * own
        for i, j in product(range(kh), range(kw)):
            rows = slice(i * dilation[0], i * dilation[0] + (height - 1) * stride[0] + 1, stride[0])
            columns = slice(j * dilation[1], j * dilation[1] + (width - 1) * stride[1] + 1, stride[1])
            window = centred[:, first : first + own, rows, columns]
            out[:, channel] += np.einsum("nchw,c->nhw", window, w[channel, :, i, j].astype(np.int64))
    assert c == own * groups
    return out


def linear(x: Array, w: Array, zero: int) -> Array:
    return np.einsum("...k,ok->...o", x - zero, w.astype(np.int64))


def matmul(a: Array, b: Array, zero_a: int = 0, zero_b: int = 0) -> Array:
    return np.einsum("...mk,...kn->...mn", a - zero_a, b - zero_b)


def with_bias(sums: Array, w: Array, bias: Array, scales: Array, before: Q, step: float) -> tuple[Array, Array]:
    """Sums of x w plus a bias, and their scales by channel.

    Where rounding the bias to steps of `scales` moves a result by more than 1 / 1024 of `step`, sums get as many bits
    more as it takes, and as 30 bits have room for.
    """
    steps = bias.astype(np.float64).reshape(-1) / scales
    rows = w.reshape(len(w), -1).astype(np.float64)
    largest = np.abs(rows).sum(1) * max(127 - before.zero, before.zero + 128) + np.abs(steps)
    added = np.abs(steps - before.zero * rows.sum(1))
    error = float((np.abs(steps - np.rint(steps)) * scales).max()) / step
    bits = min(ceil(log2(max(error * 1024, 1.0))), floor(log2(2.0**30 / float((largest + added).max() + 1))))
    column = (-1, *(1,) * (w.ndim - 2))
    return sums * 2**bits + np.rint(steps * 2.0**bits).astype(np.int64).reshape(column), scales / 2.0**bits


def bias(reals: Array, scales: Array) -> Array:
    """A bias in i32, of scale s_x s_w: where no 8-bit step is known to compare its rounding with."""
    return np.rint(reals.astype(np.float64) / scales).astype(np.int64)


# ---- pools ---------------------------------------------------------------------------------------------------------


def windows(x: Array, kernel: int, stride: int, padding: int) -> list[Array]:
    """The element of each tap, for all windows at once."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    height, width = ((size - kernel) // stride + 1 for size in padded.shape[2:])
    return [
        padded[:, :, i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride]
        for i, j in product(range(kernel), repeat=2)
    ]


def max_pool(x: Array, kernel: int, stride: int, padding: int = 0) -> Array:
    lowest = -1 << 40
    return np.max(windows(x - lowest, kernel, stride, padding), axis=0) + lowest


def average_pool(x: Array, before: Q, after: Q, kernel: int, stride: int, padding: int, include: bool) -> Array:
    """The sum of each window times s_x / (s_y n), where n counts padding or not."""
    sums = np.sum(windows(x - before.zero, kernel, stride, padding), axis=0)
    counts = np.sum(windows(np.ones_like(x), kernel, stride, padding), axis=0)
    counts = np.full_like(counts, kernel * kernel) if include else counts
    out = np.empty_like(sums)
    for count in np.unique(counts):
        part = counts == count
        out[part] = rescale(sums[part], [factor_of(before.scale / int(count) / after.scale)], 0, after.zero)
    return out


def mean(x: Array, before: Q, after: Q, axes: tuple[int, ...]) -> Array:
    count = prod(x.shape[a] for a in axes)
    sums = (x - before.zero).sum(axes, keepdims=True)
    return rescale(sums, [factor_of(before.scale / count / after.scale)], 0, after.zero)


# ---- f32 with exact sums -------------------------------------------------------------------------------------------


def exp_once(x: Array) -> Array:
    """e^x in f64, rounded once."""
    return np.exp(x.astype(np.float64)).astype(F)


def softmax(x: Array) -> Array:
    """Of f32 rows: powers of e in fixed point, whose sum is exact, divided by it in f32."""
    powers = exp_once(x - x.max(-1, keepdims=True))
    bits = min(23, 30 - int(np.ceil(np.log2(x.shape[-1]))))
    steps = np.rint(powers * F(2.0**bits)).astype(np.int64)
    return steps.astype(F) / steps.sum(-1, keepdims=True).astype(F)


def attention(q: Array, k: Array, v: Array, scales: Sequence[float], scale: float, mask: Array | None) -> Array:
    """Powers of e below the largest score, 0 to 255; their sum with v, divided by their sum."""
    scores = matmul(q, np.swapaxes(k, -1, -2)).astype(F) * F(scales[0] * scales[1] * scale)
    if mask is not None:
        scores = scores + mask
    powers = np.rint(exp_once(scores - scores.max(-1, keepdims=True)) * F(255)).astype(np.int64)
    weighted = matmul(powers, v).astype(F) * F(scales[2])
    return weighted / np.maximum(powers.sum(-1, keepdims=True), 1).astype(F)


def layer_norm(x: Array, scale: float, eps: float) -> Array:
    """Of centred integers, along the last dim: both sums are exact, the rest is f32."""
    n = x.shape[-1]
    total = x.sum(-1, keepdims=True)
    middle = np.rint(total.astype(F) * F(1 / n)).astype(np.int64)
    rest = (total - middle * n).astype(F) * F(1 / n)
    squares = ((x - middle) ** 2).sum(-1, keepdims=True)
    variance = squares.astype(F) * F(1 / n) - rest * rest
    factor = F(scale) / np.sqrt(variance * F(scale * scale) + F(eps))
    return ((x - middle).astype(F) - rest) * factor
