"""Models that PyTorch quantized (PT2E): its quantize and dequantize operators, as nn has them.

What PyTorch stores as uint8 is stored as int8, 128 lower with its zero point: the real numbers are the same. Constants
(weights) take their zero point off, since nn's weights are symmetric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import torch
from torch._ops import OpOverload
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.dialects.nn import QuantizedType
from swkpu.dialects.weights import Array
from swkpu.frontend.builder import NodeBuilder
from swkpu.frontend.rules import contraction, convolution
from swkpu.frontend.table import RULES, Unsupported, refuse, rule
from swkpu.interp.constants import constant_array
from swkpu.types import DType, numpy_dtype, to_numpy, to_torch

quantized = torch.ops.quantized_decomposed

Number = SSAValue | float | int
"""A scale, zero point or bound: given as a number, or as a tensor of one element."""
DYNAMIC = "dynamic quantization computes scales at run time; accepted is static quantization"

refuse(
    DYNAMIC,
    quantized.choose_qparams.tensor,
    quantized.choose_qparams_symmetric.tensor,
    quantized.choose_qparams_per_token.default,
    quantized.choose_qparams_per_token_asymmetric.default,
    quantized.quantize_per_token.default,
    quantized.dequantize_per_token.default,
)


@dataclass(frozen=True)
class Scheme:
    """The real number `scale * (q - zero_point)` for integers from `low` to `high`."""

    scale: float
    zero_point: int
    low: int
    high: int

    def stored(self) -> tuple[QuantizedType, int]:
        """How the integers are stored, and what is taken off them for that. Raises Unsupported."""
        for bits, shift in ((8, 0), (8, 128), (32, 0)):
            least, largest = -(1 << bits - 1) + shift, (1 << bits - 1) - 1 + shift
            if least <= self.low <= self.high <= largest:
                return QuantizedType.of(self.scale, self.zero_point - shift, bits), shift
        raise Unsupported(f"to integers from {self.low} to {self.high}; accepted are those of int8, uint8 or int32")


# ---- activations ----


@rule(
    quantized.quantize_per_tensor.default,
    quantized.quantize_per_tensor.tensor,
    quantized.quantize_per_tensor.tensor2,
)
def quantize_per_tensor(
    b: NodeBuilder, x: SSAValue, scale: Number, zero_point: Number, low: Number, high: Number, dtype: torch.dtype
) -> SSAValue:
    """nn.quantize, after an nn.clamp where not all stored values are used; of a constant, its value"""
    scheme = Scheme(*numbers(scale, zero_point, low, high))
    if constant_array(x) is not None:
        return evaluated(b, quantized.quantize_per_tensor.default, x, *astuple(scheme), dtype)
    element, shift = scheme.stored()
    lower, upper = (
        None if q - shift == limit else (q - scheme.zero_point) * scheme.scale
        for q, limit in zip((scheme.low, scheme.high), element.limits)
    )
    x = b.f32(x)
    x = x if lower is None and upper is None else b.op(nn.ClampOp, x, min=lower, max=upper)
    return b.op(nn.QuantizeOp, x, element=element)


@rule(
    quantized.dequantize_per_tensor.default,
    quantized.dequantize_per_tensor.tensor,
    quantized.dequantize_per_tensor.tensor2,
)
def dequantize_per_tensor(
    b: NodeBuilder,
    x: SSAValue,
    scale: Number,
    zero_point: Number,
    low: Number,
    high: Number,
    dtype: torch.dtype,
    *,
    out_dtype: torch.dtype | None = None,
) -> SSAValue:
    """nn.dequantize; of a constant, nn.dequantize_weight; of integers from elsewhere, nn.sub and nn.mul"""
    scheme = Scheme(*numbers(scale, zero_point, low, high))
    if (array := constant_array(x)) is not None:
        scales = b.filled(array.shape[:1], scheme.scale)
        return weight(b, x, scales, np.asarray(scheme.zero_point), (scheme.low, scheme.high))
    before = nn.quantized_type_of(x)
    if before is None:
        return b.op(nn.MulOp, b.op(nn.SubOp, b.f32(x), float(scheme.zero_point)), scheme.scale)
    element, _ = scheme.stored()
    if element != before:
        raise Unsupported(f"as {element} of what was quantized as {before}")
    return b.op(nn.DequantizeOp, x)


def numbers(*values: Number) -> list[Any]:
    """The numbers, which constants must give."""
    arrays = [constant_array(v) if isinstance(v, SSAValue) else np.asarray(v) for v in values]
    if any(array is None for array in arrays):
        raise Unsupported(DYNAMIC)
    return [array.reshape(-1)[0].item() for array in arrays if array is not None]


# ---- weights ----


@rule(quantized.quantize_per_channel.default)
def quantize_per_channel(
    b: NodeBuilder, x: SSAValue, scales: SSAValue, zeros: SSAValue, axis: int, low: int, high: int, dtype: torch.dtype
) -> SSAValue:
    """nothing: the value of a constant is a constant"""
    return evaluated(b, quantized.quantize_per_channel.default, x, scales, zeros, axis, low, high, dtype)


@rule(quantized.quantize_per_channel_group.default)
def quantize_per_channel_group(
    b: NodeBuilder, x: SSAValue, scales: SSAValue, zeros: SSAValue, low: int, high: int, dtype: torch.dtype, group: int
) -> SSAValue:
    """nothing: the value of a constant is a constant"""
    return evaluated(b, quantized.quantize_per_channel_group.default, x, scales, zeros, low, high, dtype, group)


@rule(quantized.dequantize_per_channel.default)
def dequantize_per_channel(
    b: NodeBuilder,
    x: SSAValue,
    scales: SSAValue,
    zeros: SSAValue | None,
    axis: int,
    low: int,
    high: int,
    dtype: torch.dtype,
    *,
    out_dtype: torch.dtype | None = None,
) -> SSAValue:
    """nn.dequantize_weight"""
    return weight(b, x, scales, array_of(zeros), (low, high), axis % len(nn.shape_of(x)))


@rule(quantized.dequantize_per_channel_group.default)
def dequantize_per_channel_group(
    b: NodeBuilder,
    x: SSAValue,
    scales: SSAValue,
    zeros: SSAValue | None,
    low: int,
    high: int,
    dtype: torch.dtype,
    group: int,
    out_dtype: torch.dtype,
) -> SSAValue:
    """nn.dequantize_weight with a group"""
    return weight(b, x, scales, array_of(zeros), (low, high), group=group)


def evaluated(b: NodeBuilder, operator: OpOverload, *arguments: Any) -> SSAValue:
    """What torch makes of constants."""
    values = [to_torch(array_of(a)) if isinstance(a, SSAValue) else a for a in arguments]
    found = to_numpy(operator(*values))
    return b.constant(found.astype(np.int32) if found.dtype in (np.uint8, np.int16) else found)


def array_of(value: SSAValue | None) -> Array:
    """A constant, or the 0 that no zero point stands for."""
    array = np.zeros((), np.int64) if value is None else constant_array(value)
    if array is None:
        raise Unsupported("on tensors that are not constants; activations are quantized per tensor")
    return array


def weight(
    b: NodeBuilder,
    x: SSAValue,
    scales: SSAValue,
    zeros: Array,
    limits: Sequence[int],
    axis: int = 0,
    group: int | None = None,
) -> SSAValue:
    """A constant dequantized: kept as integers where those fit int8 once their zero points are off, else as floats.

    Vectors (biases) are floats. Raises Unsupported for a weight of a contraction that has to be integers and is not.
    """
    array, factors = array_of(x), array_of(scales)
    integers = array - per_element(zeros, array.shape, axis, group)
    if array.ndim >= 2 and integers.min() >= -128 and integers.max() <= 127:
        if zeros.any() or array.dtype != np.int8:
            x = b.constant(integers.astype(np.int8))
        if min(limits) >= -8 and max(limits) <= 7 and not zeros.any():
            x = b.constant(integers.astype(numpy_dtype(DType.I4)))
        return b.op(nn.DequantizeWeightOp, x, b.f32(scales), axis=axis, group=group)
    if array.ndim >= 2 and any(is_contraction(reader) for reader in b.readers):
        raise Unsupported(f"of a weight with zero points up to {abs(zeros).max()}; accepted are symmetric weights")
    return b.constant(integers.astype(np.float32) * per_element(factors, array.shape, axis, group).astype(np.float32))


def per_element(values: Array, shape: tuple[int, ...], axis: int, group: int | None) -> Array:
    """Scales or zero points that broadcast against a weight."""
    if group is not None and values.ndim:
        return np.repeat(values, group, axis=1).reshape(shape)
    return values.reshape([-1 if d == axis else 1 for d in range(len(shape))]) if values.ndim and shape else values


def is_contraction(target: Any) -> bool:
    found = RULES.get(target)
    return found is not None and found.__module__ in (contraction.__name__, convolution.__name__)
