"""Which activations stay in L2 between the recurrences that make and read them, and which go through DRAM.

Everything stays that can. Where the live tensors and what a recurrence must stream do not fit at some step, the
largest tensor there goes to DRAM, until all steps fit and the remaining tensors can in fact be packed. What is then
left of L2 at a step is the budget for that recurrence's streamed operands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from swkpu.dialects import df
from swkpu.dialects.kpu import aligned
from swkpu.dialects.nn import shape_of, type_of
from swkpu.errors import MemoryError
from swkpu.mapping.groups import groups_of
from swkpu.mapping.packing import Placed, Request, gaps, pack
from swkpu.mapping.views import stays_in_l1
from swkpu.types import dtype_of


def root(value: SSAValue) -> SSAValue:
    """The value whose memory a reshape, or a write into a destination, shares."""
    while True:
        match value.owner:
            case df.ReshapeOp(input=source):
                value = source
            case df.RecurrenceOp(destination=SSAValue() as destination):
                value = destination
            case df.CopyOp(destination=SSAValue() as destination):
                value = destination
            case _:
                return value


Step = df.RecurrenceOp | df.CopyOp | df.GatherOp


def bytes_of(value: SSAValue) -> int:
    return dtype_of(type_of(value).element_type).bytes_of(prod(shape_of(value)))


@dataclass
class Residency:
    """`in_l2` values stay on chip; `budget[i]` bytes of L2 are free for the streams of the i-th step."""

    steps: list[Operation]
    in_l2: set[SSAValue] = field(default_factory=set[SSAValue])
    budget: list[int] = field(default_factory=list[int])

    def is_dram(self, value: SSAValue) -> bool:
        return root(value) not in self.in_l2


@dataclass(frozen=True)
class _Life:
    value: SSAValue
    request: Request


def plan(func: FuncOp, capacity: int) -> Residency:
    """Decide residency for a function of recurrences and copies. Raises MemoryError where not even streams fit."""
    steps: list[Operation] = [o for o in func.body.block.ops if isinstance(o, Step)]
    index = {op: i for i, op in enumerate(steps)}
    work: list[list[Operation]] = [[op] for op in steps]
    for members in dict.fromkeys(groups_of(func).values()):  # a group works where its last member stands
        for op in members[:-1]:
            work[index[op]] = []
            index[op] = index[members[-1]]
        work[index[members[-1]]] = list(members)
    lives = {v.value: v for v in _lives(func, steps, index)}
    constants = [
        sum(bytes_of(v) for v in {v for op in ops for v in op.operands} if isinstance(v.owner, df.ConstantOp))
        for ops in work
    ]
    spilled: set[SSAValue] = set()
    while True:
        resident = [v for v in lives.values() if v.value not in spilled]
        worst = _overfull_step(work, resident, spilled, constants, capacity)
        if worst is None:
            requests = [v.request for v in resident]
            offsets = pack(requests, capacity)
            if offsets is not None:
                placed = [Placed(r, o) for r, o in zip(requests, offsets)]
                budget = [
                    max((s for _, s in gaps(Request(0, i, i), placed, capacity)), default=0) for i in range(len(steps))
                ]
                return Residency(steps, {v.value for v in resident}, budget)
            candidates = resident
        else:
            candidates = [v for v in resident if v.request.start <= worst <= v.request.end]
        if not candidates:
            step = worst if worst is not None else 0
            raise MemoryError("L2", constants[step], capacity, f"at step {step}")
        victim = max(candidates, key=lambda v: (v.request.size, v.request.end - v.request.start, -v.request.start))
        spilled.add(victim.value)


def _lives(func: FuncOp, steps: list[Operation], index: dict[Operation, int]) -> list[_Life]:
    """Results that may stay in L2, with the steps they are live at."""
    returned = {root(v) for op in func.body.block.ops if isinstance(op, ReturnOp) for v in op.operands}
    last: dict[SSAValue, int] = {}
    for op in steps:
        for value in op.operands:
            last[root(value)] = max(last.get(root(value), 0), index[op])
    first: dict[SSAValue, int] = {}
    for op in steps:
        value = root(op.results[0])
        if value in returned or value not in last or stays_in_l1(value):
            continue
        if isinstance(op, df.CopyOp) and not _starts_in_dram(op.input):
            continue  # a copy from L2 is a store: its result is in DRAM
        first[value] = min(first.get(value, index[op]), index[op])
        last[value] = max(last[value], index[op])
    return [_Life(v, Request(aligned(bytes_of(v)), start, last[v])) for v, start in first.items()]


def _starts_in_dram(value: SSAValue) -> bool:
    return isinstance(root(value), BlockArgument) or isinstance(root(value).owner, df.ConstantOp)


def _overfull_step(
    work: list[list[Operation]], resident: list[_Life], spilled: set[SSAValue], constants: list[int], capacity: int
) -> int | None:
    """A step whose live tensors and least streams exceed L2, the worst first."""
    worst, excess = None, 0
    for i, ops in enumerate(work):
        live = sum(v.request.size for v in resident if v.request.start <= i <= v.request.end)
        streams = min(constants[i], capacity // 4)
        moving = [v for op in ops for v in (*op.operands, *op.results) if root(v) in spilled]
        share = capacity // max(8, 2 * len(moving))
        streams += sum(min(bytes_of(v), share) for v in moving)
        over = live + streams - capacity
        if over > excess:
            worst, excess = i, over
    return worst
