"""Powers, of which most in models are a square, a cube or a root."""

from __future__ import annotations

import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, Scalar
from swkpu.frontend.table import Unsupported, rule
from swkpu.types import is_float

aten = torch.ops.aten

_MULTIPLIED = 8
"""Floats to whole powers up to this are multiplied; beyond, products would be no cheaper or closer than nn.pow."""
_EXPONENT_BITS = 6
"""Bits of an exponent below 64. A larger one overflows i64 for all bases but -1, 0 and 1."""


@rule(aten.pow.Tensor_Scalar)
def pow_scalar(b: NodeBuilder, x: SSAValue, exponent: Scalar) -> SSAValue:
    """nn.mul for small whole exponents, nn.sqrt and nn.rsqrt for halves, nn.div for negative ones; else nn.pow"""
    (x,) = b.operands(x)
    element = nn.type_of(x).element_type
    if exponent == 0:
        return b.filled(b.shape, 1, element)
    whole = float(exponent).is_integer()
    if not is_float(b.element):
        if exponent < 0:
            raise Unsupported("of integers to a negative power")
        return _product(b, x, int(exponent))
    if exponent == 0.5:
        return b.op(nn.SqrtOp, x)
    if exponent == -0.5:
        return b.op(nn.RsqrtOp, x)
    if not whole or abs(exponent) > _MULTIPLIED:
        return b.op(nn.PowOp, x, float(exponent))
    power = _product(b, x, int(abs(exponent)))
    return power if exponent > 0 else b.op(nn.DivOp, 1.0, power)


def _product(b: NodeBuilder, x: SSAValue, exponent: int) -> SSAValue:
    """x to a positive power by squaring."""
    result: SSAValue | None = None
    while True:
        if exponent & 1:
            result = x if result is None else b.op(nn.MulOp, result, x)
        exponent >>= 1
        if not exponent:
            assert result is not None
            return result
        x = b.op(nn.MulOp, x, x)


@rule(aten.pow.Scalar)
def scalar_pow(b: NodeBuilder, base: Scalar, exponent: SSAValue) -> SSAValue:
    """nn.exp2 for base 2, else nn.pow; of integers products of squares"""
    (exponent,) = b.operands(exponent)
    if is_float(b.element) and base == 2:
        return b.op(nn.Exp2Op, exponent)
    (value,) = b.operands(base)
    return _power(b, value, exponent)


@rule(aten.pow.Tensor_Tensor)
def pow_tensor(b: NodeBuilder, x: SSAValue, exponent: SSAValue) -> SSAValue:
    """nn.pow; of integers products of squares"""
    return _power(b, *b.operands(x, exponent))


def _power(b: NodeBuilder, x: SSAValue, exponent: SSAValue) -> SSAValue:
    if is_float(b.element):
        return b.op(nn.PowOp, x, exponent)
    if nn.kind_of(b.element) is nn.Kind.BOOL:
        raise Unsupported("on bool tensors")
    # x^e = product over the bits of e of x^(2^bit); a negative e leaves 1 / x^|e| truncated
    size = b.op(nn.AbsOp, exponent)
    odd = b.op(nn.BitwiseAndOp, size, 1)
    large = 2**_EXPONENT_BITS
    size = b.op(nn.WhereOp, b.op(nn.GeOp, size, large), b.op(nn.AddOp, odd, large - 2), size)
    result: SSAValue | None = None
    square = x
    for bit in range(_EXPONENT_BITS):
        is_set = b.op(nn.NeOp, b.op(nn.BitwiseAndOp, size, 1 << bit), 0)
        factor = b.op(nn.WhereOp, is_set, square, 1)
        result = factor if result is None else b.op(nn.MulOp, result, factor)
        square = b.op(nn.MulOp, square, square) if bit + 1 < _EXPONENT_BITS else square
    assert result is not None
    is_unit = b.op(nn.EqOp, b.op(nn.AbsOp, x), 1)
    return b.op(nn.WhereOp, b.op(nn.GeOp, exponent, 0), result, b.op(nn.WhereOp, is_unit, result, 0))
