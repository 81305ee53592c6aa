"""Elements chosen by indices. Constant indices in steps become slices; others are wrapped and taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.dialects.weights import Array
from swkpu.frontend.builder import NodeBuilder
from swkpu.frontend.table import Unsupported, rule
from swkpu.interp.constants import constant_array
from swkpu.types import i1, i32, i64

aten = torch.ops.aten


@rule(aten.embedding.default)
def embedding(b: NodeBuilder, weight: SSAValue, indices: SSAValue, *_: object) -> SSAValue:
    """nn.take"""
    return take(b, weight, indices, 0)


@rule(aten.index_select.default)
def index_select(b: NodeBuilder, x: SSAValue, dim: int, indices: SSAValue) -> SSAValue:
    """nn.take; nn.slice where the indices are constant, in steps"""
    if not nn.shape_of(x):
        return x
    count = prod(nn.shape_of(indices))
    return b.reshape(take(b, x, b.reshape(indices, (count,)), dim % len(nn.shape_of(x))), b.shape)


@rule(aten.gather.default)
def gather(b: NodeBuilder, x: SSAValue, dim: int, indices: SSAValue, *, sparse_grad: bool = False) -> SSAValue:
    """nn.gather"""
    if not nn.shape_of(x) or not nn.shape_of(indices):
        x, indices = (v if nn.shape_of(v) else b.reshape(v, (1,)) for v in (x, indices))
    return b.reshape(b.emit(nn.GatherOp(x, indices, dim % len(nn.shape_of(x)))), b.shape)


@rule(aten.index.Tensor, aten._unsafe_index.Tensor)
def index(b: NodeBuilder, x: SSAValue, indices: Sequence[SSAValue | None]) -> SSAValue:
    """nn.take of one dim, or of several dims made one; nn.slice where the indices are constant, in steps"""
    chosen = normal_indices(b, x, indices)
    if not chosen:
        return x
    if chosen.separable:
        return _index_each(b, x, chosen)
    moved, dim = chosen.gathered(b, x)
    return b.reshape(take(b, moved, chosen.combined(b, nn.shape_of(x)), dim), b.shape)


def take(b: NodeBuilder, x: SSAValue, indices: SSAValue, dim: int) -> SSAValue:
    """Elements of a dim by indices from 0 on: a slice where they are constant and evenly spaced."""
    array, shape = constant_array(indices), nn.shape_of(x)
    if array is not None and array.size and array.min() >= 0:
        even = evenly_spaced(array)
        if even is not None:
            start, step = even
            cut = b.slice(x, dim, start, array.size, step)
            return b.reshape(cut, (*shape[:dim], *array.shape, *shape[dim + 1 :]))
    return b.emit(nn.TakeOp(x, indices, dim))


def evenly_spaced(indices: Array) -> tuple[int, int] | None:
    """(start, step) of indices that rise in equal steps."""
    flat = indices.reshape(-1).astype(np.int64)
    steps = np.diff(flat)
    if len(steps) == 0:
        return int(flat[0]), 1
    return (int(flat[0]), int(steps[0])) if steps[0] > 0 and (steps == steps[0]).all() else None


def wrapped(b: NodeBuilder, indices: SSAValue, size: int) -> SSAValue:
    """Indices counted from the front: a negative one counts from the end."""
    if nn.type_of(indices).element_type not in (i32, i64):
        indices = b.cast(indices, i64)
    array = constant_array(indices)
    if array is None:
        return b.op(nn.WhereOp, b.op(nn.LtOp, indices, 0), b.op(nn.AddOp, indices, size), indices)
    if array.size and (array.min() < -size or array.max() >= size):
        raise Unsupported(f"with an index outside a dim of {size}")
    return indices if array.size == 0 or array.min() >= 0 else b.constant(np.where(array < 0, array + size, array))


@dataclass(frozen=True)
class Indices:
    """Dims that are indexed, ascending, and their indices, counted from the front."""

    dims: tuple[int, ...]
    values: tuple[SSAValue, ...]

    def __bool__(self) -> bool:
        return bool(self.dims)

    @property
    def shape(self) -> tuple[int, ...]:
        """What the indices broadcast to."""
        return tuple(np.broadcast_shapes(*(nn.shape_of(v) for v in self.values)))

    @property
    def adjacent(self) -> bool:
        return self.dims == tuple(range(self.dims[0], self.dims[-1] + 1))

    @property
    def separable(self) -> bool:
        """Whether each indexed dim makes result dims of its own, in the dims' order (`x[rows[:, None], columns]`)."""
        if not self.adjacent:
            return False
        own = [_own_dims(v, len(self.shape)) for v in self.values]
        flat = [d for dims in own for d in dims]
        return flat == sorted(set(flat))

    def gathered(self, b: NodeBuilder, x: SSAValue) -> tuple[SSAValue, int]:
        """The tensor with the indexed dims made one, and which that is: the first of them, or 0 if they are apart."""
        shape = nn.shape_of(x)
        if not self.adjacent:
            rest = [d for d in range(len(shape)) if d not in self.dims]
            x = b.permute(x, [*self.dims, *rest])
        at = self.dims[0] if self.adjacent else 0
        moved, count = nn.shape_of(x), len(self.dims)
        merged = prod(shape[d] for d in self.dims)
        return b.reshape(x, (*moved[:at], merged, *moved[at + count :])), at

    def combined(self, b: NodeBuilder, shape: Sequence[int]) -> SSAValue:
        """One index into the merged dim."""
        sizes = [shape[d] for d in self.dims]
        arrays = [constant_array(v) for v in self.values]
        if all(a is not None for a in arrays):
            known = np.broadcast_arrays(*(a for a in arrays if a is not None))
            return b.constant(np.ascontiguousarray(np.ravel_multi_index(known, sizes)).astype(np.int64))
        total, *rest = self.values
        element = i64 if any(nn.type_of(v).element_type == i64 for v in self.values) else i32
        total = b.cast(total, element)
        for value, size in zip(rest, sizes[1:]):
            total = b.op(nn.AddOp, b.op(nn.MulOp, total, size), b.cast(value, element))
        return b.expand(total, self.shape)


def _own_dims(value: SSAValue, rank: int) -> list[int]:
    """The dims of the broadcast indices along which this one changes."""
    shape = nn.shape_of(value)
    return [rank - len(shape) + d for d, s in enumerate(shape) if s != 1]


def normal_indices(b: NodeBuilder, x: SSAValue, indices: Sequence[SSAValue | None]) -> Indices:
    """Indices as integers from 0 on; a constant mask becomes the places where it is true."""
    dims: list[int] = []
    values: list[SSAValue] = []
    dim = 0
    for value in indices:
        if value is None:
            dim += 1
            continue
        if nn.type_of(value).element_type == i1:
            mask = constant_array(value)
            if mask is None:
                raise Unsupported("with a mask that depends on the model's inputs: how many elements there are varies")
            parts = [b.constant(places.astype(np.int64)) for places in np.nonzero(mask)]
        else:
            parts = [value]
        for part in parts:
            dims.append(dim)
            values.append(wrapped(b, part, nn.shape_of(x)[dim]))
            dim += 1
    return Indices(tuple(dims), tuple(values))


def _index_each(b: NodeBuilder, x: SSAValue, chosen: Indices) -> SSAValue:
    """One take per dim, from the last, so that the dims before keep their places."""
    for dim, value in sorted(zip(chosen.dims, chosen.values), reverse=True, key=lambda pair: pair[0]):
        own = [nn.shape_of(value)[d] for d, s in enumerate(nn.shape_of(value)) if s != 1]
        x = take(b, x, b.reshape(value, own), dim)
    return b.reshape(x, b.shape)
