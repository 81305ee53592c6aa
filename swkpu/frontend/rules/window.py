"""Pools. Pools over one dim reach these rules as pools over two, of which the first has one element."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, both_sides, spread
from swkpu.frontend.rules.pool_indices import adaptive_windows, indices_of_max, pool_windows
from swkpu.frontend.table import rule

aten = torch.ops.aten
Ints = int | Sequence[int]

_MAX: dict[int, type[nn.MaxPoolOp]] = {2: nn.MaxPool2dOp, 3: nn.MaxPool3dOp}
_AVG: dict[int, type[nn.AvgPoolOp]] = {2: nn.AvgPool2dOp, 3: nn.AvgPool3dOp}
_ADAPTIVE_MAX: dict[int, type[nn.AdaptivePoolOp]] = {2: nn.AdaptiveMaxPool2dOp, 3: nn.AdaptiveMaxPool3dOp}
_ADAPTIVE_AVG: dict[int, type[nn.AdaptivePoolOp]] = {2: nn.AdaptiveAvgPool2dOp, 3: nn.AdaptiveAvgPool3dOp}


def _batched(b: NodeBuilder, x: SSAValue, rank: int) -> SSAValue:
    """The input as N, C, spatial...; without a batch it becomes a batch of one."""
    shape = nn.shape_of(x)
    return x if len(shape) == rank + 2 else b.reshape(x, (1, *shape))


def _max_pool(
    b: NodeBuilder, rank: int, x: SSAValue, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil: bool
) -> tuple[SSAValue, SSAValue | None]:
    """The pool, and where its elements are if something asks for that."""
    steps = spread(stride if stride else kernel, rank)
    op = _MAX[rank](
        _batched(b, x, rank), spread(kernel, rank), steps, both_sides(padding, rank), spread(dilation, rank), ceil
    )
    y = b.reshape(b.emit(op), b.shape)
    return y, b.reshape(indices_of_max(b, op.input, pool_windows(op)), b.shape) if 1 in b.used else None


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
    return _max_pool(b, 2, x, kernel, stride, padding, dilation, ceil_mode)[0]


@rule(aten.max_pool3d.default)
def max_pool3d(
    b: NodeBuilder,
    x: SSAValue,
    kernel: Ints,
    stride: Ints = (),
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
) -> SSAValue:
    """nn.max_pool3d"""
    return _max_pool(b, 3, x, kernel, stride, padding, dilation, ceil_mode)[0]


@rule(aten.max_pool2d_with_indices.default)
def max_pool2d_with_indices(
    b: NodeBuilder,
    x: SSAValue,
    kernel: Ints,
    stride: Ints = (),
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
) -> tuple[SSAValue, SSAValue | None]:
    """nn.max_pool2d; for the indices nn.take of the windows and nn.argmax"""
    return _max_pool(b, 2, x, kernel, stride, padding, dilation, ceil_mode)


@rule(aten.max_pool3d_with_indices.default)
def max_pool3d_with_indices(
    b: NodeBuilder,
    x: SSAValue,
    kernel: Ints,
    stride: Ints = (),
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
) -> tuple[SSAValue, SSAValue | None]:
    """nn.max_pool3d; for the indices nn.take of the windows and nn.argmax"""
    return _max_pool(b, 3, x, kernel, stride, padding, dilation, ceil_mode)


def _avg_pool(
    b: NodeBuilder,
    rank: int,
    x: SSAValue,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    ceil: bool,
    counted: bool,
    divisor: int | None,
) -> SSAValue:
    b.float_only(x)
    steps = spread(stride if stride else kernel, rank)
    sides = both_sides(padding, rank)
    op = _AVG[rank](_batched(b, x, rank), spread(kernel, rank), steps, sides, ceil, counted, divisor)
    return b.reshape(b.emit(op), b.shape)


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
    return _avg_pool(b, 2, x, kernel, stride, padding, ceil_mode, count_include_pad, divisor)


@rule(aten.avg_pool3d.default)
def avg_pool3d(
    b: NodeBuilder,
    x: SSAValue,
    kernel: Ints,
    stride: Ints = (),
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> SSAValue:
    """nn.avg_pool3d"""
    return _avg_pool(b, 3, x, kernel, stride, padding, ceil_mode, count_include_pad, divisor)


def _regular(size: int, out: int) -> tuple[int, int] | None:
    """(kernel, stride) where the windows of an adaptive pool are all of one size and equally far apart."""
    kernel, stride = -(-size // out), size // out
    alike = all((i * size // out, -(-(i + 1) * size // out)) == (i * stride, i * stride + kernel) for i in range(out))
    return (kernel, stride) if stride and alike else None


def _adaptive(b: NodeBuilder, rank: int, x: SSAValue, average: bool) -> SSAValue:
    """A reduction to one element, a plain pool where the windows are regular, else the adaptive pool."""
    if average:
        b.float_only(x)
    x = _batched(b, x, rank)
    size, out = nn.shape_of(x)[2:], b.shape[-rank:]
    windows = [_regular(s, o) for s, o in zip(size, out)]
    if set(out) == {1}:
        reduce = nn.MeanOp if average else nn.MaxOp
        return b.reshape(b.emit(reduce(x, range(2, rank + 2), True)), b.shape)
    regular = [w for w in windows if w is not None]
    if len(regular) == rank:
        kernel, stride = zip(*regular)
        return b.reshape(b.emit((_AVG if average else _MAX)[rank](x, kernel, stride)), b.shape)
    return b.reshape(b.emit((_ADAPTIVE_AVG if average else _ADAPTIVE_MAX)[rank](x, out)), b.shape)


@rule(aten.adaptive_avg_pool2d.default, aten._adaptive_avg_pool2d.default)
def adaptive_avg_pool2d(b: NodeBuilder, x: SSAValue, output_size: Ints) -> SSAValue:
    """nn.mean to 1x1; nn.avg_pool2d where all windows are alike; else nn.adaptive_avg_pool2d"""
    return _adaptive(b, 2, x, True)


@rule(aten.adaptive_avg_pool3d.default, aten._adaptive_avg_pool3d.default)
def adaptive_avg_pool3d(b: NodeBuilder, x: SSAValue, output_size: Ints) -> SSAValue:
    """nn.mean to 1x1x1; nn.avg_pool3d where all windows are alike; else nn.adaptive_avg_pool3d"""
    return _adaptive(b, 3, x, True)


def _adaptive_max(b: NodeBuilder, rank: int, x: SSAValue) -> tuple[SSAValue, SSAValue | None]:
    y = _adaptive(b, rank, x, False)
    if 1 not in b.used:
        return y, None
    x = _batched(b, x, rank)
    return y, b.reshape(indices_of_max(b, x, adaptive_windows(nn.shape_of(x)[2:], b.shape[-rank:])), b.shape)


@rule(aten.adaptive_max_pool2d.default)
def adaptive_max_pool2d(b: NodeBuilder, x: SSAValue, output_size: Ints) -> tuple[SSAValue, SSAValue | None]:
    """nn.max to 1x1; nn.max_pool2d where all windows are alike; else nn.adaptive_max_pool2d"""
    return _adaptive_max(b, 2, x)


@rule(aten.adaptive_max_pool3d.default)
def adaptive_max_pool3d(b: NodeBuilder, x: SSAValue, output_size: Ints) -> tuple[SSAValue, SSAValue | None]:
    """nn.max to 1x1x1; nn.max_pool3d where all windows are alike; else nn.adaptive_max_pool3d"""
    return _adaptive_max(b, 3, x)
