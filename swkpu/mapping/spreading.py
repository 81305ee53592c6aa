"""First step of the search: over which tiles of one group the dims of a share are spread, for many shares at once.

Every spread is costed as if each tile did its block in one piece; the best few go on to `cutting`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from math import prod
from typing import Any

import numpy as np

from swkpu.mapping.blocks import Array
from swkpu.mapping.candidates import Candidates, Spread, candidates_of, loop_orders
from swkpu.mapping.orientation import Orientation
from swkpu.mapping.part_cost import PartCost, filled
from swkpu.target.cost import Count

NEVER = np.iinfo(np.int64).max // 4
"""The cycles of what is not possible."""

OVERLAPPED = 4
"""A block is later cut into about so many pieces, of which the first comes in and the last goes out alone."""


FEW_RESULTS = 4
"""A reduction is split over tiles only where there are no more results than that for every processing element."""


LEAST_USE = 0.5
"""Spreads over less than that share of the tiles that others use are not costed."""


@lru_cache(maxsize=4096)
def balanced(extent: int, tiles: int) -> tuple[int, ...]:
    """Numbers of tiles that no smaller number serves as well: distinct ceil(extent / n), the fewest tiles for each."""
    blocks = {-(-extent // n) for n in range(1, min(tiles, extent) + 1)}
    return tuple(sorted(-(-extent // b) for b in blocks))


def split_reductions(cost: PartCost, extents: Sequence[int]) -> list[int]:
    """The reduction dim that tiles may share: the longest of a contraction with few results for the arrays there
    are.
    """
    problem, group = cost.problem, cost.group
    elements = group.count * group.rows * group.cols
    if cost.nest.reduces(problem.domain.parallel):
        return []
    if (
        not problem.is_contraction
        or group.count < 2
        or prod(extents[: problem.domain.parallel]) > FEW_RESULTS * elements
    ):
        return []
    longest = max(problem.domain.reduction_dims, key=lambda d: (extents[d], -d), default=None)
    return [longest] if longest is not None and extents[longest] > 1 else []


def spreads(
    extents: Sequence[int], dims: Sequence[int], parallel: int, tiles: int, varying: int | None = None
) -> list[Spread]:
    """Ways to spread at most two dims, the first `parallel` of the domain or one reduced, over at most `tiles` tiles.

    Of a pair, one dim takes as many tiles as the other leaves. Shares of dim `varying` are of many sizes, so every
    number of tiles is of use to some.
    """

    def numbers(d: int) -> Sequence[int]:
        return range(1, min(tiles, extents[d]) + 1) if d == varying else balanced(extents[d], tiles)

    out: dict[Spread, None] = {Spread(): None}
    for d in dims:
        for n in numbers(d):
            if n > 1:
                out[Spread(((d, n),))] = None
    for a, b in combinations(dims, 2):
        if a >= parallel:
            continue
        for one, other in ((a, b), (b, a)):
            for n in numbers(one):
                left = [m for m in numbers(other) if m <= tiles // n]
                if n > 1 and left and left[-1] > 1:
                    out[Spread(tuple(sorted(((one, n), (other, left[-1])))))] = None
    used = {s: s.count for s in out}
    least = max(used.values()) * LEAST_USE
    return [s for s, n in used.items() if n >= least]


class SpreadCosts:
    """All spreads of one group for all shares of one dim (or, without a dim, for everything)."""

    def __init__(
        self,
        cost: PartCost,
        ways: Sequence[Orientation],
        extents: Sequence[int],
        split: int | None,
        shares: Sequence[int],
    ):
        domain = cost.problem.domain
        parallel = [d for d in domain.parallel_dims if extents[d] > 1]
        self.cost, self.shares = cost, list(shares)
        spread_dims = [*parallel, *split_reductions(cost, extents)]
        self.spreads = spreads(extents, spread_dims, domain.parallel, cost.group.count, split)
        count = len(self.shares) * len(self.spreads)
        each: list[Count] = list(extents)
        if split is not None:
            each[split] = np.repeat(np.asarray(self.shares, dtype=np.int64), len(self.spreads))
        space: list[Count] = [1] * domain.rank
        for d in spread_dims:
            space[d] = np.tile(np.asarray([s.tiles(d) for s in self.spreads], dtype=np.int64), len(self.shares))
        whole: list[Count] = [1] * domain.rank
        orders = loop_orders(cost.problem, parallel)[:1]
        candidates = candidates_of(cost.problem, cost.nest, each, space, whole, 0, orders, count)
        self.index = np.nonzero(candidates.legal)[0]
        self.cycles = np.full(count, NEVER, dtype=np.int64)
        if len(self.index):
            self.cycles[self.index] = self._cycles(candidates.where(self.index), ways)
        self.cycles = self.cycles.reshape(len(self.shares), len(self.spreads))

    def _cycles(self, c: Candidates, ways: Sequence[Orientation]) -> Array:
        """The slowest engine; of what does not overlap with it, that part which pieces will leave."""
        moved = self.cost.moved(c)
        movers = np.maximum(moved.pushes, moved.pulls)
        best: Any = None
        for way in ways:
            executed = self.cost.executed(c, way)
            cycles = np.maximum(executed.cycles, movers) + (moved.first + moved.last) // OVERLAPPED
            best = cycles if best is None else np.minimum(best, cycles)
        return filled(best, len(c))

    def best(self) -> Array:
        """The least cycles of every share."""
        return self.cycles.min(axis=1)

    def ranked(self, share: int, count: int) -> list[Spread]:
        """The best spreads of the share with that index."""
        row = self.cycles[share]
        order = np.argsort(row, kind="stable")[:count]
        return [self.spreads[i] for i in order if row[i] < NEVER]
