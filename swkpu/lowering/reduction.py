"""Reductions over whole dims."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineExpr

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import accumulator, shape_of, type_of
from swkpu.lowering.arithmetic import Arithmetic, Formula, as_it_is, epilogue, pointwise
from swkpu.lowering.conversion import converted
from swkpu.lowering.structure import affine, inline_constant, names_for, region
from swkpu.lowering.table import lowering
from swkpu.types import i32, is_float


def accumulator_of(combiner: str, x: TensorType[Any]) -> Any:
    """The element type in which a combiner of one operand accumulates."""
    return accumulator(x.element_type) if combiner in ("add", "mul") else x.element_type


def reduction(
    x: SSAValue,
    axes: Sequence[int],
    combiner: str,
    result: TensorType[Any],
    formula: Formula = as_it_is,
    keepdim: bool = True,
) -> df.RecurrenceOp:
    """Combine over axes; the formula is of the accumulated value. With `keepdim` the axes stay, with extent 1."""
    shape = shape_of(x)
    names, order = names_for(shape)
    name_of = dict(zip(order, names))
    kept = [a for a in order if a not in axes]
    units = [f"{name_of[a]}1" for a in axes] if keepdim else []  # a kept axis of extent 1 is a dim of extent 1
    parallel = {**{name_of[a]: shape[a] for a in kept}, **dict.fromkeys(units, 1)} or {"one": 1}
    reduced = {name_of[a]: shape[a] for a in order if a in axes}
    domain = Domain((*parallel, *reduced), (*parallel.values(), *reduced.values()), len(parallel))

    def dim(name: str) -> AffineExpr:
        return AffineExpr.dimension(domain.index(name))

    read = affine(domain.rank, [dim(name_of[a]) for a in range(len(shape))])
    written = [dim(name_of[a] if a in kept else f"{name_of[a]}1") for a in range(len(shape)) if keepdim or a in kept]
    body = region([accumulator_of(combiner, type_of(x))], epilogue(formula, result.element_type))
    return df.RecurrenceOp(domain, combiner, [(x, read)], [], affine(domain.rank, written), body, result)


def reduced_type(x: TensorType[Any], axes: Sequence[int], element: Any) -> TensorType[Any]:
    """The tensor that a reduction leaves when it keeps its axes."""
    return TensorType(element, [1 if a in axes else n for a, n in enumerate(x.get_shape())])


COMBINERS: dict[type[nn.ReduceOp], str] = {
    nn.SumOp: "add",
    nn.ProdOp: "mul",
    nn.MaxOp: "max",
    nn.MinOp: "min",
    nn.AnyOp: "max",
}


@lowering(*COMBINERS)
def lower_reduce(op: nn.ReduceOp) -> list[Operation]:
    axes, keepdim = op.reduced
    return [reduction(op.input, axes, COMBINERS[type(op)], type_of(op.result), keepdim=keepdim)]


@lowering(nn.MeanOp)
def lower_mean(op: nn.MeanOp) -> list[Operation]:
    axes, keepdim = op.reduced
    result = type_of(op.result)
    count = prod(shape_of(op.input)[d] for d in axes)

    def mean(a: Arithmetic, total: SSAValue) -> SSAValue:
        if is_float(total.type):
            return a(arith.MulfOp, total, a.number(1.0 / count, total))
        total = converted(a, total, f32)
        return converted(a, a(arith.DivfOp, total, a.number(count, total)), result.element_type)

    return [reduction(op.input, axes, "add", result, mean, keepdim)]


@lowering(nn.ArgMaxOp, nn.ArgMinOp)
def lower_arg_reduce(op: nn.ArgMaxOp | nn.ArgMinOp) -> list[Operation]:
    """The extreme, then the least of the indices where it stands; a NaN is the extreme, and where it stands counts."""
    (axis, keepdim), x, result = op.reduced, type_of(op.input), type_of(op.result)
    size = x.get_shape()[axis]
    combiner = "max" if isinstance(op, nn.ArgMaxOp) else "min"
    extreme = reduction(op.input, [axis], combiner, reduced_type(x, [axis], x.element_type))
    along = [size if d == axis else 1 for d in range(len(x.get_shape()))]
    positions = inline_constant(np.arange(size, dtype=np.int32).reshape(along), TensorType(i32, along))

    def candidate(a: Arithmetic, value: SSAValue, best: SSAValue, position: SSAValue) -> SSAValue:
        found = a.compare("oeq" if is_float(value.type) else "eq", value, best)
        if is_float(value.type):
            found = a(arith.OrIOp, found, a.compare("uno", value, value))
        return a.select(found, position, a.number(size, position))

    operands = [op.input, extreme.result, positions.result]
    candidates = pointwise(operands, TensorType(i32, x.get_shape()), candidate)

    def index(a: Arithmetic, least: SSAValue) -> SSAValue:
        return converted(a, least, result.element_type)

    first = reduction(candidates[-1].results[0], [axis], "min", result, index, keepdim)
    return [extreme, positions, *candidates, first]
