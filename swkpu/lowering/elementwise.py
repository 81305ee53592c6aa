"""Arithmetic, roundings and bits to recurrences that combine nothing; choice; inference batch norm."""

from __future__ import annotations

from xdsl.dialects import arith, math
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineExpr

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import type_of
from swkpu.lowering.arithmetic import Arithmetic, Formula, by_type, epilogue, lower_by, pointwise, simple
from swkpu.lowering.structure import affine, elementwise, names_for, region
from swkpu.lowering.table import lowering
from swkpu.types import i1


def _negated(a: Arithmetic, x: SSAValue) -> SSAValue:
    return a(arith.SubiOp, a.number(0, x), x)


def _sign(a: Arithmetic, x: SSAValue) -> SSAValue:
    """0 for NaN: it is neither above nor below."""
    zero = a.number(0.0, x)
    negative = a.select(a.compare("olt", x, zero), a.number(-1.0, x), zero)
    return a.select(a.compare("ogt", x, zero), a.number(1.0, x), negative)


def _integer_sign(a: Arithmetic, x: SSAValue) -> SSAValue:
    return a(arith.MinSIOp, a(arith.MaxSIOp, x, a.number(-1, x)), a.number(1, x))


def _not(a: Arithmetic, x: SSAValue) -> SSAValue:
    return a(arith.XOrIOp, x, a.number(1 if x.type == i1 else -1, x))


FORMULAS: dict[type[Operation], Formula] = {
    nn.NegOp: by_type(simple(arith.NegfOp), _negated),
    nn.AbsOp: by_type(simple(math.AbsFOp), simple(math.AbsIOp)),
    nn.SignOp: by_type(_sign, _integer_sign),
    nn.FloorOp: simple(math.FloorOp),
    nn.CeilOp: simple(math.CeilOp),
    nn.RoundOp: simple(math.RoundEvenOp),
    nn.TruncOp: simple(math.TruncOp),
    nn.AddOp: by_type(simple(arith.AddfOp), simple(arith.AddiOp)),
    nn.SubOp: by_type(simple(arith.SubfOp), simple(arith.SubiOp)),
    nn.MulOp: by_type(simple(arith.MulfOp), simple(arith.MuliOp)),
    nn.DivOp: by_type(simple(arith.DivfOp), simple(arith.DivSIOp)),
    nn.MaximumOp: by_type(simple(arith.MaximumfOp), simple(arith.MaxSIOp)),
    nn.MinimumOp: by_type(simple(arith.MinimumfOp), simple(arith.MinSIOp)),
    nn.CopysignOp: simple(math.CopySignOp),
    nn.BitwiseNotOp: _not,
    nn.BitwiseAndOp: simple(arith.AndIOp),
    nn.BitwiseOrOp: simple(arith.OrIOp),
    nn.BitwiseXorOp: simple(arith.XOrIOp),
    nn.ShiftLeftOp: simple(arith.ShLIOp),
    nn.ShiftRightOp: simple(arith.ShRSIOp),
}


@lowering(*FORMULAS)
def lower_elementwise(op: Operation) -> list[Operation]:
    return lower_by(FORMULAS[type(op)], op)


@lowering(nn.WhereOp)
def lower_where(op: nn.WhereOp) -> list[Operation]:
    # Chosen as they are stored: nothing is computed with them.
    return elementwise(op.operands, type_of(op.result), lambda b, a: Arithmetic(b).select(*a))


@lowering(nn.ClampOp)
def lower_clamp(op: nn.ClampOp) -> list[Operation]:
    def clamp(a: Arithmetic, x: SSAValue) -> SSAValue:
        for operation, bound in ((arith.MaximumfOp, op.min), (arith.MinimumfOp, op.max)):
            if bound is not None:
                x = a(operation, x, a.number(bound.value.data, x))
        return x

    return pointwise([op.input], type_of(op.result), clamp)


@lowering(nn.BatchNormOp)
def lower_batch_norm(op: nn.BatchNormOp) -> list[Operation]:
    x = type_of(op.input)
    names, order = names_for(x.get_shape())
    rank = len(order)
    of_axis = {axis: AffineExpr.dimension(i) for i, axis in enumerate(order)}
    whole, channel = affine(rank, [of_axis[a] for a in range(rank)]), affine(rank, [of_axis[1]])
    eps = op.eps.value.data

    def normalized(
        a: Arithmetic, value: SSAValue, weight: SSAValue, bias: SSAValue, mean: SSAValue, variance: SSAValue
    ) -> SSAValue:
        inverse = a(math.RsqrtOp, a(arith.AddfOp, variance, a.number(eps, variance)))
        scale = a(arith.MulfOp, inverse, weight)
        return a(arith.AddfOp, a(arith.MulfOp, a(arith.SubfOp, value, mean), scale), bias)

    domain = Domain(names, tuple(x.get_shape()[a] for a in order), rank)
    extras = [(op.input, whole), *((v, channel) for v in (op.weight, op.bias, op.mean, op.variance))]
    types = [type_of(v).element_type for v, _ in extras]
    body = region(types, epilogue(normalized, x.element_type))
    return [df.RecurrenceOp(domain, "none", [], extras, whole, body, x)]
