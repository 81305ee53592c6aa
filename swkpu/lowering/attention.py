"""Scaled dot-product attention: two matrix products with a softmax between them that is divided at the very end."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import shape_of, type_of
from swkpu.lowering.arithmetic import Arithmetic, epilogue, pointwise
from swkpu.lowering.comparison import LARGEST
from swkpu.lowering.reduction import reduced_type, reduction
from swkpu.lowering.structure import affine, dims, inline_constant, region
from swkpu.lowering.table import lowering
from swkpu.types import i32

SMALLEST = 1.1754943508222875e-38
"""The smallest normal f32."""


@lowering(nn.SdpaOp)
def lower_sdpa(op: nn.SdpaOp) -> list[Operation]:
    """scores = scale q kᵀ + mask; p = exp(scores - max), stored as the operands are; p v / sum of p.

    The powers of a row that sees a key are at most 1, and one is 1. In a row that sees none every score is -inf: the
    maximum is kept finite, so that its powers are 0, and so is the divisor, so that the row is 0.
    """
    scores = _scores(op)
    score = scores[-1].results[0]
    shape = type_of(score)
    row = [len(shape.get_shape()) - 1]

    def finite(a: Arithmetic, largest: SSAValue) -> SSAValue:
        return a(arith.MaximumfOp, largest, a.number(-LARGEST, largest))

    def power(a: Arithmetic, score: SSAValue, largest: SSAValue) -> SSAValue:
        return a(math.ExpOp, a(arith.SubfOp, score, largest))

    def positive(a: Arithmetic, total: SSAValue) -> SSAValue:
        return a(arith.MaximumfOp, total, a.number(SMALLEST, total))

    statistic = reduced_type(shape, row, f32)
    largest = reduction(score, row, "max", statistic, finite)
    element = type_of(op.value).element_type
    powers = pointwise([score, largest.result], TensorType(element, shape.get_shape()), power)
    weights = powers[-1].results[0]
    total = reduction(weights, row, "add", statistic, positive)
    return [*scores, largest, *powers, total, _weighted(op, weights, total.result)]


def _scores(op: nn.SdpaOp) -> list[Operation]:
    """[..., L, S]"""
    *_, length, size = shape_of(op.query)
    keys = shape_of(op.key)[-2]
    batch = shape_of(op.result)[:-2]
    space = _Space(batch, ("query", "key"), (length, keys), ("size", size))
    q, k, e = space.inner
    constants: list[Operation] = []
    extras: list[tuple[SSAValue, AffineMap]] = []
    if op.mask is not None:
        extras.append((op.mask, space.broadcast(op.mask, [q, k])))
    if op.is_causal:
        for count, dim in ((length, q), (keys, k)):
            constants.append(inline_constant(np.arange(count, dtype=np.int32), TensorType(i32, [count])))
            extras.append((constants[-1].results[0], affine(space.rank, [dim])))

    def score(a: Arithmetic, product: SSAValue, *extras: SSAValue) -> SSAValue:
        rest = list(extras)
        out = a(arith.MulfOp, product, a.number(op.scale.value.data, product))
        if op.mask is not None:
            out = a(arith.AddfOp, out, rest.pop(0))
        if op.is_causal:
            out = a.select(a.compare("sge", *rest), out, a.number(-inf, out))
        return out

    types = [f32, *(type_of(v).element_type for v, _ in extras)]
    result = TensorType(f32, (*batch, length, keys))
    inputs = [(op.query, space.broadcast(op.query, [q, e])), (op.key, space.broadcast(op.key, [k, e]))]
    body = region(types, epilogue(score, f32))
    return [*constants, df.RecurrenceOp(space.domain, "mac", inputs, extras, space.result, body, result)]


def _weighted(op: nn.SdpaOp, weights: SSAValue, total: SSAValue) -> df.RecurrenceOp:
    """[..., L, Ev]: the values, weighted, divided by the sum of the weights."""
    *batch, length, width = shape_of(op.result)
    space = _Space(batch, ("query", "width"), (length, width), ("key", shape_of(op.value)[-2]))
    q, v, k = space.inner
    inputs = [(weights, space.broadcast(weights, [q, k])), (op.value, space.broadcast(op.value, [k, v]))]
    extras = [(total, space.broadcast(total, [q, 0]))]
    body = region([f32, f32], epilogue(lambda a, x, total: a(arith.DivfOp, x, total), f32))
    return df.RecurrenceOp(space.domain, "mac", inputs, extras, space.result, body, type_of(op.result))


class _Space:
    """The domain of a batched matrix product, and access maps over it."""

    def __init__(self, batch: Sequence[int], names: tuple[str, str], sizes: tuple[int, int], reduced: tuple[str, int]):
        self.batch = tuple(batch)
        outer = tuple(f"b{i}" for i in range(len(batch)))
        self.domain = Domain((*outer, *names, reduced[0]), (*batch, *sizes, reduced[1]), len(batch) + 2)
        self.rank = self.domain.rank
        self.dims = dims(self.rank)
        self.inner = self.dims[len(batch) :]
        self.result = affine(self.rank, self.dims[:-1])

    def broadcast(self, value: SSAValue, inner: Sequence[AffineExpr | int]) -> AffineMap:
        """A read whose last dims are `inner` and the others the batch's, or 0 where the value broadcasts."""
        shape = shape_of(value)
        exprs = [*self.dims[: len(self.batch)], *inner]
        last = exprs[len(exprs) - len(shape) :]
        return affine(self.rank, [0 if n == 1 and self._extent(e) != 1 else e for n, e in zip(shape, last)])

    def _extent(self, expr: AffineExpr | int) -> int:
        return self.domain.extents[self.dims.index(expr)] if isinstance(expr, AffineExpr) else 1
