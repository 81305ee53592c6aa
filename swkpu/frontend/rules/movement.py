"""Operators that rename, reorder or repeat whole dims, and operators that do nothing to values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, Value, normal_dims
from swkpu.frontend.table import Unsupported, rule
from swkpu.types import dtype_of, numpy_dtype

aten = torch.ops.aten


@rule(
    aten.view.default,
    aten.view_copy.default,
    aten._unsafe_view.default,
    aten._reshape_alias.default,
    aten._reshape_copy.default,
    aten.reshape.default,
    aten.flatten.using_ints,
    aten.unflatten.int,
    aten.unsqueeze.default,
    aten.unsqueeze_copy.default,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.squeeze_copy.default,
    aten.squeeze_copy.dim,
    aten.squeeze_copy.dims,
    aten.view_as.default,
    aten.reshape_as.default,
)
def reshape(b: NodeBuilder, x: SSAValue, *_: object) -> SSAValue:
    """nn.reshape"""
    return b.reshape(x, b.shape)


@rule(aten.permute.default, aten.permute_copy.default)
def permute(b: NodeBuilder, x: SSAValue, dims: Sequence[int]) -> SSAValue:
    """nn.permute"""
    return b.permute(x, dims)


@rule(aten.transpose.int, aten.transpose_copy.int, aten.swapaxes.default, aten.swapdims.default)
def transpose(b: NodeBuilder, x: SSAValue, first: int, second: int) -> SSAValue:
    """nn.permute"""
    rank = len(nn.shape_of(x))
    if rank == 0:
        return x
    order = list(range(rank))
    i, j = normal_dims((first, second), rank)
    order[i], order[j] = j, i
    return b.permute(x, order)


@rule(aten.t.default, aten.t_copy.default)
def t(b: NodeBuilder, x: SSAValue) -> SSAValue:
    """nn.permute"""
    return b.permute(x, range(len(nn.shape_of(x)))[::-1])


@rule(aten.expand.default, aten.expand_copy.default, aten.expand_as.default, aten.broadcast_to.default)
def expand(b: NodeBuilder, x: SSAValue, *_: object, **__: object) -> SSAValue:
    """nn.reshape for new dims, nn.expand to repeat elements"""
    return b.expand(x, b.shape)


@rule(aten.repeat.default)
def repeat(b: NodeBuilder, x: SSAValue, repeats: Sequence[int]) -> SSAValue:
    """nn.expand between two nn.reshape"""
    shape = (1,) * (len(repeats) - len(nn.shape_of(x))) + nn.shape_of(x)
    cut = b.reshape(x, [size for s in shape for size in (1, s)])
    return b.reshape(b.expand(cut, [size for r, s in zip(repeats, shape) for size in (r, s)]), b.shape)


@rule(aten.repeat_interleave.self_int)
def repeat_interleave(
    b: NodeBuilder, x: SSAValue, repeats: int, dim: int | None = None, *, output_size: int | None = None
) -> SSAValue:
    """nn.expand between two nn.reshape"""
    x = b.flat(x) if dim is None else x
    shape = list(nn.shape_of(x))
    at = 0 if dim is None else dim % len(shape)
    cut = b.reshape(x, (*shape[: at + 1], 1, *shape[at + 1 :]))
    return b.reshape(b.expand(cut, (*shape[: at + 1], repeats, *shape[at + 1 :])), b.shape)


@rule(aten.flip.default)
def flip(b: NodeBuilder, x: SSAValue, dims: Sequence[int]) -> SSAValue:
    """nn.flip"""
    chosen = [d for d in normal_dims(dims, len(nn.shape_of(x))) if b.shape and b.shape[d] > 1]
    return b.emit(nn.FlipOp(x, sorted(chosen))) if chosen else x


@rule(
    aten.clone.default,
    aten.contiguous.default,
    aten.detach.default,
    aten.alias.default,
    aten.alias_copy.default,
    aten.lift_fresh_copy.default,
    aten.lift_fresh.default,
)
def same(b: NodeBuilder, x: SSAValue, **_: object) -> SSAValue:
    """nothing: values have no storage to copy"""
    return x


@rule(aten.to.dtype, aten.to.dtype_layout, aten.to.device, aten.to.other, aten.type_as.default)
def to(b: NodeBuilder, x: SSAValue, *_: object, **__: object) -> SSAValue:
    """nn.cast, or nothing where the type stays"""
    return b.cast(x, b.element)


@rule(aten.copy.default)
def copy(b: NodeBuilder, into: SSAValue, x: SSAValue, non_blocking: bool = False) -> SSAValue:
    """nn.expand and nn.cast to the other's shape and type"""
    return b.expand(b.cast(x, b.element), b.shape)


@rule(aten.fill.Scalar, aten.fill.Tensor)
def fill(b: NodeBuilder, x: SSAValue, value: Value) -> SSAValue:
    """a constant, or nn.expand of a value"""
    if isinstance(value, SSAValue):
        return b.expand(b.cast(value, b.element), b.shape)
    return b.constant(np.full(b.shape, value, dtype=numpy_dtype(dtype_of(b.element))))


@rule(aten.native_dropout.default)
def dropout(b: NodeBuilder, x: SSAValue, p: float, train: bool) -> tuple[SSAValue, None]:
    """nothing: inference drops nothing"""
    if train:
        raise Unsupported("in train mode")
    return x, None


@rule(aten._assert_tensor_metadata.default, aten._assert_async.msg, aten._assert_async.default)
def nothing(b: NodeBuilder, *_: object, **__: object) -> None:
    """nothing: a program has static types and checks no values"""
