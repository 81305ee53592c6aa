"""What is left of a division, and quotients rounded down."""

from __future__ import annotations

from xdsl.dialects import arith, math
from xdsl.ir import Operation, SSAValue

from swkpu.dialects import nn
from swkpu.lowering.arithmetic import Arithmetic, Formula, by_type, lower_by, simple
from swkpu.lowering.table import lowering


def _divided(a: Arithmetic, x: SSAValue, y: SSAValue) -> tuple[SSAValue, SSAValue]:
    """The truncated quotient and what is left, x - quotient y: exact in a fused multiply-add while the quotient is
    below 2^24.

    A rounded quotient may be one too large; then what is left has the wrong sign.
    """
    one, zero = a.number(1.0, x), a.number(0.0, x)
    ratio = a(arith.DivfOp, x, y)
    quotient = a(math.TruncOp, ratio)
    rest = a(math.FmaOp, a(arith.NegfOp, quotient), y, x)
    wrong = a.compare("olt", a(arith.MulfOp, rest, a(math.CopySignOp, one, x)), zero)
    rest = a.select(wrong, a(arith.AddfOp, rest, a(math.CopySignOp, y, x)), rest)
    quotient = a.select(wrong, a(arith.SubfOp, quotient, a(math.CopySignOp, one, ratio)), quotient)
    smaller = a.compare("olt", a(math.AbsFOp, x), a(math.AbsFOp, y))  # also where y is infinite
    return a.select(smaller, zero, quotient), a.select(smaller, x, a(math.CopySignOp, rest, x))


def _fmod(a: Arithmetic, x: SSAValue, y: SSAValue) -> SSAValue:
    return _divided(a, x, y)[1]


def _points_away(a: Arithmetic, rest: SSAValue, y: SSAValue) -> SSAValue:
    """Whether what is left of a truncated division has not the sign of the divisor."""
    zero = a.number(0.0, rest)
    differs = a(arith.XOrIOp, a.compare("olt", rest, zero), a.compare("olt", y, zero))
    return a(arith.AndIOp, differs, a.compare("une", rest, zero))


def _remainder(a: Arithmetic, x: SSAValue, y: SSAValue) -> SSAValue:
    rest = _fmod(a, x, y)
    return a.select(_points_away(a, rest, y), a(arith.AddfOp, rest, y), rest)


def _floor_divide(a: Arithmetic, x: SSAValue, y: SSAValue) -> SSAValue:
    """NaN where x is infinite; x / 0 is what it is."""
    quotient, rest = _divided(a, x, y)
    lower = a.select(_points_away(a, rest, y), a(arith.SubfOp, quotient, a.number(1.0, x)), quotient)
    lower = a.select(a.compare("uno", rest, rest), rest, lower)
    return a.select(a.compare("oeq", y, a.number(0.0, y)), a(arith.DivfOp, x, y), lower)


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
