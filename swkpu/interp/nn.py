"""The nn dialect runs: on torch CPU tensors, storage types native.

Contractions and reductions decode floats to f32 and give f32; integers are summed exactly. Elementwise operators
compute in f32 whatever they are stored in. Only `nn.cast` rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from xdsl.interpreter import Interpreter, InterpreterFunctions, PythonValues, impl, register_impls

from swkpu.dialects import nn
from swkpu.dialects.nn import shape_of, type_of, window_extent
from swkpu.interp.constants import array_of
from swkpu.types import dtype_of, to_torch, torch_dtype

Args = tuple[Any, ...]
Tensor = torch.Tensor

UNARY: dict[type[nn.UnaryOp], Callable[[Tensor], Tensor]] = {
    nn.ReluOp: torch.relu,
    nn.NegOp: torch.neg,
    nn.AbsOp: torch.abs,
    nn.ExpOp: torch.exp,
    nn.LogOp: torch.log,
    nn.SqrtOp: torch.sqrt,
    nn.RsqrtOp: torch.rsqrt,
    nn.TanhOp: torch.tanh,
    nn.ErfOp: torch.erf,
    nn.SigmoidOp: torch.sigmoid,
    nn.FloorOp: torch.floor,
    nn.CeilOp: torch.ceil,
}


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc")


BINARY: dict[type[nn.BinaryOp], Callable[[Tensor, Tensor], Tensor]] = {
    nn.AddOp: torch.add,
    nn.SubOp: torch.sub,
    nn.MulOp: torch.mul,
    nn.DivOp: _divide,
    nn.MaximumOp: torch.maximum,
    nn.MinimumOp: torch.minimum,
}


def decoded(x: Tensor) -> Tensor:
    """Floats as the f32 they are computed in; integers as they are."""
    return x.float() if x.is_floating_point() else x


def result_dtype(op: nn.NNOp) -> torch.dtype:
    return torch_dtype(dtype_of(type_of(op.results[0]).element_type))


def contract(op: nn.NNOp, function: Callable[[Tensor, Tensor], Tensor], lhs: Tensor, rhs: Tensor) -> Tensor:
    """A sum of products in f32; of integers in f64, which holds every sum of int8 products exactly."""
    wide = torch.float32 if lhs.is_floating_point() else torch.float64
    return function(lhs.to(wide), rhs.to(wide)).to(result_dtype(op))


def overhang(size: int, out: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> int:
    """How far a ceil-mode pool's last window reaches beyond the padding."""
    return max(0, (out - 1) * stride + dilation * (kernel - 1) + 1 - (size + before + after))


def elementwise(cls: type[InterpreterFunctions]) -> type[InterpreterFunctions]:
    """Give the class a method per unary and binary operator."""

    def method(function: Callable[..., Tensor]) -> Callable[..., PythonValues]:
        def run(self: InterpreterFunctions, interpreter: Interpreter, op: nn.NNOp, args: Args) -> PythonValues:
            return (function(*map(decoded, args)).to(result_dtype(op)),)

        return run

    for op_type, function in (*UNARY.items(), *BINARY.items()):
        setattr(cls, "run_" + op_type.name.removeprefix("nn."), impl(op_type)(method(function)))
    return cls


@register_impls
@elementwise
class NNFunctions(InterpreterFunctions):
    @impl(nn.ConstantOp)
    def run_constant(self, interpreter: Interpreter, op: nn.ConstantOp, args: Args) -> PythonValues:
        return (to_torch(array_of(op)),)

    # ---- elementwise ----

    @impl(nn.ClampOp)
    def run_clamp(self, interpreter: Interpreter, op: nn.ClampOp, args: Args) -> PythonValues:
        low, high = (None if bound is None else bound.value.data for bound in (op.min, op.max))
        return (torch.clamp(decoded(args[0]), low, high).to(result_dtype(op)),)

    @impl(nn.CastOp)
    def run_cast(self, interpreter: Interpreter, op: nn.CastOp, args: Args) -> PythonValues:
        return (args[0].to(result_dtype(op)),)

    @impl(nn.BatchNormOp)
    def run_batch_norm(self, interpreter: Interpreter, op: nn.BatchNormOp, args: Args) -> PythonValues:
        x, weight, bias, mean, variance = map(decoded, args)
        y = F.batch_norm(x, mean, variance, weight, bias, eps=op.eps.value.data)
        return (y.to(result_dtype(op)),)

    # ---- contractions ----

    @impl(nn.Conv2dOp)
    def run_conv2d(self, interpreter: Interpreter, op: nn.Conv2dOp, args: Args) -> PythonValues:
        stride, (top, bottom, left, right), dilation, groups = op.window

        def conv(x: Tensor, w: Tensor) -> Tensor:
            if top == bottom and left == right:
                return F.conv2d(x, w, None, stride, (top, left), dilation, groups)
            return F.conv2d(F.pad(x, (left, right, top, bottom)), w, None, stride, 0, dilation, groups)

        return (contract(op, conv, *args),)

    @impl(nn.LinearOp)
    def run_linear(self, interpreter: Interpreter, op: nn.LinearOp, args: Args) -> PythonValues:
        return (contract(op, F.linear, *args),)

    @impl(nn.MatmulOp)
    def run_matmul(self, interpreter: Interpreter, op: nn.MatmulOp, args: Args) -> PythonValues:
        return (contract(op, torch.matmul, *args),)

    # ---- windows and reductions ----

    @impl(nn.MaxPool2dOp)
    def run_max_pool2d(self, interpreter: Interpreter, op: nn.MaxPool2dOp, args: Args) -> PythonValues:
        (x,) = args
        kernel, stride, _, dilation, _ = op.window
        x = x if x.is_floating_point() else x.double()  # exact, and what torch's kernel takes
        padded = F.pad(x, _window_padding(op), value=-torch.inf)
        return (F.max_pool2d(padded, kernel, stride, 0, dilation).to(result_dtype(op)),)

    @impl(nn.AvgPool2dOp)
    def run_avg_pool2d(self, interpreter: Interpreter, op: nn.AvgPool2dOp, args: Args) -> PythonValues:
        x = decoded(args[0])
        sums = _window_sums(op, F.pad(x, _window_padding(op)))
        if op.divisor is not None:
            return ((sums / op.divisor.value.data).to(result_dtype(op)),)
        height, width = x.shape[2:]
        counted = torch.ones(1, 1, height, width)
        around = _window_padding(op)
        if bool(op.count_include_pad.value.data):
            top, bottom, left, right = op.window[2]
            counted = F.pad(counted, (left, right, top, bottom), value=1.0)
            around = [a - p for a, p in zip(around, (left, right, top, bottom))]
        return ((sums / _window_sums(op, F.pad(counted, around))).to(result_dtype(op)),)

    @impl(nn.MeanOp)
    def run_mean(self, interpreter: Interpreter, op: nn.MeanOp, args: Args) -> PythonValues:
        dims, keepdim = op.reduced
        x = args[0].float() if args[0].is_floating_point() else args[0].double()
        count = prod(shape_of(op.input)[d] for d in dims)
        return ((_sum(x, dims, keepdim) / count).to(result_dtype(op)),)

    @impl(nn.SumOp)
    def run_sum(self, interpreter: Interpreter, op: nn.SumOp, args: Args) -> PythonValues:
        return (_sum(decoded(args[0]), *op.reduced).to(result_dtype(op)),)

    @impl(nn.MaxOp)
    def run_max(self, interpreter: Interpreter, op: nn.MaxOp, args: Args) -> PythonValues:
        dims, keepdim = op.reduced
        return (torch.amax(args[0], dims, keepdim) if dims else args[0],)

    # ---- data movement ----

    @impl(nn.ReshapeOp)
    def run_reshape(self, interpreter: Interpreter, op: nn.ReshapeOp, args: Args) -> PythonValues:
        return (args[0].reshape(shape_of(op.result)),)

    @impl(nn.PermuteOp)
    def run_permute(self, interpreter: Interpreter, op: nn.PermuteOp, args: Args) -> PythonValues:
        return (args[0].permute(op.order),)


def _sum(x: Tensor, dims: Sequence[int], keepdim: bool) -> Tensor:
    return torch.sum(x, tuple(dims), keepdim) if dims else x  # torch takes no dims to mean all


def _window_padding(op: nn.Pool2dOp) -> list[int]:
    """[left, right, top, bottom] with what ceil mode adds at the ends."""
    kernel, stride, (top, bottom, left, right), dilation, ceil = op.window
    height, width = shape_of(op.input)[2:]
    rows = window_extent(height, kernel[0], stride[0], top, bottom, dilation[0], ceil)
    columns = window_extent(width, kernel[1], stride[1], left, right, dilation[1], ceil)
    below = overhang(height, rows, kernel[0], stride[0], top, bottom, dilation[0])
    beyond = overhang(width, columns, kernel[1], stride[1], left, right, dilation[1])
    return [left, right + beyond, top, bottom + below]


def _window_sums(op: nn.Pool2dOp, padded: Tensor) -> Tensor:
    """The sum of each window of an input that is padded already."""
    kernel, stride, _, dilation, _ = op.window
    n, c, h, w = padded.shape
    padded = padded if padded.is_floating_point() else padded.double()
    ones = torch.ones(1, 1, *kernel, dtype=padded.dtype)
    sums = F.conv2d(padded.reshape(n * c, 1, h, w), ones, None, stride, 0, dilation)
    return sums.reshape(n, c, *sums.shape[2:])
