"""Activations that are more than one function of an element."""

from __future__ import annotations

import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, Scalar
from swkpu.frontend.table import rule

aten = torch.ops.aten


@rule(aten.gelu.default)
def gelu(b: NodeBuilder, x: SSAValue, approximate: str = "none") -> SSAValue:
    """nn.gelu"""
    return b.op(nn.GeluOp, b.f32(x), approximate=approximate)


@rule(aten.leaky_relu.default)
def leaky_relu(b: NodeBuilder, x: SSAValue, slope: Scalar = 0.01) -> SSAValue:
    """nn.mul, nn.gt and nn.where"""
    x = b.f32(x)
    return b.op(nn.WhereOp, b.op(nn.GtOp, x, 0.0), x, b.op(nn.MulOp, x, slope))


@rule(aten.elu.default)
def elu(b: NodeBuilder, x: SSAValue, alpha: Scalar = 1.0, scale: Scalar = 1.0, input_scale: Scalar = 1.0) -> SSAValue:
    """nn.mul, nn.expm1, nn.gt and nn.where"""
    x = b.f32(x)
    below = b.op(nn.MulOp, b.op(nn.Expm1Op, _times(b, x, input_scale)), alpha * scale)
    return b.op(nn.WhereOp, b.op(nn.GtOp, x, 0.0), _times(b, x, scale), below)


def _times(b: NodeBuilder, x: SSAValue, factor: Scalar) -> SSAValue:
    return x if factor == 1 else b.op(nn.MulOp, x, factor)


@rule(aten.softplus.default)
def softplus(b: NodeBuilder, x: SSAValue, beta: Scalar = 1.0, threshold: Scalar = 20.0) -> SSAValue:
    """nn.exp, nn.log1p, nn.gt and nn.where; nn.mul and nn.div by beta"""
    x = b.f32(x)
    scaled = _times(b, x, beta)
    soft = b.op(nn.Log1pOp, b.op(nn.ExpOp, scaled))
    soft = soft if beta == 1 else b.op(nn.DivOp, soft, beta)
    return b.op(nn.WhereOp, b.op(nn.GtOp, scaled, threshold), x, soft)
