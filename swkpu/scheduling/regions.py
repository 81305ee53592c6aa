"""Which part of a buffer a transfer touches in each iteration of the outermost loop around it.

A region is a set of coordinates per dim of the buffer (bit n: coordinate n), over all tiles and all iterations of the
inner loops. Two regions are apart where in some dim no coordinate is common, or where the address ranges are; else
they are taken to meet. So the answer is exact for what tiles and loops cut along one dim each, and cautious elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import or_

from xdsl.dialects.builtin import AffineMapAttr
from xdsl.ir import Operation, SSAValue

from swkpu.affine import Linear, linear_map
from swkpu.dialects import kpu
from swkpu.dialects.kpu import buffer_type, storage
from swkpu.dialects.kpu_buffers import layout_of
from swkpu.dialects.kpu_types import MAX_LOOPS
from swkpu.placement.streams import loops_around

_MOST = 4096
"""Starts along one dim that are told apart; more are taken as a range."""


@dataclass(frozen=True)
class Region:
    """`dims` where the buffer itself is named, and not a view of it; `low` and `high` are addresses in elements."""

    dims: tuple[int, ...] | None
    low: int
    high: int

    def meets(self, other: Region) -> bool:
        if self.high < other.low or other.high < self.low:
            return False
        if self.dims is None or other.dims is None:
            return True
        return all(a & b for a, b in zip(self.dims, other.dims))


def regions(op: Operation, value: SSAValue, trips: int) -> list[Region | None] | None:
    """What a command touches of a buffer in each of `trips` outermost iterations; None where that is not known, or,
    for an iteration, where it is nothing.
    """
    if not isinstance(op, kpu.TransferOp):
        return None
    if storage(op.src) is value:
        axes = op.src_axes.data if op.src_axes is not None else tuple(range(len(op.box.data)))
        return _regions(op, op.src, op.src_start, axes, buffer_type(op.src).extents, trips)
    extents = op.within.data if op.within is not None else buffer_type(op.dst).extents
    return _regions(op, op.dst, op.dst_start, range(len(op.box.data)), extents, trips)


def _regions(
    op: kpu.TransferOp, named: SSAValue, start: AffineMapAttr, axes: Sequence[int], extents: Sequence[int], trips: int
) -> list[Region | None] | None:
    starts = linear_map(start.data)
    if len(starts) != len(extents):
        return None
    loops, tiles = _counts(op)
    lengths = [1] * len(starts)
    steps = op.steps.data if op.steps is not None and named is op.src else (1,) * len(op.box.data)
    for axis, size, step in zip(axes, op.box.data, steps):
        lengths[axis] = (size - 1) * step + 1
    moves = [[c * (n - 1) for c, n in ((e.coef(t), n) for t, n in tiles.items())] for e in starts]
    firsts = [[at + sum(min(m, 0) for m in move) for at in _firsts(e, loops)] for e, move in zip(starts, moves)]
    lengths = [length + sum(abs(m) for m in move) for length, move in zip(lengths, moves)]
    offset, strides = layout_of(named)
    direct = storage(named) is named
    out: list[Region | None] = []
    for b in range(trips):
        dims: list[int] = []
        low = high = offset
        for e, at, length, extent, stride in zip(starts, firsts, lengths, extents, strides):
            moved = [n + b * e.coef(0) for n in at]
            ranges = [(max(n, 0), min(n + length, extent)) for n in moved]
            ranges = [(a, z) for a, z in ranges if a < z]
            if not ranges:
                break
            low += stride * min(a for a, _ in ranges)
            high += stride * (max(z for _, z in ranges) - 1)
            dims.append(reduce(or_, ((1 << z) - (1 << a) for a, z in ranges)) if direct else 0)
        else:
            out.append(Region(tuple(dims) if direct else None, low, high))
            continue
        out.append(None)
    return out


def _counts(op: kpu.TransferOp) -> tuple[dict[int, int], dict[int, int]]:
    """Iterations of every inner loop, and tiles along every tile coordinate."""
    loops = list(loops_around(op))[::-1]
    counts = {depth: loop.trips for depth, loop in enumerate(loops) if depth}
    if op.tiles is None:
        return counts, {}
    _, n0, n1 = op.tiles.range.data
    return counts, {MAX_LOOPS: n0, MAX_LOOPS + 1: n1}


def _firsts(e: Linear, counts: dict[int, int]) -> list[int]:
    """All values of an expression in the first outermost iteration; every value between where they are many."""
    terms = [(c, counts[d]) for d, c in e.terms if d in counts]
    if reduce(lambda n, t: n * t[1], terms, 1) > _MOST:
        low = e.const + sum(min(0, c * (n - 1)) for c, n in terms)
        high = e.const + sum(max(0, c * (n - 1)) for c, n in terms)
        return list(range(low, high + 1))
    return sorted({e.const + sum(parts) for parts in product(*(range(0, c * n, c) for c, n in terms))})
