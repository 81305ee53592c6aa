"""Reductions over whole dims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, normal_dims
from swkpu.frontend.elements import element_of
from swkpu.frontend.table import Unsupported, rule

aten = torch.ops.aten


def _reduce(
    b: NodeBuilder, op: type[nn.ReduceOp], x: SSAValue, dims: Sequence[int] | int | None, keepdim: bool
) -> SSAValue:
    b.float_only()
    rank = len(nn.shape_of(x))
    dims = [dims] if isinstance(dims, int) else dims
    return b.emit(op(x, sorted(normal_dims(dims, rank)) if dims else range(rank), keepdim))


def _in(b: NodeBuilder, x: SSAValue, dtype: torch.dtype | None) -> SSAValue:
    """The input in the type that `dtype=` asks for."""
    return x if dtype is None else b.cast(x, element_of(dtype))


@rule(aten.mean.dim)
def mean(
    b: NodeBuilder, x: SSAValue, dims: Sequence[int] | None, keepdim: bool = False, dtype: torch.dtype | None = None
) -> SSAValue:
    """nn.mean"""
    return _reduce(b, nn.MeanOp, _in(b, x, dtype), dims, keepdim)


@rule(aten.mean.default)
def mean_all(b: NodeBuilder, x: SSAValue, dtype: torch.dtype | None = None) -> SSAValue:
    """nn.mean"""
    return _reduce(b, nn.MeanOp, _in(b, x, dtype), None, False)


@rule(aten.sum.dim_IntList)
def sum_dims(
    b: NodeBuilder, x: SSAValue, dims: Sequence[int] | None, keepdim: bool = False, dtype: torch.dtype | None = None
) -> SSAValue:
    """nn.sum"""
    return _reduce(b, nn.SumOp, _in(b, x, dtype), dims, keepdim)


@rule(aten.sum.default)
def sum_all(b: NodeBuilder, x: SSAValue, dtype: torch.dtype | None = None) -> SSAValue:
    """nn.sum"""
    return _reduce(b, nn.SumOp, _in(b, x, dtype), None, False)


@rule(aten.amax.default)
def amax(b: NodeBuilder, x: SSAValue, dims: Sequence[int] = (), keepdim: bool = False) -> SSAValue:
    """nn.max"""
    return _reduce(b, nn.MaxOp, x, dims, keepdim)


@rule(aten.max.dim)
def max_dim(b: NodeBuilder, x: SSAValue, dim: int, keepdim: bool = False) -> tuple[Any, ...]:
    """nn.max, where the indices are not used"""
    if not nn.shape_of(x):
        raise Unsupported("on a scalar")
    return _reduce(b, nn.MaxOp, x, dim, keepdim), None
