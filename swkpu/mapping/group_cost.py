"""What the candidates of one tile group cost for a group of recurrences, all at once as numpy arrays.

A candidate spreads one shared dim, or two, over the tiles and cuts each tile's share into pieces. Its *capacity* is how
many points of the first dim it covers, and its time does not depend on how many of them there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from swkpu.mapping.blocks import Array, aligned_size, block_elements, span_of
from swkpu.mapping.groups import Handover, SharedDim
from swkpu.mapping.orientation import Orientation, orientations
from swkpu.mapping.packing import Request, extent, stack
from swkpu.mapping.problem import OperandAccess, Problem, local_access
from swkpu.target import cost
from swkpu.target.machine import Machine, TileGroup

PIECES = (1, 2, 3, 4, 6, 8, 12, 16)
BLOCKS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 192, 256)
NEVER = 1 << 60


@dataclass(frozen=True)
class GroupProblem:
    """What is to be decided for a group. `problems` see what is handed over as blocks; `same` numbers the operands that
    come from outside, as (member, operand) to a number that reads of one block have in common.
    """

    problems: tuple[Problem, ...]
    shared: tuple[SharedDim, ...]
    handed: tuple[Handover, ...]
    same: dict[tuple[int, int], int]
    kept: tuple[bool, ...]
    l2_budget: int


@dataclass
class Candidates:
    """One tile group's candidates for a pair of shared dims: arrays of one entry each.

    `outside` and `results` are bytes of L1: of what comes in and of each member's blocks.
    """

    group: TileGroup
    dims: tuple[int, ...]
    tiles: list[Array]
    sizes: list[Array]
    pieces: list[Array]
    first_is_outer: Array
    cycles: Array
    l2_bytes: Array
    orientations: list[tuple[list[Orientation], Array]]
    outside: Array
    results: list[Array]

    @property
    def capacity(self) -> Array:
        return self.tiles[0] * self.sizes[0] * self.pieces[0]


def candidates(
    problem: GroupProblem, machine: Machine, group_index: int, dims: tuple[int, ...], tile: int, trips: int
) -> Candidates | None:
    """All candidates that fit L1 for the first dim in L2 tiles of `tile` points, or None."""
    group = machine.tile_groups[group_index]
    extents = [problem.shared[d].extent for d in dims]
    extents[:1] = [tile] * len(extents[:1])
    tiles, sizes, pieces, outer = _grid(extents, group.count)
    box = [_boxes(p, m, problem, dims, sizes) for m, p in enumerate(problem.problems)]
    count = len(outer)
    exec_one: Any = np.zeros(count, np.int64)
    chosen: list[tuple[list[Orientation], Array]] = []
    for p, b in zip(problem.problems, box):
        on_lanes = cost.array_precision(machine, p.fabric, p.dtypes) is None
        ways = orientations(p, on_lanes)
        costs = np.stack([_exec_cycles(p, group, way, b, count) for way in ways])
        chosen.append((ways, costs.argmin(axis=0)))
        exec_one = exec_one + costs.min(axis=0)
    loads = len(problem.problems) * group.program_load_cycles
    runs: Any = np.ones(count, np.int64)
    for n in pieces:
        runs = runs * n
    runs = runs * trips
    exec_total = runs * (exec_one + (loads if len(problem.problems) > 1 else 0))
    push_first: Any = 0
    push_total: Any = 0
    pull_first: Any = 0
    l2_total: Any = 0
    l1: Any = np.zeros(count, np.int64)
    results: list[Array] = []
    seen: set[int] = set()
    for m, p in enumerate(problem.problems):
        for i, operand in enumerate(p.operands):
            number = problem.same.get((m, i))
            if number is None or number in seen:
                continue
            seen.add(number)
            block = operand.dtype.bytes_of(block_elements(operand, p, box[m]))
            unique, times = _moves(operand, p, m, problem, dims, tiles, pieces, outer)
            times = _over_l2_tiles(times, trips, bool(dims) and problem.shared[dims[0]].dims[m] in p.dims_of(operand))
            moved = cost.push_cost(machine, group, block * unique, block).uncontended
            push_first, push_total = push_first + moved, push_total + times * moved
            l2_total = l2_total + times * block * unique
            l1 = l1 + aligned_size(block) * (1 + (times > 1))
        block = p.result.dtype.bytes_of(block_elements(p.result, p, box[m]))
        copies = 1 if problem.kept[m] else 1 + (runs > 1)
        results.append(np.broadcast_to(aligned_size(block) * copies, (count,)))
        if not problem.kept[m]:
            unique, _ = _moves(p.result, p, m, problem, dims, tiles, pieces, outer)
            pull_first = pull_first + cost.pull_cost(machine, group, block * unique, block).uncontended
            l2_total = l2_total + runs * block * unique
    lives = lives_of(problem)
    fits = l1 + _most_at_once(results, lives) <= group.l1_bytes
    if not fits.any():
        return None
    one = exec_one + loads
    busy = np.maximum(exec_total, np.maximum(push_total - push_first + one, (runs - 1) * pull_first + one))
    latency = cost.mover_latency_cycles(machine)
    cycles = push_first + busy + pull_first + 3 * latency + group.program_load_cycles
    index = np.nonzero(fits)[0]

    def kept(values: Sequence[Array]) -> list[Array]:
        return [v[index] for v in values]

    ways_kept = [(ways, which[index]) for ways, which in chosen]
    whole = np.broadcast_to(l2_total, (count,))[index]
    cut = kept(tiles), kept(sizes), kept(pieces)
    return Candidates(group, dims, *cut, outer[index], cycles[index], whole, ways_kept, l1[index], kept(results))


def _grid(extents: Sequence[int], count: int) -> tuple[list[Array], list[Array], list[Array], Array]:
    """Tiles, block sizes and pieces per dim, and whether the first dim's loop is outside the second's."""
    if not extents:
        one = np.ones(1, np.int64)
        return [one], [one], [one], one
    blocks = [b for b in BLOCKS if b < extents[0]] + [extents[0]]
    axes: list[Sequence[int]] = [blocks, [0, *(p for p in PIECES if p <= extents[0])]]
    if len(extents) > 1:
        axes += [_useful(extents[1], count), [p for p in PIECES[:6] if p <= extents[1]], (0, 1)]
    flat = [g.reshape(-1) for g in np.meshgrid(*(np.asarray(a, np.int64) for a in axes), indexing="ij")]
    size, pieces = flat[0], flat[1]
    spread = flat[2] if len(extents) > 1 else np.ones_like(size)
    alone = -(-extents[0] // (size * (count // spread)))
    pieces = np.where(pieces == 0, alone, pieces)  # as many as it takes to cover the dim without other tile groups
    tiles = [np.minimum(count // spread, -(-extents[0] // (size * pieces)))]
    sizes, cuts, outer = [size], [pieces], np.ones_like(size)
    keep = (size * (pieces - 1) < extents[0]) & (tiles[0] >= 1)
    if len(extents) > 1:
        share = -(-extents[1] // spread)
        block = -(-share // flat[3])
        keep &= -(-share // block) == flat[3]
        tiles, sizes, cuts, outer = [*tiles, spread], [size, block], [pieces, flat[3]], flat[4]
    index = np.nonzero(keep)[0]
    return [t[index] for t in tiles], [s[index] for s in sizes], [p[index] for p in cuts], outer[index]


def _useful(extent: int, count: int) -> list[int]:
    """Numbers of tiles that share a dim evenly, a dozen at most."""
    every = sorted({ceil(extent / ceil(extent / n)) for n in range(1, min(extent, count) + 1)})
    return every if len(every) <= 12 else [every[round(i * (len(every) - 1) / 11)] for i in range(12)]


def _boxes(p: Problem, member: int, problem: GroupProblem, dims: Sequence[int], sizes: Sequence[Array]) -> list[Any]:
    """Points per domain dim of a member's block."""
    box: list[Any] = list(p.domain.extents)
    for shared, size in zip(dims, sizes):
        box[problem.shared[shared].dims[member]] = size
    return box


def _over_l2_tiles(times: Any, trips: int, has_first: bool) -> Any:
    """How often a block comes in when the pieces are walked once per L2 tile: what no loop moves comes in once."""
    return times * trips if has_first else np.where(times > 1, times * trips, times)


def _exec_cycles(p: Problem, group: TileGroup, way: Orientation, box: Sequence[Any], count: int) -> Array:
    fabric = way.of(p.fabric)
    run = 0
    if p.is_contraction:
        first = [int(s if isinstance(s, int) else s[0]) for s in box]
        strides: list[list[int]] = []
        for operand in p.operands[:2]:
            shape = [int(span_of(local_access(e, p.domain).terms, first)) for e in operand.exprs]
            steps = [operand.dtype.step] * len(shape)
            for axis in range(len(shape) - 2, -1, -1):
                steps[axis] = steps[axis + 1] * shape[axis + 1]
            strides.append(steps)
        run = cost.reduction_run(fabric, first, strides, [o.dtype for o in p.operands[:2]])
    return np.broadcast_to(cost.exec_cost(group, fabric, p.dtypes, box, run).cycles, (count,))


def _moves(
    operand: OperandAccess,
    p: Problem,
    member: int,
    problem: GroupProblem,
    dims: Sequence[int],
    tiles: Sequence[Array],
    pieces: Sequence[Array],
    outer: Array,
) -> tuple[Any, Any]:
    """(tiles with a block of their own, how often a block is brought in)."""
    own = p.dims_of(operand)
    has = [problem.shared[d].dims[member] in own for d in dims]
    unique: Any = 1
    for n, mine in zip(tiles, has):
        unique = unique * (n if mine else 1)
    times: Any = np.ones_like(outer)
    if len(dims) == 1:
        times = pieces[0] if has[0] else times
    elif len(dims) == 2:
        both = pieces[0] * pieces[1]
        by_outer = np.where(outer == 1, has[0], has[1])
        by_inner = np.where(outer == 1, has[1], has[0])
        inner = np.where(outer == 1, pieces[1], pieces[0])
        moves = by_inner & (inner > 1)
        times = np.where(moves, both, np.where(by_outer, both // inner, 1))
    return unique, times


def lives_of(problem: GroupProblem) -> list[tuple[int, int]]:
    """Which members' executions each member's result has to outlive. What is sent out lives as long as the layer."""
    end = len(problem.problems)
    last = list(range(end))
    for h in problem.handed:
        last[h.maker] = max(last[h.maker], h.reader)
    return [(m, last[m]) if kept else (0, end) for m, kept in enumerate(problem.kept)]


def _most_at_once(results: Sequence[Array], lives: Sequence[tuple[int, int]]) -> Any:
    most: Any = 0
    for now in range(len(results)):
        live: Any = sum((b for b, (first, last) in zip(results, lives) if first <= now <= last), start=0)
        most = np.maximum(most, live)
    return most


def fits_l1(problem: GroupProblem, c: Candidates, index: int) -> bool:
    """Can a candidate's blocks be placed, as `kpu-assign-memory` does it? What is handed over shares memory."""
    sizes = [int(b[index]) for b in c.results]
    sent = sum(size for size, kept in zip(sizes, problem.kept) if not kept)
    lives = lives_of(problem)
    handed = [Request(size, *life) for size, life, kept in zip(sizes, lives, problem.kept) if kept]
    return int(c.outside[index]) + sent + extent(handed, stack(handed)) <= c.group.l1_bytes
