"""Casts between any two element types."""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.builtin import f32
from xdsl.ir import Attribute, Operation, SSAValue

from swkpu.dialects import nn
from swkpu.dialects.nn import type_of
from swkpu.lowering.arithmetic import Arithmetic
from swkpu.lowering.structure import elementwise
from swkpu.lowering.table import lowering
from swkpu.types import dtype_of, i1, is_float


@lowering(nn.CastOp)
def lower_cast(op: nn.CastOp) -> list[Operation]:
    result = type_of(op.result)
    return elementwise([op.input], result, lambda b, a: converted(Arithmetic(b), a[0], result.element_type))


def converted(a: Arithmetic, x: SSAValue, target: Attribute) -> SSAValue:
    """Floats round to nearest even, become integers by truncation (saturated), and i1 by `x != 0`."""
    source = x.type
    if source == target:
        return x
    if target == i1:
        return a.compare("une" if is_float(source) else "ne", x, a.number(0, x))
    if is_float(source):
        return _of_float(a, x, target)
    if source == i1:
        return a(arith.UIToFPOp if is_float(target) else arith.ExtUIOp, x, target)
    if is_float(target):
        return a(arith.SIToFPOp, x, target)
    widens = dtype_of(source).bits < dtype_of(target).bits
    return a(arith.ExtSIOp if widens else arith.TruncIOp, x, target)


def _of_float(a: Arithmetic, x: SSAValue, target: Attribute) -> SSAValue:
    if not is_float(target):
        return a(arith.FPToSIOp, x, target)
    if dtype_of(x.type).bits <= dtype_of(target).bits and x.type != f32:
        x = a(arith.ExtFOp, x, f32)  # between the 16-bit types there is no direct way
    return a.stored(x, target)
