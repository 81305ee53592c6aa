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
from swkpu.frontend.builder import NodeBuilder, Value
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


@rule(aten.nanmedian.dim)
def nanmedian_dim(b: NodeBuilder, x: SSAValue, dim: int, keepdim: bool = False) -> tuple[SSAValue, SSAValue]:
    """as median, of the elements that are not NaN: nn.isnan and nn.sum count them"""
    if not is_float(nn.type_of(x).element_type):
        return median_dim(b, x, dim, keepdim)
    shape = nn.shape_of(x) or (1,)
    x, dim = b.reshape(x, shape), dim % len(shape)
    is_number = b.op(nn.BitwiseNotOp, b.op(nn.IsNanOp, b.f32(x)))
    count = reduce(b, nn.SumOp, b.cast(is_number, i32), dim, True)
    middle = b.op(nn.MaximumOp, b.op(nn.DivOp, b.op(nn.SubOp, count, 1), 2), 0)
    values, indices = _placed(b, x, _ranks(b, x, dim, False), dim, middle, 1)
    return b.reshape(values, b.shape), b.reshape(indices, b.shape)


@rule(aten.nanmedian.default)
def nanmedian(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """as median, of the elements that are not NaN: nn.isnan and nn.sum count them"""
    flat = b.reshape(x, (int(np.prod(nn.shape_of(x))),))
    return nanmedian_dim(b, flat, 0)[0]


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
    places = b.iota(nn.shape_of(x)[dim], dim=dim, rank=rank)
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
    x, dim = b.reshape(x, shape), dim % len(shape)
    count = shape[dim] if count is None else count
    wanted = np.arange(first, first + count, dtype=np.int32).reshape(count, *(1,) * (len(shape) - dim - 1))
    values, indices = _placed(b, x, _ranks(b, x, dim, descending), dim, b.emit(constant(wanted)), count)
    result = [count if d == dim else s for d, s in enumerate(shape)] if b.shape else []
    return b.reshape(values, result), b.reshape(indices, result)


def _ranks(b: NodeBuilder, x: SSAValue, dim: int, descending: bool) -> SSAValue:
    """How many elements of its row go before each element, as i32."""
    shape = nn.shape_of(x)
    size = shape[dim]
    if size > _LONGEST:
        raise Unsupported(f"along {size} elements; up to {_LONGEST} are supported")
    if is_float(nn.type_of(x).element_type):
        x = b.op(nn.WhereOp, b.op(nn.IsNanOp, b.f32(x)), inf, b.f32(x))
    # dim `dim` is the element, dim `dim + 1` the other
    one, other = (b.reshape(x, (*shape[:dim], *pair, *shape[dim + 1 :])) for pair in ((size, 1), (1, size)))
    earlier = np.tril(np.ones((size, size), dtype=np.bool_), -1).reshape(size, size, *(1,) * (len(shape) - dim - 1))
    tied = b.op(nn.BitwiseAndOp, b.op(nn.EqOp, other, one), b.emit(constant(earlier)))
    before = b.op(nn.BitwiseOrOp, b.op(nn.GtOp if descending else nn.LtOp, other, one), tied)
    return reduce(b, nn.SumOp, b.cast(before, i32), dim + 1)


def _placed(
    b: NodeBuilder, x: SSAValue, ranks: SSAValue, dim: int, wanted: SSAValue, count: int
) -> tuple[SSAValue, SSAValue]:
    """The elements of the wanted ranks, `count` along the dim, and their indices."""
    shape = nn.shape_of(ranks)
    own, theirs = (*shape[:dim], 1, *shape[dim:]), nn.shape_of(wanted)
    lead = len(theirs) - (len(shape) - dim)
    is_there = b.op(nn.EqOp, b.reshape(ranks, own), b.reshape(wanted, (*theirs[:lead], count, 1, *theirs[lead + 1 :])))
    places = b.iota(shape[dim], rank=len(shape) - dim)
    indices = reduce(b, nn.SumOp, b.op(nn.WhereOp, is_there, places, b.scalar(0, i64)), dim + 1)
    return b.op(nn.GatherOp, x, indices, dim=dim), indices


# ---- places in sorted rows ----


@rule(aten.searchsorted.Tensor, aten.searchsorted.Scalar)
def searchsorted(
    b: NodeBuilder,
    rows: SSAValue,
    x: Value,
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


@rule(aten.bucketize.Tensor, aten.bucketize.Scalar)
def bucketize(
    b: NodeBuilder, x: Value, boundaries: SSAValue, *, out_int32: bool = False, right: bool = False
) -> SSAValue:
    """nn.lt (nn.le from the right) and nn.sum"""
    return _count_before(b, boundaries, x, right)


def _count_before(b: NodeBuilder, rows: SSAValue, x: Value, inclusive: bool) -> SSAValue:
    shape = nn.shape_of(x) if isinstance(x, SSAValue) else ()
    rows, x = b.promoted(rows, b.reshape(x, (*shape, 1)) if isinstance(x, SSAValue) else x)
    before = b.op(nn.LeOp if inclusive else nn.LtOp, rows, x)
    return b.cast(reduce(b, nn.SumOp, b.cast(before, i32), len(shape)), b.element)
