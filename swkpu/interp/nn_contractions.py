"""Convolutions and matrix products run."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from xdsl.interpreter import Interpreter, InterpreterFunctions, PythonValues, impl, register_impls

from swkpu.dialects import nn
from swkpu.interp.nn_base import Args, Tensor, decoded, result_dtype
from swkpu.interp.nn_windows import reversed_pairs


def contract(op: nn.NNOp, function: Callable[[Tensor, Tensor], Tensor], lhs: Tensor, rhs: Tensor) -> Tensor:
    """A sum of products in f32; of integers in f64, which holds every sum of int8 products exactly."""
    wide = torch.float32 if lhs.is_floating_point() else torch.float64
    return function(lhs.to(wide), rhs.to(wide)).to(result_dtype(op))


@register_impls
class ContractionFunctions(InterpreterFunctions):
    @impl(nn.Conv2dOp)
    def run_conv2d(self, interpreter: Interpreter, op: nn.Conv2dOp, args: Args) -> PythonValues:
        return (contract(op, _convolve(op), *args),)

    @impl(nn.Conv3dOp)
    def run_conv3d(self, interpreter: Interpreter, op: nn.Conv3dOp, args: Args) -> PythonValues:
        return (contract(op, _convolve(op), *args),)

    @impl(nn.ConvTranspose2dOp)
    def run_conv_transpose2d(self, interpreter: Interpreter, op: nn.ConvTranspose2dOp, args: Args) -> PythonValues:
        return (contract(op, _convolve_transposed(op), *args),)

    @impl(nn.ConvTranspose3dOp)
    def run_conv_transpose3d(self, interpreter: Interpreter, op: nn.ConvTranspose3dOp, args: Args) -> PythonValues:
        return (contract(op, _convolve_transposed(op), *args),)

    @impl(nn.LinearOp)
    def run_linear(self, interpreter: Interpreter, op: nn.LinearOp, args: Args) -> PythonValues:
        return (contract(op, F.linear, *args),)

    @impl(nn.MatmulOp)
    def run_matmul(self, interpreter: Interpreter, op: nn.MatmulOp, args: Args) -> PythonValues:
        return (contract(op, torch.matmul, *args),)

    @impl(nn.BatchNormOp)
    def run_batch_norm(self, interpreter: Interpreter, op: nn.BatchNormOp, args: Args) -> PythonValues:
        x, weight, bias, mean, variance = map(decoded, args)
        y = F.batch_norm(x, mean, variance, weight, bias, eps=op.eps.value.data)
        return (y.to(result_dtype(op)),)


def _convolve(op: nn.ConvOp) -> Callable[[Tensor, Tensor], Tensor]:
    stride, padding, dilation, groups = op.window
    before, after = padding[::2], padding[1::2]
    function: Callable[..., Tensor] = F.conv2d if op.SPATIAL == 2 else F.conv3d

    def conv(x: Tensor, w: Tensor) -> Tensor:
        if before == after:
            return function(x, w, None, stride, before, dilation, groups)
        return function(F.pad(x, reversed_pairs(padding)), w, None, stride, 0, dilation, groups)

    return conv


def _convolve_transposed(op: nn.ConvTransposeOp) -> Callable[[Tensor, Tensor], Tensor]:
    stride, padding, dilation, groups = op.window
    before, after, more = padding[::2], padding[1::2], op.output_padding.data
    function: Callable[..., Tensor] = F.conv_transpose2d if op.SPATIAL == 2 else F.conv_transpose3d

    def conv(x: Tensor, w: Tensor) -> Tensor:
        if before == after:
            return function(x, w, None, stride, before, more, groups, dilation)
        whole = function(x, w, None, stride, 0, more, groups, dilation)
        return F.pad(whole, reversed_pairs([-p for p in padding]))

    return conv
