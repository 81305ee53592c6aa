"""Comparisons and tests: formulas whose result is i1."""

from __future__ import annotations

from xdsl.dialects import arith, math
from xdsl.ir import Operation, SSAValue

from swkpu.dialects import nn
from swkpu.lowering.arithmetic import Arithmetic, Formula, by_type, lower_by
from swkpu.lowering.table import lowering
from swkpu.types import i32

LARGEST = 3.4028234663852886e38
"""The largest finite f32; that of any narrower float is less."""


def _comparison(floats: str, integers: str) -> Formula:
    """By the predicates of `arith.cmpf` and `arith.cmpi`."""

    def on_booleans(a: Arithmetic, x: SSAValue, y: SSAValue) -> SSAValue:
        # At nn an i1 is 0 or 1; as a signed integer it would be 0 or -1.
        return a.compare(integers, a(arith.ExtUIOp, x, i32), a(arith.ExtUIOp, y, i32))

    def on_integers(a: Arithmetic, x: SSAValue, y: SSAValue) -> SSAValue:
        return a.compare(integers, x, y)

    return by_type(
        lambda a, x, y: a.compare(floats, x, y),
        on_integers,
        on_integers if integers in ("eq", "ne") else on_booleans,
    )


FORMULAS: dict[type[Operation], Formula] = {
    nn.EqOp: _comparison("oeq", "eq"),
    nn.NeOp: _comparison("une", "ne"),
    nn.LtOp: _comparison("olt", "slt"),
    nn.LeOp: _comparison("ole", "sle"),
    nn.GtOp: _comparison("ogt", "sgt"),
    nn.GeOp: _comparison("oge", "sge"),
    nn.IsNanOp: lambda a, x: a.compare("uno", x, x),
    nn.IsInfOp: lambda a, x: a.compare("ogt", a(math.AbsFOp, x), a.number(LARGEST, x)),
}


@lowering(*FORMULAS)
def lower_comparison(op: Operation) -> list[Operation]:
    return lower_by(FORMULAS[type(op)], op)
