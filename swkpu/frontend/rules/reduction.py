"""Reductions over whole dims."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import Any

import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, Scalar, normal_dims
from swkpu.frontend.elements import element_of
from swkpu.frontend.table import rule
from swkpu.types import i1, i32, is_float

aten = torch.ops.aten

Dims = Sequence[int] | int | None


def reduced_dims(x: SSAValue, dims: Dims) -> list[int]:
    """The dims in order, counted from the front; all where torch takes none to mean all."""
    rank = len(nn.shape_of(x))
    if dims is None or (not isinstance(dims, int) and not dims):
        return list(range(rank))
    return sorted(normal_dims([dims] if isinstance(dims, int) else dims, rank)) if rank else []


def reduce(b: NodeBuilder, op: type[nn.ReduceOp], x: SSAValue, dims: Dims, keepdim: bool = False) -> SSAValue:
    return b.op(op, x, dims=reduced_dims(x, dims), keepdim=keepdim)


def _in(b: NodeBuilder, x: SSAValue, dtype: torch.dtype | None) -> SSAValue:
    """The input in the type that `dtype=` asks for; without it, integers in the result's. Bools are counted."""
    if dtype is not None:
        x = b.cast(x, element_of(dtype))
    elif not is_float(nn.type_of(x).element_type):
        x = b.cast(x, b.element)
    return b.cast(x, i32) if nn.type_of(x).element_type == i1 else x


@rule(aten.mean.dim)
def mean(b: NodeBuilder, x: SSAValue, dims: Dims, keepdim: bool = False, dtype: torch.dtype | None = None) -> SSAValue:
    """nn.mean"""
    return reduce(b, nn.MeanOp, _in(b, x, dtype), dims, keepdim)


@rule(aten.mean.default)
def mean_all(b: NodeBuilder, x: SSAValue, dtype: torch.dtype | None = None) -> SSAValue:
    """nn.mean"""
    return reduce(b, nn.MeanOp, _in(b, x, dtype), None)


@rule(aten.sum.dim_IntList)
def sum_dims(
    b: NodeBuilder, x: SSAValue, dims: Dims, keepdim: bool = False, dtype: torch.dtype | None = None
) -> SSAValue:
    """nn.sum"""
    return reduce(b, nn.SumOp, _in(b, x, dtype), dims, keepdim)


@rule(aten.sum.default)
def sum_all(b: NodeBuilder, x: SSAValue, dtype: torch.dtype | None = None) -> SSAValue:
    """nn.sum"""
    return reduce(b, nn.SumOp, _in(b, x, dtype), None)


@rule(aten.prod.dim_int)
def prod_dim(
    b: NodeBuilder, x: SSAValue, dim: int, keepdim: bool = False, dtype: torch.dtype | None = None
) -> SSAValue:
    """nn.prod"""
    return reduce(b, nn.ProdOp, _in(b, x, dtype), dim, keepdim)


@rule(aten.prod.default)
def prod_all(b: NodeBuilder, x: SSAValue, dtype: torch.dtype | None = None) -> SSAValue:
    """nn.prod"""
    return reduce(b, nn.ProdOp, _in(b, x, dtype), None)


@rule(aten.any.default, aten.any.dim, aten.any.dims)
def any_(b: NodeBuilder, x: SSAValue, dims: Dims = None, keepdim: bool = False) -> SSAValue:
    """nn.any of what is not zero"""
    return reduce(b, nn.AnyOp, b.truth(x), dims, keepdim)


@rule(aten.all.default, aten.all.dim, aten.all.dims)
def all_(b: NodeBuilder, x: SSAValue, dims: Dims = None, keepdim: bool = False) -> SSAValue:
    """nn.bitwise_not of nn.any of what is zero"""
    return b.op(nn.BitwiseNotOp, reduce(b, nn.AnyOp, b.op(nn.BitwiseNotOp, b.truth(x)), dims, keepdim))


# ---- largest and smallest ----


@rule(aten.amax.default)
def amax(b: NodeBuilder, x: SSAValue, dims: Sequence[int] = (), keepdim: bool = False) -> SSAValue:
    """nn.max"""
    return reduce(b, nn.MaxOp, x, dims, keepdim)


@rule(aten.amin.default)
def amin(b: NodeBuilder, x: SSAValue, dims: Sequence[int] = (), keepdim: bool = False) -> SSAValue:
    """nn.min"""
    return reduce(b, nn.MinOp, x, dims, keepdim)


@rule(aten.max.default)
def max_all(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """nn.max"""
    return reduce(b, nn.MaxOp, x, None)


@rule(aten.min.default)
def min_all(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """nn.min"""
    return reduce(b, nn.MinOp, x, None)


@rule(aten.max.dim)
def max_dim(b: NodeBuilder, x: SSAValue, dim: int, keepdim: bool = False) -> tuple[Any, ...]:
    """nn.max and nn.argmax"""
    return (
        reduce(b, nn.MaxOp, x, dim, keepdim) if 0 in b.used else None,
        _arg(b, nn.ArgMaxOp, x, dim, keepdim) if 1 in b.used else None,
    )


@rule(aten.min.dim)
def min_dim(b: NodeBuilder, x: SSAValue, dim: int, keepdim: bool = False) -> tuple[Any, ...]:
    """nn.min and nn.argmin"""
    return (
        reduce(b, nn.MinOp, x, dim, keepdim) if 0 in b.used else None,
        _arg(b, nn.ArgMinOp, x, dim, keepdim) if 1 in b.used else None,
    )


@rule(aten.argmax.default)
def argmax(b: NodeBuilder, x: SSAValue, dim: int | None = None, keepdim: bool = False) -> SSAValue:
    """nn.argmax; without a dim of the flat tensor"""
    return _arg(b, nn.ArgMaxOp, x, dim, keepdim)


@rule(aten.argmin.default)
def argmin(b: NodeBuilder, x: SSAValue, dim: int | None = None, keepdim: bool = False) -> SSAValue:
    """nn.argmin; without a dim of the flat tensor"""
    return _arg(b, nn.ArgMinOp, x, dim, keepdim)


def _arg(b: NodeBuilder, op: type[nn.ArgReduceOp], x: SSAValue, dim: int | None, keepdim: bool) -> SSAValue:
    rank = len(nn.shape_of(x))
    if dim is not None and rank:
        return b.op(op, x, dim=dim % rank, keepdim=keepdim)
    index = b.op(op, b.reshape(x, (prod(nn.shape_of(x)),)), dim=0, keepdim=False)
    return b.reshape(index, (1,) * rank if keepdim else ())


# ---- moments and norms ----


def moments(b: NodeBuilder, x: SSAValue, dims: Dims, correction: Scalar | None) -> tuple[SSAValue, SSAValue]:
    """Variance and mean in f32, dims kept."""
    x = b.f32(x)
    mean = reduce(b, nn.MeanOp, x, dims, True)
    distance = b.op(nn.SubOp, x, mean)
    squares = reduce(b, nn.SumOp, b.op(nn.MulOp, distance, distance), dims, True)
    count = prod(nn.shape_of(x)[d] for d in reduced_dims(x, dims))
    return b.op(nn.DivOp, squares, max(0.0, count - (1 if correction is None else correction))), mean


@rule(aten.var.correction)
def var(
    b: NodeBuilder, x: SSAValue, dims: Dims = None, *, correction: Scalar | None = None, keepdim: bool = False
) -> SSAValue:
    """nn.mean, nn.sub, nn.mul, nn.sum and nn.div"""
    return b.reshape(moments(b, x, dims, correction)[0], b.shape)


@rule(aten.var_mean.correction)
def var_mean(
    b: NodeBuilder, x: SSAValue, dims: Dims = None, *, correction: Scalar | None = None, keepdim: bool = False
) -> tuple[SSAValue, SSAValue]:
    """nn.mean, nn.sub, nn.mul, nn.sum and nn.div"""
    variance, mean = moments(b, x, dims, correction)
    return b.reshape(variance, b.shape), b.reshape(mean, b.shape)


@rule(aten.linalg_vector_norm.default)
def vector_norm(
    b: NodeBuilder,
    x: SSAValue,
    order: Scalar = 2,
    dims: Dims = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> SSAValue:
    """nn.sum of powers of nn.abs and its root; nn.max or nn.min for infinite orders, nn.sum of nn.ne for order 0"""
    x = b.f32(x if dtype is None else b.cast(x, element_of(dtype)))
    if order == 0:
        return reduce(b, nn.SumOp, b.f32(b.op(nn.NeOp, x, 0.0)), dims, keepdim)
    if order == 2:
        return b.op(nn.SqrtOp, reduce(b, nn.SumOp, b.op(nn.MulOp, x, x), dims, keepdim))
    size = b.op(nn.AbsOp, x)
    if abs(order) == inf:
        return reduce(b, nn.MaxOp if order > 0 else nn.MinOp, size, dims, keepdim)
    if order == 1:
        return reduce(b, nn.SumOp, size, dims, keepdim)
    total = reduce(b, nn.SumOp, b.op(nn.PowOp, size, float(order)), dims, keepdim)
    return b.op(nn.PowOp, total, 1.0 / order)
