"""Operands as the transfers see them: strided views whose axes are single dims wherever that is possible.

A read such as `x[b, 64*h + d]` (a reshape folded into an access map) would bring in a block with holes when d is cut;
seen through a view of x with an axis for h and one for d it is `x[b, h, d]`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineMap

from swkpu.affine import Linear, linear_map
from swkpu.dialects import df
from swkpu.dialects.df import RecurrenceOp
from swkpu.dialects.nn import shape_of

MAX_VIEW_RANK = 6


@dataclass(frozen=True)
class View:
    """A strided view of a row-major tensor (offset and strides in elements), and the access map on it."""

    exprs: tuple[Linear, ...]
    extents: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    is_whole: bool


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def _split(expr: Linear, size: int, extents: Sequence[int]) -> list[tuple[int, int]] | None:
    """The (dim, step) digits of a coordinate that several dims make as a mixed-radix number, or None."""
    moving = sorted(((c, d) for d, c in expr.terms if extents[d] > 1), reverse=True)
    low, high = df.bounds(expr, extents)
    if len(moving) < 2 or low < 0 or high >= size or moving[-1][0] < 1:
        return None
    for i, (c, _) in enumerate(moving):
        if c <= sum(other * (extents[d] - 1) for other, d in moving[i + 1 :]):
            return None
    return [(d, c) for c, d in moving]


def view_of_read(exprs: Sequence[Linear], shape: Sequence[int], extents: Sequence[int]) -> View:
    """How an operand of a given shape is best looked at: digits apart, and no more of an axis than is read.

    (Beyond a part of a larger tensor there may be what nobody has written yet.)
    """
    digits = [_split(e, size, extents) for e, size in zip(exprs, shape)]
    rank = len(shape)
    out: list[tuple[Linear, int, int]] = []
    offset = 0
    for expr, size, stride, found in zip(exprs, shape, row_major(shape), digits):
        if found is not None and rank + len(found) - 1 <= MAX_VIEW_RANK:
            rank += len(found) - 1
            offset += expr.const * stride
            out += [(Linear.of(0, {d: 1}), extents[d], c * stride) for d, c in found]
            continue
        low, high = df.bounds(expr, extents)
        if low < 0 or high >= size:
            low, high = 0, size - 1
        offset += low * stride
        out.append((expr - low, high - low + 1, stride))
    is_whole = len(out) == len(shape) and all(n == size for (_, n, _), size in zip(out, shape))
    return View(tuple(e for e, _, _ in out), tuple(n for _, n, _ in out), tuple(s for _, _, s in out), offset, is_whole)


def stays_in_l1(value: SSAValue) -> bool:
    """Does a mapping say that a value never leaves the tiles that make it?"""
    maker = value.owner
    return isinstance(maker, RecurrenceOp) and maker.mapping is not None and maker.mapping.data.result == "l1"


def view_of_block(op: RecurrenceOp, map: AffineMap, maker: RecurrenceOp) -> View | None:
    """How a recurrence reads the block that another left in L1. That has an axis per parallel dim of its maker, and one
    dim of the reader walks each axis from end to end; None where the value is read in another way.
    """
    extents, shape, written = op.domain.extents, shape_of(maker.result), write_view(maker)
    exprs = linear_map(map)
    if any(low < 0 or high >= n for (low, high), n in zip((df.bounds(e, extents) for e in exprs), shape)):
        return None
    strides = row_major(shape)
    if sum(e.const * s for e, s in zip(exprs, strides)) != written.offset:
        return None
    walks = {d: sum(e.coef(d) * s for e, s in zip(exprs, strides)) for d, n in enumerate(extents) if n > 1}
    found: list[Linear] = []
    for extent, stride in zip(written.extents, written.strides):
        dims = [d for d, walk in walks.items() if walk == stride and extents[d] == extent > 1]
        if len(dims) != (extent > 1):
            return None
        found.append(Linear.of(0, dict.fromkeys(dims, 1)))
    if sum(len(e.terms) for e in found) != sum(walk != 0 for walk in walks.values()):
        return None
    return View(tuple(found), written.extents, written.strides, written.offset, False)


def read_views(op: RecurrenceOp, kept: Collection[SSAValue] = ()) -> list[View]:
    """The views of the inputs, then of the epilogue operands. Values that stay in L1 (those whose mappings say so, and
    `kept`) are seen as the blocks that they are there.
    """
    out: list[View] = []
    for value, map in op.reads:
        maker = value.owner
        view = None
        if isinstance(maker, RecurrenceOp) and (value in kept or stays_in_l1(value)):
            view = view_of_block(op, map, maker)
        out.append(view if view is not None else view_of_read(linear_map(map), shape_of(value), op.domain.extents))
    return out


def write_view(op: RecurrenceOp) -> View:
    """The view of the result with one axis per parallel dim."""
    shape, write = shape_of(op.result), op.write
    strides = row_major(shape)
    return View(
        tuple(Linear.of(0, {d: 1}) for d in write.dims),
        tuple(op.domain.extents[d] for d in write.dims),
        write.strides(strides),
        write.offset(strides),
        write.is_permutation and op.destination is None,
    )


def access_maps(op: RecurrenceOp) -> list[AffineMap]:
    """The maps of all operands and the result on their views."""
    from swkpu.affine import map_of

    return [map_of(op.domain.rank, v.exprs) for v in (*read_views(op), write_view(op))]
