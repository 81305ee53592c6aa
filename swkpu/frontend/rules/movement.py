"""Operators that move or rename data and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, normal_dims
from swkpu.frontend.table import Unsupported, rule

aten = torch.ops.aten


@rule(
    aten.view.default,
    aten._unsafe_view.default,
    aten.reshape.default,
    aten.flatten.using_ints,
    aten.unsqueeze.default,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
)
def reshape(b: NodeBuilder, x: SSAValue, *_: object) -> SSAValue:
    """nn.reshape"""
    return b.reshape(x, b.shape)


@rule(aten.permute.default)
def permute(b: NodeBuilder, x: SSAValue, dims: Sequence[int]) -> SSAValue:
    """nn.permute"""
    return b.permute(x, dims)


@rule(aten.transpose.int)
def transpose(b: NodeBuilder, x: SSAValue, first: int, second: int) -> SSAValue:
    """nn.permute"""
    rank = len(nn.shape_of(x))
    if rank == 0:
        return x
    order = list(range(rank))
    i, j = normal_dims((first, second), rank)
    order[i], order[j] = j, i
    return b.permute(x, order)


@rule(aten.t.default)
def t(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """nn.permute"""
    return b.permute(x, range(len(nn.shape_of(x)))[::-1])


@rule(aten.expand.default)
def expand(b: NodeBuilder, x: SSAValue, *_: object, **__: object) -> SSAValue:
    """nn.reshape, where no element is repeated"""
    if b.shape != (1,) * (len(b.shape) - len(nn.shape_of(x))) + nn.shape_of(x):
        raise Unsupported(f"that repeats elements, from {nn.shape_of(x)} to {b.shape}")
    return b.reshape(x, b.shape)


@rule(
    aten.clone.default,
    aten.contiguous.default,
    aten.detach.default,
    aten.alias.default,
    aten.lift_fresh_copy.default,
)
def same(b: NodeBuilder, x: SSAValue, **_: object) -> SSAValue:
    """nothing: values have no storage to copy"""
    return x


@rule(aten.dropout.default)
def dropout(b: NodeBuilder, x: SSAValue, p: float, train: bool) -> SSAValue:
    """nothing: inference drops nothing"""
    if train:
        raise Unsupported("in train mode")
    return x


@rule(aten._assert_tensor_metadata.default)
def assert_tensor_metadata(b: NodeBuilder, *_: object, **__: object) -> None:
    """nothing: types are static"""
