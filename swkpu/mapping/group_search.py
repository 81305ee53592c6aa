"""The mapping search for a group: which shared dims to spread and cut, over which tile groups, and in which L2 tiles.

The tile groups' candidates are costed apart, and the least time is found at which their capacities add up to the whole
of the first dim, or to an L2 tile of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import Any

import numpy as np

from swkpu.dialects.mapping import Mapping, Part
from swkpu.mapping.blocks import Array, aligned_size
from swkpu.mapping.group_cost import NEVER, Candidates, GroupProblem, candidates, fits_l1
from swkpu.mapping.problem import OperandAccess, Problem
from swkpu.mapping.streams import Nest, dram_time, l2_bytes_of
from swkpu.target import cost
from swkpu.target.machine import Machine

L2_TRIPS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
MAX_NESTS = 2
CLOSE = 200
"""Among candidates whose time is within one in so many of the least, the one that moves the fewest bytes wins."""


@dataclass(frozen=True)
class GroupChoice:
    """The mappings of a group's members, and the estimate for all of them together."""

    mappings: tuple[Mapping, ...]
    cycles: int


@dataclass(frozen=True)
class _Way:
    """A way to cut a group: the estimate, the L2 tile of the first dim, and (candidates, index, share) of each part."""

    cycles: int
    tile: int
    parts: list[tuple[Candidates, int, int]]


Cut = tuple[tuple[int, ...], int]
"""Shared dims to cut, and the L2 tile of the first."""


def choose_group(problem: GroupProblem, machine: Machine, cuts: Sequence[Cut]) -> GroupChoice | None:
    """The best mapping of a group with one of some `cuts`, or None where nothing fits."""
    on_array = {cost.array_precision(machine, p.fabric, p.dtypes) for p in problem.problems} - {None}
    if len(on_array) > 1:
        return None
    precision = next(iter(on_array), None)
    usable = [i for i, _ in machine.groups_for(precision)] if precision else range(len(machine.tile_groups))
    best: _Way | None = None
    for dims, tile in cuts:
        trips = ceil(problem.shared[dims[0]].extent / tile) if dims else 1
        found = [c for g in usable if (c := candidates(problem, machine, g, dims, tile, trips)) is not None]
        way = _way(problem, machine, found, tile)
        if way is not None and (best is None or way.cycles < best.cycles):
            best = way
    if best is None:
        return None
    return GroupChoice(_mappings(problem, best), best.cycles)


def _way(problem: GroupProblem, machine: Machine, found: Sequence[Candidates], tile: int) -> _Way | None:
    """The best division of one dim among the tile groups. L2 tiles are what the parts can cover, at least `tile`."""
    parts = _divide(found, tile)
    while parts is not None and (full := next(((c, i) for c, i, _ in parts if not fits_l1(problem, c, i)), None)):
        full[0].cycles[full[1]] = NEVER
        parts = _divide(found, tile)
    if parts is None:
        return None
    dims = parts[0][0].dims
    if dims and tile < problem.shared[dims[0]].extent:
        parts = [(c, i, int(c.capacity[i])) for c, i, _ in parts]
        tile = sum(share for _, _, share in parts)
        if l2_bytes(problem, dims, tile) > problem.l2_budget:
            return None
    dram, first = _dram(problem, machine, dims, tile)
    cycles = max(int(c.cycles[i]) for c, i, _ in parts)
    l2 = sum(int(c.l2_bytes[i]) for c, i, _ in parts) // machine.l2.read_bytes_per_cycle
    return _Way(max(cycles, dram, l2) + first // 2, tile, parts)


def cuts_of(problem: GroupProblem) -> Iterator[Cut]:
    """Which shared dims to cut: one, which the tile groups divide, and perhaps a second.

    L2 tiles of the first are all of it where that fits, and the largest that fit where something streams.
    """
    large = sorted(range(len(problem.shared)), key=lambda s: -problem.shared[s].extent)[:3]
    pairs: list[tuple[int, ...]] = [(a,) for a in large] + [(a, b) for a, b in product(large[:2], large) if a != b]
    for dims in pairs or [()]:
        extent = problem.shared[dims[0]].extent if dims else 1
        whole = l2_bytes(problem, dims, extent)
        if whole <= problem.l2_budget:
            yield dims, extent
        tiles = dict.fromkeys(ceil(extent / trips) for trips in L2_TRIPS)
        needed = {t: l2_bytes(problem, dims, t) for t in tiles if t < extent}
        fitting = [t for t, n in needed.items() if n < whole and n <= problem.l2_budget]
        yield from ((dims, t) for t in fitting[:MAX_NESTS])


def _streams(problem: GroupProblem) -> Iterator[tuple[int, Problem, OperandAccess]]:
    """What goes through L2 from DRAM or to it, every block once, with the member that has it."""
    seen: set[int] = set()
    for m, p in enumerate(problem.problems):
        for i, operand in enumerate(p.operands):
            number = problem.same.get((m, i))
            if operand.dram and number is not None and number not in seen:
                seen.add(number)
                yield m, p, operand
        if p.result.dram and not problem.kept[m]:
            yield m, p, p.result


def _nest(problem: GroupProblem, member: int, dims: tuple[int, ...], tile: int) -> Nest:
    """A member's L2 loops."""
    if not dims or tile >= problem.shared[dims[0]].extent:
        return Nest()
    return Nest(((problem.shared[dims[0]].dims[member], tile),))


def _dram(problem: GroupProblem, machine: Machine, dims: tuple[int, ...], tile: int) -> tuple[int, int]:
    """(cycles of the DRAM traffic that a group waits for, cycles of what comes first)."""
    total = first = 0
    for m, p, access in _streams(problem):
        alone = dataclasses.replace(p, operands=(access,), result=dataclasses.replace(p.result, dram=False))
        here = dram_time(alone, machine, _nest(problem, m, dims, tile))
        total, first = total + here.activations, first + here.first
    return total, first


def l2_bytes(problem: GroupProblem, dims: tuple[int, ...], tile: int) -> int:
    """Bytes of L2 that a group's streams take, two buffers for what comes in tiles."""
    total = 0
    for m, p, access in _streams(problem):
        size, count = l2_bytes_of(access, p, _nest(problem, m, dims, tile))
        total += aligned_size(size) * (2 if count > 1 else 1)
    return total


def _divide(found: Sequence[Candidates], extent: int) -> list[tuple[Candidates, int, int]] | None:
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
    out: list[tuple[Candidates, int, int]] = []
    left = extent
    for number in sorted(range(len(found)), key=lambda n: -most[n]):
        share = min(most[number], left)
        if share:
            out.append((found[number], _cheapest(found[number], share, limit), share))
            left -= share
    return out


def _cheapest(c: Candidates, share: int, limit: int) -> int:
    """Of the candidates that cover a share in time, the one that moves the fewest bytes."""
    fitting = np.nonzero((c.capacity >= share) & (c.cycles <= limit + limit // CLOSE))[0]
    fastest = int(c.cycles[fitting].min())
    fitting = fitting[c.cycles[fitting] <= fastest + fastest // CLOSE]
    return int(fitting[np.argmin(c.l2_bytes[fitting])])


def _mappings(problem: GroupProblem, way: _Way) -> tuple[Mapping, ...]:
    """Every member's own way of saying what was chosen."""
    out: list[Mapping] = []
    for m, p in enumerate(problem.problems):
        names = p.domain.names
        at, written, l2 = 0, list[Part](), tuple[tuple[str, int], ...]()
        split: str | None = None
        for c, i, share in way.parts:
            dims = [names[problem.shared[d].dims[m]] for d in c.dims]
            l2 = ((dims[0], way.tile),) if dims and way.tile < problem.shared[c.dims[0]].extent else ()
            split = dims[0] if len(way.parts) > 1 else None
            sizes, pieces = [int(s[i]) for s in c.sizes], [int(n[i]) for n in c.pieces]
            tiles = [int(t[i]) for t in c.tiles]
            tiles[0] = min(tiles[0], ceil(share / (sizes[0] * pieces[0])))
            lie = c.orientations[m][0][int(c.orientations[m][1][i])]
            loops = list(zip(dims, pieces)) if c.first_is_outer[i] else list(zip(dims, pieces))[::-1]
            part = Part(
                group=c.group.kind,
                space=tuple((d, n) for d, n in zip(dims, tiles) if n > 1),
                l1=tuple(zip(dims, sizes)),
                order=tuple(d for d, n in loops if n > 1),
                rows=tuple(names[d] for d in lie.rows),
                cols=tuple(names[d] for d in lie.cols),
                dataflow=lie.dataflow,
                share=(at, at + share) if len(way.parts) > 1 else None,
            )
            written.append(part)
            at += share
        last = m == len(problem.problems) - 1
        result = "l1" if problem.kept[m] else "dram" if p.result.dram else "l2"
        out.append(Mapping(tuple(written), l2, split=split, result=result, cycles=way.cycles if last else None))
    return tuple(out)
