"""What lowerings build with: affine maps, epilogue regions, elementwise recurrences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from xdsl.builder import Builder
from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    BFloat16Type,
    Float16Type,
    Float32Type,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    TensorType,
    f32,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.rewriter import InsertPoint

from swkpu.dialects import df
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import quantized_type_of, shape_of, type_of
from swkpu.dialects.weights import WeightAttr

Emit = Callable[[Builder, list[SSAValue]], SSAValue]
"""Builds an epilogue: takes a builder and the block's arguments, returns the value to yield."""


def dims(count: int) -> list[AffineExpr]:
    return [AffineExpr.dimension(i) for i in range(count)]


def affine(rank: int, exprs: Sequence[AffineExpr | int]) -> AffineMap:
    return AffineMap(rank, 0, tuple(AffineExpr.constant(e) if isinstance(e, int) else e for e in exprs))


def region(argument_types: Sequence[Attribute], emit: Emit) -> Region:
    block = Block(arg_types=list(argument_types))
    builder = Builder(InsertPoint.at_end(block))
    builder.insert(df.YieldOp(emit(builder, list(block.args))))
    return Region(block)


def constant(builder: Builder, value: float, type: Attribute = f32) -> SSAValue:
    if isinstance(type, IntegerType):
        return builder.insert(arith.ConstantOp(IntegerAttr(int(value), type))).result
    assert isinstance(type, Float16Type | BFloat16Type | Float32Type)
    return builder.insert(arith.ConstantOp(FloatAttr(value, type))).result


def names_for(shape: Sequence[int]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names of the dims of an elementwise domain, and for each the tensor dim it is. 4-D tensors are NCHW and iterate
    n, h, w, c.
    """
    match len(shape):
        case 1:
            return ("c",), (0,)
        case 2:
            return ("n", "c"), (0, 1)
        case 3:
            return ("b", "t", "c"), (0, 1, 2)
        case 4:
            return ("n", "h", "w", "c"), (0, 2, 3, 1)
        case rank:
            return tuple(f"d{i}" for i in range(rank)), tuple(range(rank))


def elementwise(operands: Sequence[SSAValue], result: TensorType[Any], emit: Emit) -> list[Operation]:
    """A recurrence that combines nothing; operands broadcast to the result's shape as in PyTorch.

    A broadcast constant (a bias of shape [1, C, 1, 1]) is stored without its unit dims, and one of a single element is
    a constant of the epilogue.
    """
    shape = result.get_shape()
    names, order = names_for(shape) if shape else (("one",), ())  # a domain has a dim, of one point for a scalar
    rank = len(names)
    of_axis = {axis: AffineExpr.dimension(i) for i, axis in enumerate(order)}
    extras: list[tuple[SSAValue, AffineMap]] = []
    constants: list[Operation] = []
    scalars: dict[int, float] = {}
    for i, value in enumerate(operands):
        own = shape_of(value)
        if isinstance(value.owner, df.ConstantOp) and prod(own) == 1:
            scalars[i] = value.owner.array().item()
            continue
        lead = len(shape) - len(own)
        exprs = [0 if size == 1 and shape[lead + d] != 1 else of_axis[lead + d] for d, size in enumerate(own)]
        if isinstance(value.owner, df.ConstantOp) and (1 in own or not own):
            kept = [d for d, size in enumerate(own) if size != 1]
            exprs = [exprs[d] for d in kept] or [0]
            squeezed = value.owner.array().reshape([own[d] for d in kept] or [1])
            stored = inline_constant(squeezed, TensorType(type_of(value).element_type, squeezed.shape))
            constants.append(stored)
            value = stored.result
        extras.append((value, affine(rank, exprs)))
    domain = Domain(names, tuple(shape[a] for a in order) or (1,), rank)
    result_map = affine(rank, [of_axis[a] for a in range(len(shape))])
    types = [type_of(v).element_type for v in operands]

    def with_scalars(b: Builder, a: list[SSAValue]) -> SSAValue:
        read = iter(a)
        return emit(b, [constant(b, scalars[i], t) if i in scalars else next(read) for i, t in enumerate(types)])

    body = region([t for i, t in enumerate(types) if i not in scalars], with_scalars)
    return [*constants, df.RecurrenceOp(domain, "none", [], extras, result_map, body, result)]


def inline_constant(array: np.ndarray[Any, Any], type: TensorType[Any]) -> df.ConstantOp:
    return df.ConstantOp(WeightAttr.from_array(array), type)


def yield_accumulator(b: Builder, a: list[SSAValue]) -> SSAValue:
    return a[0]


def contraction(
    domain: Domain,
    x: tuple[SSAValue, AffineMap],
    w: tuple[SSAValue, AffineMap],
    result_map: AffineMap,
    result: TensorType[Any],
    into: SSAValue | None = None,
) -> df.RecurrenceOp:
    """A sum of products. What lies outside an operand is 0, which a quantized one stores as its zero point."""
    body = region([result.element_type], yield_accumulator)
    pads = [zero_of(x[0]), zero_of(w[0])]
    return df.RecurrenceOp(domain, "mac", [x, w], [], result_map, body, result, pads, destination=into)


def zero_of(value: SSAValue) -> float:
    """What a tensor stores for the number 0."""
    quantized = quantized_type_of(value)
    return 0.0 if quantized is None else float(quantized.zero_point)
