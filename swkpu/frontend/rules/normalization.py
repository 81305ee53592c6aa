"""Normalisation and softmax."""

from __future__ import annotations

from typing import Any

import torch
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, normal_dims
from swkpu.frontend.table import Unsupported, rule

aten = torch.ops.aten


@rule(aten._native_batch_norm_legit_no_training.default)
def batch_norm(
    b: NodeBuilder,
    x: SSAValue,
    weight: SSAValue | None,
    bias: SSAValue | None,
    mean: SSAValue,
    variance: SSAValue,
    momentum: float,
    eps: float,
) -> tuple[SSAValue, None, None]:
    """nn.batch_norm"""
    channels = nn.shape_of(mean)[0]
    if len(nn.shape_of(x)) < 2:
        raise Unsupported(f"on a tensor of shape {nn.shape_of(x)}")
    weight = _filled(b, channels, 1.0) if weight is None else weight
    bias = _filled(b, channels, 0.0) if bias is None else bias
    statistics = (b.f32(v) for v in (weight, bias, mean, variance))
    return b.emit(nn.BatchNormOp(b.f32(x), *statistics, eps)), None, None


def _filled(b: NodeBuilder, channels: int, value: float) -> SSAValue:
    from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, TensorType

    type_ = TensorType(f32, [channels])
    return b.emit(nn.ConstantOp(DenseIntOrFPElementsAttr.from_list(type_, [value]), type_))


@rule(aten.softmax.int, aten._softmax.default)
def softmax(b: NodeBuilder, x: SSAValue, dim: int, *_: Any) -> SSAValue:
    """nn.max, nn.sub, nn.exp, nn.sum and nn.div"""
    x = b.f32(x)
    if not nn.shape_of(x):
        x = b.reshape(x, (1,))
    dims = normal_dims([dim], len(nn.shape_of(x)))
    e = b.emit(nn.ExpOp(b.emit(nn.SubOp(x, b.emit(nn.MaxOp(x, dims, True))))))
    return b.reshape(b.emit(nn.DivOp(e, b.emit(nn.SumOp(e, dims, True)))), b.shape)
