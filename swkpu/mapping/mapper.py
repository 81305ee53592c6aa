"""The mapper: for every recurrence the best L2 loops, split over tile groups, and candidate of each part."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from swkpu.dialects.mapping import Mapping, Part, Sizes
from swkpu.mapping.problem import Problem
from swkpu.mapping.search import COARSE, FINE, Effort, PartSearch
from swkpu.mapping.streams import Nest, dram_cycles, fine_nests, nests
from swkpu.target import cost
from swkpu.target.machine import Machine, TileGroup

GOOD_ENOUGH = 1.04
"""A mapping within this factor of what the arrays can do at best is not searched further."""


@dataclass(frozen=True)
class Choice:
    mapping: Mapping
    cycles: int


class Mapper:
    """Chooses mappings for one machine. Equal recurrences with the same choice of L2 loops are searched once."""

    def __init__(self, machine: Machine):
        self.machine = machine
        self._known: dict[tuple[object, ...], Choice | None] = {}

    def choose(self, problem: Problem) -> Choice | None:
        """The best mapping of a recurrence, or None where none fits the memories."""
        precision = _precision(problem, self.machine)
        groups = _groups(problem, self.machine, precision)
        if not groups:
            return None
        grain = max(self.machine.tile_groups[g].cols for g in groups)
        wave = sum(self.machine.tile_groups[g].count * self.machine.tile_groups[g].cols for g in groups)
        candidates = tuple(nests(problem, grain, wave))
        key = (problem.domain, problem.skeleton, problem.operands, problem.result, candidates)
        if key not in self._known:
            found = _choose(problem, self.machine, groups, precision, candidates)
            if found is None:
                found = _choose(problem, self.machine, groups, precision, fine_nests(problem), FINE)
            self._known[key] = found
        return self._known[key]


def _choose(
    problem: Problem,
    machine: Machine,
    groups: list[int],
    precision: str | None,
    candidates: Sequence[Nest],
    effort: Effort = COARSE,
) -> Choice | None:
    best: Choice | None = None
    rate = sum(sorted((_rate(machine, g, precision) for g in groups), reverse=True)[:2])
    ideal = math.prod(problem.domain.extents) / rate
    for nest in candidates:
        if best is not None and best.cycles <= max(GOOD_ENOUGH * ideal, dram_cycles(problem, machine, nest)[0]):
            continue
        found = _choose_parts(problem, machine, groups, precision, nest, effort)
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


def _precision(problem: Problem, machine: Machine) -> str | None:
    """What the arrays multiply for a recurrence; None where its work is the vector lanes'."""
    return cost.array_precision(machine, problem.fabric, [o.dtype for o in problem.operands])


def _groups(problem: Problem, machine: Machine, precision: str | None) -> list[int]:
    if precision is None:
        return list(range(len(machine.tile_groups)))
    return [i for i, _ in machine.groups_for(precision)]


def _rate(machine: Machine, group: int, precision: str | None) -> float:
    g = machine.tile_groups[group]
    return float(g.macs_per_cycle(precision)) if precision is not None else float(g.count * g.vector_lanes)


def _choose_parts(
    problem: Problem, machine: Machine, groups: list[int], precision: str | None, nest: Nest, effort: Effort
) -> tuple[tuple[Part, ...], int | None, int, int] | None:
    """Parts for the tile groups that share the work: (parts, split dim, cycles, L2 bytes)."""
    domain = problem.domain
    ranked = sorted(groups, key=lambda g: -_rate(machine, g, precision))
    searches = {g: PartSearch(problem, machine, g, nest, effort) for g in ranked}
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
    """Shares of the first group to try: in proportion to the rates, a little to each side, in whole array columns."""
    fair = extent * fraction
    step = max(1, extent // 16)
    every = group.count * group.cols
    tried = [round(fair), round(fair) - step, round(fair) + step]
    tried += [round(fair / n) * n for n in (every, group.cols) if n < extent]
    return [s for s in dict.fromkeys(tried) if 0 < s < extent]
