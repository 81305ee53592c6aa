"""Operators that cut tensors in parts, join them, and write into parts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, normal_dims
from swkpu.frontend.table import rule

aten = torch.ops.aten


def _dim(x: SSAValue, dim: int) -> int:
    return dim % len(nn.shape_of(x))


def _bounds(size: int, start: int | None, end: int | None) -> int:
    """The first element of a Python slice of a dim, its end left to the result's size."""
    return slice(start, end).indices(size)[0]


@rule(aten.slice.Tensor, aten.slice_copy.Tensor)
def slice_(
    b: NodeBuilder, x: SSAValue, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> SSAValue:
    """nn.slice"""
    dim = _dim(x, dim)
    return b.slice(x, dim, _bounds(nn.shape_of(x)[dim], start, end), b.shape[dim], step)


@rule(aten.narrow.default, aten.narrow_copy.default)
def narrow(b: NodeBuilder, x: SSAValue, dim: int, start: int, length: int) -> SSAValue:
    """nn.slice"""
    dim = _dim(x, dim)
    return b.slice(x, dim, start % max(nn.shape_of(x)[dim], 1), length)


@rule(aten.select.int, aten.select_copy.int)
def select(b: NodeBuilder, x: SSAValue, dim: int, index: int) -> SSAValue:
    """nn.slice and nn.reshape"""
    dim = _dim(x, dim)
    return b.reshape(b.slice(x, dim, index % nn.shape_of(x)[dim], 1), b.shape)


def _parts(b: NodeBuilder, x: SSAValue, dim: int, sizes: Sequence[int]) -> tuple[SSAValue | None, ...]:
    """One slice after the other, of those parts that something uses."""
    dim = _dim(x, dim)
    out: list[SSAValue | None] = []
    start = 0
    for index, size in enumerate(sizes):
        out.append(b.slice(x, dim, start, size) if index in b.used else None)
        start += size
    return tuple(out)


@rule(aten.split_with_sizes.default, aten.split_with_sizes_copy.default, aten.unsafe_split_with_sizes.default)
def split_with_sizes(b: NodeBuilder, x: SSAValue, sizes: Sequence[int], dim: int = 0) -> tuple[SSAValue | None, ...]:
    """nn.slice of each part"""
    return _parts(b, x, dim, sizes)


@rule(aten.split.Tensor, aten.split_copy.Tensor, aten.unsafe_split.Tensor)
def split(b: NodeBuilder, x: SSAValue, size: int, dim: int = 0) -> tuple[SSAValue | None, ...]:
    """nn.slice of each part"""
    whole = nn.shape_of(x)[_dim(x, dim)]
    return _parts(b, x, dim, [min(size, whole - at) for at in range(0, whole, size)] if whole else [0])


@rule(aten.chunk.default, aten.unsafe_chunk.default)
def chunk(b: NodeBuilder, x: SSAValue, chunks: int, dim: int = 0) -> tuple[SSAValue | None, ...]:
    """nn.slice of each part"""
    return split(b, x, max(1, -(-nn.shape_of(x)[_dim(x, dim)] // chunks)), dim)


@rule(aten.tensor_split.sections)
def tensor_split(b: NodeBuilder, x: SSAValue, sections: int, dim: int = 0) -> tuple[SSAValue | None, ...]:
    """nn.slice of each part"""
    size = nn.shape_of(x)[_dim(x, dim)]
    return _parts(b, x, dim, [size // sections + (i < size % sections) for i in range(sections)])


@rule(aten.tensor_split.indices)
def tensor_split_at(b: NodeBuilder, x: SSAValue, places: Sequence[int], dim: int = 0) -> tuple[SSAValue | None, ...]:
    """nn.slice of each part"""
    size = nn.shape_of(x)[_dim(x, dim)]
    ends = [slice(None, place).indices(size)[1] for place in places]
    return _parts(b, x, dim, [end - start for start, end in zip([0, *ends], [*ends, size])])


@rule(aten.unbind.int, aten.unbind_copy.int)
def unbind(b: NodeBuilder, x: SSAValue, dim: int = 0) -> tuple[SSAValue | None, ...]:
    """nn.slice and nn.reshape of each element"""
    parts = _parts(b, x, dim, [1] * nn.shape_of(x)[_dim(x, dim)])
    return tuple(None if part is None else b.reshape(part, b.shape) for part in parts)


@rule(aten.cat.default)
def cat(b: NodeBuilder, tensors: Sequence[SSAValue], dim: int = 0) -> SSAValue:
    """nn.concat, without the tensors that have no elements"""
    dim %= len(b.shape)
    parts = [b.cast(x, b.element) for x in tensors if 0 not in nn.shape_of(x)]
    return b.concat(parts, dim)


@rule(aten.stack.default)
def stack(b: NodeBuilder, tensors: Sequence[SSAValue], dim: int = 0) -> SSAValue:
    """nn.reshape, then nn.concat"""
    dim %= len(b.shape)
    shape = (*b.shape[:dim], 1, *b.shape[dim + 1 :])
    return b.concat([b.reshape(b.cast(x, b.element), shape) for x in tensors], dim)


@rule(aten.roll.default)
def roll(b: NodeBuilder, x: SSAValue, shifts: Sequence[int], dims: Sequence[int] = ()) -> SSAValue:
    """nn.concat of two nn.slice"""
    if not dims:
        count = int(torch.Size(b.shape).numel())
        return b.reshape(roll(b, b.reshape(x, (count,)), shifts, (0,)), b.shape)
    for shift, dim in zip(shifts, normal_dims(dims, len(b.shape))):
        size = nn.shape_of(x)[dim]
        if shift % size:
            cut = size - shift % size
            x = b.concat([b.slice(x, dim, cut, size - cut), b.slice(x, dim, 0, cut)], dim)
    return x


@rule(aten.slice_scatter.default)
def slice_scatter(
    b: NodeBuilder,
    into: SSAValue,
    x: SSAValue,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> SSAValue:
    """nn.insert_slice"""
    dim = _dim(into, dim)
    return insert(b, into, x, dim, _bounds(b.shape[dim], start, end), step)


@rule(aten.select_scatter.default)
def select_scatter(b: NodeBuilder, into: SSAValue, x: SSAValue, dim: int, index: int) -> SSAValue:
    """nn.insert_slice"""
    dim = _dim(into, dim)
    row = b.reshape(x, (*b.shape[:dim], 1, *b.shape[dim + 1 :]))
    return insert(b, into, row, dim, index % b.shape[dim], 1)


def insert(b: NodeBuilder, into: SSAValue, x: SSAValue, dim: int, start: int, step: int) -> SSAValue:
    """`into` with elements of one dim replaced."""
    x = b.cast(x, nn.type_of(into).element_type)
    if nn.shape_of(x) == nn.shape_of(into):
        return x
    starts, steps = [0] * len(nn.shape_of(into)), [1] * len(nn.shape_of(into))
    starts[dim], steps[dim] = start, step if nn.shape_of(x)[dim] > 1 else 1
    return b.emit(nn.InsertSliceOp(into, x, starts, steps))


def _diagonal(b: NodeBuilder, shape: Sequence[int], offset: int, first: int, second: int) -> tuple[list[int], int]:
    """The dims with `first` and `second` last, and where the diagonal starts in those two, flattened."""
    i, j = normal_dims((first, second), len(shape))
    order = [*(d for d in range(len(shape)) if d not in (i, j)), i, j]
    return order, offset if offset >= 0 else -offset * shape[j]


@rule(aten.diagonal.default, aten.diagonal_copy.default)
def diagonal(b: NodeBuilder, x: SSAValue, offset: int = 0, dim1: int = 0, dim2: int = 1) -> SSAValue:
    """nn.slice, in steps of a row and one, of the flattened dims"""
    order, start = _diagonal(b, nn.shape_of(x), offset, dim1, dim2)
    x = b.permute(x, order)
    *batch, rows, columns = nn.shape_of(x)
    flat = b.reshape(x, (*batch, rows * columns))
    return b.slice(flat, len(batch), start, b.shape[-1], columns + 1)


@rule(aten.diagonal_scatter.default)
def diagonal_scatter(
    b: NodeBuilder, into: SSAValue, x: SSAValue, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> SSAValue:
    """nn.insert_slice, in steps of a row and one, into the flattened dims"""
    order, start = _diagonal(b, nn.shape_of(into), offset, dim1, dim2)
    into = b.permute(into, order)
    *batch, rows, columns = shape = nn.shape_of(into)
    flat = b.reshape(into, (*batch, rows * columns))
    done = insert(b, flat, x, len(batch), start, columns + 1)
    return b.permute(b.reshape(done, shape), [order.index(d) for d in range(len(order))])
