"""Elementwise operators to recurrences that combine nothing."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.builder import Builder
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import f32
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineExpr

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import type_of
from swkpu.errors import IRError
from swkpu.lowering.structure import (
    Emit,
    affine,
    constant,
    elementwise,
    names_for,
    region,
)
from swkpu.lowering.table import lowering
from swkpu.types import dtype_of, is_float


def _sigmoid(b: Builder, a: list[SSAValue]) -> SSAValue:
    exp = b.insert(math.ExpOp(b.insert(arith.NegfOp(a[0])).result)).result
    one = constant(b, 1.0, a[0].type)
    return b.insert(arith.DivfOp(one, b.insert(arith.AddfOp(exp, one)).result)).result


def _relu(b: Builder, a: list[SSAValue]) -> SSAValue:
    return b.insert(arith.MaximumfOp(a[0], constant(b, 0.0, a[0].type))).result


def _simple(op: Callable[..., Operation]) -> Emit:
    return lambda b, a: b.insert(op(*a)).results[0]


ELEMENTWISE: dict[type[Operation], Emit] = {
    nn.ReluOp: _relu,
    nn.SigmoidOp: _sigmoid,
    nn.NegOp: _simple(arith.NegfOp),
    nn.AbsOp: _simple(math.AbsFOp),
    nn.ExpOp: _simple(math.ExpOp),
    nn.LogOp: _simple(math.LogOp),
    nn.SqrtOp: _simple(math.SqrtOp),
    nn.RsqrtOp: _simple(math.RsqrtOp),
    nn.TanhOp: _simple(math.TanhOp),
    nn.ErfOp: _simple(math.ErfOp),
    nn.FloorOp: _simple(math.FloorOp),
    nn.CeilOp: _simple(math.CeilOp),
    nn.AddOp: _simple(arith.AddfOp),
    nn.SubOp: _simple(arith.SubfOp),
    nn.MulOp: _simple(arith.MulfOp),
    nn.DivOp: _simple(arith.DivfOp),
    nn.MaximumOp: _simple(arith.MaximumfOp),
    nn.MinimumOp: _simple(arith.MinimumfOp),
}


@lowering(*ELEMENTWISE)
def lower_elementwise(op: Operation) -> list[Operation]:
    for value in op.operands:
        if not is_float(type_of(value).element_type):
            raise IRError(f"{op.name} on {type_of(value).element_type} has no lowering to df; floating types have one")
    return elementwise(op.operands, type_of(op.results[0]), ELEMENTWISE[type(op)])


@lowering(nn.ClampOp)
def lower_clamp(op: nn.ClampOp) -> list[Operation]:
    def emit(b: Builder, a: list[SSAValue]) -> SSAValue:
        value = a[0]
        if op.min is not None:
            value = b.insert(arith.MaximumfOp(value, constant(b, op.min.value.data, value.type))).result
        if op.max is not None:
            value = b.insert(arith.MinimumfOp(value, constant(b, op.max.value.data, value.type))).result
        return value

    return elementwise([op.input], type_of(op.result), emit)


@lowering(nn.CastOp)
def lower_cast(op: nn.CastOp) -> list[Operation]:
    source, target = type_of(op.input).element_type, type_of(op.result).element_type
    if not (is_float(source) and is_float(target)):
        raise IRError(f"nn.cast from {source} to {target} has no lowering to df; casts between floating types have one")
    wide, narrow = dtype_of(source).bits, dtype_of(target).bits

    def emit(b: Builder, a: list[SSAValue]) -> SSAValue:
        if source == target:
            return a[0]
        value = a[0]
        if wide <= narrow and source != f32:
            value = b.insert(arith.ExtFOp(value, f32)).results[0]  # pyright: ignore[reportArgumentType]
        if target != f32:
            value = b.insert(arith.TruncFOp(value, target)).results[0]  # pyright: ignore[reportArgumentType]
        return value

    return elementwise([op.input], type_of(op.result), emit)


@lowering(nn.BatchNormOp)
def lower_batch_norm(op: nn.BatchNormOp) -> list[Operation]:
    x = type_of(op.input)
    names, order = names_for(x.get_shape())
    rank = len(order)
    of_axis = {axis: AffineExpr.dimension(i) for i, axis in enumerate(order)}
    whole, channel = affine(rank, [of_axis[a] for a in range(rank)]), affine(rank, [of_axis[1]])

    def emit(b: Builder, a: list[SSAValue]) -> SSAValue:
        value, weight, bias, mean, variance = a
        eps = constant(b, op.eps.value.data)
        inverse = b.insert(math.RsqrtOp(b.insert(arith.AddfOp(variance, eps)).result)).result
        scale = b.insert(arith.MulfOp(inverse, weight)).result
        centred = b.insert(arith.SubfOp(value, mean)).result
        return b.insert(arith.AddfOp(b.insert(arith.MulfOp(centred, scale)).result, bias)).result

    domain = Domain(names, tuple(x.get_shape()[a] for a in order), rank)
    extras = [(op.input, whole), *((v, channel) for v in (op.weight, op.bias, op.mean, op.variance))]
    types = [type_of(v).element_type for v, _ in extras]
    return [df.RecurrenceOp(domain, "none", [], extras, whole, region(types, emit), x)]
