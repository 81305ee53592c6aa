"""Channels: order inside a layer, between the engine that fills a buffer and the engine that empties it.

The producer takes a share of the `free` tokens for every content and gives one `full` token; the consumer the
reverse. A command in a deeper loop is represented by the loop: it acquires on entry and releases on exit. A buffer
that has a copy for every content needs no `free` tokens.

All layers share the semaphores of a channel. For constants two sets of `free` ones take turns, so that the producer
can begin a layer while the consumer still holds the last copies of the layer before: these are other bytes, and
whether they are free is the timelines' matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm

from xdsl.ir import Block, Operation

from swkpu.dialects import kpu
from swkpu.dialects.kpu import AllocOp, ForOp
from swkpu.placement.streams import epochs_of, holds_constants
from swkpu.scheduling.engines import Access, Engine
from swkpu.scheduling.semaphores import Semaphores
from swkpu.scheduling.steps import Plan, statement_in

Group = tuple[Block, Engine, Engine, int, bool]
"""Scope, producer, consumer, copies, and whether these are constants, which may go before others."""


class Channels:
    def __init__(self, plan: Plan, semaphores: Semaphores, turns: int):
        self.plan, self.semaphores, self.turns = plan, semaphores, turns
        self.pairs: dict[int, set[tuple[Engine, Engine]]] = {}
        self.used: dict[tuple[object, ...], int] = {}
        groups = [self._groups(layer) for layer in plan.layers]
        self.tokens = lcm(*(copies for found in groups for _, _, _, copies, _ in found))
        for i, found in enumerate(groups):
            roles: dict[tuple[Engine, Engine, bool], int] = {}
            for (_, producer, consumer, copies, constant), allocs in found.items():
                self.pairs.setdefault(i, set()).add((producer, consumer))
                for together in self._compatible(allocs, producer, consumer):
                    key = producer, consumer, constant
                    role = roles[key] = roles.get(key, -1) + 1
                    self._channel(together, producer, consumer, copies, (*key, role))

    def _groups(self, layer: kpu.LayerOp) -> dict[Group, list[AllocOp]]:
        """Buffers of one scope that the same engines fill and empty."""
        groups: dict[Group, list[AllocOp]] = {}
        for op in layer.walk():
            if not isinstance(op, AllocOp):
                continue
            assert op.parent is not None
            uses = self.plan.accesses.get(op.result, [])
            producers = list(dict.fromkeys(u.engine for u in uses if u.writes))
            consumers = list(dict.fromkeys(u.engine for u in uses if not u.writes))
            for p in producers:
                early = ("dma_in", "bm_in") if self.plan.hoists else ("dma_in",)
                constant = p[0] in early and holds_constants(op)
                for c in consumers:
                    if p != c:
                        groups.setdefault((op.parent, p, c, op.buffer_count, constant), []).append(op)
        return groups

    def _compatible(self, allocs: list[AllocOp], producer: Engine, consumer: Engine) -> list[list[AllocOp]]:
        """One channel for all where everything is produced before anything is consumed, else one for each."""
        produced = [self._span(a, producer, True)[1] for a in allocs]
        consumed = [self._span(a, consumer, False)[0] for a in allocs]
        at = self.plan.position
        if max(at[o] for o in produced) < min(at[o] for o in consumed):
            return [allocs]
        return [[a] for a in allocs]

    def _span(self, alloc: AllocOp, engine: Engine, writes: bool) -> tuple[Operation, Operation]:
        """First and last statement of the buffer's scope in which an engine touches it."""
        block = alloc.parent
        assert block is not None
        uses: Sequence[Access] = self.plan.accesses[alloc.result]
        statements = [statement_in(block, u.command) for u in uses if u.engine == engine and u.writes == writes]
        at = self.plan.position.__getitem__
        return min(statements, key=at), max(statements, key=at)

    def _channel(
        self, allocs: Sequence[AllocOp], producer: Engine, consumer: Engine, copies: int, key: tuple[object, ...]
    ) -> None:
        produced = [self._span(a, producer, True) for a in allocs]
        consumed = [self._span(a, consumer, False) for a in allocs]
        at = self.plan.position.__getitem__
        first_in, last_in = min((s for s, _ in produced), key=at), max((s for _, s in produced), key=at)
        first_out, last_out = min((s for s, _ in consumed), key=at), max((s for _, s in consumed), key=at)
        full = self.semaphores.number("full", *key)
        self.semaphores.release(last_in, producer, full, 1)
        self.semaphores.acquire(first_out, consumer, full, 1)
        if isinstance(allocs[0].parent_op(), ForOp) and copies < epochs_of(allocs[0]):
            turn = 0
            if all(holds_constants(a) for a in allocs):
                turn = self.used[key] = (self.used.get(key, -1) + 1) % self.turns
            free = self.semaphores.number("free", *key, turn, initial=self.tokens)
            self.semaphores.acquire(first_in, producer, free, self.tokens // copies)
            self.semaphores.release(last_out, consumer, free, self.tokens // copies)
