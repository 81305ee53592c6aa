"""The mapper: for every recurrence the best L2 loops, shares of the tile groups, and layout of each group's part.

The search has two steps. `spreading` costs every spread over tiles for every share of each group at once, from which
`sharing` divides the work; `cutting` then decides pieces, loop order and dataflow of what is left.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from swkpu.dialects.mapping import Mapping, Part, Sizes
from swkpu.mapping.cutting import COARSE, FINE, Effort, PartChoice, cut
from swkpu.mapping.nests import fine_nests, nests
from swkpu.mapping.objective import Goal, Objective
from swkpu.mapping.orientation import orientations
from swkpu.mapping.part_cost import PartCost
from swkpu.mapping.problem import Problem
from swkpu.mapping.sharing import divide, shares_of, unit_of
from swkpu.mapping.spreading import Spread, SpreadCosts
from swkpu.mapping.streams import Nest, dram_time
from swkpu.target import cost
from swkpu.target.machine import Machine

GOOD_ENOUGH = 1.04
"""A mapping within this factor of what the arrays can do at best is not searched further."""

NEAR = 1.1
"""Divisions of the work that take longer than the best by more than this factor are not looked at further."""
KEPT_SPREADS = 4
KEPT_ALTERNATIVES = 2
SHARED_DIMS = 2


@dataclass(frozen=True)
class Choice:
    """The best mapping, its estimated cycles, and the next best ones."""

    mapping: Mapping
    cycles: int
    alternatives: tuple[Mapping, ...] = ()


@dataclass(frozen=True)
class _Found:
    mapping: Mapping
    cycles: int
    score: float


@dataclass(frozen=True)
class _Division:
    """The work divided along dim `split`: by group the share and its best spreads. `cycles` as the first step has
    them.
    """

    cycles: int
    split: int | None
    shares: dict[int, tuple[int, list[Spread]]]


class Mapper:
    """Chooses mappings for one machine. Equal recurrences with the same choice of L2 loops are searched once."""

    def __init__(self, machine: Machine, objective: Goal = "latency"):
        self.machine, self.objective = machine, Objective(objective)
        self._known: dict[tuple[object, ...], Choice | None] = {}

    def choose(self, problem: Problem) -> Choice | None:
        """The best mapping of a recurrence, or None where none fits the memories."""
        precision = cost.array_precision(self.machine, problem.fabric, [o.dtype for o in problem.operands])
        groups = _groups(self.machine, precision)
        if not groups:
            return None
        candidates = tuple(nests(problem, self.machine, [self.machine.tile_groups[g] for g in groups]))
        key = (problem.domain, problem.skeleton, problem.operands, problem.result, candidates)
        if key not in self._known:
            search = _Search(problem, self.machine, self.objective, groups, precision)
            self._known[key] = search.run(candidates, COARSE) or search.run(fine_nests(problem), FINE)
        return self._known[key]


def _groups(machine: Machine, precision: str | None) -> list[int]:
    """The groups whose arrays (or, without a precision, lanes) do the work, the fastest first."""
    if precision is None:
        rates = {i: float(g.count * g.vector_lanes) for i, g in enumerate(machine.tile_groups)}
    else:
        rates = {i: float(machine.tile_groups[i].macs_per_cycle(precision)) for i, _ in machine.groups_for(precision)}
    return sorted(rates, key=lambda i: (-rates[i], i))


class _Search:
    """The search for one recurrence."""

    def __init__(
        self, problem: Problem, machine: Machine, objective: Objective, groups: Sequence[int], precision: str | None
    ):
        self.problem, self.machine, self.objective = problem, machine, objective
        self.groups = list(groups)
        on_lanes = cost.array_precision(machine, problem.fabric, problem.dtypes) is None
        self.ways = orientations(problem, on_lanes)
        rate = sum(
            float(g.macs_per_cycle(precision)) if precision is not None else float(g.count * g.vector_lanes)
            for g in (machine.tile_groups[i] for i in groups)
        )
        self.ideal = math.prod(problem.domain.extents) / rate

    def run(self, nests: Sequence[Nest], effort: Effort) -> Choice | None:
        found: list[_Found] = []
        for nest in nests:
            good = min((f.cycles for f in found), default=None)
            floor = max(GOOD_ENOUGH * self.ideal, dram_time(self.problem, self.machine, nest).activations)
            if good is not None and good <= floor and self.objective.goal == "latency":
                continue
            found += self._in_nest(nest, effort)
        if not found:
            return None
        found.sort(key=lambda f: f.score)
        best, *rest = _distinct(found)
        return Choice(best.mapping, best.cycles, tuple(f.mapping for f in rest[:KEPT_ALTERNATIVES]))

    def _in_nest(self, nest: Nest, effort: Effort) -> list[_Found]:
        """Mappings with these L2 loops: one for every promising way to share the work, and for every dataflow of it."""
        out: list[_Found] = []
        divisions = sorted(self._divisions(nest), key=lambda d: d.cycles)
        for division in divisions:
            if out and division.cycles > NEAR * divisions[0].cycles:
                break
            parts: list[tuple[tuple[int, int] | None, list[PartChoice]]] = []
            start = 0
            for group, (share, spreads) in division.shares.items():
                extents = self._extents(nest, division.split, share)
                choices = cut(self._cost(group, nest), self.ways, extents, spreads, self.objective, effort)
                parts.append(((start, start + share) if division.split is not None else None, choices))
                start += share
            if any(not choices for _, choices in parts):
                continue
            for variant in _variants([choices for _, choices in parts]):
                placed = [(range_, choice) for (range_, _), choice in zip(parts, variant)]
                out.append(self._mapping(nest, division.split, placed))
        return out

    def _extents(self, nest: Nest, split: int | None, share: int) -> list[int]:
        extents = [nest.size(d, e) for d, e in enumerate(self.problem.domain.extents)]
        if split is not None:
            extents[split] = share
        return extents

    def _cost(self, group: int, nest: Nest) -> PartCost:
        return PartCost(self.problem, self.machine, self.machine.tile_groups[group], nest)

    def _divisions(self, nest: Nest) -> Iterator[_Division]:
        """Ways to divide the work: the fastest group alone, and between all groups along each of the longest dims."""
        extents = self._extents(nest, None, 0)
        first = self.groups[0]
        alone = SpreadCosts(self._cost(first, nest), self.ways, extents, None, [0])
        yield _Division(int(alone.best()[0]), None, {first: (0, alone.ranked(0, KEPT_SPREADS))})
        if len(self.groups) < 2:
            return
        dims = sorted((d for d in self.problem.domain.parallel_dims if extents[d] > 1), key=lambda d: (-extents[d], d))
        for d in dims[:SHARED_DIMS]:
            unit = unit_of(extents[d])
            shares = shares_of(extents[d], unit)
            tables = {g: SpreadCosts(self._cost(g, nest), self.ways, extents, d, shares) for g in self.groups}
            units = divide([t.best() for t in tables.values()])
            if sum(u > 0 for u in units) < 2:
                continue
            chosen: dict[int, tuple[int, list[Spread]]] = {}
            cycles = left = 0
            for (group, table), u in zip(tables.items(), units):
                if u:
                    share = min(u * unit, extents[d] - left)
                    left += share
                    chosen[group] = (share, table.ranked(u - 1, KEPT_SPREADS))
                    cycles = max(cycles, int(table.best()[u - 1]))
            yield _Division(cycles, d, chosen)

    def _mapping(
        self, nest: Nest, split: int | None, parts: Sequence[tuple[tuple[int, int] | None, PartChoice]]
    ) -> _Found:
        problem, machine = self.problem, self.machine
        names = problem.domain.names
        dram = dram_time(problem, machine, nest)
        l2 = sum(p.l2_bytes for _, p in parts) // machine.l2.read_bytes_per_cycle
        cycles = max(max(p.cycles for _, p in parts), dram.activations, l2) + dram.first // 2
        tiles: Sizes = tuple((names[d], s) for d, s in nest.tiles)
        placed: tuple[Part, ...] = tuple(dataclasses.replace(p.part, share=share) for share, p in parts)
        mapping = Mapping(
            parts=placed,
            l2=tiles,
            split=None if split is None else names[split],
            result="dram" if problem.result.dram else "l2",
            cycles=cycles,
        )
        energy = sum(p.energy_pj for _, p in parts)
        return _Found(mapping, cycles, float(self.objective.score(cycles, energy)))


def _distinct(found: Sequence[_Found]) -> list[_Found]:
    """The first of those that take equally long: they differ in what does not matter."""
    return list({f.cycles: f for f in reversed(found)}.values())[::-1]


def _variants(parts: Sequence[Sequence[PartChoice]]) -> Iterator[list[PartChoice]]:
    """The best of every part, and what comes of the next best of one part at a time."""
    yield [p[0] for p in parts]
    for i, choices in enumerate(parts):
        for other in choices[1:]:
            yield [other if i == j else p[0] for j, p in enumerate(parts)]
