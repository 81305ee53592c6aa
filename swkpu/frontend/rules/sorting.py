"""Sorting, by counting: the rank of an element is how many others go before it.

That is a comparison of every element of a row with every other, which the machine does well for rows as short as a
classifier's or a router's. NaN goes where +inf goes.
"""

from __future__ import annotations

from math import inf

import numpy as np
import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder
from swkpu.frontend.rules.reduction import reduce
from swkpu.frontend.table import Unsupported, rule
from swkpu.interp.constants import constant
from swkpu.types import dtype_of, i32, i64, is_float, torch_dtype

aten = torch.ops.aten

_LONGEST = 1024
"""The longest row that is sorted."""
_ROUNDS = 8
"""Up to this many largest elements of a row are taken one after the other; more by sorting."""


@rule(aten.sort.default)
def sort(b: NodeBuilder, x: SSAValue, dim: int = -1, descending: bool = False) -> tuple[SSAValue, SSAValue]:
    """nn.lt, nn.eq and nn.sum to rank; nn.eq, nn.where, nn.sum and nn.gather to place"""
    return _ranked(b, x, dim, descending)


@rule(aten.sort.stable)
def sort_stable(
    b: NodeBuilder, x: SSAValue, *, stable: bool | None = None, dim: int = -1, descending: bool = False
) -> tuple[SSAValue, SSAValue]:
    """nn.lt, nn.eq and nn.sum to rank; nn.eq, nn.where, nn.sum and nn.gather to place"""
    return _ranked(b, x, dim, descending)


@rule(aten.kthvalue.default)
def kthvalue(b: NodeBuilder, x: SSAValue, k: int, dim: int = -1, keepdim: bool = False) -> tuple[SSAValue, SSAValue]:
    """nn.lt, nn.eq and nn.sum to rank; nn.eq, nn.where, nn.sum and nn.gather to pick"""
    values, indices = _ranked(b, x, dim, False, k - 1, 1)
    return b.reshape(values, b.shape), b.reshape(indices, b.shape)


@rule(aten.median.dim)
def median_dim(b: NodeBuilder, x: SSAValue, dim: int, keepdim: bool = False) -> tuple[SSAValue, SSAValue]:
    """nn.lt, nn.eq and nn.sum to rank; nn.eq, nn.where, nn.sum and nn.gather to pick"""
    size = (nn.shape_of(x) or (1,))[dim]
    return kthvalue(b, x, (size + 1) // 2, dim, keepdim)


@rule(aten.median.default)
def median(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """nn.lt, nn.eq and nn.sum to rank; nn.eq, nn.where, nn.sum and nn.gather to pick"""
    flat = b.reshape(x, (int(np.prod(nn.shape_of(x))),))
    return median_dim(b, flat, 0)[0]


@rule(aten.topk.default)
def topk(
    b: NodeBuilder, x: SSAValue, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[SSAValue, SSAValue]:
    """nn.argmax, nn.gather and nn.where for each of a few; for more as sort"""
    shape = nn.shape_of(x) or (1,)
    dim %= len(shape)
    if k > _ROUNDS or k * 4 > shape[dim]:
        return _ranked(b, x, dim, largest, 0, k)
    return _rounds(b, x, k, dim, largest)


def _rounds(b: NodeBuilder, x: SSAValue, k: int, dim: int, largest: bool) -> tuple[SSAValue, SSAValue]:
    """Take the largest (smallest) element k times, each time replacing it by the least one can be."""
    element = nn.type_of(x).element_type
    if is_float(element):
        low, high = -inf, inf
    else:
        limits = torch.iinfo(torch_dtype(dtype_of(element)))
        low, high = limits.min, limits.max
    op, least = (nn.ArgMaxOp, low) if largest else (nn.ArgMinOp, high)
    rank = len(nn.shape_of(x))
    places = b.reshape(b.iota(nn.shape_of(x)[dim]), [-1 if d == dim else 1 for d in range(rank)])
    found: list[SSAValue] = []
    rest = x
    for _ in range(k):
        index = b.op(op, rest, dim=dim, keepdim=True)
        found.append(index)
        rest = b.op(nn.WhereOp, b.op(nn.EqOp, places, index), least, rest)
    indices = found[0] if k == 1 else b.emit(nn.ConcatOp(found, dim))
    return b.op(nn.GatherOp, x, indices, dim=dim), indices


def _ranked(
    b: NodeBuilder, x: SSAValue, dim: int, descending: bool, first: int = 0, count: int | None = None
) -> tuple[SSAValue, SSAValue]:
    """Values and indices of the sorted row, or of `count` places of it from `first` on."""
    shape = nn.shape_of(x) or (1,)
    x = b.reshape(x, shape)
    rank, dim = len(shape), dim % len(shape)
    size = shape[dim]
    if size > _LONGEST:
        raise Unsupported(f"along {size} elements; up to {_LONGEST} are supported")
    key = x
    if is_float(nn.type_of(x).element_type):
        key = b.op(nn.WhereOp, b.op(nn.IsNanOp, b.f32(x)), inf, b.f32(x))
    # dim `dim` is the element, dim `dim + 1` the other
    one, other = (b.reshape(key, (*shape[:dim], *pair, *shape[dim + 1 :])) for pair in ((size, 1), (1, size)))
    earlier = np.tril(np.ones((size, size), dtype=np.bool_), -1).reshape(size, size, *(1,) * (rank - dim - 1))
    tied = b.op(nn.BitwiseAndOp, b.op(nn.EqOp, other, one), b.emit(constant(earlier)))
    before = b.op(nn.BitwiseOrOp, b.op(nn.GtOp if descending else nn.LtOp, other, one), tied)
    ranks = reduce(b, nn.SumOp, b.cast(before, i32), dim + 1)
    return _place(b, x, ranks, dim, first, size if count is None else count)


def _place(b: NodeBuilder, x: SSAValue, ranks: SSAValue, dim: int, first: int, count: int) -> tuple[SSAValue, SSAValue]:
    """The elements of ranks `first` to `first + count - 1`, in this order."""
    shape = nn.shape_of(ranks)
    after = (1,) * (len(shape) - dim - 1)
    wanted = b.emit(constant(np.arange(first, first + count, dtype=np.int32).reshape(count, 1, *after)))
    is_there = b.op(nn.EqOp, b.reshape(ranks, (*shape[:dim], 1, *shape[dim:])), wanted)
    places = b.reshape(b.iota(shape[dim]), (shape[dim], *after))
    indices = reduce(b, nn.SumOp, b.op(nn.WhereOp, is_there, places, b.scalar(0, i64)), dim + 1)
    result_shape = [count if d == dim else s for d, s in enumerate(shape)] if b.shape else []
    return b.reshape(b.op(nn.GatherOp, x, indices, dim=dim), result_shape), b.reshape(indices, result_shape)


# ---- places in sorted rows ----


@rule(aten.searchsorted.Tensor)
def searchsorted(
    b: NodeBuilder,
    rows: SSAValue,
    x: SSAValue,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: SSAValue | None = None,
) -> SSAValue:
    """nn.lt (nn.le from the right) and nn.sum"""
    if sorter is not None:
        rows = b.op(nn.GatherOp, rows, sorter, dim=len(nn.shape_of(rows)) - 1)
    shape = nn.shape_of(rows)
    rows = b.reshape(rows, (*shape[:-1], 1, shape[-1])) if len(shape) > 1 else rows
    return _count_before(b, rows, x, right or side == "right")


@rule(aten.bucketize.Tensor)
def bucketize(
    b: NodeBuilder, x: SSAValue, boundaries: SSAValue, *, out_int32: bool = False, right: bool = False
) -> SSAValue:
    """nn.lt (nn.le from the right) and nn.sum"""
    return _count_before(b, boundaries, x, right)


def _count_before(b: NodeBuilder, rows: SSAValue, x: SSAValue, inclusive: bool) -> SSAValue:
    shape = nn.shape_of(x)
    rows, x = b.promoted(rows, b.reshape(x, (*shape, 1)))
    before = b.op(nn.LeOp if inclusive else nn.LtOp, rows, x)
    return b.cast(reduce(b, nn.SumOp, b.cast(before, i32), len(shape)), b.element)
