"""Convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, Scalar, both_sides, pair
from swkpu.frontend.table import Unsupported, rule

aten = torch.ops.aten
Padding = tuple[int, int, int, int]


def _conv(
    b: NodeBuilder,
    x: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None,
    stride: Sequence[int],
    padding: Padding,
    dilation: Sequence[int],
    groups: int,
) -> SSAValue:
    b.float_only()
    if len(nn.shape_of(weight)) != 4:
        raise Unsupported(f"in {len(nn.shape_of(weight)) - 2} spatial dims")
    batched = len(nn.shape_of(x)) == 4
    x = x if batched else b.reshape(x, (1, *nn.shape_of(x)))
    y = b.emit(nn.Conv2dOp(x, weight, pair(stride), padding, pair(dilation), groups))
    if bias is not None:
        y = b.emit(nn.AddOp(y, b.reshape(b.f32(bias), (1, nn.shape_of(y)[1], 1, 1))))
    return y if batched else b.reshape(y, nn.shape_of(y)[1:])


@rule(aten.conv2d.default)
def conv2d(
    b: NodeBuilder,
    x: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> SSAValue:
    """nn.conv2d, then nn.add of the bias"""
    return _conv(b, x, weight, bias, stride, both_sides(padding), dilation, groups)


@rule(aten.conv2d.padding)
def conv2d_padding(
    b: NodeBuilder,
    x: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None = None,
    stride: Sequence[int] = (1, 1),
    padding: str = "valid",
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> SSAValue:
    """nn.conv2d, then nn.add of the bias; "same" puts the odd row and column of padding at the end"""
    kernel, steps = nn.shape_of(weight)[2:], pair(dilation)
    total = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, steps)]
    (top, left), (bottom, right) = [t // 2 for t in total], [t - t // 2 for t in total]
    return _conv(b, x, weight, bias, stride, (top, bottom, left, right), dilation, groups)


@rule(aten.convolution.default)
def convolution(
    b: NodeBuilder,
    x: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> SSAValue:
    """nn.conv2d, then nn.add of the bias"""
    if transposed:
        raise Unsupported("transposed")
    return _conv(b, x, weight, bias, stride, both_sides(padding), dilation, groups)


@rule(aten.linear.default)
def linear(b: NodeBuilder, x: SSAValue, weight: SSAValue, bias: SSAValue | None = None) -> SSAValue:
    """nn.linear, then nn.add of the bias"""
    b.float_only()
    if len(nn.shape_of(weight)) != 2:
        raise Unsupported("with a weight that is a vector")
    y = b.emit(nn.LinearOp(x, weight))
    return y if bias is None else b.emit(nn.AddOp(y, b.f32(bias)))


@rule(aten.mm.default, aten.bmm.default)
def mm(b: NodeBuilder, lhs: SSAValue, rhs: SSAValue) -> SSAValue:
    """nn.matmul"""
    b.float_only()
    return b.emit(nn.MatmulOp(lhs, rhs))


@rule(aten.matmul.default)
def matmul(b: NodeBuilder, lhs: SSAValue, rhs: SSAValue) -> SSAValue:
    """nn.matmul; a vector becomes a matrix of one row or column"""
    b.float_only()
    left, right = nn.shape_of(lhs), nn.shape_of(rhs)
    lhs = lhs if len(left) > 1 else b.reshape(lhs, (1, *left))
    rhs = rhs if len(right) > 1 else b.reshape(rhs, (*right, 1))
    return b.reshape(b.emit(nn.MatmulOp(lhs, rhs)), b.shape)


@rule(aten.addmm.default)
def addmm(
    b: NodeBuilder, bias: SSAValue, lhs: SSAValue, rhs: SSAValue, beta: Scalar = 1, alpha: Scalar = 1
) -> SSAValue:
    """nn.matmul, then nn.add of the bias; alpha and beta as nn.mul"""
    b.float_only()
    y = _scaled(b, b.emit(nn.MatmulOp(lhs, rhs)), alpha)
    return y if beta == 0 else b.emit(nn.AddOp(y, _scaled(b, b.f32(bias), beta)))


def _scaled(b: NodeBuilder, x: SSAValue, factor: Scalar) -> SSAValue:
    return x if factor == 1 else b.emit(nn.MulOp(x, b.scalar(factor)))
