"""Constants pushed ahead of the activations of earlier layers.

A stream has a layer's constants before its activations, and all that before the next layer. Where a layer is short,
the constants of the next one would wait behind activations that wait themselves, while the port has nothing to do.
So they go to the *slot* of an earlier layer, behind its own constants and before its activations, if that

- is allowed: with the push there, the program is a sequential program still. What the push overwrites, and what the
  loads up to its own wait for, is of layers before the slot; and no constant passes another one, nor a loop that
  waits for free buffers; and
- costs nothing, by the estimates: the push is done before the layer before the slot is, and so before the activations
  that it passes are of use.
"""

from __future__ import annotations

from math import prod

from xdsl.ir import Operation, SSAValue

from swkpu.affine import linear_map
from swkpu.dialects import kpu
from swkpu.dialects.kpu import AllocOp, buffer_type
from swkpu.dialects.kpu_types import MAX_LOOPS
from swkpu.placement.streams import epochs_of, is_constant_push, is_ready_load, loops_around
from swkpu.scheduling.engines import Engine, accesses_of, commands_in, engine_of
from swkpu.scheduling.reuse import reuses
from swkpu.scheduling.steps import Plan, Step
from swkpu.target import Machine
from swkpu.target.cost import load_cost, push_cost
from swkpu.types import dtype_of


def hoist_constants(plan: Plan, machine: Machine) -> None:
    """Move steps that push nothing but constants to an earlier slot, where their own has not the time and that has."""
    plan.hoists = True
    hoist = _Hoist(plan, machine)
    for layer in range(len(plan.layers)):
        hoist.place(layer)
    plan.number()


class _Hoist:
    def __init__(self, plan: Plan, machine: Machine):
        self.plan, self.machine = plan, machine
        self.overwrites: dict[SSAValue, int] = {}
        """Buffer to the last layer that uses memory which it takes."""
        for earlier, later in reuses(plan.accesses):
            end = max(use.layer for use in plan.accesses[earlier])
            self.overwrites[later] = max(self.overwrites.get(later, -1), end)
        self.loaded: list[tuple[int, int]] = []
        """For every layer: the last layer that its loads of constants, or loads before them, wait for; and when they
        are there, by the estimates.
        """
        self.end: list[int] = []
        self.used: list[int] = []
        """For every slot: until when its constants take the port."""
        self.movers = [e for e in plan.engines if e[0] == "bm_in"]
        self._estimate()
        self.least = dict.fromkeys(self.movers, 0)
        """The first slot in which a mover's next constant passes no other one."""

    def _estimate(self) -> None:
        """When layers end if they take the cycles estimated for them, and constants come in order."""
        free = end = now = 0
        behind = -1
        for i, layer in enumerate(self.plan.layers):
            loaded = -1, 0
            for step in self.plan.steps.get((i, ("dma_in", "")), ()):
                behind = max(behind, self._load_waits(step))
                now = max(now, self.end[behind] if 0 <= behind < i else 0) + self._load_cycles(step)
                if any(is_ready_load(op) for op in self._commands(step)):
                    loaded = behind, now
            self.loaded.append(loaded)
            self.used.append(free)
            begin = max(end, loaded[1])
            cycles = kpu.info_int(layer.info, "estimated_cycles") or 0
            end = begin + cycles
            self.end.append(end)
            free = end - int(cycles * self._in_flight(i))

    def _load_waits(self, step: Step) -> int:
        """The last layer that a load waits for."""
        last = -1
        for op in self._commands(step):
            for value, writes in accesses_of(op):
                if writes:
                    last = max(last, self.overwrites.get(value, -1), step.layer if _wants_free(value) else -1)
            if not is_ready_load(op):
                last = max(last, step.layer - 1)
        return last

    def _in_flight(self, layer: int) -> float:
        """What share of a layer is still to be done when its last push is issued."""
        share = 1.0
        for engine in self.movers:
            for op in (c for step in self.plan.steps.get((layer, engine), ()) for c in self._commands(step)):
                owner = next(value for value, writes in accesses_of(op) if writes).owner
                if isinstance(owner, AllocOp):
                    share = min(share, owner.buffer_count / epochs_of(owner))
        return share

    def _commands(self, step: Step) -> list[Operation]:
        assert step.op is not None
        return [c for c in commands_in(step.op) if engine_of(c) == step.engine]

    def _load_cycles(self, step: Step) -> int:
        moved = [_bytes(op) for op in self._commands(step) if isinstance(op, kpu.TransferOp)]
        return sum(int(load_cost(self.machine, n, n).uncontended) for n in moved)

    def _push_cycles(self, step: Step) -> int:
        cycles = 0
        for op in self._commands(step):
            assert isinstance(op, kpu.PushOp)
            group = next(g for g in self.machine.tile_groups if g.kind == step.engine[1])
            cost = push_cost(self.machine, group, _bytes(op), _bytes(op, one_tile=True))
            cycles += int(cost.uncontended)
        return cycles

    # -- slots --

    def place(self, layer: int) -> None:
        for engine in self.movers:
            for step in list(self.plan.steps.get((layer, engine), ())):
                if not all(is_constant_push(op) for op in self._commands(step)):
                    break
                cycles = self._push_cycles(step)
                slot, done = self._slot(step, cycles)
                self.used[slot] = done
                self.least[engine] = slot
                if slot < layer:
                    self._move(step, slot)
            if any(is_constant_push(op) for step in self._behind(layer, engine) for op in self._commands(step)):
                self.least[engine] = layer + 1

    def _slot(self, step: Step, cycles: int) -> tuple[int, int]:
        """The latest slot for a step that comes at no cost, else its own; and when it is done there."""
        behind, ready = self.loaded[step.layer]
        for op in self._commands(step):
            behind = max(behind, *(self.overwrites.get(value, -1) for value, writes in accesses_of(op) if writes))
        ready = max(ready, self.end[behind] if behind >= 0 else 0)
        if not any(_wants_free(value) for op in self._commands(step) for value, _ in accesses_of(op)):
            for slot in range(step.layer, max(behind, self.least[step.engine] - 1, 0), -1):
                done = max(self.used[slot], ready) + cycles
                if done <= self.end[slot - 1]:
                    return slot, done
        return step.layer, max(self.used[step.layer], ready) + cycles

    def _behind(self, slot: int, engine: Engine) -> list[Step]:
        """The steps of a slot from the first one that pushes activations on."""
        steps = self.plan.steps.get((slot, engine), [])
        constant = [all(is_constant_push(op) for op in self._commands(step)) for step in steps]
        return steps[constant.index(False) :] if False in constant else []

    def _move(self, step: Step, slot: int) -> None:
        self.plan.steps[step.layer, step.engine].remove(step)
        steps = self.plan.steps.setdefault((slot, step.engine), [])
        steps.insert(len(steps) - len(self._behind(slot, step.engine)), step)
        step.ahead = step.layer - slot


def _wants_free(value: SSAValue) -> bool:
    """Does a buffer have fewer copies than contents, so that its producer waits for its consumer?"""
    return isinstance(value.owner, AllocOp) and value.owner.buffer_count < epochs_of(value.owner)


def _bytes(op: kpu.TransferOp, one_tile: bool = False) -> int:
    """What a transfer moves at its source, or at one tile, in all iterations."""
    tiles = 1
    if op.tiles is not None and not one_tile:
        starts = linear_map(op.src_start.data)
        counts = op.tiles.range.data[1:]
        tiles = prod(n for d, n in enumerate(counts) if any(e.coef(MAX_LOOPS + d) for e in starts))
    count = prod(op.box.data) * tiles * prod(loop.trips for loop in loops_around(op))
    return dtype_of(buffer_type(op.src).element).bytes_of(count)
