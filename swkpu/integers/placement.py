"""A calibrated function in Q/DQ form: every value that is stored as integers goes through quantize and dequantize."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.dialects import nn
from swkpu.dialects.location import source_of
from swkpu.dialects.nn import QuantizedType, shape_of
from swkpu.dialects.value_range import range_of
from swkpu.errors import IRError
from swkpu.interp.constants import constant, constant_array
from swkpu.passes.quantization_points import Point, quantization_points
from swkpu.program.dtypes import DType
from swkpu.quant.names import value_names
from swkpu.quant.scales import scale_and_zero_point
from swkpu.quant.weights import quantize_weight, weight_scales
from swkpu.types import numpy_dtype

WEIGHT_TYPES = {8: DType.I8, 4: DType.I4}


@dataclass(frozen=True)
class WeightFormat:
    """How weights are stored: as i8 or i4, one scale by output channel; for i4 of linear layers also by group of k."""

    bits: int = 8
    group: int | None = None


def place(function: FuncOp, weights: WeightFormat) -> None:
    """Put quantize and dequantize around every stored value, and quantize weights. Raises IRError for a value without
    a range.
    """
    chosen = quantization_points(function)
    types = _types(function, chosen)
    for value, point in chosen.items():
        _store(value, types[value], point)
    for op in list(function.body.block.ops):
        _quantize_weight(op, weights)


def _types(function: FuncOp, chosen: dict[SSAValue, Point]) -> dict[SSAValue, QuantizedType]:
    names = value_names(function)
    types: dict[SSAValue, QuantizedType] = {}
    for value, point in chosen.items():
        ranged = _shared(value, chosen)
        found = range_of(ranged)
        if found is None:
            raise _without_range(names.get(ranged, "?"), ranged)
        wide, narrow = point.wide, chosen[ranged]
        types[value] = (
            _wide_type(found.low, found.high, point.terms) if wide else _narrow_type(found.low, found.high, narrow)
        )
    return types


def _shared(value: SSAValue, chosen: dict[SSAValue, Point]) -> SSAValue:
    """The value whose range and zero point a value takes over."""
    while (like := chosen[value].like) is not None and like in chosen and chosen[like].wide == chosen[value].wide:
        value = like
    return value


def _narrow_type(low: float, high: float, point: Point) -> QuantizedType:
    return QuantizedType.of(*scale_and_zero_point(low, high, symmetric=point.symmetric))


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


def _store(value: SSAValue, element: QuantizedType, point: Point) -> None:
    """The value through quantize and dequantize, for all its uses. Wide values are clamped first: i32 does not."""
    uses = list(value.uses)
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


def _quantize_weight(op: Operation, format: WeightFormat) -> None:
    """The constant that a contraction multiplies with becomes integers times scales."""
    if not isinstance(op, nn.ConvolutionOp | nn.LinearOp | nn.MatmulOp):
        return
    weight = op.operands[1]
    array = constant_array(weight)
    if array is None or array.dtype != np.float32:
        return
    transposed, last = isinstance(op, nn.ConvTransposeOp), array.ndim - 1
    axis = 1 if transposed else last if isinstance(op, nn.MatmulOp) else 0
    bits = format.bits if _is_large(op) else 8
    grouped = format.group if bits == 4 and isinstance(op, nn.LinearOp) else None
    group = grouped if grouped is not None and array.shape[1] % grouped == 0 else None
    scales = weight_scales(array, bits, axis, group, search=bits == 4)
    integers = quantize_weight(array, scales, bits, axis, group, full=bits == 4)
    stored, factors = constant(integers.astype(numpy_dtype(WEIGHT_TYPES[bits]))), constant(scales.astype(np.float32))
    stored.result.name_hint = weight.name_hint
    real = nn.DequantizeWeightOp(stored.result, factors.result, axis, group)
    for new in (stored, factors, real):
        new.location = op.location
    Rewriter.insert_op([stored, factors, real], InsertPoint.before(op))
    op.operands[1] = real.result


def _is_large(op: Operation) -> bool:
    """Whether fewer bits pay: depthwise convolutions have few weights, each of which matters."""
    return not isinstance(op, nn.ConvolutionOp) or shape_of(op.operands[1])[1] > 1
