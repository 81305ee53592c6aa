"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, both_sides, pair
from swkpu.frontend.table import Unsupported, rule

aten = torch.ops.aten
Ints = int | Sequence[int]


def _images(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """The input as NCHW; a single CHW image becomes a batch of one."""
    b.float_only()
    shape = nn.shape_of(x)
    return x if len(shape) == 4 else b.reshape(x, (1, *shape))


def _max_pool(
    b: NodeBuilder, x: SSAValue, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> SSAValue:
    steps = pair(stride if stride else kernel)
    op = nn.MaxPool2dOp(_images(b, x), pair(kernel), steps, both_sides(padding), pair(dilation), ceil_mode)
    return b.reshape(b.emit(op), b.shape)


@rule(aten.max_pool2d.default)
def max_pool2d(
    b: NodeBuilder,
    x: SSAValue,
    kernel: Ints,
    stride: Ints = (),
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
) -> SSAValue:
    """nn.max_pool2d"""
    return _max_pool(b, x, kernel, stride, padding, dilation, ceil_mode)


@rule(aten.max_pool2d_with_indices.default)
def max_pool2d_with_indices(
    b: NodeBuilder,
    x: SSAValue,
    kernel: Ints,
    stride: Ints = (),
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
) -> tuple[SSAValue, None]:
    """nn.max_pool2d, where the indices are not used"""
    return _max_pool(b, x, kernel, stride, padding, dilation, ceil_mode), None


@rule(aten.avg_pool2d.default)
def avg_pool2d(
    b: NodeBuilder,
    x: SSAValue,
    kernel: Ints,
    stride: Ints = (),
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> SSAValue:
    """nn.avg_pool2d"""
    steps = pair(stride if stride else kernel)
    sides = both_sides(padding)
    op = nn.AvgPool2dOp(_images(b, x), pair(kernel), steps, sides, ceil_mode, count_include_pad, divisor)
    return b.reshape(b.emit(op), b.shape)


@rule(aten.adaptive_avg_pool2d.default, aten._adaptive_avg_pool2d.default)
def adaptive_avg_pool2d(b: NodeBuilder, x: SSAValue, output_size: Ints) -> SSAValue:
    """nn.mean to 1x1; nn.avg_pool2d where the output size divides the input's"""
    image = _images(b, x)
    size, out = nn.shape_of(image)[2:], b.shape[-2:]
    if out == (1, 1):
        return b.reshape(b.emit(nn.MeanOp(image, (2, 3), True)), b.shape)
    if any(s % o for s, o in zip(size, out)):
        raise Unsupported(f"from {size[0]}x{size[1]} to {out[0]}x{out[1]}, which does not divide it")
    kernel = [s // o for s, o in zip(size, out)]
    return b.reshape(b.emit(nn.AvgPool2dOp(image, kernel, kernel)), b.shape)
