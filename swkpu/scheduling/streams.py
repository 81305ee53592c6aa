"""The streams of a schedule: every engine's steps with the loops around its commands, and their tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, StringAttr
from xdsl.ir import Block, Operation, Region

from swkpu.affine import Linear, linear_map
from swkpu.dialects import kpu
from swkpu.dialects.kpu import CommandOp, ForOp, coordinate_map
from swkpu.dialects.kpu_types import COORDINATES
from swkpu.program.model import MAX_SEMAPHORE_OPS
from swkpu.scheduling.engines import RELAY, Engine, engine_of, is_command
from swkpu.scheduling.semaphores import Semaphores
from swkpu.scheduling.steps import Plan, Step, Tokens, add_tokens

_ORDER = ("dma_in", "dma_out", "bm_in", "bm_out", "fabric")


class Projection:
    def __init__(self, plan: Plan, semaphores: Semaphores, relays: Sequence[Step]):
        self.plan, self.semaphores = plan, semaphores
        self.relays: dict[int, list[Step]] = {}
        for relay in sorted(relays, key=lambda step: step.index):
            self.relays.setdefault(relay.layer, []).append(relay)

    def streams(self) -> list[kpu.StreamOp]:
        engines = {*self.plan.engines, RELAY} if self.relays else {*self.plan.engines}
        return [self._stream(e) for e in sorted(engines, key=lambda e: (_ORDER.index(e[0]), e[1]))]

    def _stream(self, engine: Engine) -> kpu.StreamOp:
        block = Block()
        for i, layer in enumerate(self.plan.layers):
            name = layer.sym_name.data
            for relay in self.relays.get(i, ()) if engine == RELAY else ():
                block.add_ops(_brackets(relay.tokens, name))
            for step in self.plan.steps.get((i, engine), ()):
                self._step(block, step, self.plan.layers[step.layer].sym_name.data)
        return kpu.StreamOp(engine[0], engine[1] or None, Region(block))

    def _step(self, target: Block, step: Step, layer: str) -> None:
        op = step.op
        assert op is not None
        own = self.semaphores.tokens.get((op, step.engine), Tokens())
        tokens = Tokens(dict(step.tokens.acquire), dict(step.tokens.release))
        if self.plan.first[op, step.engine] is step:
            _merge(tokens.acquire, own.acquire)
        if self.plan.last[op, step.engine] is step:
            _merge(tokens.release, own.release)
        if isinstance(op, ForOp):
            new: CommandOp = self._loop(op, step.engine, layer, step.trips)
            if step.first:
                _shift(new, step.first)
        else:
            new = _copy(op)
        _add(target, new, tokens, layer)

    def _loop(self, op: ForOp, engine: Engine, layer: str, trips: int) -> ForOp:
        body = Block()
        for inner in op.body.block.ops:
            if isinstance(inner, ForOp):
                new = self._loop(inner, engine, layer, inner.trips)
                if new.body.block.is_empty:
                    continue
            elif is_command(inner) and engine_of(inner) == engine:
                new = _copy(inner)
            else:
                continue
            _add(body, new, self.semaphores.tokens.get((inner, engine), Tokens()), layer)
        return ForOp(trips, Region(body))


def _copy(op: Operation) -> CommandOp:
    new = op.clone()
    assert isinstance(new, CommandOp)
    return new


def _shift(loop: CommandOp, by: int) -> None:
    """Let the commands in a loop see its counter begin at `by`. The loop stands at depth 0."""
    names = [Linear(0, ((d, 1),)) for d in range(len(COORDINATES))]
    values = dict(enumerate([names[0] + by, *names[1:]]))

    def shifted(attr: AffineMapAttr) -> AffineMapAttr:
        return AffineMapAttr(coordinate_map([e.substitute(values) for e in linear_map(attr.data)]))

    for op in loop.walk():
        for key, value in list(op.properties.items()):
            if isinstance(value, AffineMapAttr):
                op.properties[key] = shifted(value)
            elif isinstance(value, ArrayAttr) and any(isinstance(v, AffineMapAttr) for v in value):
                maps = [v for v in value if isinstance(v, AffineMapAttr)]
                op.properties[key] = ArrayAttr([shifted(v) for v in maps])


def _merge(tokens: dict[int, int], more: dict[int, int]) -> None:
    for semaphore, count in more.items():
        add_tokens(tokens, semaphore, count)


def _add(target: Block, new: CommandOp, tokens: Tokens, layer: str) -> None:
    """Append a statement with its tokens; more of them than one command carries go on empty loops around it."""
    *before, acquire = _chunks(tokens.acquire)
    release, *after = _chunks(tokens.release)
    for chunk in before:
        target.add_op(_bracket("acquire", chunk, layer))
    _set_tokens(new, "acquire", acquire)
    _set_tokens(new, "release", release)
    new.properties["layer"] = StringAttr(layer)
    target.add_op(new)
    for chunk in after:
        target.add_op(_bracket("release", chunk, layer))


def _brackets(tokens: Tokens, layer: str) -> Iterator[ForOp]:
    """Empty loops that take all of some tokens and then give others."""
    for kind, wanted in (("acquire", tokens.acquire), ("release", tokens.release)):
        for chunk in _chunks(wanted):
            if chunk:
                yield _bracket(kind, chunk, layer)


def _bracket(kind: str, tokens: Iterable[tuple[int, int]], layer: str) -> ForOp:
    op = ForOp(1)
    _set_tokens(op, kind, tokens)
    op.properties["layer"] = StringAttr(layer)
    return op


def _chunks(tokens: dict[int, int]) -> Sequence[list[tuple[int, int]]]:
    items = sorted(tokens.items())
    return [items[i : i + MAX_SEMAPHORE_OPS] for i in range(0, len(items), MAX_SEMAPHORE_OPS)] or [[]]


def _set_tokens(op: CommandOp, kind: str, tokens: Iterable[tuple[int, int]]) -> None:
    for semaphore, count in tokens:
        op.add_tokens(kind, semaphore, count)
