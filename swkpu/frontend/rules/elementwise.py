"""Functions of each element, and arithmetic of two tensors. A result has the type that torch's promotion gives it."""

from __future__ import annotations

import torch
from torch._ops import OpOverload, OpOverloadPacket
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, Scalar, Value
from swkpu.frontend.elements import element_of
from swkpu.frontend.table import Rule, Unsupported, overloads, rule
from swkpu.types import i1, is_float

aten = torch.ops.aten

_UNARY: dict[OpOverload, type[nn.UnaryOp]] = {
    aten.neg.default: nn.NegOp,
    aten.abs.default: nn.AbsOp,
    aten.sign.default: nn.SignOp,
    aten.sgn.default: nn.SignOp,
    aten.bitwise_not.default: nn.BitwiseNotOp,
    aten.relu.default: nn.ReluOp,
    aten.sigmoid.default: nn.SigmoidOp,
    aten.silu.default: nn.SiluOp,
    aten.hardswish.default: nn.HardswishOp,
    aten.hardsigmoid.default: nn.HardsigmoidOp,
    aten.exp.default: nn.ExpOp,
    aten.exp2.default: nn.Exp2Op,
    aten.expm1.default: nn.Expm1Op,
    aten.log.default: nn.LogOp,
    aten.log2.default: nn.Log2Op,
    aten.log10.default: nn.Log10Op,
    aten.log1p.default: nn.Log1pOp,
    aten.sqrt.default: nn.SqrtOp,
    aten.rsqrt.default: nn.RsqrtOp,
    aten.erf.default: nn.ErfOp,
    aten.erfc.default: nn.ErfcOp,
    aten.sin.default: nn.SinOp,
    aten.cos.default: nn.CosOp,
    aten.tan.default: nn.TanOp,
    aten.asin.default: nn.AsinOp,
    aten.acos.default: nn.AcosOp,
    aten.atan.default: nn.AtanOp,
    aten.sinh.default: nn.SinhOp,
    aten.cosh.default: nn.CoshOp,
    aten.tanh.default: nn.TanhOp,
    aten.asinh.default: nn.AsinhOp,
    aten.acosh.default: nn.AcoshOp,
    aten.atanh.default: nn.AtanhOp,
}
_ROUNDINGS: dict[OpOverload, type[nn.UnaryOp]] = {
    aten.floor.default: nn.FloorOp,
    aten.ceil.default: nn.CeilOp,
    aten.round.default: nn.RoundOp,
    aten.trunc.default: nn.TruncOp,
}
_BINARY: dict[OpOverloadPacket, type[nn.BinaryOp]] = {
    aten.maximum: nn.MaximumOp,
    aten.minimum: nn.MinimumOp,
    aten.fmod: nn.FmodOp,
    aten.remainder: nn.RemainderOp,
    aten.atan2: nn.Atan2Op,
    aten.copysign: nn.CopysignOp,
    aten.bitwise_and: nn.BitwiseAndOp,
    aten.bitwise_or: nn.BitwiseOrOp,
    aten.bitwise_xor: nn.BitwiseXorOp,
    aten.bitwise_left_shift: nn.ShiftLeftOp,
    aten.bitwise_right_shift: nn.ShiftRightOp,
    aten.__lshift__: nn.ShiftLeftOp,
    aten.__rshift__: nn.ShiftRightOp,
}
"""Operators all of whose forms (a number on either side) mean the same."""
_ON_TRUTH: dict[type[nn.BinaryOp], type[nn.BinaryOp]] = {
    nn.AddOp: nn.BitwiseOrOp,
    nn.MulOp: nn.BitwiseAndOp,
    nn.MaximumOp: nn.BitwiseOrOp,
    nn.MinimumOp: nn.BitwiseAndOp,
}
"""What torch means by arithmetic on bool tensors."""


def _unary(op: type[nn.UnaryOp]) -> Rule:
    def import_unary(b: NodeBuilder, x: SSAValue) -> SSAValue:
        _check(b, op)
        return b.op(op, *b.operands(x))

    import_unary.__doc__ = op.name
    return import_unary


def _rounding(op: type[nn.UnaryOp]) -> Rule:
    def import_rounding(b: NodeBuilder, x: SSAValue) -> SSAValue:
        return b.op(op, *b.operands(x)) if is_float(b.element) else x

    import_rounding.__doc__ = f"{op.name}; integers as they are"
    return import_rounding


def _binary(op: type[nn.BinaryOp]) -> Rule:
    def import_binary(b: NodeBuilder, x: Value, y: Value) -> SSAValue:
        return arithmetic(b, op, x, y)

    import_binary.__doc__ = op.name
    return import_binary


for _overload, _op in _UNARY.items():
    rule(_overload)(_unary(_op))
for _overload, _op in _ROUNDINGS.items():
    rule(_overload)(_rounding(_op))
for _packet, _op in _BINARY.items():
    rule(*overloads(_packet))(_binary(_op))


def arithmetic(b: NodeBuilder, op: type[nn.BinaryOp], x: Value, y: Value) -> SSAValue:
    """The operator on operands of the result's type, logical where that is bool."""
    if b.element == i1:
        op = _ON_TRUTH.get(op, op)
    _check(b, op)
    return b.op(op, *b.operands(x, y))


def _check(b: NodeBuilder, op: type[nn.UnaryOp | nn.BinaryOp]) -> None:
    if nn.kind_of(b.element) not in op.ACCEPTS:
        raise Unsupported(f"on {b.element} tensors")


def _times(b: NodeBuilder, y: Value, alpha: Scalar) -> Value:
    """`alpha * y`"""
    if alpha == 1:
        return y
    return arithmetic(b, nn.MulOp, y, alpha) if isinstance(y, SSAValue) else y * alpha


@rule(aten.add.Tensor, aten.add.Scalar)
def add(b: NodeBuilder, x: Value, y: Value, alpha: Scalar = 1) -> SSAValue:
    """nn.add; alpha as nn.mul; nn.bitwise_or on bool"""
    return arithmetic(b, nn.AddOp, x, _times(b, y, alpha))


@rule(aten.sub.Tensor, aten.sub.Scalar)
def sub(b: NodeBuilder, x: Value, y: Value, alpha: Scalar = 1) -> SSAValue:
    """nn.sub; alpha as nn.mul"""
    return arithmetic(b, nn.SubOp, x, _times(b, y, alpha))


@rule(aten.rsub.Tensor, aten.rsub.Scalar)
def rsub(b: NodeBuilder, x: Value, y: Value, alpha: Scalar = 1) -> SSAValue:
    """nn.sub with the operands exchanged; alpha as nn.mul"""
    return arithmetic(b, nn.SubOp, y, _times(b, x, alpha))


@rule(aten.mul.Tensor, aten.mul.Scalar)
def mul(b: NodeBuilder, x: Value, y: Value) -> SSAValue:
    """nn.mul; nn.bitwise_and on bool"""
    return arithmetic(b, nn.MulOp, x, y)


@rule(aten.div.Tensor, aten.div.Scalar)
def div(b: NodeBuilder, x: Value, y: Value) -> SSAValue:
    """nn.div"""
    return arithmetic(b, nn.DivOp, x, y)


@rule(aten.div.Tensor_mode, aten.div.Scalar_mode)
def div_mode(b: NodeBuilder, x: Value, y: Value, rounding_mode: str | None = None) -> SSAValue:
    """nn.floor_divide, or nn.div and nn.trunc"""
    if rounding_mode == "floor":
        return arithmetic(b, nn.FloorDivideOp, x, y)
    quotient = arithmetic(b, nn.DivOp, x, y)
    return b.op(nn.TruncOp, quotient) if rounding_mode == "trunc" and is_float(b.element) else quotient


@rule(aten.reciprocal.default)
def reciprocal(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """nn.div"""
    return arithmetic(b, nn.DivOp, 1, x)


@rule(aten.round.decimals)
def round_decimals(b: NodeBuilder, x: SSAValue, decimals: int) -> SSAValue:
    """nn.mul, nn.round and nn.div; the other way about for negative decimals"""
    if not is_float(b.element):
        return x
    if decimals == 0:
        return b.op(nn.RoundOp, b.f32(x))
    there, back = (nn.MulOp, nn.DivOp) if decimals > 0 else (nn.DivOp, nn.MulOp)
    factor = 10.0 ** abs(decimals)
    return b.op(back, b.op(nn.RoundOp, b.op(there, b.f32(x), factor)), factor)


def _ignoring_nan(op: type[nn.BinaryOp]) -> Rule:
    def import_ignoring_nan(b: NodeBuilder, x: SSAValue, y: SSAValue) -> SSAValue:
        best = arithmetic(b, op, x, y)
        if not is_float(b.element):
            return best
        x, y = b.operands(x, y)
        best = b.op(nn.WhereOp, b.op(nn.IsNanOp, y), x, best)
        return b.op(nn.WhereOp, b.op(nn.IsNanOp, x), y, best)

    import_ignoring_nan.__doc__ = f"{op.name}, then nn.isnan and nn.where to ignore NaN"
    return import_ignoring_nan


rule(aten.fmax.default)(_ignoring_nan(nn.MaximumOp))
rule(aten.fmin.default)(_ignoring_nan(nn.MinimumOp))


@rule(aten.hypot.default)
def hypot(b: NodeBuilder, x: SSAValue, y: SSAValue) -> SSAValue:
    """nn.mul, nn.add and nn.sqrt"""
    x, y = (b.op(nn.MulOp, v, v) for v in b.operands(x, y))
    return b.op(nn.SqrtOp, b.op(nn.AddOp, x, y))


@rule(aten.ldexp.Tensor)
def ldexp(b: NodeBuilder, x: SSAValue, exponent: SSAValue) -> SSAValue:
    """nn.mul by nn.exp2"""
    return b.op(nn.MulOp, b.f32(x), b.op(nn.Exp2Op, b.f32(exponent)))


@rule(aten._to_copy.default)
def to_copy(b: NodeBuilder, x: SSAValue, dtype: torch.dtype | None = None, **_: object) -> SSAValue:
    """nn.cast, or nothing where the type stays"""
    return x if dtype is None else b.cast(x, element_of(dtype))
