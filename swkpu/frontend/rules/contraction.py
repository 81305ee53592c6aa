"""Matrix products."""

from __future__ import annotations

import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, Scalar
from swkpu.frontend.table import rule

aten = torch.ops.aten


@rule(aten.linear.default)
def linear(b: NodeBuilder, x: SSAValue, weight: SSAValue, bias: SSAValue | None = None) -> SSAValue:
    """nn.linear, then nn.add of the bias"""
    b.float_only()
    rows = weight if len(nn.shape_of(weight)) == 2 else b.reshape(weight, (1, *nn.shape_of(weight)))
    y = b.reshape(b.emit(nn.LinearOp(x, rows)), b.shape)
    return y if bias is None else b.emit(nn.AddOp(y, b.f32(bias)))


@rule(aten.mm.default, aten.bmm.default, aten.matmul.default, aten.mv.default, aten.dot.default, aten.vdot.default)
def matmul(b: NodeBuilder, lhs: SSAValue, rhs: SSAValue) -> SSAValue:
    """nn.matmul; a vector becomes a matrix of one row or column"""
    b.float_only()
    left, right = nn.shape_of(lhs), nn.shape_of(rhs)
    lhs = lhs if len(left) > 1 else b.reshape(lhs, (1, *left))
    rhs = rhs if len(right) > 1 else b.reshape(rhs, (*right, 1))
    return b.reshape(b.emit(nn.MatmulOp(lhs, rhs)), b.shape)


@rule(aten.addmm.default, aten.baddbmm.default, aten.addmv.default)
def addmm(
    b: NodeBuilder, bias: SSAValue, lhs: SSAValue, rhs: SSAValue, beta: Scalar = 1, alpha: Scalar = 1
) -> SSAValue:
    """nn.matmul, then nn.add of the bias; alpha and beta as nn.mul"""
    return _added(b, bias, matmul(b, lhs, rhs), beta, alpha)


def _added(b: NodeBuilder, bias: SSAValue, product: SSAValue, beta: Scalar, alpha: Scalar) -> SSAValue:
    y = _scaled(b, product, alpha)
    return b.expand(y, b.shape) if beta == 0 else b.emit(nn.AddOp(y, _scaled(b, b.f32(bias), beta)))


def _scaled(b: NodeBuilder, x: SSAValue, factor: Scalar) -> SSAValue:
    return x if factor == 1 else b.emit(nn.MulOp(x, b.scalar(factor)))
