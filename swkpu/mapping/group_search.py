"""The mapping search for a group: which shared dims to spread and cut, over which tile groups, and what it costs.

A candidate of one tile group spreads one shared dim, or two, over the tiles and cuts each tile's share into pieces. Its
*capacity* is how many points of the first dim it covers, and its time does not depend on how many of them there are. So
the tile groups' candidates are costed apart, all at once as numpy arrays, and the least time is found at which their
capacities add up to the whole dim.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import Any

import numpy as np

from swkpu.dialects.mapping import Mapping, Part
from swkpu.mapping.blocks import Array, aligned_size, block_elements, span_of
from swkpu.mapping.groups import Handover, SharedDim
from swkpu.mapping.orientation import Orientation, orientations
from swkpu.mapping.packing import Request, stack
from swkpu.mapping.problem import OperandAccess, Problem, local_access
from swkpu.mapping.streams import Nest, dram_time, l2_bytes_of
from swkpu.target import cost
from swkpu.target.machine import Machine, TileGroup

PIECES = (1, 2, 3, 4, 6, 8, 12, 16)
BLOCKS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 192, 256)
CLOSE = 200
"""Among candidates whose time is within one in so many of the least, the one that moves the fewest bytes wins."""

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


@dataclass(frozen=True)
class GroupChoice:
    """The mappings of a group's members, and the estimate for all of them together."""

    mappings: tuple[Mapping, ...]
    cycles: int


@dataclass
class _Candidates:
    """One tile group's candidates for a pair of shared dims: arrays of one entry each."""

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


def choose_group(problem: GroupProblem, machine: Machine) -> GroupChoice | None:
    """The best mapping of a group, or None where nothing fits."""
    on_array = {cost.array_precision(machine, p.fabric, p.dtypes) for p in problem.problems} - {None}
    if len(on_array) > 1:
        return None
    precision = next(iter(on_array), None)
    usable = [i for i, _ in machine.groups_for(precision)] if precision else range(len(machine.tile_groups))
    dram, first = _dram(problem, machine)
    best: tuple[int, list[tuple[_Candidates, int, int]]] | None = None
    for dims in _pairs(problem):
        extent = problem.shared[dims[0]].extent if dims else 1
        found = [c for g in usable if (c := _candidates(problem, machine, g, dims)) is not None]
        parts = _divide(found, extent)
        while parts is not None and (full := next(((c, i) for c, i, _ in parts if not _fits(problem, c, i)), None)):
            full[0].cycles[full[1]] = NEVER
            parts = _divide(found, extent)
        if parts is not None:
            cycles = max(int(c.cycles[i]) for c, i, _ in parts)
            l2 = sum(int(c.l2_bytes[i]) for c, i, _ in parts) // machine.l2.read_bytes_per_cycle
            cycles = max(cycles, dram, l2) + first // 2
            if best is None or cycles < best[0]:
                best = cycles, parts
    if best is None:
        return None
    return GroupChoice(_mappings(problem, best[1], best[0]), best[0])


def _pairs(problem: GroupProblem) -> list[tuple[int, ...]]:
    """Which shared dims to cut: one, which the tile groups divide, and perhaps a second."""
    large = sorted(range(len(problem.shared)), key=lambda s: -problem.shared[s].extent)[:3]
    if not large:
        return [()]
    return [(a,) for a in large] + [(a, b) for a, b in product(large[:2], large) if a != b]


def _dram(problem: GroupProblem, machine: Machine) -> tuple[int, int]:
    """(cycles of the DRAM traffic that a group waits for, cycles of what comes first), every block once."""
    total = first = 0
    seen: set[int] = set()
    for m, p in enumerate(problem.problems):
        new = {i for i in range(len(p.operands)) if problem.same.get((m, i), -1) not in seen | {-1}}
        seen |= {problem.same[m, i] for i in new}
        operands = tuple(o for i, o in enumerate(p.operands) if i in new)
        result = dataclasses.replace(p.result, dram=p.result.dram and not problem.kept[m])
        here = dram_time(dataclasses.replace(p, operands=operands, result=result), machine, Nest())
        total, first = total + here.activations, first + here.first
    return total, first


def l2_bytes(problem: GroupProblem) -> int:
    """Bytes of L2 that a group's DRAM operands and results take."""
    total = 0
    seen: set[int] = set()
    for m, p in enumerate(problem.problems):
        for i, operand in enumerate(p.operands):
            number = problem.same.get((m, i))
            if operand.dram and number is not None and number not in seen:
                seen.add(number)
                total += aligned_size(l2_bytes_of(operand, p, Nest())[0])
        if p.result.dram and not problem.kept[m]:
            total += aligned_size(l2_bytes_of(p.result, p, Nest())[0])
    return total


def _divide(found: Sequence[_Candidates], extent: int) -> list[tuple[_Candidates, int, int]] | None:
    """The least time in which the tile groups cover a dim together: (candidates, index, share of the dim) for each."""
    if not found:
        return None
    frontiers: list[tuple[Array, Array]] = []
    for c in found:
        order = np.argsort(c.cycles, kind="stable")
        frontiers.append((c.cycles[order], np.maximum.accumulate(c.capacity[order])))
    times = np.unique(np.concatenate([t for t, _ in frontiers]))
    total: Any = 0
    for cycles, capacity in frontiers:
        at = np.searchsorted(cycles, times, side="right")
        total = total + np.where(at > 0, capacity[np.maximum(at - 1, 0)], 0)
    enough = np.nonzero(total >= extent)[0]
    if len(enough) == 0:
        return None
    limit = int(times[enough[0]])
    if limit >= NEVER:
        return None
    most = [int(c.capacity[c.cycles <= limit].max(initial=0)) for c in found]
    out: list[tuple[_Candidates, int, int]] = []
    left = extent
    for number in sorted(range(len(found)), key=lambda n: -most[n]):
        share = min(most[number], left)
        if share:
            out.append((found[number], _cheapest(found[number], share, limit), share))
            left -= share
    return out


def _cheapest(c: _Candidates, share: int, limit: int) -> int:
    """Of the candidates that cover a share in time, the one that moves the fewest bytes."""
    fitting = np.nonzero((c.capacity >= share) & (c.cycles <= limit + limit // CLOSE))[0]
    fastest = int(c.cycles[fitting].min())
    fitting = fitting[c.cycles[fitting] <= fastest + fastest // CLOSE]
    return int(fitting[np.argmin(c.l2_bytes[fitting])])


def _candidates(problem: GroupProblem, machine: Machine, group_index: int, dims: tuple[int, ...]) -> _Candidates | None:
    group = machine.tile_groups[group_index]
    extents = [problem.shared[d].extent for d in dims]
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
    lives = _lives(problem)
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
    return _Candidates(group, dims, *cut, outer[index], cycles[index], whole, ways_kept, l1[index], kept(results))


def _grid(extents: Sequence[int], count: int) -> tuple[list[Array], list[Array], list[Array], Array]:
    """Tiles, block sizes and pieces per dim, and whether the first dim's loop is outside the second's."""
    if not extents:
        one = np.ones(1, np.int64)
        return [one], [one], [one], one
    blocks = [b for b in BLOCKS if b < extents[0]] + [extents[0]]
    axes: list[Sequence[int]] = [blocks, [p for p in PIECES if p <= extents[0]]]
    if len(extents) > 1:
        axes += [_useful(extents[1], count), [p for p in PIECES[:6] if p <= extents[1]], (0, 1)]
    flat = [g.reshape(-1) for g in np.meshgrid(*(np.asarray(a, np.int64) for a in axes), indexing="ij")]
    size, pieces = flat[0], flat[1]
    spread = flat[2] if len(extents) > 1 else np.ones_like(size)
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


def _lives(problem: GroupProblem) -> list[tuple[int, int]]:
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


def _fits(problem: GroupProblem, c: _Candidates, index: int) -> bool:
    """Can a candidate's blocks be placed, as `kpu-assign-memory` does it?"""
    requests = [Request(int(c.outside[index]), 0, len(problem.problems))]
    requests += [Request(int(b[index]), *life) for b, life in zip(c.results, _lives(problem))]
    return max(o + r.size for o, r in zip(stack(requests), requests)) <= c.group.l1_bytes


def _mappings(problem: GroupProblem, parts: list[tuple[_Candidates, int, int]], cycles: int) -> tuple[Mapping, ...]:
    """Every member's own way of saying what was chosen."""
    out: list[Mapping] = []
    for m, p in enumerate(problem.problems):
        names = p.domain.names
        at, written = 0, list[Part]()
        split: str | None = None
        for c, i, share in parts:
            dims = [names[problem.shared[d].dims[m]] for d in c.dims]
            split = dims[0] if len(parts) > 1 else None
            sizes, pieces = [int(s[i]) for s in c.sizes], [int(n[i]) for n in c.pieces]
            tiles = [int(t[i]) for t in c.tiles]
            tiles[0] = min(tiles[0], ceil(share / (sizes[0] * pieces[0])))
            way = c.orientations[m][0][int(c.orientations[m][1][i])]
            order = dims if c.first_is_outer[i] else dims[::-1]
            part = Part(
                group=c.group.kind,
                space=tuple((d, n) for d, n in zip(dims, tiles) if n > 1),
                l1=tuple(zip(dims, sizes)),
                order=tuple(order),
                rows=tuple(names[d] for d in way.rows),
                cols=tuple(names[d] for d in way.cols),
                dataflow=way.dataflow,
                share=(at, at + share) if len(parts) > 1 else None,
            )
            written.append(part)
            at += share
        last = m == len(problem.problems) - 1
        result = "l1" if problem.kept[m] else "dram" if p.result.dram else "l2"
        out.append(Mapping(tuple(written), split=split, result=result, cycles=cycles if last else None))
    return tuple(out)
