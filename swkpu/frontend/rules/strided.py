"""Operators that speak of strides: which elements they name is worked out here, and becomes constant indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder
from swkpu.frontend.rules.indexing import take
from swkpu.frontend.table import Unsupported, rule

aten = torch.ops.aten


def _places(
    b: NodeBuilder, size: Sequence[int], stride: Sequence[int], offset: int | None
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which element of the operand, in row-major order, each element of a strided view of its memory is."""
    own = b.first
    assert own is not None
    memory = torch.full((own.untyped_storage().size() // own.element_size(),), -1)
    mine = torch.as_strided(memory, own.shape, own.stride(), own.storage_offset())
    mine.copy_(torch.arange(mine.numel()).reshape(own.shape))
    places = torch.as_strided(memory, size, stride, own.storage_offset() if offset is None else offset).numpy()
    if (places < 0).any():
        raise Unsupported("that reads memory outside its input")
    return np.ascontiguousarray(places)


@rule(aten.as_strided.default, aten.as_strided_copy.default)
def as_strided(
    b: NodeBuilder, x: SSAValue, size: Sequence[int], stride: Sequence[int], offset: int | None = None
) -> SSAValue:
    """nn.reshape where the elements stay in their order, else nn.take of the flat input"""
    places = _places(b, size, stride, offset)
    flat = b.flat(x)
    return b.reshape(take(b, flat, b.constant(places), 0), b.shape)


@rule(aten.as_strided_scatter.default)
def as_strided_scatter(
    b: NodeBuilder,
    into: SSAValue,
    x: SSAValue,
    size: Sequence[int],
    stride: Sequence[int],
    offset: int | None = None,
) -> SSAValue:
    """nn.take of the flat source, and nn.where"""
    places = _places(b, size, stride, offset).reshape(-1)
    flat = b.flat(into)
    source = np.full(nn.shape_of(flat), -1)
    source[places] = np.arange(len(places))
    fetched = take(b, b.flat(x), b.constant(np.maximum(source, 0)), 0)
    return b.reshape(b.emit(nn.WhereOp(b.constant(source >= 0), fetched, flat)), b.shape)


@rule(aten.unfold.default)
def unfold(b: NodeBuilder, x: SSAValue, dim: int, size: int, step: int) -> SSAValue:
    """nn.take of the windows of a dim, and nn.permute"""
    if not nn.shape_of(x):
        return b.reshape(x, b.shape)
    dim %= len(nn.shape_of(x))
    count = b.shape[dim]
    windows = np.arange(count)[:, None] * step + np.arange(size)
    taken = take(b, x, b.constant(windows), dim)
    rank = len(b.shape)
    return b.permute(taken, [*(d for d in range(rank) if d != dim + 1), dim + 1])
