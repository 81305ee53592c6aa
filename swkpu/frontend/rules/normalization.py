"""Normalisation and softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, normal_dims
from swkpu.frontend.table import Unsupported, rule
from swkpu.interp.constants import constant

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
    op = nn.BatchNormOp(b.f32(x), b.f32(weight), b.f32(bias), b.f32(mean), b.f32(variance), eps)
    return b.emit(op), None, None


def _filled(b: NodeBuilder, channels: int, value: float) -> SSAValue:
    return b.emit(constant(np.full(channels, value, dtype=np.float32)))


@rule(aten.softmax.int, aten._softmax.default)
def softmax(b: NodeBuilder, x: SSAValue, dim: int, *_: Any) -> SSAValue:
    """nn.max, nn.sub, nn.exp, nn.sum and nn.div"""
    x = b.f32(x)
    if not nn.shape_of(x):
        x = b.reshape(x, (1,))
    dims = normal_dims([dim], len(nn.shape_of(x)))
    e = b.emit(nn.ExpOp(b.emit(nn.SubOp(x, b.emit(nn.MaxOp(x, dims, True))))))
    return b.reshape(b.emit(nn.DivOp(e, b.emit(nn.SumOp(e, dims, True)))), b.shape)
