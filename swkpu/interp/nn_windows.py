"""Pools and resizing run."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from xdsl.interpreter import Interpreter, InterpreterFunctions, PythonValues, impl, register_impls

from swkpu.dialects import nn
from swkpu.dialects.nn import shape_of
from swkpu.interp.nn_base import Args, Tensor, decoded, result_dtype

MAX_POOL: dict[int, Callable[..., Tensor]] = {2: F.max_pool2d, 3: F.max_pool3d}
CONV: dict[int, Callable[..., Tensor]] = {2: F.conv2d, 3: F.conv3d}
ADAPTIVE_AVG: dict[int, Callable[..., Tensor]] = {2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}
ADAPTIVE_MAX: dict[int, Callable[..., Tensor]] = {2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}


@register_impls
class WindowFunctions(InterpreterFunctions):
    def max_pool(self, op: nn.MaxPoolOp, x: Tensor) -> PythonValues:
        kernel, stride, _, dilation, _ = op.window
        x = x if x.is_floating_point() else x.double()  # exact, and what torch's kernel takes
        padded = F.pad(x, reach(op), value=-torch.inf)
        return (MAX_POOL[op.SPATIAL](padded, kernel, stride, 0, dilation).to(result_dtype(op)),)

    def avg_pool(self, op: nn.AvgPoolOp, x: Tensor) -> PythonValues:
        x, quantized = decoded(x), nn.quantized_type_of(op.input)
        sums = _window_sums(op, F.pad(x, reach(op), value=0 if quantized is None else quantized.zero_point))
        if op.divisor is not None:
            return ((sums / op.divisor.value.data).to(result_dtype(op)),)
        counted = torch.ones(1, 1, *x.shape[2:])
        around = reach(op)
        if bool(op.count_include_pad.value.data):
            padding = reversed_pairs(op.padding.data)
            counted = F.pad(counted, padding, value=1.0)
            around = [a - p for a, p in zip(around, padding)]
        return ((sums / _window_sums(op, F.pad(counted, around))).to(result_dtype(op)),)

    @impl(nn.MaxPool2dOp)
    def run_max_pool2d(self, interpreter: Interpreter, op: nn.MaxPool2dOp, args: Args) -> PythonValues:
        return self.max_pool(op, *args)

    @impl(nn.MaxPool3dOp)
    def run_max_pool3d(self, interpreter: Interpreter, op: nn.MaxPool3dOp, args: Args) -> PythonValues:
        return self.max_pool(op, *args)

    @impl(nn.AvgPool2dOp)
    def run_avg_pool2d(self, interpreter: Interpreter, op: nn.AvgPool2dOp, args: Args) -> PythonValues:
        return self.avg_pool(op, *args)

    @impl(nn.AvgPool3dOp)
    def run_avg_pool3d(self, interpreter: Interpreter, op: nn.AvgPool3dOp, args: Args) -> PythonValues:
        return self.avg_pool(op, *args)

    @impl(nn.AdaptiveAvgPool2dOp)
    def run_adaptive_avg_pool2d(self, interpreter: Interpreter, op: nn.AdaptiveAvgPool2dOp, args: Args) -> PythonValues:
        return (_adaptive(ADAPTIVE_AVG, op, *args),)

    @impl(nn.AdaptiveAvgPool3dOp)
    def run_adaptive_avg_pool3d(self, interpreter: Interpreter, op: nn.AdaptiveAvgPool3dOp, args: Args) -> PythonValues:
        return (_adaptive(ADAPTIVE_AVG, op, *args),)

    @impl(nn.AdaptiveMaxPool2dOp)
    def run_adaptive_max_pool2d(self, interpreter: Interpreter, op: nn.AdaptiveMaxPool2dOp, args: Args) -> PythonValues:
        return (_adaptive(ADAPTIVE_MAX, op, *args),)

    @impl(nn.AdaptiveMaxPool3dOp)
    def run_adaptive_max_pool3d(self, interpreter: Interpreter, op: nn.AdaptiveMaxPool3dOp, args: Args) -> PythonValues:
        return (_adaptive(ADAPTIVE_MAX, op, *args),)

    @impl(nn.ResizeOp)
    def run_resize(self, interpreter: Interpreter, op: nn.ResizeOp, args: Args) -> PythonValues:
        return (resize(op, *args).to(result_dtype(op)),)


def overhang(size: int, out: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> int:
    """How far a ceil-mode pool's last window reaches beyond the padding."""
    return max(0, (out - 1) * stride + dilation * (kernel - 1) + 1 - (size + before + after))


def reversed_pairs(padding: tuple[int, ...] | list[int]) -> list[int]:
    """[before, after] of each dim with the last dim first, as torch's pad has them."""
    return [side for at in range(len(padding) - 2, -1, -2) for side in padding[at : at + 2]]


def reach(op: nn.PoolOp) -> list[int]:
    """The padding of a pool, last dim first, with what ceil mode adds at the ends."""
    kernel, stride, padding, dilation, _ = op.window
    out: list[int] = []
    for i, (size, count) in enumerate(zip(shape_of(op.input)[2:], shape_of(op.result)[2:])):
        before, after = padding[2 * i : 2 * i + 2]
        out += [before, after + overhang(size, count, kernel[i], stride[i], before, after, dilation[i])]
    return reversed_pairs(out)


def _window_sums(op: nn.PoolOp, padded: Tensor) -> Tensor:
    """The sum of each window of an input that is padded already."""
    kernel, stride, _, dilation, _ = op.window
    n, c, *sizes = padded.shape
    padded = padded if padded.is_floating_point() else padded.double()
    ones = torch.ones(1, 1, *kernel, dtype=padded.dtype)
    sums = CONV[op.SPATIAL](padded.reshape(n * c, 1, *sizes), ones, None, stride, 0, dilation)
    return sums.reshape(n, c, *sums.shape[2:])


def _adaptive(functions: dict[int, Callable[..., Tensor]], op: nn.AdaptivePoolOp, x: Tensor) -> Tensor:
    x = x.float() if x.is_floating_point() else x.double()
    return functions[op.SPATIAL](x, op.size.data).to(result_dtype(op))


def resize(op: nn.ResizeOp, x: Tensor) -> Tensor:
    """One dim after the other, by torch's kernels for one dim (cubic: for an image one element wide)."""
    x = x if op.mode.data.startswith("nearest") else x.float()
    scales = op.scale_factors or (None,) * len(op.size.data)
    for at, (size, scale) in enumerate(zip(op.size.data, scales)):
        dim = at + 2
        rows = x.movedim(dim, -1)
        moved = _resize_rows(rows.reshape(1, -1, rows.shape[-1]), op.mode.data, size, op.corners, scale)
        x = moved.reshape(*rows.shape[:-1], size).movedim(-1, dim)
    return x


def _resize_rows(x: Tensor, mode: str, size: int, corners: bool, scale: float | None) -> Tensor:
    aten = torch.ops.aten
    if mode == "linear":
        return aten.upsample_linear1d(x, [size], corners, scale)
    if mode == "cubic":
        return aten.upsample_bicubic2d(x[..., None], [size, 1], corners, scale, None)[..., 0]
    at = torch.arange(x.shape[-1], dtype=torch.float32)[None, None]  # the kernels take no half or integers
    kernel = aten.upsample_nearest1d if mode == "nearest" else aten._upsample_nearest_exact1d
    return x[..., kernel(at, [size], scale)[0, 0].long()]
