"""The mapping search: enumerate how a recurrence may lie in space and time on one tile group, and cost all at once.

A candidate is a choice of: the two dims spread over tiles and over how many; into how many pieces each tile's share
of a dim is cut; the loop order; rows, columns and dataflow of the array. Every candidate is costed with the formulas
of `swkpu.target.cost`, as numpy arrays over all candidates. The time of a recurrence is that of its slowest resource,
plus what does not overlap: the first block in and the last block out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import ceil, prod
from typing import Any

import numpy as np

from swkpu.dialects.kpu import MAX_LOOPS
from swkpu.dialects.mapping import Part
from swkpu.mapping.blocks import Array, aligned_size, block_elements, span_of
from swkpu.mapping.problem import OperandAccess, Problem, local_access
from swkpu.mapping.streams import Nest
from swkpu.program.model import Dataflow
from swkpu.target import cost
from swkpu.target.machine import Machine, TileGroup

MAX_SPREADS = 12


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


COARSE = Effort((1, 2, 4, 7, 8), (1, 2, 4), False, 1 << 22)
FINE = Effort((1, 2, 4, 8, 16, 32, 64, 128, 256, 512), (1, 2, 4, 8, 16, 32, 64, 128, 256, 512), True, 1 << 18)


@dataclass(frozen=True)
class Orientation:
    """Which dims lie on rows and columns, and what stays in the array."""

    rows: tuple[int, ...]
    cols: tuple[int, ...]
    dataflow: Dataflow


@dataclass(frozen=True)
class PartChoice:
    """The best candidate of one tile group for a share of a recurrence, with its estimated cycles."""

    part: Part
    cycles: int
    l2_bytes: int
    exec_cycles: int


def orientations(problem: Problem, on_lanes: bool = False) -> list[Orientation]:
    """The ways to lay a contraction on the array that are worth costing."""
    if not problem.is_contraction:
        return [Orientation((), (), Dataflow.OS)]
    if on_lanes:
        return [Orientation((), (), Dataflow.VECTOR)]
    x, w = (problem.dims_of(o) for o in problem.operands[:2])
    parallel = range(problem.domain.parallel)
    in_x = tuple(d for d in parallel if d not in w)
    in_w = tuple(d for d in parallel if d in w and d not in x)
    if not in_w:
        shared = tuple(d for d in parallel if d in w)
        return [Orientation(shared, in_x, Dataflow.OS)]
    return [
        Orientation(in_x, in_w, Dataflow.OS),
        Orientation(in_w, in_x, Dataflow.OS),
        Orientation(in_x, in_w, Dataflow.WS),
        Orientation(in_w, in_x, Dataflow.IS),
    ]


def spreads(extents: Sequence[int], dims: Sequence[int], tiles: int) -> list[tuple[tuple[int, int], ...]]:
    """Ways to spread at most two dims over at most `tiles` tiles, the best balanced first; each is ((dim, tiles),
    ...).
    """
    out: dict[tuple[tuple[int, int], ...], float] = {(): 1.0}
    useful = {
        d: sorted({ceil(extents[d] / ceil(extents[d] / n)) for n in range(2, min(tiles, extents[d]) + 1)}) for d in dims
    }
    for d in dims:
        for n in useful[d]:
            out[((d, n),)] = extents[d] / ceil(extents[d] / n)
    for a, b in product(dims, dims):
        if a >= b:
            continue
        for n in useful[a]:
            for m in useful[b]:
                if n * m <= tiles:
                    out[((a, n), (b, m))] = (extents[a] / ceil(extents[a] / n)) * (extents[b] / ceil(extents[b] / m))
    ranked = sorted(out, key=lambda s: (-out[s], s))
    return ranked[:MAX_SPREADS]


class PartSearch:
    """Costs all candidates of one tile group. Results are memoised by share."""

    def __init__(self, problem: Problem, machine: Machine, group_index: int, nest: Nest, effort: Effort = COARSE):
        self.problem, self.machine, self.nest, self.effort = problem, machine, nest, effort
        self.group: TileGroup = machine.tile_groups[group_index]
        self.group_index = group_index
        self.best = lru_cache(maxsize=None)(self._best)

    def _best(self, split: int | None, share: int) -> PartChoice | None:
        """The best candidate for `share` points of dim `split` (of an L2 tile), or None where nothing fits."""
        domain = self.problem.domain
        extents = [self.nest.size(d, e) for d, e in enumerate(domain.extents)]
        if split is not None:
            extents[split] = share
        best: PartChoice | None = None
        on_lanes = cost.array_precision(self.machine, self.problem.fabric, self.problem.dtypes) is None
        for orientation in orientations(self.problem, on_lanes):
            found = self._best_of(orientation, extents)
            if found is not None and (best is None or (found.cycles, found.l2_bytes) < (best.cycles, best.l2_bytes)):
                best = found
        return best

    def _best_of(self, orientation: Orientation, extents: list[int]) -> PartChoice | None:
        problem, machine, group, nest = self.problem, self.machine, self.group, self.nest
        domain = problem.domain
        parallel = [d for d in domain.parallel_dims if extents[d] > 1]
        reduction = max(domain.reduction_dims, key=lambda d: extents[d], default=None)
        fabric = dataclasses.replace(
            problem.fabric, rows=orientation.rows, cols=orientation.cols, dataflow=orientation.dataflow
        )
        spread_list = spreads(extents, parallel, group.count)
        axes: list[Sequence[int]] = [range(len(spread_list))]
        order_choices = self._orders(parallel)
        reduction_pieces = (
            [p for p in self.effort.reduction_pieces if p <= max(1, extents[reduction] // 8) or p == 1]
            if reduction is not None and (problem.is_contraction or self.effort.all_reductions)
            else [1]
        )
        others = len(spread_list) * len(order_choices) * len(reduction_pieces)
        axes += self.effort.cuts([extents[d] for d in parallel], others)
        axes += [reduction_pieces, range(len(order_choices))]
        grid = np.meshgrid(*(np.asarray(a, dtype=np.int64) for a in axes), indexing="ij")
        flat = [g.reshape(-1) for g in grid]
        spread_index, order_index, k_pieces = flat[0], flat[-1], flat[-2]
        space: dict[int, Array] = {}
        for d in parallel:
            table = np.asarray([dict(s).get(d, 1) for s in spread_list], dtype=np.int64)
            space[d] = table[spread_index]
        m: dict[int, Array] = {}
        sizes: list[Any] = [np.full_like(spread_index, extents[d]) for d in range(domain.rank)]
        keep = np.ones(len(spread_index), dtype=bool)
        for d, wanted in zip(parallel, flat[1 : 1 + len(parallel)]):
            block = -(-extents[d] // space[d])
            size = -(-block // wanted)
            m[d] = -(-block // size)
            keep &= m[d] == wanted  # the same sizes come from another piece count
            if d in dict(nest.tiles):
                keep &= space[d] * m[d] * size == extents[d]
            sizes[d] = size
        if reduction is not None and not problem.may_overrun(reduction):
            keep &= extents[reduction] % k_pieces == 0
        if reduction is not None:
            keep &= (k_pieces - 1) * -(-extents[reduction] // k_pieces) < extents[reduction]
            sizes[reduction] = -(-extents[reduction] // k_pieces)
        keep &= sum((v > 1).astype(np.int64) for v in m.values()) + (k_pieces > 1) + len(nest.tiles) <= MAX_LOOPS
        # quick capacity filter before costing
        keep &= self._l1_floor(sizes) <= group.l1_bytes
        index = np.nonzero(keep)[0]
        if len(index) == 0:
            return None
        sizes = [np.ascontiguousarray(s[index]) for s in sizes]
        m = {d: v[index] for d, v in m.items()}
        space = {d: v[index] for d, v in space.items()}
        k_pieces, order_index, spread_index = k_pieces[index], order_index[index], spread_index[index]
        k = reduction if reduction is not None else -1

        # -- the array --
        run = self._run(fabric, sizes)
        raw = (k_pieces > 1).astype(np.int64)
        exec_cost = cost.exec_cost(group, fabric, problem.dtypes, sizes, run, raw, raw)
        inner: Any = k_pieces.copy()
        for d in parallel:
            inner = inner * m[d]
        outer = 1
        for d, _ in nest.tiles:
            outer *= nest.trips(d, domain.extents[d])
        exec_total = inner * outer * exec_cost.cycles

        # -- operands in, results out --
        l1_bytes: Any = 0
        push_total: Any = 0
        push_first: Any = 0
        l2_total: Any = 0
        latency = cost.mover_latency_cycles(machine)
        for operand in problem.operands:
            count, looped = self._transfers(operand, parallel, m, k, k_pieces, order_index, order_choices)
            block = operand.dtype.bytes_of(block_elements(operand, problem, sizes))
            unique: Any = 1
            for d in problem.dims_of(operand):
                if d in space:
                    unique = unique * space[d]
            moved = cost.push_cost(machine, group, block * unique, block).uncontended
            push_total = push_total + count * moved
            push_first = push_first + moved
            l2_total = l2_total + count * block * unique
            l1_bytes = l1_bytes + aligned_size(block) * (1 + looped)
        result_points: Any = 1
        for d in domain.parallel_dims:
            result_points = result_points * sizes[d]
        result_block = result_points * problem.result.dtype.bytes
        tiles: Any = 1
        for d in parallel:
            tiles = tiles * space[d]
        pulls = inner // k_pieces * outer
        pull_one = cost.pull_cost(machine, group, result_block * tiles, result_block).uncontended
        l2_total = l2_total + pulls * result_block * tiles
        l1_bytes = l1_bytes + aligned_size(result_block) * (1 + (pulls > 1)) + raw * aligned_size(result_points * 4)
        fits = l1_bytes <= group.l1_bytes
        if not fits.any():
            return None
        fill = push_first + 2 * latency
        tail = pull_one + latency
        first_exec = exec_cost.cycles
        busy = np.maximum(
            exec_total, np.maximum(push_total - push_first + first_exec, pulls * pull_one - pull_one + first_exec)
        )
        total = fill + busy + tail + group.program_load_cycles
        total = np.where(fits, total, np.iinfo(np.int64).max)
        least = total.min()
        near = np.nonzero(total <= least + least // 200)[0]  # within half a percent, least traffic wins
        best = near[np.argmin(np.broadcast_to(l2_total, total.shape)[near])]
        names = domain.names
        order = [d for d in order_choices[order_index[best]] if m[d][best] > 1]
        if k_pieces[best] > 1:
            order.append(k)
        part = Part(
            group=group.kind,
            space=tuple((names[d], n) for d, n in spread_list[spread_index[best]]),
            l1=tuple((names[d], int(sizes[d][best])) for d in (*parallel, *([k] if k_pieces[best] > 1 else []))),
            order=tuple(names[d] for d in order),
            rows=tuple(names[d] for d in orientation.rows),
            cols=tuple(names[d] for d in orientation.cols),
            dataflow=orientation.dataflow,
        )
        l2_bytes = int(np.broadcast_to(l2_total, total.shape)[best])
        return PartChoice(part, int(total[best]), l2_bytes, int(np.broadcast_to(exec_total, total.shape)[best]))

    def _orders(self, parallel: list[int]) -> list[list[int]]:
        """Loop orders worth trying: the second operand's dims outside or inside the others."""
        if not self.problem.is_contraction:
            return [parallel]
        w = self.problem.dims_of(self.problem.operands[1])
        in_w = [d for d in parallel if d in w]
        rest = [d for d in parallel if d not in w]
        return [in_w + rest, rest + in_w] if in_w and rest else [parallel]

    def _transfers(
        self,
        operand: OperandAccess,
        parallel: list[int],
        m: dict[int, Array],
        k: int,
        k_pieces: Array,
        order_index: Array,
        orders: list[list[int]],
    ) -> tuple[Any, Any]:
        """How often an operand's block is brought in, and whether that happens in a loop (1) or once (0)."""
        dims = self.problem.dims_of(operand)
        outer = 1
        count_outer = 1
        for d, _ in self.nest.tiles:
            outer *= self.nest.trips(d, self.problem.domain.extents[d])
            if d in dims:
                count_outer = outer
        count: Any = np.full_like(k_pieces, count_outer)
        for i, order in enumerate(orders):
            running: Any = np.full_like(k_pieces, outer)
            own: Any = np.full_like(k_pieces, count_outer)
            for d in order:
                running = running * m[d]
                if d in dims:
                    own = np.where(m[d] > 1, running, own)
            if k in dims:
                own = np.where(k_pieces > 1, running * k_pieces, own)
            count = np.where(order_index == i, own, count)
        return count, (count > 1).astype(np.int64)

    def _l1_floor(self, sizes: Sequence[Array]) -> Array:
        total: Any = 0
        for operand in self.problem.operands:
            total = total + operand.dtype.bytes_of(block_elements(operand, self.problem, sizes))
        points: Any = 1
        for d in self.problem.domain.parallel_dims:
            points = points * sizes[d]
        return total + points * self.problem.result.dtype.bytes

    def _run(self, fabric: Any, sizes: Sequence[Array]) -> int:
        """Contiguous trailing reduction dims, judged on the first candidate's box (cutting a reduction keeps its
        run).
        """
        if not self.problem.is_contraction:
            return 0
        box = [int(s[0]) for s in sizes]
        strides: list[list[int]] = []
        for operand in self.problem.operands[:2]:
            shape = [int(span_of(local_access(e, self.problem.domain).terms, box)) for e in operand.exprs]
            steps = [operand.dtype.step] * len(shape)
            for axis in range(len(shape) - 2, -1, -1):
                steps[axis] = steps[axis + 1] * shape[axis + 1]
            strides.append(steps)
        return cost.reduction_run(fabric, box, strides, [o.dtype for o in self.problem.operands[:2]])
