"""The mapping search: enumerate how a recurrence may lie in space and time on one tile group, and cost all at once.

A candidate is a choice of: the two dims spread over tiles and over how many; into how many pieces each tile's share
of a dim is cut; the loop order; rows, columns and dataflow of the array. Every candidate is costed with the formulas
of `swkpu.target.cost`, as numpy arrays over all candidates. The time of a recurrence is that of its slowest resource,
plus what does not overlap: the first block in and the last block out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import ceil
from typing import Any

import numpy as np

from swkpu.dialects.kpu import MAX_LOOPS
from swkpu.dialects.mapping import Mapping, Part, Sizes
from swkpu.mapping.problem import OperandAccess, Problem, axis_step, local_access
from swkpu.program.model import Dataflow
from swkpu.target import cost
from swkpu.target.machine import Machine, TileGroup

Array = np.ndarray[Any, np.dtype[np.int64]]
PIECES = (1, 2, 4, 7, 8)
REDUCTION_PIECES = (1, 2, 4)
MAX_SPREADS = 24
GOOD_ENOUGH = 1.04
"""A mapping within this factor of what the arrays can do at best is not searched further."""


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


def orientations(problem: Problem) -> list[Orientation]:
    """The ways to lay a contraction on the array that are worth costing."""
    if not problem.is_contraction:
        return [Orientation((), (), Dataflow.OS)]
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


@dataclass(frozen=True)
class Nest:
    """The loops that bring DRAM operands through L2: (dim, tile size) from the outermost."""

    tiles: tuple[tuple[int, int], ...] = ()

    def size(self, dim: int, extent: int) -> int:
        return dict(self.tiles).get(dim, extent)

    def trips(self, dim: int, extent: int) -> int:
        return ceil(extent / self.size(dim, extent))


def _span(exprs_coef: Iterable[tuple[int, int]], sizes: Sequence[Array | int]) -> Array | int:
    total: Any = 1
    for d, c in exprs_coef:
        total = total + abs(c) * (sizes[d] - 1)
    return total


def block_elements(operand: OperandAccess, problem: Problem, sizes: Sequence[Array | int]) -> Array | int:
    """Elements of the block that a domain box of `sizes` reads (steps taken out by the transfer)."""
    total: Any = 1
    for expr in operand.exprs:
        total = total * _span(local_access(expr, problem.domain).terms, sizes)
    return total


class PartSearch:
    """Costs all candidates of one tile group. Results are memoised by share."""

    def __init__(self, problem: Problem, machine: Machine, group_index: int, nest: Nest):
        self.problem, self.machine, self.nest = problem, machine, nest
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
        for orientation in orientations(self.problem):
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
        pieces = {d: [p for p in PIECES if p <= extents[d]] for d in parallel}
        order_choices = self._orders(parallel)
        axes += [pieces[d] for d in parallel]
        reduction_pieces = (
            [p for p in REDUCTION_PIECES if p <= max(1, extents[reduction] // 8) or p == 1]
            if reduction is not None and problem.is_contraction
            else [1]
        )
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
        if reduction is not None:
            keep &= extents[reduction] % k_pieces == 0
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
            block = block_elements(operand, problem, sizes) * operand.dtype.bytes
            unique: Any = 1
            for d in problem.dims_of(operand):
                if d in space:
                    unique = unique * space[d]
            moved = cost.push_cost(machine, group, block * unique, block).uncontended
            push_total = push_total + count * moved
            push_first = push_first + moved
            l2_total = l2_total + count * block * unique
            l1_bytes = l1_bytes + _aligned(block) * (1 + looped)
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
        l1_bytes = l1_bytes + _aligned(result_block) * (1 + (pulls > 1)) + raw * _aligned(result_points * 4)
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
            total = total + block_elements(operand, self.problem, sizes) * operand.dtype.bytes
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
            shape = [int(_span(local_access(e, self.problem.domain).terms, box)) for e in operand.exprs]
            steps = [operand.dtype.bytes] * len(shape)
            for axis in range(len(shape) - 2, -1, -1):
                steps[axis] = steps[axis + 1] * shape[axis + 1]
            strides.append(steps)
        return cost.reduction_run(fabric, box, strides, [o.dtype for o in self.problem.operands[:2]])


def _aligned(size: Any) -> Any:
    return -(-size // 16) * 16


# ---- the whole recurrence ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    mapping: Mapping
    cycles: int


def l2_bytes_of(operand: OperandAccess, problem: Problem, nest: Nest) -> tuple[int, int]:
    """(bytes of one L2 block of a streamed operand or result, how often it is moved)."""
    extents = problem.domain.extents
    sizes = [nest.size(d, e) for d, e in enumerate(extents)]
    elements = int(block_elements(operand, problem, sizes))
    dims = problem.dims_of(operand)
    count = running = 1
    for d, _ in nest.tiles:
        running *= nest.trips(d, extents[d])
        if d in dims:
            count = running
    return elements * operand.dtype.bytes, count


def nest_fits(problem: Problem, nest: Nest, buffers: int = 2) -> bool:
    """Do the streamed operands' L2 buffers fit the budget?"""
    total = 0
    for operand in (*problem.operands, problem.result):
        if operand.dram:
            size, count = l2_bytes_of(operand, problem, nest)
            total += _aligned(size) * (buffers if count > 1 else 1)
    return total <= problem.l2_budget


def dram_cycles(problem: Problem, machine: Machine, nest: Nest) -> tuple[int, int]:
    """(cycles of all DRAM traffic, cycles of the first block of every streamed operand), in whole bursts per row."""
    sizes = [nest.size(d, e) for d, e in enumerate(problem.domain.extents)]
    total = first = 0
    for operand in (*problem.operands, problem.result):
        if operand.dram:
            size, count = l2_bytes_of(operand, problem, nest)
            row = min(_row_bytes(operand, problem, sizes), size)
            charged = cost.dram_charged_bytes(row, ceil(size / row), machine.dram.burst_bytes)
            cycles = int(cost.dram_cycles(machine, charged))
            total += cycles * count
            first += cycles
    return total, first


def _row_bytes(operand: OperandAccess, problem: Problem, sizes: Sequence[int]) -> int:
    """Bytes of a block that are contiguous in DRAM: trailing dims, up to the first that is not taken whole."""
    row = operand.dtype.bytes
    for expr, size in zip(reversed(operand.exprs), reversed(operand.shape)):
        if axis_step(expr, problem.domain) > 1:
            break
        taken = min(int(_span(local_access(expr, problem.domain).terms, sizes)), size)
        row *= taken
        if taken < size:
            break
    return row


def nests(problem: Problem, grain: int, wave: int) -> list[Nest]:
    """L2 loop nests to consider: none; over the dims that only constants have; over those that activations have.

    Tile sizes of constants are multiples of `grain` (the columns of an array), one of them of `wave` (the columns of all
    arrays together).
    """
    domain = problem.domain
    streamed = [o for o in problem.operands if o.dram]
    weights = [problem.dims_of(o) for o in streamed if o.constant and o.is_input]
    moving = [problem.dims_of(o) for o in (*problem.operands, problem.result) if o.dram and not o.constant]
    parallel = set(domain.parallel_dims)
    others = [problem.dims_of(o) for o in problem.operands if not (o.constant and o.is_input) and o.is_input]
    weight_dims = {d for dims in weights for d in dims & parallel} - {d for dims in others for d in dims}
    moving_dims = {d for dims in moving for d in dims & parallel} - weight_dims
    out = [Nest()] if nest_fits(problem, Nest()) else []

    def cuts(dims: set[int], unit: int) -> list[tuple[int, int]]:
        if not dims:
            return []
        dim = max(dims, key=lambda d: (domain.extents[d], -d))
        sizes: dict[int, None] = {}
        for n in (2, 3, 4, 6, 8, 12, 16, 24, 32, 56, 64, 112, 128, 256, 512, 1024):
            size = ceil(domain.extents[dim] / n)
            if unit > 1 and size > unit:
                size = ceil(size / unit) * unit
            if size < domain.extents[dim]:
                sizes.setdefault(size)
        return [(dim, s) for s in sizes]

    by_weight = cuts(weight_dims, grain)
    rows = moving_dims - ({max(moving_dims)} if len(moving_dims) > 2 else set())
    by_rows = cuts({min(rows, key=lambda d: (domain.extents[d] == 1, d))} if rows else set(), 1)
    waves = [(d, wave * n) for d in {d for d, _ in by_weight} for n in (2, 1) if wave * n < domain.extents[d]]
    fitting = [Nest((c,)) for c in waves if nest_fits(problem, Nest((c,)))][:1]
    fitting += [Nest((c,)) for c in by_weight if nest_fits(problem, Nest((c,))) and Nest((c,)) not in fitting][
        : 2 if out else 3
    ]
    fitting += [Nest((c,)) for c in by_rows if nest_fits(problem, Nest((c,)))][: 1 if out else 3]
    if not out and not fitting:
        both = [Nest((r, w)) for r in by_rows for w in by_weight if nest_fits(problem, Nest((r, w)))]
        fitting += both[:3]
    out += fitting
    return out


class Mapper:
    """Chooses mappings for one machine. Equal recurrences with the same choice of L2 loops are searched once."""

    def __init__(self, machine: Machine):
        self.machine = machine
        self._known: dict[tuple[object, ...], Choice | None] = {}

    def choose(self, problem: Problem) -> Choice | None:
        """The best mapping of a recurrence, or None where none fits the memories."""
        precision = _precision(problem)
        groups = _groups(problem, self.machine, precision)
        if not groups:
            return None
        grain = max(self.machine.tile_groups[g].cols for g in groups)
        wave = sum(self.machine.tile_groups[g].count * self.machine.tile_groups[g].cols for g in groups)
        candidates = tuple(nests(problem, grain, wave))
        key = (problem.domain, problem.fabric, problem.operands, problem.result, candidates)
        if key not in self._known:
            self._known[key] = _choose(problem, self.machine, groups, precision, candidates)
        return self._known[key]


def _choose(
    problem: Problem, machine: Machine, groups: list[int], precision: str | None, candidates: Sequence[Nest]
) -> Choice | None:
    best: Choice | None = None
    rate = sum(sorted((_rate(machine, g, precision) for g in groups), reverse=True)[:2])
    ideal = math.prod(problem.domain.extents) / rate
    for nest in candidates:
        if best is not None and best.cycles <= max(GOOD_ENOUGH * ideal, dram_cycles(problem, machine, nest)[0]):
            continue
        found = _choose_parts(problem, machine, groups, precision, nest)
        if found is None:
            continue
        parts, split, compute, l2_bytes = found
        dram, first = dram_cycles(problem, machine, nest)
        l2 = l2_bytes // machine.l2.read_bytes_per_cycle
        cycles = max(compute, dram, l2) + first // 2
        if best is None or cycles < best.cycles:
            names = problem.domain.names
            tiles: Sizes = tuple((names[d], s) for d, s in nest.tiles)
            mapping = Mapping(
                parts=parts,
                l2=tiles,
                split=None if split is None else names[split],
                result="dram" if problem.result.dram else "l2",
                cycles=cycles,
            )
            best = Choice(mapping, cycles)
    return best


def _precision(problem: Problem) -> str | None:
    if not problem.is_contraction:
        return None
    return cost.mac_type(problem.operands[0].dtype, problem.operands[1].dtype)


def _groups(problem: Problem, machine: Machine, precision: str | None) -> list[int]:
    if precision is None:
        return list(range(len(machine.tile_groups)))
    return [i for i, _ in machine.groups_for(precision)]


def _rate(machine: Machine, group: int, precision: str | None) -> float:
    g = machine.tile_groups[group]
    return float(g.macs_per_cycle(precision)) if precision is not None else float(g.count * g.vector_lanes)


def _choose_parts(
    problem: Problem, machine: Machine, groups: list[int], precision: str | None, nest: Nest
) -> tuple[tuple[Part, ...], int | None, int, int] | None:
    """Parts for the tile groups that share the work: (parts, split dim, cycles, L2 bytes)."""
    domain = problem.domain
    ranked = sorted(groups, key=lambda g: -_rate(machine, g, precision))
    searches = {g: PartSearch(problem, machine, g, nest) for g in ranked}
    best: tuple[tuple[Part, ...], int | None, int, int] | None = None
    alone = searches[ranked[0]].best(None, 0)
    if alone is not None:
        best = ((alone.part,), None, alone.cycles, alone.l2_bytes)
    if len(ranked) < 2:
        return best
    first, second = ranked[:2]
    fraction = _rate(machine, first, precision) / (_rate(machine, first, precision) + _rate(machine, second, precision))
    candidates = sorted(
        (d for d in domain.parallel_dims if nest.size(d, domain.extents[d]) > 1),
        key=lambda d: -nest.size(d, domain.extents[d]),
    )[:2]
    work = math.prod(domain.extents)
    ideal = work / (_rate(machine, first, precision) + _rate(machine, second, precision))
    for dim in candidates:
        extent = nest.size(dim, domain.extents[dim])
        for share in _shares(extent, fraction, machine.tile_groups[first]):
            least = ideal * max(share / extent / fraction, (1 - share / extent) / (1 - fraction))
            if best is not None and (best[2] <= least or best[2] <= GOOD_ENOUGH * ideal):
                continue
            a, b = searches[first].best(dim, share), searches[second].best(dim, extent - share)
            if a is None or b is None:
                continue
            cycles = max(a.cycles, b.cycles)
            if best is None or cycles < best[2]:
                parts = (
                    dataclasses.replace(a.part, share=(0, share)),
                    dataclasses.replace(b.part, share=(share, extent)),
                )
                best = (parts, dim, cycles, a.l2_bytes + b.l2_bytes)
    return best


def _shares(extent: int, fraction: float, group: TileGroup) -> list[int]:
    """Shares of the first group to try: in proportion to the rates, a little to each side, and in whole array columns."""
    fair = extent * fraction
    step = max(1, extent // 16)
    every = group.count * group.cols
    tried = [round(fair), round(fair) - step, round(fair) + step]
    tried += [round(fair / n) * n for n in (every, group.cols) if n < extent]
    return [s for s in dict.fromkeys(tried) if 0 < s < extent]
