"""`df-choose-mapping{target=…}`: attach a `#df.mapping` to every recurrence by search, alone or in a group."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from swkpu.dialects.df import RecurrenceOp
from swkpu.dialects.location import layer_name, source_of
from swkpu.dialects.mapping import MappingAttr
from swkpu.errors import MappingError
from swkpu.mapping.grouping import Grouping
from swkpu.mapping.mapper import Mapper
from swkpu.mapping.objective import Goal, goal_of
from swkpu.mapping.problem import Problem, problem_of
from swkpu.mapping.residency import Residency, plan
from swkpu.target import Machine, load_target


def recurrence_problem(op: RecurrenceOp, residency: Residency, budget: int) -> Problem:
    in_dram = tuple(residency.is_dram(v) for v, _ in op.reads)
    return problem_of(op, in_dram, residency.is_dram(op.result), budget)


def choose_mappings(func: FuncOp, machine: Machine, groups: bool = True, objective: Goal = "latency") -> None:
    """Map every recurrence that has no mapping yet, together in groups where that is faster; equal problems are
    searched once.
    """
    mapper = Mapper(machine, objective)
    residency = plan(func, machine.l2.capacity_bytes)
    if groups:
        grouping = Grouping(func, machine, mapper, residency)
        grouping.choose()
        residency = plan(func, machine.l2.capacity_bytes)
        while not grouping.settle(residency):
            residency = plan(func, machine.l2.capacity_bytes)
    for i, op in enumerate(residency.steps):
        if not isinstance(op, RecurrenceOp) or op.mapping is not None:
            continue
        problem = recurrence_problem(op, residency, residency.budget[i])
        choice = mapper.choose(problem)
        if choice is None:
            where = f" ({source_of(op)})" if source_of(op) else ""
            raise MappingError(
                f"no mapping of '{layer_name(op, 'a recurrence')}'{where} with domain {op.domain} fits target "
                f"{machine.name}: its tiles multiply {', '.join(machine.precisions)} and L2 has "
                f"{problem.l2_budget} bytes left at this layer"
            )
        op.properties["mapping"] = MappingAttr(choice.mapping)
        if choice.alternatives:
            op.attributes["alternatives"] = ArrayAttr([MappingAttr(m) for m in choice.alternatives])


@dataclass(frozen=True)
class DfChooseMappingPass(ModulePass):
    """Choose the best mapping for every recurrence without one; with `groups=false` for each on its own.

    The best has the least estimated cycles (`objective=latency`), energy (`energy`), or product of both (`edp`). The
    next best are kept as the attribute `alternatives`.
    """

    name = "df-choose-mapping"

    target: str = "kpu-t64"
    profile: str | None = None
    groups: bool = True
    objective: str = "latency"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = load_target(self.target, self.profile)
        for func in [o for o in op.walk() if isinstance(o, FuncOp) and not o.is_declaration]:
            choose_mappings(func, machine, self.groups, goal_of(self.objective))
