"""Running reductions along a dim."""

from __future__ import annotations

from math import inf

import numpy as np
import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder
from swkpu.frontend.rules.reduction import reduce
from swkpu.frontend.table import Rule, Unsupported, rule
from swkpu.interp.constants import constant
from swkpu.types import i1, i32, i64, is_float

aten = torch.ops.aten

_LONGEST = 1024
"""A running logsumexp takes the square of this many elements."""


def _running(op: type[nn.CumulativeOp]) -> Rule:
    def import_running(b: NodeBuilder, x: SSAValue, dim: int, *, dtype: torch.dtype | None = None) -> SSAValue:
        x = b.cast(x, b.element) if dtype is not None or not is_float(b.element) else x
        rank = len(nn.shape_of(x))
        return b.op(op, x, dim=dim % rank) if rank else x

    import_running.__doc__ = op.name
    return import_running


rule(aten.cumsum.default)(_running(nn.CumSumOp))
rule(aten.cumprod.default)(_running(nn.CumProdOp))


def _extreme(op: type[nn.CumulativeOp]) -> Rule:
    def import_extreme(b: NodeBuilder, x: SSAValue, dim: int) -> tuple[SSAValue, SSAValue | None]:
        rank = len(nn.shape_of(x))
        if not rank:
            return x, b.scalar(0, i64)
        along = dim % rank
        x = b.cast(x, i32) if b.element == i1 else x
        best = b.op(op, x, dim=along)
        if 1 not in b.used:
            return best, None
        places = b.iota(nn.shape_of(x)[along], dim=along, rank=rank)
        candidates = b.op(nn.WhereOp, b.op(nn.EqOp, x, best), places, 0)
        return best, b.op(nn.CumMaxOp, candidates, dim=along)

    import_extreme.__doc__ = f"{op.name}; the indices by nn.eq, nn.where and nn.cummax"
    return import_extreme


rule(aten.cummax.default)(_extreme(nn.CumMaxOp))
rule(aten.cummin.default)(_extreme(nn.CumMinOp))


@rule(aten.logcumsumexp.default)
def logcumsumexp(b: NodeBuilder, x: SSAValue, dim: int) -> SSAValue:
    """nn.where of a triangle, then nn.max, nn.sub, nn.exp, nn.sum, nn.log and nn.add over a row per element"""
    shape = nn.shape_of(x)
    if not shape:
        return x
    dim %= len(shape)
    size = shape[dim]
    if size > _LONGEST:
        raise Unsupported(f"along {size} elements; up to {_LONGEST} are supported")
    rows = b.reshape(b.f32(x), (*shape[:dim], 1, *shape[dim:]))
    triangle = np.tril(np.ones((size, size), dtype=np.bool_)).reshape(size, size, *(1,) * (len(shape) - dim - 1))
    rows = b.op(nn.WhereOp, b.emit(constant(triangle)), rows, -inf)
    largest = reduce(b, nn.MaxOp, rows, dim + 1, True)
    largest = b.op(nn.WhereOp, b.op(nn.IsInfOp, largest), 0.0, largest)
    total = reduce(b, nn.SumOp, b.op(nn.ExpOp, b.op(nn.SubOp, rows, largest)), dim + 1, True)
    return b.reshape(b.op(nn.AddOp, b.op(nn.LogOp, total), largest), shape)
