"""Softmax, and norms with the statistics of their input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder
from swkpu.frontend.elements import element_of
from swkpu.frontend.rules.reduction import moments
from swkpu.frontend.table import rule

aten = torch.ops.aten

Optional = SSAValue | None


# ---- softmax ----


@rule(aten.softmax.int)
def softmax(b: NodeBuilder, x: SSAValue, dim: int, dtype: torch.dtype | None = None) -> SSAValue:
    """nn.softmax"""
    return _softmax(b, nn.SoftmaxOp, x if dtype is None else b.cast(x, element_of(dtype)), dim)


@rule(aten._softmax.default)
def softmax_core(b: NodeBuilder, x: SSAValue, dim: int, half_to_float: bool) -> SSAValue:
    """nn.softmax"""
    return _softmax(b, nn.SoftmaxOp, x, dim)


@rule(aten.log_softmax.int)
def log_softmax(b: NodeBuilder, x: SSAValue, dim: int, dtype: torch.dtype | None = None) -> SSAValue:
    """nn.log_softmax"""
    return _softmax(b, nn.LogSoftmaxOp, x if dtype is None else b.cast(x, element_of(dtype)), dim)


@rule(aten._log_softmax.default)
def log_softmax_core(b: NodeBuilder, x: SSAValue, dim: int, half_to_float: bool) -> SSAValue:
    """nn.log_softmax"""
    return _softmax(b, nn.LogSoftmaxOp, x, dim)


def _softmax(b: NodeBuilder, op: type[nn.SoftmaxBaseOp], x: SSAValue, dim: int) -> SSAValue:
    """A tensor without dims counts as one of one dim, as in torch."""
    shape = nn.shape_of(x) or (1,)
    return b.reshape(b.op(op, b.reshape(b.f32(x), shape), dim=dim % len(shape)), b.shape)


# ---- layer and group norm ----


@rule(aten.layer_norm.default)
def layer_norm(
    b: NodeBuilder,
    x: SSAValue,
    normalized_shape: Sequence[int],
    weight: Optional = None,
    bias: Optional = None,
    eps: float = 1e-5,
    *_: Any,
) -> SSAValue:
    """nn.layer_norm"""
    return b.op(nn.LayerNormOp, x, dims=len(normalized_shape), eps=eps, weight=weight, bias=bias)


@rule(aten.native_layer_norm.default)
def native_layer_norm(
    b: NodeBuilder, x: SSAValue, normalized_shape: Sequence[int], weight: Optional, bias: Optional, eps: float
) -> tuple[Optional, ...]:
    """nn.layer_norm; the statistics, where used, by nn.mean and others"""
    dims = len(normalized_shape)
    y = b.op(nn.LayerNormOp, x, dims=dims, eps=eps, weight=weight, bias=bias)
    rank = len(nn.shape_of(x))
    return y, *_statistics(b, x, range(rank - dims, rank), eps)


@rule(aten.rms_norm.default)
def rms_norm(
    b: NodeBuilder, x: SSAValue, normalized_shape: Sequence[int], weight: Optional = None, eps: float | None = None
) -> SSAValue:
    """nn.rms_norm"""
    smallest = torch.finfo(torch.float32).eps
    return b.op(nn.RmsNormOp, x, dims=len(normalized_shape), eps=smallest if eps is None else eps, weight=weight)


@rule(aten.group_norm.default)
def group_norm(
    b: NodeBuilder, x: SSAValue, groups: int, weight: Optional = None, bias: Optional = None, eps: float = 1e-5, *_: Any
) -> SSAValue:
    """nn.group_norm"""
    return b.op(nn.GroupNormOp, x, groups=groups, eps=eps, weight=weight, bias=bias)


@rule(aten.native_group_norm.default)
def native_group_norm(
    b: NodeBuilder, x: SSAValue, weight: Optional, bias: Optional, n: int, c: int, size: int, groups: int, eps: float
) -> tuple[Optional, ...]:
    """nn.group_norm; the statistics, where used, by nn.mean and others"""
    y = b.op(nn.GroupNormOp, x, groups=groups, eps=eps, weight=weight, bias=bias)
    rows = b.reshape(x, (n, groups, c // groups * size)) if b.used & {1, 2} else x
    return y, *(None if v is None else b.reshape(v, (n, groups)) for v in _statistics(b, rows, (2,), eps))


@rule(aten.instance_norm.default)
def instance_norm(
    b: NodeBuilder,
    x: SSAValue,
    weight: Optional,
    bias: Optional,
    mean: Optional,
    variance: Optional,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    *_: Any,
) -> SSAValue:
    """nn.group_norm with a group per channel; nn.batch_norm with running statistics"""
    if use_input_stats or mean is None or variance is None:
        return b.op(nn.GroupNormOp, x, groups=nn.shape_of(x)[1], eps=eps, weight=weight, bias=bias)
    return batch_norm(b, x, weight, bias, mean, variance, momentum, eps)[0]


def _statistics(b: NodeBuilder, x: SSAValue, dims: Sequence[int], eps: float) -> tuple[Optional, Optional]:
    """Mean and 1 / sqrt(variance + eps), which are a call's results 1 and 2, where they are used."""
    if not b.used & {1, 2}:
        return None, None
    variance, mean = moments(b, x, dims, 0)
    return mean, _inverse_deviation(b, variance, eps)


def _inverse_deviation(b: NodeBuilder, variance: SSAValue, eps: float) -> SSAValue:
    return b.op(nn.RsqrtOp, b.op(nn.AddOp, variance, eps))


# ---- batch norm ----


@rule(aten._native_batch_norm_legit_no_training.default)
def batch_norm(
    b: NodeBuilder,
    x: SSAValue,
    weight: Optional,
    bias: Optional,
    mean: SSAValue,
    variance: SSAValue,
    momentum: float,
    eps: float,
) -> tuple[SSAValue, None, None]:
    """nn.batch_norm"""
    channels = nn.shape_of(mean)
    weight = b.filled(channels, 1.0) if weight is None else weight
    bias = b.filled(channels, 0.0) if bias is None else bias
    op = nn.BatchNormOp(b.f32(x), b.f32(weight), b.f32(bias), b.f32(mean), b.f32(variance), eps)
    return b.emit(op), None, None


@rule(aten._native_batch_norm_legit.no_stats)
def batch_norm_of_batch(
    b: NodeBuilder, x: SSAValue, weight: Optional, bias: Optional, training: bool, momentum: float, eps: float
) -> tuple[Optional, ...]:
    """nn.batch_norm with the batch's mean and variance"""
    y, mean, variance = _by_batch(b, x, weight, bias, eps)
    return y, mean, _inverse_deviation(b, variance, eps) if 2 in b.used else None


@rule(aten._native_batch_norm_legit_functional.default)
def batch_norm_functional(
    b: NodeBuilder,
    x: SSAValue,
    weight: Optional,
    bias: Optional,
    running_mean: SSAValue,
    running_variance: SSAValue,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Optional, ...]:
    """nn.batch_norm; in training with the batch's mean and variance, and running ones that follow them"""
    if not training:
        y = batch_norm(b, x, weight, bias, running_mean, running_variance, momentum, eps)[0]
        return y, b.filled((0,), 0.0), b.filled((0,), 0.0), running_mean, running_variance
    y, mean, variance = _by_batch(b, x, weight, bias, eps)
    shape = nn.shape_of(x)
    count = 1
    for size in (shape[0], *shape[2:]):
        count *= size
    unbiased = b.op(nn.MulOp, variance, count / max(1, count - 1)) if 4 in b.used else variance
    return (
        y,
        mean,
        _inverse_deviation(b, variance, eps) if 2 in b.used else None,
        _follow(b, running_mean, mean, momentum) if 3 in b.used else None,
        _follow(b, running_variance, unbiased, momentum) if 4 in b.used else None,
    )


def _by_batch(
    b: NodeBuilder, x: SSAValue, weight: Optional, bias: Optional, eps: float
) -> tuple[SSAValue, SSAValue, SSAValue]:
    """Result, mean and variance."""
    rank, channels = len(nn.shape_of(x)), nn.shape_of(x)[1]
    variance, mean = (b.reshape(v, (channels,)) for v in moments(b, x, [0, *range(2, rank)], 0))
    return batch_norm(b, x, weight, bias, mean, variance, 0.0, eps)[0], mean, variance


def _follow(b: NodeBuilder, running: SSAValue, new: SSAValue, momentum: float) -> SSAValue:
    return b.op(nn.AddOp, b.op(nn.MulOp, b.f32(running), 1 - momentum), b.op(nn.MulOp, new, momentum))
