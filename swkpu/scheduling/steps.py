"""The steps of an engine: what it does of every layer, in its own order.

A step is a statement of a layer's body, or some iterations of one that is a loop. Engines keep program order, but
for this: constants are loaded and pushed before activations. Nothing holds them back, while an activation waits for
the layer before; so what the arrays need of constants is in L1 when the activation comes. A loop of pushes of
constants that stands behind an activation starts with as many iterations before it as its buffers have room for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue

from swkpu.dialects import kpu
from swkpu.dialects.kpu import AllocOp, ForOp
from swkpu.placement.streams import epochs_of, is_constant_push, is_ready_load
from swkpu.scheduling.engines import PIPELINE, Access, Engine, accesses_of, commands_in, engine_of, is_command


@dataclass
class Tokens:
    """What a statement acquires and releases: semaphore to count."""

    acquire: dict[int, int] = field(default_factory=dict[int, int])
    release: dict[int, int] = field(default_factory=dict[int, int])


def add_tokens(tokens: dict[int, int], semaphore: int, count: int) -> None:
    tokens[semaphore] = tokens.get(semaphore, 0) + count


@dataclass(eq=False)
class Step:
    """Iterations `first` to `first + trips` of a loop, or one command (`trips` 0), that serves a layer. Without an
    op it passes tokens on at the beginning of a layer; its `index` is negative. It stands among the steps of a layer
    `ahead` layers before its own.
    """

    engine: Engine
    layer: int
    op: Operation | None
    first: int = 0
    trips: int = 0
    index: int = -1
    ahead: int = 0
    tokens: Tokens = field(default_factory=Tokens)

    @property
    def slot(self) -> int:
        """The layer among whose steps it stands."""
        return self.layer - self.ahead


class Plan:
    """A program's layers, every use of a buffer, and every engine's steps."""

    def __init__(self, program: kpu.ProgramOp):
        self.layers = [o for o in program.body.block.ops if isinstance(o, kpu.LayerOp)]
        self.accesses: dict[SSAValue, list[Access]] = {}
        self.position: dict[Operation, int] = {}
        self.steps: dict[tuple[int, Engine], list[Step]] = {}
        self.first: dict[tuple[Operation, Engine], Step] = {}
        self.last: dict[tuple[Operation, Engine], Step] = {}
        for i, layer in enumerate(self.layers):
            self._read(i, layer)
        self.engines = sorted({e for _, e in self.steps}, key=lambda e: (PIPELINE.index(e[0]), e[1]))
        self.hoists = False
        """May pushes of constants stand among an earlier layer's steps?"""
        self.number()

    def number(self) -> None:
        """Number every engine's steps in order."""
        counts = dict.fromkeys(self.engines, 0)
        for (_, engine), steps in sorted(self.steps.items(), key=lambda item: item[0][0]):
            for step in steps:
                assert step.op is not None
                step.index = counts[engine]
                counts[engine] += 1
                self.first.setdefault((step.op, engine), step)
                self.last[step.op, engine] = step

    def _read(self, i: int, layer: kpu.LayerOp) -> None:
        statements: dict[Engine, dict[Operation, list[Operation]]] = {}
        for top in layer.body.block.ops:
            for op in top.walk():
                self.position[op] = len(self.position)
                if not is_command(op):
                    continue
                engine = engine_of(op)
                statements.setdefault(engine, {}).setdefault(top, []).append(op)
                for value, writes in accesses_of(op):
                    self.accesses.setdefault(value, []).append(Access(op, engine, writes, i, top))
        for engine, tops in statements.items():
            steps = [Step(engine, i, op, 0, op.trips if isinstance(op, ForOp) else 0) for op in tops]
            self.steps[i, engine] = ahead(steps, tops)

    def steps_of(self, engine: Engine) -> Iterator[Step]:
        for i in range(len(self.layers)):
            yield from self.steps.get((i, engine), ())


def parts_of(step: Step) -> list[Operation]:
    """The statements in a step's loop that its engine has part in."""
    assert isinstance(step.op, ForOp)
    return [o for o in step.op.body.block.ops if any(engine_of(c) == step.engine for c in commands_in(o))]


def statement_in(block: Block, op: Operation) -> Operation:
    """The op of `block` that is, or contains, `op`."""
    while op.parent is not block:
        parent = op.parent_op()
        assert parent is not None and not isinstance(parent, ModuleOp)
        op = parent
    return op


def constants_first(block: Block) -> None:
    """In every row of loads and pushes (and their buffers), move the constants' to the front."""
    for row in [list(ops) for is_row, ops in groupby(block.ops, _in_row) if is_row]:
        constant = [o for o in row if isinstance(o, AllocOp) or is_ready_load(o) or is_constant_push(o)]
        moved = set(constant)
        rest = [o for o in row if o not in moved]
        if rest:
            for op in constant:
                op.detach()
                block.insert_op_before(op, rest[0])
    for op in block.ops:
        if isinstance(op, ForOp):
            constants_first(op.body.block)


def _in_row(op: Operation) -> bool:
    return isinstance(op, AllocOp | kpu.LoadOp | kpu.GatherOp | kpu.PushOp)


def ahead(steps: list[Step], commands: dict[Operation, list[Operation]]) -> list[Step]:
    """Let loops of pushes of constants start before the first push of something else."""
    out: list[Step] = []
    waiting: int | None = None
    for step in steps:
        assert step.op is not None
        constant = all(is_constant_push(c) for c in commands[step.op])
        if waiting is None and not constant and any(isinstance(c, kpu.PushOp) for c in commands[step.op]):
            waiting = len(out)
        room = _room(step, commands[step.op]) if constant and waiting is not None else 0
        if not room or waiting is None:
            out.append(step)
            continue
        out.insert(waiting, Step(step.engine, step.layer, step.op, 0, room))
        waiting += 1
        if room < step.trips:
            out.append(Step(step.engine, step.layer, step.op, room, step.trips - room))
    return out


def _room(step: Step, pushes: Sequence[Operation]) -> int:
    """For how many iterations of the loop no push waits for a free buffer."""
    room = step.trips
    for push in pushes:
        assert isinstance(push, kpu.PushOp)
        owner = push.dst.owner
        if not isinstance(owner, AllocOp) or owner.parent is None or isinstance(owner.parent_op(), kpu.LayerOp):
            return 0
        room = min(room, owner.buffer_count * step.trips // epochs_of(owner))
    return room
