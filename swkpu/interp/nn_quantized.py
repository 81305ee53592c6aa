"""Quantized tensors run: as torch tensors of their storage type."""

from __future__ import annotations

import torch
from xdsl.interpreter import Interpreter, InterpreterFunctions, PythonValues, impl, register_impls

from swkpu.dialects import nn
from swkpu.dialects.nn import QuantizedType
from swkpu.interp.nn_base import Args, Tensor, result_dtype
from swkpu.types import to_torch


def quantized(x: Tensor, element: QuantizedType) -> Tensor:
    """The stored values nearest to real numbers: half to even, saturated; NaN is the zero point."""
    steps = torch.round(x * _f32(1.0 / element.scale)).nan_to_num(0.0) + element.zero_point
    return steps.double().clamp(*element.limits).to(torch.int8 if element.storage.width.data == 8 else torch.int32)


def dequantized(q: Tensor, element: QuantizedType) -> Tensor:
    return (q.float() - element.zero_point) * _f32(element.scale)


def _f32(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float32)


def _element(value: object) -> QuantizedType:
    assert isinstance(value, QuantizedType)
    return value


@register_impls
class QuantizedFunctions(InterpreterFunctions):
    @impl(nn.QuantizeOp)
    def run_quantize(self, interpreter: Interpreter, op: nn.QuantizeOp, args: Args) -> PythonValues:
        return (quantized(args[0], _element(nn.type_of(op.result).element_type)),)

    @impl(nn.DequantizeOp)
    def run_dequantize(self, interpreter: Interpreter, op: nn.DequantizeOp, args: Args) -> PythonValues:
        return (dequantized(args[0], _element(nn.type_of(op.input).element_type)),)

    @impl(nn.DequantizeWeightOp)
    def run_dequantize_weight(self, interpreter: Interpreter, op: nn.DequantizeWeightOp, args: Args) -> PythonValues:
        weight, scales = args[0].float(), args[1]
        axis, group = op.layout
        if group is not None:
            rows = weight.reshape(weight.shape[0], -1, group) * scales[:, :, None]
            return (rows.reshape(weight.shape),)
        shape = [1] * weight.dim()
        shape[axis] = -1
        return (weight * scales.reshape(shape),)

    @impl(nn.RescaleOp)
    def run_rescale(self, interpreter: Interpreter, op: nn.RescaleOp, args: Args) -> PythonValues:
        x, multiplier, shift = (a.to(torch.int64) for a in args)
        before, after = op.zero_points
        rounded = ((x - before) * multiplier + (torch.ones_like(shift) << (shift - 1))) >> shift
        limits = torch.iinfo(result_dtype(op))
        return ((rounded + after).clamp(limits.min, limits.max).to(result_dtype(op)),)

    @impl(nn.TableOp)
    def run_table(self, interpreter: Interpreter, op: nn.TableOp, args: Args) -> PythonValues:
        return (to_torch(op.table.array())[args[0].long() + 128],)
