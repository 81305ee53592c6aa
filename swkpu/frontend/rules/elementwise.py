"""Elementwise operators."""

from __future__ import annotations

from math import isinf

import torch
from torch._ops import OpOverload
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, Scalar, Value
from swkpu.frontend.elements import element_of
from swkpu.frontend.table import Rule, Unsupported, rule
from swkpu.types import i1

aten = torch.ops.aten

_UNARY: dict[OpOverload, type[nn.UnaryOp]] = {
    aten.relu.default: nn.ReluOp,
    aten.neg.default: nn.NegOp,
    aten.abs.default: nn.AbsOp,
    aten.exp.default: nn.ExpOp,
    aten.log.default: nn.LogOp,
    aten.sqrt.default: nn.SqrtOp,
    aten.rsqrt.default: nn.RsqrtOp,
    aten.tanh.default: nn.TanhOp,
    aten.erf.default: nn.ErfOp,
    aten.sigmoid.default: nn.SigmoidOp,
    aten.floor.default: nn.FloorOp,
    aten.ceil.default: nn.CeilOp,
}


def _unary(op: type[nn.UnaryOp]) -> Rule:
    def import_unary(b: NodeBuilder, x: SSAValue) -> SSAValue:
        b.float_only()
        return b.emit(op(b.f32(x)))

    import_unary.__doc__ = op.name
    return import_unary


for _overload, _op in _UNARY.items():
    rule(_overload)(_unary(_op))


def _binary(b: NodeBuilder, op: type[nn.BinaryOp], x: Value, y: Value) -> SSAValue:
    if b.element == i1:
        raise Unsupported("on boolean tensors")
    return b.emit(op(*b.operands(x, y)))


def _times(b: NodeBuilder, y: Value, alpha: Scalar) -> Value:
    """`alpha * y`"""
    if alpha == 1:
        return y
    return _binary(b, nn.MulOp, y, alpha) if isinstance(y, SSAValue) else y * alpha


@rule(aten.add.Tensor, aten.add.Scalar)
def add(b: NodeBuilder, x: Value, y: Value, alpha: Scalar = 1) -> SSAValue:
    """nn.add; alpha as nn.mul"""
    return _binary(b, nn.AddOp, x, _times(b, y, alpha))


@rule(aten.sub.Tensor, aten.sub.Scalar)
def sub(b: NodeBuilder, x: Value, y: Value, alpha: Scalar = 1) -> SSAValue:
    """nn.sub; alpha as nn.mul"""
    return _binary(b, nn.SubOp, x, _times(b, y, alpha))


@rule(aten.rsub.Tensor, aten.rsub.Scalar)
def rsub(b: NodeBuilder, x: Value, y: Value, alpha: Scalar = 1) -> SSAValue:
    """nn.sub with the operands exchanged; alpha as nn.mul"""
    return _binary(b, nn.SubOp, y, _times(b, x, alpha))


@rule(aten.mul.Tensor, aten.mul.Scalar)
def mul(b: NodeBuilder, x: Value, y: Value) -> SSAValue:
    """nn.mul"""
    return _binary(b, nn.MulOp, x, y)


@rule(aten.div.Tensor, aten.div.Scalar)
def div(b: NodeBuilder, x: Value, y: Value) -> SSAValue:
    """nn.div"""
    return _binary(b, nn.DivOp, x, y)


@rule(aten.maximum.default)
def maximum(b: NodeBuilder, x: Value, y: Value) -> SSAValue:
    """nn.maximum"""
    return _binary(b, nn.MaximumOp, x, y)


@rule(aten.minimum.default)
def minimum(b: NodeBuilder, x: Value, y: Value) -> SSAValue:
    """nn.minimum"""
    return _binary(b, nn.MinimumOp, x, y)


@rule(aten.clamp.default, aten.hardtanh.default)
def clamp(b: NodeBuilder, x: SSAValue, low: Scalar | None = None, high: Scalar | None = None) -> SSAValue:
    """nn.clamp"""
    return _clamp(b, x, low, high)


@rule(aten.relu6.default)
def relu6(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """nn.clamp"""
    return _clamp(b, x, 0.0, 6.0)


@rule(aten.clamp_min.default)
def clamp_min(b: NodeBuilder, x: SSAValue, low: Scalar) -> SSAValue:
    """nn.clamp"""
    return _clamp(b, x, low, None)


@rule(aten.clamp_max.default)
def clamp_max(b: NodeBuilder, x: SSAValue, high: Scalar) -> SSAValue:
    """nn.clamp"""
    return _clamp(b, x, None, high)


def _clamp(b: NodeBuilder, x: SSAValue, low: Scalar | None, high: Scalar | None) -> SSAValue:
    b.float_only()
    low = None if low is None or (isinf(low) and low < 0) else float(low)
    high = None if high is None or (isinf(high) and high > 0) else float(high)
    if low is None and high is None:
        return x
    return b.emit(nn.ClampOp(b.f32(x), low, high))


@rule(aten.clamp.Tensor)
def clamp_tensor(b: NodeBuilder, x: SSAValue, low: SSAValue | None = None, high: SSAValue | None = None) -> SSAValue:
    """nn.maximum and nn.minimum"""
    if low is not None:
        x = _binary(b, nn.MaximumOp, x, low)
    return x if high is None else _binary(b, nn.MinimumOp, x, high)


@rule(aten._to_copy.default)
def to_copy(b: NodeBuilder, x: SSAValue, dtype: torch.dtype | None = None, **_: object) -> SSAValue:
    """nn.cast, or nothing where the type stays"""
    return x if dtype is None else b.cast(x, element_of(dtype))
