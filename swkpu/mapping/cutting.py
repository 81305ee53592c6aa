"""Second step of the search: into which pieces each tile's block is cut, in which order, and how it lies on the
array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from swkpu.dialects.mapping import Part, Sizes
from swkpu.mapping.candidates import Candidates, Spread, at, candidates_of, loop_orders
from swkpu.mapping.objective import Objective
from swkpu.mapping.orientation import Orientation
from swkpu.mapping.part_cost import PartCost, filled
from swkpu.mapping.reducing import slice_dim, slice_of
from swkpu.target.cost import Count


@dataclass(frozen=True)
class Effort:
    """How finely dims may be cut. Almost everything fits when cut coarsely; `FINE` is for what does not."""

    pieces: tuple[int, ...]
    reduction_pieces: tuple[int, ...]
    all_reductions: bool
    candidates: int

    def cuts(self, extents: Sequence[int], others: int) -> list[list[int]]:
        """Numbers of pieces to try for each of some dims, where `others` choices multiply them."""
        found = [[p for p in self.pieces if p <= e] for e in extents]
        while prod(map(len, found)) * others > self.candidates and max(map(len, found)) > 2:
            longest = max(found, key=len)
            del longest[-2]  # the finest cut stays
        return found


COARSE = Effort((1, 2, 3, 4, 6, 7, 8, 12, 14, 16, 28), (1, 2, 3, 4, 6, 8), False, 6_000)
FINE = Effort((1, 2, 4, 8, 16, 32, 64, 128, 256, 512), (1, 2, 4, 8, 16, 32, 64, 128, 256, 512), True, 1 << 18)


@dataclass(frozen=True)
class PartChoice:
    """A candidate of one tile group: its estimated cycles, the bytes between L2 and the tiles, and its energy."""

    part: Part
    cycles: int
    l2_bytes: int
    energy_pj: float


def cut(
    cost: PartCost,
    ways: Sequence[Orientation],
    extents: Sequence[int],
    spreads: Sequence[Spread],
    objective: Objective,
    effort: Effort = COARSE,
) -> list[PartChoice]:
    """The best candidate of every orientation, the best of all first; none where nothing fits L1."""
    problem = cost.problem
    candidates = _grid(cost, extents, spreads, effort)
    index = np.nonzero(candidates.legal)[0]
    if not len(index):
        return []
    candidates = candidates.where(index)
    moved = cost.moved(candidates)
    index = np.nonzero(filled(cost.fits(moved), len(candidates)))[0]
    if not len(index):
        return []
    candidates = candidates.where(index)
    moved = cost.moved(candidates)
    found: list[tuple[float, int, PartChoice]] = []
    for number, way in enumerate(ways):
        executed = cost.executed(candidates, way)
        cycles = filled(cost.cycles(moved, executed), len(candidates))
        energy = objective.energy_pj(cost, moved, executed, cycles)
        score = objective.score(cycles, energy)
        least = score.min()
        near = np.nonzero(score <= least * 1.005)[
            0
        ]  # of what is as good within half a percent, that with least traffic
        traffic = filled(moved.l2_bytes, len(candidates))[near]
        best = int(near[np.argmin(traffic)])
        part = _part(problem.domain.names, problem.domain.parallel, cost.group.kind, candidates, best, way)
        choice = PartChoice(
            part, int(cycles[best]), int(traffic.min()), float(np.broadcast_to(energy, cycles.shape)[best])
        )
        found.append((float(score[best]), number, choice))
    return [c for _, _, c in sorted(found, key=lambda f: f[:2])]


def _grid(cost: PartCost, extents: Sequence[int], spreads: Sequence[Spread], effort: Effort) -> Candidates:
    """Every spread with every number of pieces of each dim and every loop order."""
    problem = cost.problem
    domain = problem.domain
    parallel = [d for d in domain.parallel_dims if extents[d] > 1]
    reduction = max(domain.reduction_dims, key=lambda d: extents[d], default=None)
    orders = loop_orders(problem, parallel)
    pieces_of_reduction = [1]
    if reduction is not None and (problem.is_contraction or effort.all_reductions):
        pieces_of_reduction = [p for p in effort.reduction_pieces if p <= max(1, extents[reduction] // 8)]
    others = len(spreads) * len(orders) * len(pieces_of_reduction)
    blocks = [max(-(-extents[d] // s.tiles(d)) for s in spreads) for d in parallel]
    axes: list[Sequence[int]] = [
        range(len(spreads)),
        *effort.cuts(blocks, others),
        pieces_of_reduction,
        range(len(orders)),
    ]
    flat = [g.reshape(-1) for g in np.meshgrid(*(np.asarray(a, dtype=np.int64) for a in axes), indexing="ij")]
    space: list[Count] = [1] * domain.rank
    wanted: list[Count] = [1] * domain.rank
    for d in range(domain.rank):
        if any(s.tiles(d) > 1 for s in spreads):
            space[d] = np.asarray([s.tiles(d) for s in spreads], dtype=np.int64)[flat[0]]
    for d, cuts in zip(parallel, flat[1 : 1 + len(parallel)]):
        wanted[d] = cuts
    if reduction is not None:
        wanted[reduction] = flat[-2]
    order: Any = flat[-1]
    return candidates_of(problem, cost.nest, list(extents), space, wanted, order, orders, len(flat[0]))


def _part(names: Sequence[str], parallel: int, group: str, c: Candidates, index: int, way: Orientation) -> Part:
    order = [d for d in c.orders[at(c.order, index)] if at(c.pieces[d], index) > 1]
    order += [d for d in range(parallel, len(names)) if at(c.pieces[d], index) > 1]
    members = [d for d in range(parallel, len(names)) if at(c.space[d], index) > 1]
    finish: Sizes = ()
    if members:
        pieces = [at(s, index) for s in c.sizes[:parallel]]
        dim = int(np.asarray(slice_dim(pieces, at(c.space[members[0]], index))))
        points = slice_of(pieces[dim], at(c.space[members[0]], index))
        finish = ((names[dim], points),) if points < pieces[dim] else ()
    sized = [d for d in range(len(names)) if at(c.space[d], index) > 1 or at(c.pieces[d], index) > 1]
    return Part(
        group=group,
        space=tuple((names[d], at(n, index)) for d, n in enumerate(c.space) if at(n, index) > 1),
        l1=tuple((names[d], at(c.sizes[d], index)) for d in sized),
        order=tuple(names[d] for d in order),
        rows=tuple(names[d] for d in way.rows),
        cols=tuple(names[d] for d in way.cols),
        dataflow=way.dataflow,
        finish=finish,
    )
