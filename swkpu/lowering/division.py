"""What is left of a division, and quotients rounded down."""

from __future__ import annotations

from xdsl.dialects import arith, math
from xdsl.ir import Operation, SSAValue

from swkpu.dialects import nn
from swkpu.lowering.arithmetic import Arithmetic, Formula, by_type, lower_by, simple
from swkpu.lowering.table import lowering


def _fmod(a: Arithmetic, x: SSAValue, y: SSAValue) -> SSAValue:
    """x - trunc(x / y) y, which is exact in a fused multiply-add while the quotient is below 2^24.

    The quotient is rounded, so it may be one too large; then what is left has the wrong sign.
    """
    quotient = a(math.TruncOp, a(arith.DivfOp, x, y))
    rest = a(math.FmaOp, a(arith.NegfOp, quotient), y, x)
    zero = a.number(0.0, x)
    wrong = a.compare("olt", a(arith.MulfOp, rest, a(math.CopySignOp, a.number(1.0, x), x)), zero)
    rest = a.select(wrong, a(arith.AddfOp, rest, a(math.CopySignOp, y, x)), rest)
    smaller = a.compare("olt", a(math.AbsFOp, x), a(math.AbsFOp, y))  # also when y is infinite
    return a.select(smaller, x, a(math.CopySignOp, rest, x))


def _remainder(a: Arithmetic, x: SSAValue, y: SSAValue) -> SSAValue:
    rest = _fmod(a, x, y)
    zero = a.number(0.0, x)
    differs = a(arith.XOrIOp, a.compare("olt", rest, zero), a.compare("olt", y, zero))
    fix = a(arith.AndIOp, differs, a.compare("one", rest, zero))
    return a.select(fix, a(arith.AddfOp, rest, y), rest)


def _floor_divide(a: Arithmetic, x: SSAValue, y: SSAValue) -> SSAValue:
    """The rounded quotient may be the next integer although the exact one is below: then what is left tells."""
    quotient = a(math.FloorOp, a(arith.DivfOp, x, y))
    rest = a(math.FmaOp, a(arith.NegfOp, quotient), y, x)
    below = a.compare("olt", a(arith.MulfOp, rest, a(math.CopySignOp, a.number(1.0, x), y)), a.number(0.0, x))
    return a.select(below, a(arith.SubfOp, quotient, a.number(1.0, x)), quotient)


def _integer_remainder(a: Arithmetic, x: SSAValue, y: SSAValue) -> SSAValue:
    rest = a(arith.RemSIOp, x, y)
    zero = a.number(0, x)
    differs = a.compare("slt", a(arith.XOrIOp, rest, y), zero)
    fix = a(arith.AndIOp, differs, a.compare("ne", rest, zero))
    return a.select(fix, a(arith.AddiOp, rest, y), rest)


FORMULAS: dict[type[Operation], Formula] = {
    nn.FmodOp: by_type(_fmod, simple(arith.RemSIOp)),
    nn.RemainderOp: by_type(_remainder, _integer_remainder),
    nn.FloorDivideOp: by_type(_floor_divide, simple(arith.FloorDivSIOp)),
}


@lowering(*FORMULAS)
def lower_division(op: Operation) -> list[Operation]:
    return lower_by(FORMULAS[type(op)], op)
