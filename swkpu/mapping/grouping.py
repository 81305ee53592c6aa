"""Which recurrences are mapped together: groups grown from makers to readers, as long as that is expected to be faster.

A group begins as one recurrence. It takes in all readers of one of its results, or the maker of one of its operands,
and whoever else must come along so that every value is read either inside only or outside only. It grows where the
group's estimate beats the sum of the estimates without that step; each recurrence is in one group at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from swkpu.affine import Linear
from swkpu.dialects.df import RecurrenceOp
from swkpu.dialects.mapping import Mapping
from swkpu.mapping.group_search import GroupChoice, GroupProblem, choose_group, l2_bytes
from swkpu.mapping.groups import SharedDim, handovers, obstacle, order_of, readers, shared_dims
from swkpu.mapping.mapper import Mapper
from swkpu.mapping.problem import Problem, problem_of
from swkpu.mapping.residency import Residency
from swkpu.mapping.views import read_views
from swkpu.target import Machine

MAX_MEMBERS = 16

Members = frozenset[RecurrenceOp]


class Grouping:
    """Chooses the groups of one function."""

    def __init__(self, func: FuncOp, machine: Machine, mapper: Mapper, residency: Residency):
        self.func, self.machine, self.mapper, self.residency = func, machine, mapper, residency
        self.order = order_of(func)
        self.budget = dict(zip(residency.steps, residency.budget))
        self.taken: set[Operation] = set()
        self.known: dict[object, GroupChoice | None] = {}
        self.of_set: dict[Members, GroupChoice | None] = {}
        self.singles: dict[RecurrenceOp, int | None] = {}

    def choose(self) -> dict[RecurrenceOp, Mapping]:
        """A mapping for every member of every group that pays."""
        out: dict[RecurrenceOp, Mapping] = {}
        for op in self.func.body.block.ops:
            if isinstance(op, RecurrenceOp) and self._is_free(op):
                members = self._grown(op)
                choice = self.of_set.get(members)
                if choice is not None and len(members) > 1:
                    out |= zip(self._sorted(members), choice.mappings)
                    self.taken |= members
        return out

    def _is_free(self, op: Operation) -> bool:
        return isinstance(op, RecurrenceOp) and op.mapping is None and op not in self.taken

    def _sorted(self, members: Members) -> list[RecurrenceOp]:
        return sorted(members, key=self.order.__getitem__)

    def _grown(self, seed: RecurrenceOp) -> Members:
        members: Members = frozenset([seed])
        cycles = self._alone(seed)
        grows = cycles is not None
        while grows:
            grows = False
            for wider in self._steps(members):
                added = [self._alone(op) for op in self._sorted(wider - members)]
                choice = self._together(wider)
                if choice is None or cycles is None or any(a is None for a in added):
                    continue
                if choice.cycles < cycles + sum(a for a in added if a is not None):
                    members, cycles, grows = wider, choice.cycles, True
                    break
        return members

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
                    queue += [r for r in found if r not in out]
        return frozenset(out)

    # -- estimates --

    def _problem(self, op: RecurrenceOp, kept: frozenset[SSAValue]) -> Problem:
        in_dram = tuple(v not in kept and self.residency.is_dram(v) for v, _ in op.reads)
        to_dram = op.result not in kept and self.residency.is_dram(op.result)
        return problem_of(op, in_dram, to_dram, self.budget[op], kept)

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
        own = set(members)
        kept = frozenset(op.result for op in members if any(r in own for r in readers(op.result)))
        found = tuple(handovers(members, kept))
        if obstacle(members, found, self.order) is not None:
            return None
        shared = shared_dims(members, found)
        problems = tuple(self._problem(op, kept) for op in members)
        problem = GroupProblem(
            problems, shared, found, _same(members, kept, shared), tuple(op.result in kept for op in members)
        )
        if l2_bytes(problem) > min(self.budget[op] for op in members):
            return None
        wiring = tuple((h.maker, h.reader, h.operand) for h in found)
        parts = tuple((p.domain, p.skeleton, p.operands, p.result) for p in problems)
        key = (parts, shared, wiring, tuple(problem.same.items()), problem.kept)
        if key not in self.known:
            self.known[key] = choose_group(problem, self.machine)
        return self.known[key]


def _same(
    members: list[RecurrenceOp], kept: frozenset[SSAValue], shared: Sequence[SharedDim]
) -> dict[tuple[int, int], int]:
    """Numbers for the operands from outside: those that are the same block of the same value have the same one."""
    numbers: dict[object, int] = {}
    out: dict[tuple[int, int], int] = {}
    for m, op in enumerate(members):
        for i, ((value, _), view) in enumerate(zip(op.reads, read_views(op, kept))):
            if value not in kept:
                walked = tuple(_walk(e, m, shared) for e in view.exprs)
                key = (value, view.extents, view.strides, view.offset, walked)
                out[m, i] = numbers.setdefault(key, len(numbers))
    return out


def _walk(expr: Linear, member: int, shared: Sequence[SharedDim]) -> object:
    """An access expression in terms of the shared dims. The others are whole: only how far they reach counts."""
    number = {s.dims[member]: n for n, s in enumerate(shared)}
    return expr.const, tuple(sorted((number.get(d, -1), c) for d, c in expr.terms))
