"""Convolutions and matrix products run."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from xdsl.interpreter import Interpreter, InterpreterFunctions, PythonValues, impl, register_impls

from swkpu.dialects import nn
from swkpu.interp.integer_contractions import convolved, multiplied
from swkpu.interp.nn_base import Args, Tensor, decoded, result_dtype
from swkpu.interp.nn_windows import reversed_pairs


@register_impls
class ContractionFunctions(InterpreterFunctions):
    @impl(nn.Conv2dOp)
    def run_conv2d(self, interpreter: Interpreter, op: nn.Conv2dOp, args: Args) -> PythonValues:
        return (_convolution(op, *args),)

    @impl(nn.Conv3dOp)
    def run_conv3d(self, interpreter: Interpreter, op: nn.Conv3dOp, args: Args) -> PythonValues:
        return (_convolution(op, *args),)

    @impl(nn.ConvTranspose2dOp)
    def run_conv_transpose2d(self, interpreter: Interpreter, op: nn.ConvTranspose2dOp, args: Args) -> PythonValues:
        return (_transposed_convolution(op, *args),)

    @impl(nn.ConvTranspose3dOp)
    def run_conv_transpose3d(self, interpreter: Interpreter, op: nn.ConvTranspose3dOp, args: Args) -> PythonValues:
        return (_transposed_convolution(op, *args),)

    @impl(nn.LinearOp)
    def run_linear(self, interpreter: Interpreter, op: nn.LinearOp, args: Args) -> PythonValues:
        x, weight = args
        return (_product(op, x, weight.T) if x.dim() > 1 else _product(op, x[None], weight.T)[0],)

    @impl(nn.MatmulOp)
    def run_matmul(self, interpreter: Interpreter, op: nn.MatmulOp, args: Args) -> PythonValues:
        return (_product(op, *args),)

    @impl(nn.BatchNormOp)
    def run_batch_norm(self, interpreter: Interpreter, op: nn.BatchNormOp, args: Args) -> PythonValues:
        x, weight, bias, mean, variance = map(decoded, args)
        y = F.batch_norm(x, mean, variance, weight, bias, eps=op.eps.value.data)
        return (y.to(result_dtype(op)),)


def _product(op: nn.LinearOp | nn.MatmulOp, lhs: Tensor, rhs: Tensor) -> Tensor:
    """Floats are multiplied and summed in f32, integers exactly."""
    if lhs.is_floating_point():
        return torch.matmul(lhs.float(), rhs.float()).to(result_dtype(op))
    return multiplied(lhs, rhs, result_dtype(op))


def _convolution(op: nn.ConvOp, x: Tensor, w: Tensor) -> Tensor:
    stride, padding, dilation, groups = op.window
    if not x.is_floating_point():
        quantized = nn.quantized_type_of(op.input)
        zero = 0 if quantized is None else quantized.zero_point
        return convolved(x, w, op.window, zero, result_dtype(op))
    function: Callable[..., Tensor] = F.conv2d if op.SPATIAL == 2 else F.conv3d
    x, w, before, after = x.float(), w.float(), padding[::2], padding[1::2]
    if before == after:
        return function(x, w, None, stride, before, dilation, groups).to(result_dtype(op))
    padded = F.pad(x, reversed_pairs(padding))
    return function(padded, w, None, stride, 0, dilation, groups).to(result_dtype(op))


def _transposed_convolution(op: nn.ConvTransposeOp, x: Tensor, w: Tensor) -> Tensor:
    """In f32; integers in f64, which holds every sum of int8 products exactly."""
    wide = torch.float32 if x.is_floating_point() else torch.float64
    return convolve_transposed(op, x.to(wide), w.to(wide)).to(result_dtype(op))


def convolve_transposed(op: nn.ConvTransposeOp, x: Tensor, w: Tensor) -> Tensor:
    """The convolution of an op on arrays in their own type."""
    stride, padding, dilation, groups = op.window
    before, after, more = padding[::2], padding[1::2], op.output_padding.data
    function: Callable[..., Tensor] = F.conv_transpose2d if op.SPATIAL == 2 else F.conv_transpose3d
    if before == after:
        return function(x, w, None, stride, before, more, groups, dilation)
    whole = function(x, w, None, stride, 0, more, groups, dilation)
    return F.pad(whole, reversed_pairs([-p for p in padding]))
