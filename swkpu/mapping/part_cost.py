"""What candidates cost one tile group: the time of its engines, and the bytes it moves.

Every number comes from the formulas of `swkpu.target.cost`, which time the simulator's commands, as arrays over
candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np

from swkpu.mapping.blocks import Array, aligned_size, block_elements, span_of
from swkpu.mapping.candidates import Candidates, trips
from swkpu.mapping.orientation import Orientation
from swkpu.mapping.problem import OperandAccess, Problem
from swkpu.mapping.reducing import SplitCost, slice_dim, slice_sizes, split_cost
from swkpu.mapping.streams import Nest
from swkpu.program.model import FabricProgram
from swkpu.target import cost
from swkpu.target.machine import Machine, TileGroup


@dataclass(frozen=True)
class Moved:
    """The transfers of candidates.

    pushes, pulls    occupancy of the movers in all
    first, constant  occupancy by the first block of what is waited for, and of the constants that can come before
    last             occupancy by one block of results
    transfers        pushes and pulls, tiles the tiles that share the work
    l1_bytes         L1 that a tile needs; l2_bytes what goes between L2 and the tiles
    """

    pushes: Any
    pulls: Any
    first: Any
    constant: Any
    last: Any
    transfers: Any
    tiles: Any
    l1_bytes: Any
    l2_bytes: Any


@dataclass(frozen=True)
class Executed:
    """The execs of candidates: how many, the fabric's cycles in all (with what combines partial sums of tiles) and
    for the first exec, and the L1 bytes of one on one tile.
    """

    count: Any
    cycles: Any
    first: Any
    l1_read_bytes: Any
    l1_write_bytes: Any


@dataclass(frozen=True)
class PartCost:
    """Costs candidates of one tile group inside the loops of a nest."""

    problem: Problem
    machine: Machine
    group: TileGroup
    nest: Nest

    @cached_property
    def outer(self) -> tuple[int, int]:
        """How often the L2 loops run their body, and for how many tiles of results."""
        return trips(self.problem, self.nest)

    def moved(self, c: Candidates) -> Moved:
        problem, machine, group = self.problem, self.machine, self.group
        domain = problem.domain
        pushes: Any = 0
        first: Any = 0
        constant: Any = 0
        l1_bytes: Any = 0
        l2_bytes: Any = 0
        transfers: Any = 0
        for operand in problem.operands:
            count = self._count(operand, c)
            block = operand.dtype.bytes_of(block_elements(operand, problem, c.sizes))
            unique = block
            for d in problem.dims_of(operand):
                unique = unique * c.space[d]
            one = cost.push_cost(machine, group, unique, block).uncontended
            pushes = pushes + count * one
            transfers = transfers + count
            if operand.constant:
                # What a loop brings in along with activations cannot come ahead of them.
                constant = constant + one * (count == 1)
                first = first + one * (count > 1)
            else:
                first = first + one
            l2_bytes = l2_bytes + count * unique
            l1_bytes = l1_bytes + aligned_size(block) * (1 + (count > 1))
        points: Any = 1
        blocks: Any = self.outer[1]
        for d in domain.parallel_dims:
            points = points * c.sizes[d]
            blocks = blocks * c.pieces[d]
        groups, split, finished = self._split(c, points, problem.fabric)
        block = finished * problem.result.dtype.bytes
        result_bytes = groups * points * problem.result.dtype.bytes
        last = cost.pull_cost(machine, group, result_bytes, block).uncontended
        accumulators = (split.cycles == 0) * self._resumed(c) * aligned_size(points * cost.ACCUMULATOR_BYTES)
        l1_bytes = l1_bytes + aligned_size(block) * (1 + (blocks > 1)) + accumulators + split.l1_bytes
        l2_bytes = l2_bytes + blocks * result_bytes
        return Moved(pushes, blocks * last, first, constant, last, transfers + blocks, c.tiles, l1_bytes, l2_bytes)

    def _split(self, c: Candidates, points: Any, fabric: FabricProgram) -> tuple[Any, SplitCost, Any]:
        """Of a reduction over tiles: the groups of tiles, what it costs to combine, and the results that a tile
        finishes.
        """
        domain = self.problem.domain
        members: Any = 1
        groups: Any = 1
        for d, tiles in enumerate(c.space):
            if d < domain.parallel:
                groups = groups * tiles
            else:
                members = members * tiles
        if not np.any(np.asarray(members) > 1):
            return groups, SplitCost(0, 0, 0), points
        dim = slice_dim(c.sizes[: domain.parallel], members)
        slices = [np.where(dim == d, slice_sizes(s, members), s) for d, s in enumerate(c.sizes[: domain.parallel])]
        finished = cost.product(slices)
        split = split_cost(
            self.machine,
            self.group,
            fabric,
            self.problem.dtypes,
            piece=c.sizes[: domain.parallel],
            slices=slices,
            members=members,
            receivers=points // finished,
            groups=groups,
        )
        return groups, split, finished

    def executed(self, c: Candidates, orientation: Orientation) -> Executed:
        """The execs: of a reduction that is cut, all but the last of a block end raw, and all but the first resume."""
        fabric, dtypes = orientation.of(self.problem.fabric), self.problem.dtypes
        sizes, run = list(c.sizes), self._run(fabric, c)
        resumed, partial = self._resumed(c), self._partial(c)
        last = cost.exec_cost(self.group, fabric, dtypes, sizes, run, resumed, partial)
        parallel = self.problem.domain.parallel
        blocks: Any = cost.product((self.outer[1], *c.pieces[:parallel]))
        count: Any = cost.product((self.outer[0], *c.pieces))
        combining = blocks * self._split(c, cost.product(sizes[:parallel]), fabric)[1].cycles if np.any(partial) else 0
        if not np.any(resumed):
            cycles = count * last.cycles + combining
            return Executed(count, cycles, last.cycles, last.l1_read_bytes, last.l1_write_bytes)
        other = cost.exec_cost(self.group, fabric, dtypes, sizes, run, resumed, np.maximum(resumed, partial))
        raw = cost.product(sizes[:parallel]) * cost.ACCUMULATOR_BYTES
        fresh = resumed * cost.l1_read_cycles(self.group, raw)
        total = blocks * (last.cycles - fresh) + (count - blocks) * other.cycles
        return Executed(count, total + combining, other.cycles - fresh, other.l1_read_bytes, other.l1_write_bytes)

    def cycles(self, moved: Moved, executed: Executed) -> Any:
        """The slowest engine, and what cannot overlap: the first block of activations in, the last block of results
        out.

        Constants are there before their layer begins unless a layer's blocks take more than half of L1.
        """
        latency = cost.mover_latency_cycles(self.machine)
        crowded = moved.l1_bytes * 2 > self.group.l1_bytes
        first = moved.first + moved.constant * crowded
        busy = np.maximum(
            executed.cycles,
            np.maximum(
                moved.pushes - moved.first - moved.constant + executed.first,
                moved.pulls - moved.last + executed.first,
            ),
        )
        return first + 2 * latency + busy + moved.last + latency + self.group.program_load_cycles

    def fits(self, moved: Moved) -> Any:
        return moved.l1_bytes <= self.group.l1_bytes

    def _resumed(self, c: Candidates) -> Any:
        """1 where accumulators wait in L1 between execs."""
        through_l2 = self.outer[0] // self.outer[1]
        return self._over_one([through_l2, *(c.pieces[d] for d in self.problem.domain.reduction_dims)])

    def _partial(self, c: Candidates) -> Any:
        """1 where tiles hold partial sums."""
        return self._over_one([c.space[d] for d in self.problem.domain.reduction_dims])

    def _over_one(self, counts: Sequence[cost.Count]) -> Any:
        return np.asarray(np.asarray(cost.product(counts)) > 1, dtype=np.int64)

    def _count(self, operand: OperandAccess, c: Candidates) -> Any:
        """How often an operand's block is brought in: by every loop down to the innermost that it depends on."""
        domain = self.problem.domain
        dims = self.problem.dims_of(operand)
        running = own = 1
        for d, size in self.nest.tiles:
            running *= ceil(domain.extents[d] / size)
            if d in dims:
                own = running
        total: Any = 0
        for i, order in enumerate(c.orders):
            inner: Any = running
            count: Any = own
            for d in (*order, *domain.reduction_dims):
                inner = inner * c.pieces[d]
                if d in dims:
                    count = np.where(c.pieces[d] > 1, inner, count)
            total = count if len(c.orders) == 1 else total + count * (c.order == i)
        return total

    def _run(self, fabric: FabricProgram, c: Candidates) -> int:
        """Contiguous trailing reduction dims, judged on the first candidate's box (cutting a reduction keeps its
        run).
        """
        if not self.problem.is_contraction:
            return 0
        box = [int(s[0]) if isinstance(s, np.ndarray) else s for s in c.sizes]
        strides: list[list[int]] = []
        for operand in self.problem.operands[:2]:
            shape = [int(span_of(e.terms, box)) for e in self.problem.local[operand]]
            steps = [operand.dtype.step] * len(shape)
            for axis in range(len(shape) - 2, -1, -1):
                steps[axis] = steps[axis + 1] * shape[axis + 1]
            strides.append(steps)
        return cost.reduction_run(fabric, box, strides, [o.dtype for o in self.problem.operands[:2]])


def filled(values: Any, count: int) -> Array:
    """A number as an array over all candidates."""
    return np.broadcast_to(np.asarray(values, dtype=np.int64), (count,))
