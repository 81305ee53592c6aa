"""Which recurrences are mapped together: groups grown from makers to readers, as long as that is expected to be faster.

A group begins as one recurrence. It takes in all readers of one of its results, or the maker of one of its operands,
and whoever else must come along so that every value is read either inside only or outside only. It grows where that
saves cycles against the estimates for its members alone; each recurrence is in one group at most.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineMap

from swkpu.affine import Linear
from swkpu.dialects.df import RecurrenceOp
from swkpu.dialects.mapping import MappingAttr
from swkpu.mapping.group_cost import GroupProblem
from swkpu.mapping.group_search import GroupChoice, choose_group, cuts_of, l2_bytes
from swkpu.mapping.groups import SharedDim, handovers, may_read_in_l1, obstacle, order_of, readers, shared_dims
from swkpu.mapping.mapper import Mapper
from swkpu.mapping.problem import Problem, problem_of, reads_outside
from swkpu.mapping.residency import Residency
from swkpu.mapping.views import View, read_views, view_of_block
from swkpu.target import Machine

MAX_MEMBERS = 16
PATIENCE = 1
BUDGETS = 32
"""Budgets of L2 are rounded down to one of so many, so that equal groups with nearly equal ones are searched once."""

Members = frozenset[RecurrenceOp]


class Grouping:
    """Chooses the groups of one function."""

    def __init__(self, func: FuncOp, machine: Machine, mapper: Mapper, residency: Residency):
        self.func, self.machine, self.mapper = func, machine, mapper
        self._follow(residency)
        self.order = order_of(func)
        self.grain = machine.l2.capacity_bytes // BUDGETS
        self.chosen: list[list[RecurrenceOp]] = []
        self.taken: set[Operation] = set()
        self.known: dict[object, GroupChoice | None] = {}
        self.of_set: dict[Members, GroupChoice | None] = {}
        self.singles: dict[RecurrenceOp, int | None] = {}

    def choose(self) -> None:
        """Give every member of every group that pays a mapping."""
        for op in self.func.body.block.ops:
            if isinstance(op, RecurrenceOp) and self._is_free(op):
                members = self._grown(op)
                choice = self.of_set.get(members)
                if choice is not None and len(members) > 1:
                    self.chosen.append(self._sorted(members))
                    self.taken |= members
                    for member, mapping in zip(self.chosen[-1], choice.mappings):
                        member.properties["mapping"] = MappingAttr(mapping)

    def settle(self, residency: Residency) -> bool:
        """Follow a plan of residency that was made with the groups. Those for which L2 has no room left are dissolved.

        Returns whether all could stay.
        """
        self._follow(residency)
        settled = True
        for members in list(self.chosen):
            problem = self._group_problem(members)
            mappings = [op.mapping.data for op in members if op.mapping is not None]
            dims, tile = tuple[int, ...](), 1
            for name, size in mappings[-1].l2:
                dim = members[-1].domain.index(name)
                dims, tile = tuple(n for n, s in enumerate(problem.shared) if s.dims[-1] == dim), size
            if l2_bytes(problem, dims, tile) > problem.l2_budget:
                self.chosen.remove(members)
                settled = False
                for op in members:
                    del op.properties["mapping"]
                continue
            for op, mapping in zip(members, mappings):
                if mapping.result != "l1":
                    result = "dram" if residency.is_dram(op.result) else "l2"
                    op.properties["mapping"] = MappingAttr(dataclasses.replace(mapping, result=result))
        return settled

    def _follow(self, residency: Residency) -> None:
        self.residency, self.budget = residency, dict(zip(residency.steps, residency.budget))
        self.problems: dict[object, Problem] = {}
        self.views: dict[object, list[View]] = {}
        self.blocks: dict[object, View | None] = {}

    def _is_free(self, op: Operation) -> bool:
        return isinstance(op, RecurrenceOp) and op.mapping is None and op not in self.taken

    def _sorted(self, members: Members) -> list[RecurrenceOp]:
        return sorted(members, key=self.order.__getitem__)

    def _grown(self, seed: RecurrenceOp) -> Members:
        """The best group that begins with a recurrence. One step that does not pay may be taken on the way to one that
        does.
        """
        best: Members = frozenset([seed])
        best_gain = self._gain(best)
        members, patience = best, PATIENCE
        while best_gain is not None:
            gains = {wider: gain for wider in self._steps(members) if (gain := self._gain(wider)) is not None}
            better = next((w for w, gain in gains.items() if gain > best_gain), None)
            if better is not None:
                best, best_gain, members, patience = better, gains[better], better, PATIENCE
            elif gains and patience:
                members, patience = max(gains, key=gains.__getitem__), patience - 1
            else:
                break
        return best

    def _gain(self, members: Members) -> int | None:
        """How many cycles a group is estimated to save, or None where it cannot be one layer."""
        alone = [self._alone(op) for op in self._sorted(members)]
        if any(a is None for a in alone):
            return None
        if len(members) == 1:
            return 0
        choice = self._together(members)
        return None if choice is None else sum(a for a in alone if a is not None) - choice.cycles

    def _steps(self, members: Members) -> Iterator[Members]:
        """The next larger sets to consider: with a result's readers, then with an operand's maker."""
        tried: set[Members] = set()
        for op in self._sorted(members):
            for more in (readers(op.result), *([v.owner] for v, _ in op.reads)):
                wider = self._closed(members, more)
                if wider is not None and wider != members and wider not in tried:
                    tried.add(wider)
                    yield wider

    def _closed(self, members: Members, more: Sequence[object]) -> Members | None:
        """The smallest set with `more` in which no value is read both inside and outside."""
        out = set(members)
        queue: list[object] = list(more)
        while queue:
            op = queue.pop(0)
            if not isinstance(op, RecurrenceOp) or (op not in out and not self._is_free(op)):
                return None
            out.add(op)
            if len(out) > MAX_MEMBERS:
                return None
            for member in list(out):
                found = readers(member.result)
                if any(r in out for r in found):
                    if not all(may_read_in_l1(r, member.result) for r in found):
                        return None
                    queue += [r for r in found if r not in out]
        return frozenset(out)

    # -- estimates --

    def _problem(self, op: RecurrenceOp, kept: frozenset[SSAValue]) -> Problem:
        flags = tuple(v in kept for v, _ in op.reads), op.result in kept
        if (op, flags) not in self.problems:
            in_dram = tuple(v not in kept and self.residency.is_dram(v) for v, _ in op.reads)
            to_dram = op.result not in kept and self.residency.is_dram(op.result)
            self.problems[op, flags] = problem_of(
                op, in_dram, to_dram, self.budget[op] // self.grain * self.grain, kept
            )
            self.views[op, flags[0]] = read_views(op, kept)
        return self.problems[op, flags]

    def _look(self, reader: RecurrenceOp, map: AffineMap, maker: RecurrenceOp) -> View | None:
        key = reader, map, maker
        if key not in self.blocks:
            self.blocks[key] = view_of_block(*key)
        return self.blocks[key]

    def _alone(self, op: RecurrenceOp) -> int | None:
        """The estimate for a recurrence on its own."""
        if op not in self.singles:
            choice = self.mapper.choose(self._problem(op, frozenset()))
            self.singles[op] = None if choice is None else choice.cycles
        return self.singles[op]

    def _together(self, members: Members) -> GroupChoice | None:
        """The best mapping of a group, or None where it cannot be one."""
        if members not in self.of_set:
            self.of_set[members] = self._search(self._sorted(members))
        return self.of_set[members]

    def _search(self, members: list[RecurrenceOp]) -> GroupChoice | None:
        problem = self._group_problem(members)
        if obstacle(members, problem.handed, self.order) is not None:
            return None
        wiring = tuple((h.maker, h.reader, h.operand) for h in problem.handed)
        parts = tuple((p.domain, p.skeleton, p.operands, p.result) for p in problem.problems)
        cuts = tuple(cuts_of(problem))
        streams = any(dims and tile < problem.shared[dims[0]].extent for dims, tile in cuts)
        budget = problem.l2_budget if streams else 0
        key = (parts, problem.shared, wiring, tuple(problem.same.items()), problem.kept, cuts, budget)
        if key not in self.known:
            self.known[key] = choose_group(problem, self.machine, cuts)
        return self.known[key]

    def _group_problem(self, members: list[RecurrenceOp]) -> GroupProblem:
        own = set(members)
        kept = frozenset(op.result for op in members if any(r in own for r in readers(op.result)))
        handed = tuple(handovers(members, kept, self._look))
        shared = shared_dims(members, handed)
        problems = tuple(self._problem(op, kept) for op in members)
        return GroupProblem(
            problems,
            shared,
            handed,
            self._same(members, kept, shared),
            tuple(op.result in kept for op in members),
            min(p.l2_budget for p in problems),
        )

    def _same(
        self, members: list[RecurrenceOp], kept: frozenset[SSAValue], shared: Sequence[SharedDim]
    ) -> dict[tuple[int, int], int]:
        """Numbers for the operands from outside: those that are the same block of the same value have the same one."""
        numbers: dict[object, int] = {}
        out: dict[tuple[int, int], int] = {}
        for m, op in enumerate(members):
            views = self.views[op, tuple(v in kept for v, _ in op.reads)]
            for i, ((value, _), view) in enumerate(zip(op.reads, views)):
                if value not in kept:
                    walked = tuple(_walk(e, m, shared) for e in view.exprs)
                    padded = i < len(op.inputs) and reads_outside(view.exprs, view.extents, op.domain.extents)
                    pad = op.pad_values[i] if padded else 0.0
                    key = (value, view.extents, view.strides, view.offset, walked, pad)
                    out[m, i] = numbers.setdefault(key, len(numbers))
        return out


def _walk(expr: Linear, member: int, shared: Sequence[SharedDim]) -> object:
    """An access expression in terms of the shared dims. The others are whole: only how far they reach counts."""
    number = {s.dims[member]: n for n, s in enumerate(shared)}
    return expr.const, tuple(sorted((number.get(d, -1), c) for d, c in expr.terms))
