"""Which L2 loops to consider for a recurrence, the most promising first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import zip_longest
from math import ceil, prod
from typing import Any

import numpy as np

from swkpu.dialects.kpu import MAX_LOOPS
from swkpu.mapping.blocks import aligned_size, block_elements
from swkpu.mapping.problem import OperandAccess, Problem
from swkpu.mapping.streams import Nest, l2_bytes_of, nest_fits, row_bytes
from swkpu.target import cost
from swkpu.target.machine import Machine, TileGroup

AHEAD = Fraction(1, 2)
"""How much of its budget a layer's streams take where they can: the rest is for what comes ahead of the next layer."""

CROWDED = 1 / 8
"""How much slower a layer is taken to be that leaves the next no room."""
KEPT = 4
WORTHWHILE = 9 / 8
"""How much longer than with everything at hand a recurrence may take before its reduction is cut, too."""
REDUCTION_PARTS = (2, 4, 8, 16)
LEAST_REDUCTION = 32
PARTS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 192, 256, 512, 1024)


def nests(problem: Problem, machine: Machine, groups: Sequence[TileGroup]) -> list[Nest]:
    """No loops where everything streamed takes no more than its share of the budget, so that the next layer's can
    come in beside it; else loops over a dim that only constants have, over one that activations have, or over both.
    """
    if nest_fits(problem, Nest(), AHEAD):
        return [Nest()]
    grain = max(g.cols for g in groups)
    constants, activations = _dims(problem)
    axes: dict[int, list[int]] = {}
    if activations is not None:
        axes[activations] = _sizes(problem, activations, 1)
    if constants is not None:
        axes[constants] = _sizes(problem, constants, grain)
    whole = _Grid(problem, axes, (), machine, groups, grain).best()
    # A reduction that goes through L2 in pieces leaves room for more results, which keep more arrays busy.
    reduced = _Grid(problem, axes, _reductions(problem), machine, groups, grain).best()
    if whole and whole[0][1] <= WORTHWHILE * _least_cycles(problem, groups):
        return [nest for nest, _ in (*whole[:2], *reduced[:2])]
    return [nest for nest, _ in (*reduced, *whole)]


def _dims(problem: Problem) -> tuple[int | None, int | None]:
    """The longest parallel dim that only weights have, and the outermost that streamed activations have."""
    domain = problem.domain
    streamed = [o for o in problem.operands if o.dram]
    parallel = set(domain.parallel_dims)
    others = [problem.dims_of(o) for o in problem.operands if not (o.constant and o.is_input) and o.is_input]
    weights = {d for o in streamed if o.constant and o.is_input for d in problem.dims_of(o) & parallel}
    weights -= {d for dims in others for d in dims}
    moving = [o for o in (*problem.operands, problem.result) if o.dram and not o.constant]
    rows = {d for o in moving for d in problem.dims_of(o) & parallel} - weights
    rows -= {max(rows)} if len(rows) > 2 else set()
    longest = max(weights, key=lambda d: (domain.extents[d], -d), default=None)
    return longest, min(rows, default=None)


def _sizes(problem: Problem, dim: int, unit: int) -> list[int]:
    """Tile sizes of a dim, the whole first: multiples of a unit where they are larger than that."""
    extent = problem.domain.extents[dim]
    sizes = [extent, *(ceil(extent / n) for n in PARTS)]
    return [s for s in dict.fromkeys(ceil(s / unit) * unit if s > unit else s for s in sizes) if s <= extent]


def _reductions(problem: Problem) -> tuple[tuple[int, int], ...]:
    """Exact cuts of a contraction's longest reduction dim, as (dim, size)."""
    domain = problem.domain
    longest = max(domain.reduction_dims, key=lambda d: (domain.extents[d], -d), default=None)
    if longest is None or not problem.is_contraction:
        return ()
    extent = domain.extents[longest]
    return tuple((longest, extent // n) for n in REDUCTION_PARTS if extent % n == 0 and extent // n >= LEAST_REDUCTION)


def _least_cycles(problem: Problem, groups: Sequence[TileGroup]) -> float:
    """A recurrence's points at the arrays' rate."""
    rate = sum(g.count * max(g.macs_per_pe.values()) * g.rows * g.cols for g in groups)
    return prod(problem.domain.extents) / float(rate)


class _Grid:
    """All tile sizes of some dims in both loop orders, with a reduction innermost: do they fit, and how long they take,
    roughly. That is the longer of the DRAM's and the arrays' time, where an L2 tile takes no less time for having fewer
    results than there are processing elements, and columns come in whole arrays.
    """

    def __init__(
        self,
        problem: Problem,
        axes: dict[int, list[int]],
        reductions: Sequence[tuple[int, int]],
        machine: Machine,
        groups: Sequence[TileGroup],
        grain: int,
    ):
        self.problem, self.machine = problem, machine
        extents = problem.domain.extents
        self.dims = list(axes)
        reduced = [s for _, s in reductions]
        orders = (0, 1) if len(axes) == 2 else (0,)
        values = [*axes.values(), reduced or [1], orders]
        grid = np.meshgrid(*(np.asarray(v, dtype=np.int64) for v in values), indexing="ij")
        *sizes, reduction, self.order = [g.reshape(-1) for g in grid]
        self.sizes: list[Any] = list(extents)
        for d, size in zip(axes, sizes):
            self.sizes[d] = size
        self.reduction = reductions[0][0] if reductions else None
        if self.reduction is not None:
            self.sizes[self.reduction] = reduction
        self.trips: list[Any] = [-(-e // s) for e, s in zip(extents, self.sizes)]
        self.needs, dram = self._streams()
        self.cycles = np.maximum(dram, self._compute(groups, grain, list(axes)))

    def best(self) -> list[tuple[Nest, float]]:
        """The most promising that fit the budget, the best first; those that leave the next layer no room count
        more.
        """
        budget = self.problem.l2_budget
        crowded = self.needs > budget * AHEAD
        score = np.where(self.needs <= budget, self.cycles * (1 + CROWDED * crowded), np.inf)
        trips: Any = prod(self.trips)
        found = np.lexsort((np.broadcast_to(trips, score.shape), score))[: 2 * KEPT]
        nests = {self._nest(int(i)): float(score[i]) for i in found if np.isfinite(score[i])}
        return list(nests.items())[:KEPT]

    def _nest(self, i: int) -> Nest:
        dims = self.dims[::-1] if self.order[i] else self.dims
        if self.reduction is not None:
            dims = [*dims, self.reduction]
        sizes = [int(np.broadcast_to(self.sizes[d], self.order.shape)[i]) for d in dims]
        return Nest(tuple((d, s) for d, s in zip(dims, sizes) if s < self.problem.domain.extents[d]))

    def _streams(self) -> tuple[Any, Any]:
        """Bytes of L2 buffers, and cycles of DRAM."""
        needs: Any = 0
        dram: Any = 0
        for operand in (*self.problem.operands, self.problem.result):
            if operand.dram:
                size = operand.dtype.bytes_of(block_elements(operand, self.problem, self.sizes))
                count = self._count(operand)
                needs = needs + aligned_size(size) * (1 + (count > 1))
                row = np.minimum(row_bytes(operand, self.problem, self.sizes), size)
                charged = cost.dram_charged_bytes(row, -(-size // row), self.machine.dram.burst_bytes)
                dram = dram + count * cost.dram_cycles(self.machine, charged)
        return needs, dram

    def _count(self, operand: OperandAccess) -> Any:
        """How often a block is moved: by every loop down to the innermost that it depends on."""
        own = self.problem.dims_of(operand)
        counts: list[Any] = []
        for dims in (self.dims, self.dims[::-1]):
            running: Any = np.ones_like(self.order)
            count: Any = running
            for d in (*dims, *([self.reduction] if self.reduction is not None else [])):
                running = running * self.trips[d]
                if d in own:
                    count = np.where(self.trips[d] > 1, running, count)
            counts.append(count)
        return np.where(self.order == 1, counts[1], counts[0])

    def _compute(self, groups: Sequence[TileGroup], grain: int, dims: Sequence[int]) -> Any:
        elements = sum(g.count * g.rows * g.cols for g in groups)
        results: Any = prod(self.sizes[: self.problem.domain.parallel])
        constants, _ = _dims(self.problem)
        rounded: Any = 1.0
        if constants is not None:
            rounded = -(-self.sizes[constants] // grain) * grain / self.sizes[constants]
        return _least_cycles(self.problem, groups) * np.maximum(results, elements) / results * rounded


def fine_nests(problem: Problem) -> list[Nest]:
    """Nests for what no other fits: dims are halved, the outermost first or the most effective first, until the L2
    blocks fit, and further.
    """
    outer = _halved(problem, lambda d, _: d)
    best = _halved(problem, lambda _, saved: -saved)
    return list(dict.fromkeys(n for pair in zip_longest(outer, best) for n in pair if n is not None))


def _halved(problem: Problem, rank: Callable[[int, int], int], more: int = 4) -> list[Nest]:
    """Nests that fit, from the coarsest on; `rank(dim, bytes saved)` says which dim to halve next."""
    extents = problem.domain.extents
    sizes = {d: extents[d] for d in problem.domain.parallel_dims}
    out: list[Nest] = []
    while len(out) < more:
        nest = Nest(tuple((d, s) for d, s in sizes.items() if s < extents[d]))
        if len(nest.tiles) >= MAX_LOOPS:
            break
        if nest_fits(problem, nest):
            out.append(nest)
        before = _l2_bytes(problem, nest)
        choices: list[tuple[int, int]] = []
        for d, size in sizes.items():
            if size > 1:
                smaller = Nest(tuple((e, _half(s) if e == d else s) for e, s in sizes.items()))
                saved = before - _l2_bytes(problem, smaller)
                if saved > 0:
                    choices.append((rank(d, saved), d))
        if not choices:
            break
        dim = min(choices)[1]
        sizes[dim] = _half(sizes[dim])
    return out


def _half(size: int) -> int:
    """About half, as a multiple of 8 where it is large."""
    half = -(-size // 2)
    return -(-half // 8) * 8 if half > 16 else half


def _l2_bytes(problem: Problem, nest: Nest) -> int:
    return sum(l2_bytes_of(o, problem, nest)[0] for o in (*problem.operands, problem.result) if o.dram)
