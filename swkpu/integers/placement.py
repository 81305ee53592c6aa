"""A calibrated function in Q/DQ form: every value that is stored as integers goes through quantize and dequantize."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import numpy as np
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue, Use
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.dialects import nn
from swkpu.dialects.location import source_of
from swkpu.dialects.nn import QuantizedType
from swkpu.dialects.value_range import range_of
from swkpu.errors import IRError
from swkpu.interp.constants import constant
from swkpu.passes.elementwise import is_selection
from swkpu.passes.op_precision import INTEGERS
from swkpu.passes.quantization_points import Point, PointAnalysis
from swkpu.program.dtypes import DType
from swkpu.quant.layer_weights import layer_weight
from swkpu.quant.names import value_names
from swkpu.quant.scales import scale_and_zero_point
from swkpu.quant.weights import WeightCache
from swkpu.types import numpy_dtype

WEIGHT_TYPES = {8: DType.I8, 4: DType.I4}


def place(
    function: FuncOp, analysis: PointAnalysis, group: int | None = None, cache: WeightCache | None = None
) -> None:
    """Put quantize and dequantize around values that are stored as integers, and quantize the weights of integer ops.

    Weights become i8, or at int4 i4, with one scale by output channel or, for i4 of a linear layer, by `group` of k.

    Raises IRError for a value without a range.
    """
    chosen = analysis.points()
    types = _types(function, chosen)
    readers = {value: _readers(value, point, analysis) for value, point in chosen.items()}
    for value, point in chosen.items():
        _store(value, types[value], point, readers[value])
    for op in list(function.body.block.ops):
        if analysis.precisions.get(op) in INTEGERS:
            _quantize_weight(op, 4 if analysis.precisions[op] == "int4" else 8, group, cache or WeightCache())


def _readers(value: SSAValue, point: Point, analysis: PointAnalysis) -> list[Use]:
    """The uses that read the integers: all, or where there are floats as well those that ask for integers."""
    return [use for use in value.uses if not point.also_float or analysis.reads_integers(use.operation)]


def _types(function: FuncOp, chosen: dict[SSAValue, Point]) -> dict[SSAValue, QuantizedType]:
    names = value_names(function)
    types: dict[SSAValue, QuantizedType] = {}
    for value, point in chosen.items():
        ranged = _shared(value, chosen)
        found = range_of(ranged)
        if found is None:
            raise _without_range(names.get(ranged, "?"), ranged)
        symmetric = point.symmetric or chosen.get(ranged, point).symmetric
        types[value] = (
            _wide_type(found.low, found.high, point.terms)
            if point.wide
            else QuantizedType.of(*scale_and_zero_point(found.low, found.high, symmetric=symmetric))
        )
    return types


def _shared(value: SSAValue, chosen: dict[SSAValue, Point]) -> SSAValue:
    """The value whose range a value takes over: of what it is joined into, or selected from."""
    point = chosen[value]
    while point is not None and (like := point.like) is not None:
        if not point.also_float and (like not in chosen or chosen[like].wide != point.wide):
            break
        value, point = like, chosen.get(like) or _selected(like)
    return value


def _selected(value: SSAValue) -> Point | None:
    """For a value that is not stored as integers: where it is selected from, if it is."""
    selected = is_selection(value.owner) and isinstance(value.owner, nn.NNOp) and len(value.owner.operands) == 1
    return Point(like=value.owner.operands[0], also_float=True) if selected else None  # pyright: ignore


def _wide_type(low: float, high: float, terms: int) -> QuantizedType:
    """Fixed point in which 4 n v² fits 31 bits: the differences from a mean are up to twice as large as the values."""
    most = min(isqrt((2**31 - 1) // (4 * terms)), 1 << 20)
    return QuantizedType.of(max(-low, high, 2.0**-100) / most, 0, 32)


def _without_range(name: str, value: SSAValue) -> IRError:
    where = source_of(value.owner) if isinstance(value.owner, Operation) else None
    return IRError(
        f"nn-quantize: value {name}{f' ({where})' if where else ''} has no range; calibrate the model "
        f"(nn-annotate-ranges writes what calibration found on the values)"
    )


def _store(value: SSAValue, element: QuantizedType, point: Point, uses: Sequence[Use]) -> None:
    """The value through quantize and dequantize, for these uses. Wide values are clamped first: i32 does not."""
    if isinstance(value.owner, Operation):
        at, location = InsertPoint.after(value.owner), value.owner.location
    else:
        at, location = InsertPoint.at_start(value.owner), None
    ops: list[Operation] = []
    source = value
    if point.wide:
        reach = element.scale * min(isqrt((2**31 - 1) // (4 * point.terms)), 1 << 20)
        ops.append(nn.ClampOp(source, -reach, reach))
        source = ops[-1].results[0]
    ops.append(nn.QuantizeOp(source, element))
    ops[-1].results[0].name_hint = value.name_hint
    ops.append(nn.DequantizeOp(ops[-1].results[0]))
    for op in ops:
        if location is not None:
            op.location = location
    Rewriter.insert_op(ops, at)
    for use in uses:
        use.operation.operands[use.index] = ops[-1].results[0]


# ---- weights -------------------------------------------------------------------------------------------------------


def _quantize_weight(op: Operation, bits: int, group: int | None, cache: WeightCache) -> None:
    """The constant that a contraction multiplies with becomes integers times scales."""
    found = layer_weight(op, bits, group)
    if found is None:
        return
    integers, scales = cache.quantized(found.array, found.bits, found.axis, found.group)
    stored, factors = (
        constant(integers.astype(numpy_dtype(WEIGHT_TYPES[found.bits]))),
        constant(scales.astype(np.float32)),
    )
    stored.result.name_hint = op.operands[1].name_hint
    real = nn.DequantizeWeightOp(stored.result, factors.result, found.axis, found.group)
    for new in (stored, factors, real):
        new.location = op.location
    Rewriter.insert_op([stored, factors, real], InsertPoint.before(op))
    op.operands[1] = real.result
