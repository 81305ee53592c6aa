"""Many ways to lay one tile group's share of a recurrence in space and time, as arrays with one element per way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import numpy as np

from swkpu.dialects.kpu import MAX_LOOPS
from swkpu.mapping.blocks import Array
from swkpu.mapping.problem import Problem
from swkpu.mapping.streams import Nest
from swkpu.target.cost import Count


@dataclass(frozen=True)
class Spread:
    """At most two dims over tiles, as (dim, tiles)."""

    dims: tuple[tuple[int, int], ...] = ()

    def tiles(self, dim: int) -> int:
        return dict(self.dims).get(dim, 1)

    @property
    def count(self) -> int:
        return prod(n for _, n in self.dims)


@dataclass(frozen=True)
class Candidates:
    """Per domain dim: how many tiles it is spread over, into how many pieces a tile's block is cut, and a piece's size.

    `order` is the index, in `orders`, of the loop order over the parallel dims; reduction loops are innermost.
    `legal` says which of them a mapping can express.
    """

    space: tuple[Count, ...]
    pieces: tuple[Count, ...]
    sizes: tuple[Count, ...]
    order: Count
    orders: tuple[tuple[int, ...], ...]
    legal: Array

    def __len__(self) -> int:
        return len(self.legal)

    def where(self, index: Array) -> Candidates:
        """Some of them."""

        def pick(c: Count) -> Count:
            return c[index] if isinstance(c, np.ndarray) else c

        return Candidates(
            tuple(map(pick, self.space)),
            tuple(map(pick, self.pieces)),
            tuple(map(pick, self.sizes)),
            pick(self.order),
            self.orders,
            self.legal[index],
        )

    @property
    def tiles(self) -> Count:
        total: Count = 1
        for n in self.space:
            total = total * n
        return total


def at(count: Count, index: int) -> int:
    """One candidate's number."""
    return int(count[index]) if isinstance(count, np.ndarray) else int(count)


def candidates_of(
    problem: Problem,
    nest: Nest,
    extents: Sequence[Count],
    space: Sequence[Count],
    wanted: Sequence[Count],
    order: Count,
    orders: Sequence[tuple[int, ...]],
    count: int,
) -> Candidates:
    """`count` candidates: each dim's `extents` spread over `space` tiles, each tile's block in `wanted` pieces."""
    domain = problem.domain
    legal = np.ones(count, dtype=bool)
    looped = dict(nest.tiles)
    pieces: list[Count] = []
    sizes: list[Count] = []
    loops: Any = len(nest.tiles)
    for d, (extent, tiles, cut) in enumerate(zip(extents, space, wanted)):
        if isinstance(extent, int) and extent == 1:
            pieces.append(1)
            sizes.append(1)
            continue
        block: Any = -(-extent // tiles)
        size: Any = -(-block // cut)
        m: Any = -(-block // size)
        legal &= m == cut  # the same sizes come from another number of pieces
        legal &= -(-extent // block) == tiles  # and the same blocks from fewer tiles
        if d in looped or (d >= domain.parallel and not problem.may_overrun(d)):
            legal &= tiles * m * size == extent
        pieces.append(m)
        sizes.append(size)
        loops = loops + (m > 1)
    legal &= loops <= MAX_LOOPS
    return Candidates(tuple(space), tuple(pieces), tuple(sizes), order, tuple(orders), legal)


def loop_orders(problem: Problem, dims: Sequence[int]) -> list[tuple[int, ...]]:
    """Loop orders worth trying: the second operand's dims outside or inside the others."""
    if not problem.is_contraction:
        return [tuple(dims)]
    w = problem.dims_of(problem.operands[1])
    in_w = tuple(d for d in dims if d in w)
    rest = tuple(d for d in dims if d not in w)
    return [in_w + rest, rest + in_w] if in_w and rest else [tuple(dims)]


def trips(problem: Problem, nest: Nest) -> int:
    """How often the L2 loops run their body."""
    total = 1
    for d, size in nest.tiles:
        total *= ceil(problem.domain.extents[d] / size)
    return total
