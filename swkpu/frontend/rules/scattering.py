"""Elements written to places that indices say.

A result element finds its source: the last one, or all, whose index is its own. That compares every place with every
index, which is cheap for the few indices of a cache update; constant indices are compared while compiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod

import numpy as np
import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, Scalar, Value
from swkpu.frontend.rules.indexing import evenly_spaced, normal_indices, take
from swkpu.frontend.rules.slicing import insert
from swkpu.frontend.table import Unsupported, rule
from swkpu.interp.constants import constant_array
from swkpu.types import i1, i8, i32, i64, is_float

aten = torch.ops.aten

_MOST = 1 << 26
"""The most comparisons of a place with an index that one call may make."""


# ---- whole slices by indices into dims ----


@rule(aten.index_put.default, aten._unsafe_index_put.default)
def index_put(
    b: NodeBuilder, x: SSAValue, indices: Sequence[SSAValue | None], values: SSAValue, accumulate: bool = False
) -> SSAValue:
    """nn.insert_slice for constant indices in steps; else nn.eq and nn.max find the last source, nn.take fetches it"""
    masks = [v for v in indices if v is not None and nn.type_of(v).element_type == i1]
    if masks and constant_array(masks[0]) is None:
        return _where_mask(b, x, indices, values, accumulate)
    chosen = normal_indices(b, x, indices)
    shape = nn.shape_of(x)
    moved, dim = chosen.gathered(b, x)
    rest = nn.shape_of(moved)
    places = chosen.shape
    source = b.expand(b.cast(values, b.element), (*rest[:dim], *places, *rest[dim + 1 :]))
    count = prod(places)
    source = b.reshape(source, (*rest[:dim], count, *rest[dim + 1 :]))
    done = _put(b, moved, b.reshape(chosen.combined(b, shape), (count,)), source, dim, accumulate)
    if chosen.adjacent:
        return b.reshape(done, shape)
    order = [*chosen.dims, *(d for d in range(len(shape)) if d not in chosen.dims)]
    back = b.reshape(done, [shape[d] for d in order])
    return b.permute(back, [order.index(d) for d in range(len(order))])


def _where_mask(
    b: NodeBuilder, x: SSAValue, indices: Sequence[SSAValue | None], values: SSAValue, accumulate: bool
) -> SSAValue:
    """`x[mask] = values`: the n-th place where the mask holds gets the n-th value, or all get the one there is."""
    (at, mask), *more = [(i, v) for i, v in enumerate(indices) if v is not None]
    if more:
        raise Unsupported("with a mask that depends on the model's inputs and other indices")
    rank, places = len(nn.shape_of(x)), nn.shape_of(mask)
    after = rank - at - len(places)
    values = b.cast(values, b.element)
    held = b.reshape(mask, (*places, *(1,) * after))
    shape = nn.shape_of(values)
    dim = len(shape) - after - 1
    if dim >= 0 and shape[dim] == 1:
        values = b.reshape(values, (*shape[:dim], *(1,) * len(places), *shape[dim + 1 :]))
    elif dim >= 0:
        number = b.emit(nn.CumSumOp(b.cast(b.flat(mask), i64), 0))
        which = b.op(nn.MinimumOp, b.op(nn.MaximumOp, b.op(nn.SubOp, number, 1), 0), shape[dim] - 1)
        values = b.emit(nn.TakeOp(values, b.reshape(which, places), dim))
    return b.emit(nn.WhereOp(held, b.op(nn.AddOp, x, values) if accumulate else values, x))


def _put(b: NodeBuilder, x: SSAValue, indices: SSAValue, source: SSAValue, dim: int, accumulate: bool) -> SSAValue:
    """Put (add) slice k of `source` at `indices[k]` of dim `dim`."""
    known = constant_array(indices)
    if nn.shape_of(indices) == (0,):
        return x
    if known is not None and (even := evenly_spaced(known)) is not None:
        if accumulate:
            source = b.op(nn.AddOp, b.slice(x, dim, even[0], known.size, even[1]), source)
        return insert(b, x, source, dim, *even)
    size, count = nn.shape_of(x)[dim], nn.shape_of(indices)[0]
    _check(size * count)
    hits = b.op(nn.EqOp, b.reshape(b.iota(size), (size, 1)), b.reshape(b.cast(indices, i64), (1, count)))
    after = (1,) * (len(nn.shape_of(x)) - dim - 1)
    if accumulate:
        return _accumulate(b, x, hits, source, dim)
    last = b.emit(nn.MaxOp(b.op(nn.WhereOp, hits, b.iota(count), -1), (1,), False))
    fetched = take(b, source, b.op(nn.MaximumOp, last, 0), dim)
    found = b.reshape(b.op(nn.GeOp, last, 0), (size, *after))
    return b.emit(nn.WhereOp(found, fetched, x))


def _accumulate(b: NodeBuilder, x: SSAValue, hits: SSAValue, source: SSAValue, dim: int) -> SSAValue:
    """Add the sources that hit each place: a product with a matrix of ones and zeros."""
    b.float_only(x)
    order = [d for d in range(len(nn.shape_of(x))) if d != dim]
    columns = b.permute(b.f32(source), [dim, *order])
    count, *rest = nn.shape_of(columns)
    sums = b.emit(nn.MatmulOp(b.f32(hits), b.reshape(columns, (count, prod(rest)))))
    spread = b.reshape(sums, (nn.shape_of(hits)[0], *rest))
    back = b.permute(spread, [order.index(d) + 1 if d != dim else 0 for d in range(len(order) + 1)])
    return b.op(nn.AddOp, b.f32(x), back)


def _check(comparisons: int) -> None:
    if comparisons > _MOST:
        raise Unsupported(f"that compares {comparisons} pairs of a place and an index; up to {_MOST} are")


# ---- single elements by indices along one dim ----


@rule(aten.scatter.src)
def scatter(b: NodeBuilder, x: SSAValue, dim: int, indices: SSAValue, source: SSAValue) -> SSAValue:
    """nn.eq and nn.max to find the last source, nn.gather to fetch it, nn.where"""
    return _scatter(b, x, dim, indices, source, None)


@rule(aten.scatter.value)
def scatter_value(b: NodeBuilder, x: SSAValue, dim: int, indices: SSAValue, value: Scalar) -> SSAValue:
    """nn.eq and nn.any to find the places, nn.where"""
    return _scatter(b, x, dim, indices, value, None)


@rule(aten.scatter_add.default)
def scatter_add(b: NodeBuilder, x: SSAValue, dim: int, indices: SSAValue, source: SSAValue) -> SSAValue:
    """nn.eq to find the sources, nn.where and nn.sum"""
    return _scatter(b, x, dim, indices, source, "sum")


@rule(aten.scatter.reduce)
def scatter_reduce_old(
    b: NodeBuilder, x: SSAValue, dim: int, indices: SSAValue, source: SSAValue, *, reduce: str
) -> SSAValue:
    """nn.eq to find the sources, nn.where and a reduction"""
    return _scatter(b, x, dim, indices, source, {"add": "sum", "multiply": "prod"}[reduce])


@rule(aten.scatter.value_reduce)
def scatter_value_reduce(
    b: NodeBuilder, x: SSAValue, dim: int, indices: SSAValue, value: Scalar, *, reduce: str
) -> SSAValue:
    """nn.eq to find the sources, nn.where and a reduction"""
    source = b.filled(nn.shape_of(indices), value, b.element)
    return _scatter(b, x, dim, indices, source, {"add": "sum", "multiply": "prod"}[reduce])


@rule(aten.scatter_reduce.two)
def scatter_reduce(
    b: NodeBuilder,
    x: SSAValue,
    dim: int,
    indices: SSAValue,
    source: SSAValue,
    reduce: str,
    *,
    include_self: bool = True,
) -> SSAValue:
    """nn.eq to find the sources, nn.where and a reduction"""
    return _scatter(b, x, dim, indices, source, reduce, include_self)


def _scatter(
    b: NodeBuilder,
    x: SSAValue,
    dim: int,
    indices: SSAValue,
    source: Value,
    reduce: str | None,
    include_self: bool = True,
) -> SSAValue:
    if not b.shape:  # a tensor without dims is one of one element
        x, indices = b.reshape(x, (1,)), b.reshape(indices, (1,))
        source = b.reshape(source, (1,)) if isinstance(source, SSAValue) else source
    whole = nn.shape_of(x)
    dim %= len(whole)
    if isinstance(source, SSAValue):
        source = _corner(b, b.cast(source, b.element), nn.shape_of(indices))
    part = tuple(s if d == dim else n for d, (s, n) in enumerate(zip(whole, nn.shape_of(indices))))
    reached = _corner(b, x, part)
    done = _scatter_part(b, reached, dim, indices, source, reduce, include_self)
    if part == whole:
        return b.reshape(done, b.shape)
    ones = [1] * len(whole)
    return b.emit(nn.InsertSliceOp(x, b.cast(done, nn.type_of(x).element_type), [0] * len(whole), ones))


def _corner(b: NodeBuilder, x: SSAValue, sizes: Sequence[int]) -> SSAValue:
    for dim, size in enumerate(sizes):
        x = b.slice(x, dim, 0, size)
    return x


def _scatter_part(
    b: NodeBuilder, x: SSAValue, dim: int, indices: SSAValue, source: Value, reduce: str | None, include_self: bool
) -> SSAValue:
    """Indices of the tensor's own shape but for dim `dim`. `hits` has the places at `dim`, the sources behind it."""
    shape, count = nn.shape_of(x), nn.shape_of(indices)[dim]
    _check(prod(shape) * count)
    after = (1,) * (len(shape) - dim - 1)
    spread = (*shape[:dim], 1, count, *shape[dim + 1 :])
    places = b.reshape(b.iota(shape[dim]), (shape[dim], 1, *after))
    hits = b.op(nn.EqOp, places, b.reshape(b.cast(indices, i64), spread))
    if reduce is not None:
        assert isinstance(source, SSAValue)
        return _reduced(b, x, hits, b.reshape(source, spread), dim + 1, reduce, include_self)
    if not isinstance(source, SSAValue):
        found = b.emit(nn.AnyOp(hits, (dim + 1,), False))
        return b.emit(nn.WhereOp(found, b.scalar(source, nn.type_of(x).element_type), x))
    numbers = b.reshape(b.iota(count), (count, *after))
    last = b.emit(nn.MaxOp(b.op(nn.WhereOp, hits, numbers, -1), (dim + 1,), False))
    fetched = b.emit(nn.GatherOp(source, b.op(nn.MaximumOp, last, 0), dim))
    return b.emit(nn.WhereOp(b.op(nn.GeOp, last, 0), fetched, x))


_REDUCTIONS: dict[str, tuple[type[nn.ReduceOp], type[nn.BinaryOp], float]] = {
    "sum": (nn.SumOp, nn.AddOp, 0),
    "mean": (nn.SumOp, nn.AddOp, 0),
    "prod": (nn.ProdOp, nn.MulOp, 1),
    "amax": (nn.MaxOp, nn.MaximumOp, -inf),
    "amin": (nn.MinOp, nn.MinimumOp, inf),
}


def _reduced(
    b: NodeBuilder, x: SSAValue, hits: SSAValue, source: SSAValue, dim: int, reduce: str, include_self: bool
) -> SSAValue:
    op, combine, identity = _REDUCTIONS[reduce]
    x, source = b.as_type(i32 if b.element in (i1, i8) else b.element, x, source)
    element = nn.type_of(x).element_type
    if not is_float(element) and abs(identity) == inf:
        limits = np.iinfo(np.int64 if element == i64 else np.int32)
        identity = limits.min if identity < 0 else limits.max
    values = b.op(nn.WhereOp, hits, source, b.scalar(identity, element))
    result = b.cast(b.emit(op(values, (dim,), False)), element)
    if include_self:
        result = b.op(combine, result, x)
    found = b.emit(nn.AnyOp(hits, (dim,), False))
    if reduce == "mean":
        count = b.cast(b.emit(nn.SumOp(b.cast(hits, i64), (dim,), False)), element)
        count = b.op(nn.AddOp, count, 1) if include_self else b.op(nn.MaximumOp, count, 1)
        result = b.op(nn.DivOp, result, count) if is_float(element) else b.op(nn.FloorDivideOp, result, count)
    return b.emit(nn.WhereOp(found, result, x))
