"""Functions of analysis: most are one micro-operation."""

from __future__ import annotations

from xdsl.dialects import arith, math
from xdsl.ir import Operation, SSAValue

from swkpu.dialects import nn
from swkpu.lowering.arithmetic import Arithmetic, Formula, lower_by, simple
from swkpu.lowering.table import lowering

ERFC = (
    0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368,
    -1.26551223,
)  # fmt: skip


def _erfc(a: Arithmetic, x: SSAValue) -> SSAValue:
    """Relative error below 1.2e-7 before rounding, where 1 - erf(x) has no digits left.

    Chebyshev fit of Press et al., "Numerical Recipes in C", 2nd edition, section 6.2: with t = 1 / (1 + |x| / 2),
    erfc(|x|) = t exp(-x² + p(t)).
    """
    magnitude = a(math.AbsFOp, x)
    one, half = a.number(1.0, x), a.number(0.5, x)
    t = a(arith.DivfOp, one, a(math.FmaOp, magnitude, half, one))
    polynomial = a.number(ERFC[0], x)
    for coefficient in ERFC[1:]:
        polynomial = a(math.FmaOp, polynomial, t, a.number(coefficient, x))
    exponent = a(math.FmaOp, a(arith.NegfOp, x), x, polynomial)
    upper = a(arith.MulfOp, t, a(math.ExpOp, exponent))
    lower = a(arith.SubfOp, a.number(2.0, x), upper)
    return a.select(a.compare("olt", x, a.number(0.0, x)), lower, upper)


FORMULAS: dict[type[Operation], Formula] = {
    nn.ExpOp: simple(math.ExpOp),
    nn.Exp2Op: simple(math.Exp2Op),
    nn.Expm1Op: simple(math.ExpM1Op),
    nn.LogOp: simple(math.LogOp),
    nn.Log2Op: simple(math.Log2Op),
    nn.Log10Op: simple(math.Log10Op),
    nn.Log1pOp: simple(math.Log1pOp),
    nn.SqrtOp: simple(math.SqrtOp),
    nn.RsqrtOp: simple(math.RsqrtOp),
    nn.PowOp: simple(math.PowFOp),
    nn.ErfOp: simple(math.ErfOp),
    nn.ErfcOp: _erfc,
    nn.SinOp: simple(math.SinOp),
    nn.CosOp: simple(math.CosOp),
    nn.TanOp: simple(math.TanOp),
    nn.AsinOp: simple(math.AsinOp),
    nn.AcosOp: simple(math.AcosOp),
    nn.AtanOp: simple(math.AtanOp),
    nn.Atan2Op: simple(math.Atan2Op),
    nn.SinhOp: simple(math.SinhOp),
    nn.CoshOp: simple(math.CoshOp),
    nn.TanhOp: simple(math.TanhOp),
    nn.AsinhOp: simple(math.AsinhOp),
    nn.AcoshOp: simple(math.AcoshOp),
    nn.AtanhOp: simple(math.AtanhOp),
}


@lowering(*FORMULAS)
def lower_function(op: Operation) -> list[Operation]:
    return lower_by(FORMULAS[type(op)], op)
