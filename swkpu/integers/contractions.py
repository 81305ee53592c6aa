"""Convolutions and matrix products: sums of products of stored integers, in i32."""

from __future__ import annotations

from math import prod

import numpy as np
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.dialects.nn import shape_of
from swkpu.integers.emitter import SUM_BITS, Emitter, checked
from swkpu.integers.forms import Affine, Array, Form, Weight, scalar
from swkpu.integers.table import Result, integer_rule
from swkpu.types import i32


@integer_rule(nn.Conv2dOp, nn.Conv3dOp, nn.LinearOp)
def convolve(e: Emitter, op: nn.ConvOp | nn.LinearOp, forms: list[Form | None]) -> Result:
    x, w = forms
    if not (isinstance(x, Affine) and x.is_stored and isinstance(w, Weight) and w.axis == 0):
        return None
    if w.group is not None:
        return by_group(e, op, x, w) if isinstance(op, nn.LinearOp) else None
    spatial = 0 if isinstance(op, nn.LinearOp) else op.SPATIAL
    shape = (-1, *(1,) * spatial)
    sums = w.integers.reshape(len(w.integers), -1).astype(np.float64)
    value = e.like(op, [x.value, w.value], i32)
    magnitudes = np.abs(sums).sum(1)
    scales = _useful(w.scales, magnitudes)
    return checked(e, product(value, x, scales.reshape(shape), sums.sum(1).reshape(shape), magnitudes.reshape(shape)))


def _useful(scales: Array, magnitudes: Array) -> Array:
    """A channel of zeros may have any scale: the finest, so that its bias is exact."""
    used = magnitudes > 0
    return np.where(used, scales, scales[used].min() if used.any() else 2.0**-16)


def product(value: SSAValue, x: Affine, scales: Array, sums: Array, magnitudes: Array) -> Affine:
    """Σ x w as a form, of a contraction of the stored values: what the zero point of x adds is in the offset.

    `sums` and `magnitudes` are Σ w and Σ |w|, by channel as the scales are.
    """
    return Affine(value, x.scale * scales, x.offset * sums, x.limit * magnitudes)


def by_group(e: Emitter, op: nn.LinearOp, x: Affine, w: Weight) -> Affine:
    """A linear layer whose weight has a scale per group of k: a product per group, brought to one scale, and summed.

    The groups are the batch of one matrix product. The sum is of integers, so its order does not matter.
    """
    assert w.group is not None
    (*lead, k), outputs, group = shape_of(op.input), len(w.integers), w.group
    groups, rows = k // group, prod(lead)
    split = e.emit(nn.ReshapeOp(x.value, (rows, groups, group)))
    lhs = e.emit(nn.PermuteOp(split, (1, 0, 2)))
    weight = np.ascontiguousarray(w.integers.reshape(outputs, groups, group).transpose(1, 2, 0))
    rhs = e.constant(weight)
    value = e.emit(nn.MatmulOp(lhs, rhs))
    sums = weight.astype(np.float64)
    scales = w.scales.T[:, None, :].astype(np.float64)
    each = checked(e, product(value, x, scales, sums.sum(1, keepdims=True), np.abs(sums).sum(1, keepdims=True)))
    scale = np.maximum(each.reach.sum(0, keepdims=True) / 2**SUM_BITS, np.finfo(np.float64).tiny)
    parts = e.at_scale(each, scale)
    total = e.emit(nn.SumOp(parts.value, (0,), keepdim=False))
    result = e.emit(nn.ReshapeOp(total, (*lead, outputs)))
    limit = np.broadcast_to(parts.limit, (groups, 1, outputs)).sum(0).reshape(outputs)
    return checked(e, Affine(result, scale.reshape(outputs), scalar(0), limit))


@integer_rule(nn.ConvTranspose2dOp, nn.ConvTranspose3dOp)
def convolve_transposed(e: Emitter, op: nn.ConvTransposeOp, forms: list[Form | None]) -> Result:
    """How many taps reach a result differs by place, and so does what the zero point adds."""
    x, w = forms
    if not (isinstance(x, Affine) and x.is_stored and isinstance(w, Weight) and w.axis == 1 and w.group is None):
        return None
    groups, ones = op.window[3], (1,) * op.SPATIAL
    value = e.like(op, [x.value, w.value], i32)
    weights = w.integers.astype(np.float64)
    each = np.abs(weights).reshape(groups, -1, *weights.shape[1:]).sum((1, *range(3, 3 + op.SPATIAL)))
    scales = _useful(np.tile(w.scales, groups), each.reshape(-1)).reshape(-1, *ones)
    magnitudes = each.reshape(-1, *ones)
    offset = scalar(0)
    if x.offset.any():
        offset = x.offset * _sums_by_place(op, weights)
    return checked(e, Affine(value, x.scale * scales, offset, x.limit * magnitudes))


def _sums_by_place(op: nn.ConvTransposeOp, weights: Array) -> Array:
    """Σ w of the taps that reach each result: [1, C, ...]."""
    import torch

    from swkpu.interp.nn_contractions import convolve_transposed

    ones = torch.ones(1, *shape_of(op.input)[1:], dtype=torch.float64)
    return convolve_transposed(op, ones, torch.from_numpy(weights)).numpy()


@integer_rule(nn.MatmulOp)
def multiply(e: Emitter, op: nn.MatmulOp, forms: list[Form | None]) -> Result:
    a, b = forms
    if not (isinstance(a, Affine) and a.is_stored):
        return None
    if isinstance(b, Weight):
        if b.group is not None or b.axis != b.integers.ndim - 1:
            return None
        value = e.like(op, [a.value, b.value], i32)
        rows = b.integers.astype(np.float64)
        over = tuple(range(rows.ndim - 2))
        sums, magnitudes = rows.sum(-2, keepdims=True), np.abs(rows).sum(-2, keepdims=True)
        scales = b.scales
        if over:  # the scales are by column alone
            return checked(e, Affine(value, a.scale * scales, a.offset * sums, a.limit * magnitudes))
        return checked(e, product(value, a, scales, sums[0], magnitudes[0]))
    if not (isinstance(b, Affine) and b.is_stored):
        return None
    value = e.like(op, [a.value, b.value], i32)
    depth = shape_of(op.lhs)[-1]
    for own, other, dim in ((a, b, -2), (b, a, -1)):  # (a + za)(b + zb) = ab + za Σb + zb Σa + k za zb
        if own.offset.any():
            rank = len(shape_of(other.value))
            sums = e.emit(nn.SumOp(other.value, (rank + dim,), keepdim=True))
            value = e.emit(nn.AddOp(value, e.emit(nn.MulOp(sums, e.integers(own.offset)))))
    offset = a.offset * b.offset * depth
    return checked(e, Affine(value, a.scale * b.scale, offset, a.limit * b.limit * depth))
