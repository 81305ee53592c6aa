"""Convolutions and matrix products of integers, exact: every sum is one of the products of `sim.integer_matmul`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import torch
import torch.nn.functional as F

from swkpu.interp.nn_base import Tensor
from swkpu.interp.nn_windows import reversed_pairs
from swkpu.sim.integer_matmul import integer_matmul

Window = tuple[Sequence[int], Sequence[int], Sequence[int], int]
"""Stride, padding ([before, after] of each spatial dim), dilation and groups."""


def convolved(
    x: Tensor,
    w: Tensor,
    window: Window,
    pad_value: float,
    acc: torch.dtype,
) -> Tensor:
    """Convolution of `x` [N, C, ...] with `w` [O, C / groups, ...] in `acc`."""
    stride, padding, dilation, groups = window
    kernel, channels = w.shape[2:], w.shape[1]
    # Channels last: then a window is rows of them.
    windows = F.pad(x, reversed_pairs(list(padding)), value=pad_value).movedim(1, -1).contiguous()
    if channels == 1:
        return _by_taps(windows, w, window, acc)
    for dim, (size, step, spread) in enumerate(zip(kernel, stride, dilation), start=1):
        windows = windows.unfold(dim, spread * (size - 1) + 1, step)[..., ::spread]
    spatial = len(kernel)
    shape = windows.shape[: 1 + spatial]
    # [N, *out, groups, C / groups, *kernel] to [groups, N * out, kernel * C / groups]
    windows = windows.unflatten(1 + spatial, (groups, channels)).movedim(1 + spatial, 0).movedim(2 + spatial, -1)
    left = windows.reshape(groups, prod(shape), prod(kernel) * channels)
    right = w.movedim(1, -1).reshape(groups, w.shape[0] // groups, prod(kernel) * channels)
    sums = integer_matmul(left, right, acc).unflatten(1, shape)
    # [groups, N, *out, O / groups] to [N, O, *out], channels last in memory still: the next convolution wants them so.
    return sums.movedim(0, -2).flatten(-2).movedim(-1, 1)


def _by_taps(x: Tensor, w: Tensor, window: Window, acc: torch.dtype) -> Tensor:
    """Depthwise: each tap of the kernel times the elements it meets; `x` is padded and has its channels last."""
    stride, _, dilation, groups = window
    kernel = w.shape[2:]
    sizes = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[1:-1], kernel, stride, dilation)]
    x, taps = x.to(acc).repeat_interleave(w.shape[0] // groups, -1), w.to(acc).flatten(1)
    out = torch.zeros(x.shape[0], *sizes, w.shape[0], dtype=acc)
    for tap, place in enumerate(product(*(range(k) for k in kernel))):
        met = (slice(p * d, p * d + s * (n - 1) + 1, s) for p, d, s, n in zip(place, dilation, stride, sizes))
        out.addcmul_(x[:, *met], taps[:, tap])
    return out.movedim(-1, 1)


def multiplied(lhs: Tensor, rhs: Tensor, acc: torch.dtype) -> Tensor:
    """`lhs @ rhs` of [..., M, K] and [..., K, N], broadcast over the leading dims, in `acc`."""
    batch = torch.broadcast_shapes(lhs.shape[:-2], rhs.shape[:-2])
    left = lhs.expand(*batch, *lhs.shape[-2:]).reshape(prod(batch), *lhs.shape[-2:])
    right = rhs.mT.expand(*batch, *rhs.mT.shape[-2:]).reshape(prod(batch), *rhs.mT.shape[-2:])
    return integer_matmul(left, right, acc).reshape(*batch, lhs.shape[-2], rhs.shape[-1])
