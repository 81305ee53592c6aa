"""Reductions over whole dims."""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.ir import Operation
from xdsl.ir.affine import AffineExpr

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import shape_of, type_of
from swkpu.lowering.structure import (
    Emit,
    affine,
    constant,
    names_for,
    region,
    yield_accumulator,
)
from swkpu.lowering.table import lowering


def reduce(op: nn.ReduceOp, combiner: str, emit: Emit) -> list[Operation]:
    axes, keepdim = op.reduced
    shape = shape_of(op.input)
    kept = [d for d in range(len(shape)) if d not in axes]
    names, order = names_for(shape)
    name_of = dict(zip(order, names))
    walked = [a for a in order if a in kept] + [a for a in order if a in axes]
    units = list(axes) if keepdim else []  # a kept dim of extent 1 is a parallel dim of extent 1
    domain = Domain(
        (*(name_of[a] for a in kept), *(f"{name_of[a]}1" for a in units), *(name_of[a] for a in axes)),
        (*(shape[a] for a in kept), *(1 for _ in units), *(shape[a] for a in axes)),
        len(kept) + len(units),
    )
    rank = domain.rank
    of_axis = {a: AffineExpr.dimension(domain.index(name_of[a])) for a in walked}
    unit_of = {a: AffineExpr.dimension(domain.index(f"{name_of[a]}1")) for a in units}
    element = type_of(op.result).element_type
    read = affine(rank, [of_axis[a] for a in range(len(shape))])
    written = affine(rank, [unit_of.get(a, of_axis[a]) for a in range(len(shape)) if keepdim or a in kept])
    body = region([element], emit)
    return [df.RecurrenceOp(domain, combiner, [(op.input, read)], [], written, body, type_of(op.result))]


@lowering(nn.MeanOp)
def lower_mean(op: nn.MeanOp) -> list[Operation]:
    count = 1
    for d in op.reduced[0]:
        count *= shape_of(op.input)[d]
    return reduce(op, "add", lambda b, a: b.insert(arith.MulfOp(a[0], constant(b, 1.0 / count))).result)


@lowering(nn.SumOp)
def lower_sum(op: nn.SumOp) -> list[Operation]:
    return reduce(op, "add", yield_accumulator)


@lowering(nn.MaxOp)
def lower_max(op: nn.MaxOp) -> list[Operation]:
    return reduce(op, "max", yield_accumulator)
