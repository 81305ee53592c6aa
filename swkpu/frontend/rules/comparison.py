"""Comparisons, tests, logic, and selection by a condition."""

from __future__ import annotations

from math import inf

import torch
from torch._ops import OpOverload, OpOverloadPacket
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, Scalar, Value
from swkpu.frontend.rules.elementwise import arithmetic
from swkpu.frontend.table import Rule, overloads, rule
from swkpu.types import is_float

aten = torch.ops.aten

_COMPARE: dict[OpOverloadPacket, type[nn.CompareOp]] = {
    aten.eq: nn.EqOp,
    aten.ne: nn.NeOp,
    aten.lt: nn.LtOp,
    aten.le: nn.LeOp,
    aten.gt: nn.GtOp,
    aten.ge: nn.GeOp,
}
_LOGICAL: dict[OpOverload, type[nn.BinaryOp]] = {
    aten.logical_and.default: nn.BitwiseAndOp,
    aten.logical_or.default: nn.BitwiseOrOp,
    aten.logical_xor.default: nn.BitwiseXorOp,
}


def _compare(op: type[nn.CompareOp]) -> Rule:
    def import_compare(b: NodeBuilder, x: Value, y: Value) -> SSAValue:
        return b.op(op, *b.promoted(x, y))

    import_compare.__doc__ = op.name
    return import_compare


def _logical(op: type[nn.BinaryOp]) -> Rule:
    def import_logical(b: NodeBuilder, x: SSAValue, y: SSAValue) -> SSAValue:
        return b.op(op, b.truth(x), b.truth(y))

    import_logical.__doc__ = f"{op.name} on i1"
    return import_logical


for _packet, _op in _COMPARE.items():
    rule(*overloads(_packet))(_compare(_op))
for _overload, _op in _LOGICAL.items():
    rule(_overload)(_logical(_op))


@rule(aten.logical_not.default)
def logical_not(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """nn.bitwise_not on i1"""
    return b.op(nn.BitwiseNotOp, b.truth(x))


# ---- tests ----


def _has_floats(x: SSAValue) -> bool:
    return is_float(nn.type_of(x).element_type)


@rule(aten.isnan.default)
def isnan(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """nn.isnan; false for integers"""
    return b.op(nn.IsNanOp, b.f32(x)) if _has_floats(x) else b.filled(b.shape, False, b.element)


@rule(aten.isinf.default)
def isinf(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """nn.isinf; false for integers"""
    return b.op(nn.IsInfOp, b.f32(x)) if _has_floats(x) else b.filled(b.shape, False, b.element)


@rule(aten.isfinite.default)
def isfinite(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """nn.abs and nn.lt; true for integers"""
    return b.op(nn.LtOp, b.op(nn.AbsOp, b.f32(x)), inf) if _has_floats(x) else b.filled(b.shape, True, b.element)


@rule(aten.signbit.default)
def signbit(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """nn.lt; of floats nn.copysign first, as zero and NaN have signs"""
    if not _has_floats(x):
        return b.op(nn.LtOp, *b.promoted(x, 0))
    return b.op(nn.LtOp, b.op(nn.CopysignOp, 1.0, b.f32(x)), 0.0)


# ---- selection ----


@rule(aten.where.self, aten.where.Scalar, aten.where.ScalarSelf, aten.where.ScalarOther)
def where(b: NodeBuilder, condition: SSAValue, x: Value, y: Value) -> SSAValue:
    """nn.where"""
    return b.op(nn.WhereOp, b.truth(condition), *_as_result(b, x, y))


@rule(aten.masked_fill.Scalar, aten.masked_fill.Tensor)
def masked_fill(b: NodeBuilder, x: SSAValue, mask: SSAValue, value: Value) -> SSAValue:
    """nn.where"""
    return b.op(nn.WhereOp, mask, *_as_result(b, value, x))


def _as_result(b: NodeBuilder, *values: Value) -> list[SSAValue]:
    """Values of the result's type: a selection rounds nothing."""
    return [b.cast(v, b.element) if isinstance(v, SSAValue) else b.scalar(v, b.element) for v in values]


@rule(aten.heaviside.default)
def heaviside(b: NodeBuilder, x: SSAValue, at_zero: SSAValue) -> SSAValue:
    """nn.gt, nn.cast, nn.eq and nn.where"""
    x, at_zero = b.operands(x, at_zero)
    step = b.cast(b.op(nn.GtOp, x, 0), nn.type_of(x).element_type)
    return b.op(nn.WhereOp, b.op(nn.EqOp, x, 0), at_zero, step)


# ---- bounds ----


@rule(aten.clamp.default, aten.hardtanh.default)
def clamp(b: NodeBuilder, x: SSAValue, low: Scalar | None = None, high: Scalar | None = None) -> SSAValue:
    """nn.clamp; nn.maximum and nn.minimum of integers"""
    return _clamp(b, x, low, high)


@rule(aten.relu6.default)
def relu6(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """nn.clamp"""
    return _clamp(b, x, 0.0, 6.0)


@rule(aten.clamp_min.default)
def clamp_min(b: NodeBuilder, x: SSAValue, low: Scalar) -> SSAValue:
    """nn.clamp; nn.maximum of integers"""
    return _clamp(b, x, low, None)


@rule(aten.clamp_max.default)
def clamp_max(b: NodeBuilder, x: SSAValue, high: Scalar) -> SSAValue:
    """nn.clamp; nn.minimum of integers"""
    return _clamp(b, x, None, high)


def _clamp(b: NodeBuilder, x: SSAValue, low: Scalar | None, high: Scalar | None) -> SSAValue:
    low = None if low == -inf else low
    high = None if high == inf else high
    if low is None and high is None:
        return x
    bounds = [float(bound) for bound in (low, high) if bound is not None]
    if not is_float(b.element) or not all(abs(bound) < inf for bound in bounds):
        return _between(b, x, low, high)
    return b.op(
        nn.ClampOp, b.f32(x), min=None if low is None else float(low), max=None if high is None else float(high)
    )


@rule(aten.clamp.Tensor)
def clamp_tensor(b: NodeBuilder, x: SSAValue, low: SSAValue | None = None, high: SSAValue | None = None) -> SSAValue:
    """nn.maximum and nn.minimum"""
    return _between(b, x, low, high)


@rule(aten.clamp_min.Tensor)
def clamp_min_tensor(b: NodeBuilder, x: SSAValue, low: SSAValue) -> SSAValue:
    """nn.maximum"""
    return _between(b, x, low, None)


@rule(aten.clamp_max.Tensor)
def clamp_max_tensor(b: NodeBuilder, x: SSAValue, high: SSAValue) -> SSAValue:
    """nn.minimum"""
    return _between(b, x, None, high)


def _between(b: NodeBuilder, x: SSAValue, low: Value | None, high: Value | None) -> SSAValue:
    if low is not None:
        x = arithmetic(b, nn.MaximumOp, x, low)
    return x if high is None else arithmetic(b, nn.MinimumOp, x, high)
