"""Constants and data movement: copies with access maps, writes into parts of a tensor, gathers, reshapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineExpr

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import shape_of, type_of
from swkpu.dialects.weights import WeightAttr
from swkpu.interp.constants import array_of
from swkpu.lowering.structure import affine, inline_constant
from swkpu.lowering.table import lowering
from swkpu.types import i32


@lowering(nn.ConstantOp)
def lower_constant(op: nn.ConstantOp) -> list[Operation]:
    value = op.value if isinstance(op.value, WeightAttr) else WeightAttr.from_array(array_of(op))
    return [df.ConstantOp(value, op.result.type)]


def box(shape: Sequence[int]) -> tuple[Domain, list[AffineExpr]]:
    """The domain that walks a tensor's dims in their order, and its dims."""
    names = ("n", "c", "h", "w") if len(shape) == 4 else tuple(f"d{i}" for i in range(len(shape)))
    return Domain(names, tuple(shape), len(shape)), [AffineExpr.dimension(i) for i in range(len(shape))]


@lowering(nn.PermuteOp)
def lower_permute(op: nn.PermuteOp) -> list[Operation]:
    domain, d = box(shape_of(op.result))
    return [df.CopyOp(op.input, domain, affine(len(d), [d[op.order.index(axis)] for axis in range(len(d))]))]


@lowering(nn.ReshapeOp)
def lower_reshape(op: nn.ReshapeOp) -> list[Operation]:
    return [df.ReshapeOp(op.input, shape_of(op.result))]


def part(value: SSAValue, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]) -> df.CopyOp:
    """A box of a tensor, in steps."""
    domain, d = box(sizes)
    return df.CopyOp(value, domain, affine(len(d), [e * s + at for e, s, at in zip(d, steps, starts)]))


def take(value: SSAValue, indices: SSAValue, dim: int) -> df.GatherOp:
    """Elements along a dim by an index tensor of any rank, whose dims take the dim's place."""
    shape, chosen = shape_of(value), shape_of(indices)
    domain, d = box((*shape[:dim], *chosen, *shape[dim + 1 :]))
    read = [*d[:dim], 0, *d[dim + len(chosen) :]]
    return df.GatherOp(value, indices, domain, affine(len(d), read), affine(len(d), d[dim : dim + len(chosen)]), dim)


def taken(value: SSAValue, dim: int, index: np.ndarray[Any, Any]) -> list[Operation]:
    """Elements along a dim by constant indices."""
    indices = inline_constant(index.astype(np.int32), TensorType(i32, index.shape))
    return [indices, take(value, indices.result, dim)]


def flipped(value: SSAValue, dims: Iterable[int]) -> list[Operation]:
    """A tensor with dims turned round; nothing where that changes nothing. A constant is turned at once."""
    shape = shape_of(value)
    dims = [d for d in dims if shape[d] > 1]
    if dims and isinstance(value.owner, df.ConstantOp):
        turned = np.ascontiguousarray(np.flip(value.owner.array(), tuple(dims)))
        return [inline_constant(turned, type_of(value))]
    ops: list[Operation] = []
    for d in dims:
        ops += taken(value, d, np.arange(shape[d])[::-1])
        value = ops[-1].results[0]
    return ops
