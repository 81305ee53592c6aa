"""`kpu-schedule`: one stream of commands per engine, ordered only by semaphores.

The sequential program is projected on each engine: a stream keeps the engine's commands and the loops around them,
in program order but for constants, which are pushed before activations (`swkpu/scheduling/steps.py`). Two kinds of
semaphores put back the order that matters: *channels* inside a layer (`channels.py`), *timelines* between layers
(`needs.py`, `timelines.py`).

No order can deadlock: the sequential program is one that satisfies every wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.dialects import kpu
from swkpu.dialects.nn import ints
from swkpu.errors import IRError, MappingError
from swkpu.passes.kpu_assign_memory import check_target
from swkpu.scheduling.channels import Channels
from swkpu.scheduling.copies import hoist_buffers
from swkpu.scheduling.hoist import hoist_constants
from swkpu.scheduling.needs import Needs, needs_of
from swkpu.scheduling.pieces import split_loads
from swkpu.scheduling.readiness import split_pushes
from swkpu.scheduling.semaphores import Semaphores
from swkpu.scheduling.steps import Plan, constants_first
from swkpu.scheduling.streams import Projection
from swkpu.scheduling.timelines import Pair, Timelines
from swkpu.target import Machine, load_target


def _planned(program: kpu.ProgramOp, machine: Machine) -> tuple[Plan, Semaphores, Timelines]:
    """The steps in their order. Where constants that go ahead of earlier layers' activations take too many semaphores,
    for they have channels of their own, they do not.
    """
    plan = Plan(program)
    hoist_constants(plan, machine)
    try:
        return plan, *_order(plan, needs_of(plan), machine.queues.semaphores)
    except MappingError:
        plan = Plan(program)
        return plan, *_order(plan, needs_of(plan), machine.queues.semaphores)


def _order(plan: Plan, needs: Needs, available: int) -> tuple[Semaphores, Timelines]:
    """Channels and timelines within the number of semaphores: pairs of engines are relayed, as many as it takes;
    should that not do, `free` tokens take no turns. Raises MappingError.
    """
    for turns in (2, 1):
        relayed: frozenset[Pair] = frozenset()
        while True:
            semaphores = Semaphores()
            timelines = Timelines(plan, needs, Channels(plan, semaphores, turns), relayed)
            needed = len(semaphores.initial) + len(timelines.waits)
            if needed <= available:
                timelines.assign(semaphores)
                return semaphores, timelines
            direct = timelines.direct()
            if not direct:
                break
            relayed |= frozenset(direct[: max(4, needed - available)])
    raise MappingError(f"the schedule needs {needed} semaphores; the target has {available}")


def schedule(program: kpu.ProgramOp, machine: Machine) -> None:
    """Turn a sequential program with addresses into its scheduled form."""
    if any(isinstance(o, kpu.StreamOp) for o in program.body.block.ops):
        raise IRError("the program is scheduled already")
    layers = [o for o in program.body.block.ops if isinstance(o, kpu.LayerOp)]
    for layer in layers:
        split_loads(layer, machine)
        constants_first(layer.body.block)
    split_pushes(layers, machine)
    plan, used, timelines = _planned(program, machine)
    hoist_buffers(program, plan.layers)
    streams = Projection(plan, used, list(timelines.relays.values())).streams()
    outputs = [o for o in program.body.block.ops if isinstance(o, kpu.OutputOp)]
    for stream in streams:
        if outputs:
            Rewriter.insert_op(stream, InsertPoint.before(outputs[0]))
        else:
            program.body.block.add_op(stream)
    for layer in plan.layers:
        for op in reversed(list(layer.body.block.ops)):
            Rewriter.erase_op(op)
    program.properties["semaphores"] = ints(used.initial)


@dataclass(frozen=True)
class KpuSchedulePass(ModulePass):
    """Multi-buffering, prefetch across layers, queues and semaphores."""

    name = "kpu-schedule"

    target: str = "kpu-t64"
    profile: str | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = load_target(self.target, self.profile)
        for program in [o for o in op.walk() if isinstance(o, kpu.ProgramOp)]:
            check_target(program, machine)
            schedule(program, machine)
