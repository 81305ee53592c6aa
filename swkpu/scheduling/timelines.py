"""Timelines: order between layers.

For an ordered pair of engines (X, Y) one counting semaphore: a step of X that some step of Y needs releases a token
when it is finished, and that step of Y acquires one. What Y already knows, directly or through others, is not waited
for again.

A machine has a fixed number of semaphores. Where there are too many pairs, some go over a *relay*: at the beginning of
the layer after the one that X has to finish, the relay engine waits for X, and tells Y. It waits for the engines
that are done first before it waits for the others.
"""

from __future__ import annotations

from collections.abc import Iterable

from swkpu.scheduling.channels import Channels
from swkpu.scheduling.engines import PIPELINE, RELAY, Engine
from swkpu.scheduling.needs import Needs
from swkpu.scheduling.semaphores import Semaphores
from swkpu.scheduling.steps import Plan, Step, add_tokens

Pair = tuple[Engine, Engine]
Knowledge = dict[Engine, int]
"""Engine to the index of its last step that is known to be finished."""


class Timelines:
    def __init__(self, plan: Plan, needs: Needs, channels: Channels, relayed: frozenset[Pair]):
        self.plan, self.relayed = plan, relayed
        self.waits: dict[Pair, list[tuple[Step, Step]]] = {}
        self.uses: dict[Pair, int] = {}
        self.relays: dict[tuple[int, int], Step] = {}
        self.knows: dict[Engine, Knowledge] = {}
        self.after: dict[Step, Knowledge] = {}
        for j in range(len(plan.layers)):
            at_first: dict[Engine, Knowledge] = {}
            pairs = channels.pairs.get(j, set())
            for engine in plan.engines:
                steps = plan.steps.get((j, engine), [])
                known = self.knows.setdefault(engine, {})
                for producer, consumer in pairs if steps else ():
                    # every command of these engines comes after a token of its producer; a bm_in may start without
                    if consumer == engine and engine[0] != "bm_in" and producer in at_first:
                        _learn(known, at_first[producer])
                for step in steps:
                    self._wait(step, needs.get(step, {}), known)
                    at_first.setdefault(engine, dict(known))
                    known[engine] = step.index
                    self.after[step] = dict(known)

    def _wait(self, step: Step, wanted: dict[Engine, Step], known: Knowledge) -> None:
        for other, last in sorted(wanted.items(), key=lambda item: (-item[1].layer, item[0])):
            if known.get(other, -1) >= last.index:
                continue
            pair = other, step.engine
            self.uses[pair] = self.uses.get(pair, 0) + 1
            if pair in self.relayed:
                at = last.layer + 1, PIPELINE.index(other[0])
                relay = self.relays.setdefault(at, Step(RELAY, at[0], None, index=at[1] - len(PIPELINE)))
                self.waits.setdefault((other, RELAY), []).append((last, relay))
                self.waits.setdefault((RELAY, step.engine), []).append((relay, step))
            else:
                self.waits.setdefault(pair, []).append((last, step))
            _learn(known, self.after[last])

    def direct(self) -> list[Pair]:
        """Pairs that could be relayed, the least used first."""
        pairs = [p for p in self.uses if p not in self.relayed and RELAY not in p]
        return sorted(pairs, key=lambda p: (self.uses[p], p))

    def assign(self, semaphores: Semaphores) -> None:
        """Tokens for all waits, of one semaphore per pair of engines."""
        for pair, waits in sorted(self.waits.items()):
            semaphore = semaphores.number("timeline", *pair)
            for last, step in _increasing(waits):
                add_tokens(last.tokens.release, semaphore, 1)
                add_tokens(step.tokens.acquire, semaphore, 1)


def _place(step: Step) -> tuple[int, int]:
    """Where a step stands in its engine's stream; relays, of negative index, before the layer's own steps."""
    return (step.layer, step.index)


def _increasing(waits: Iterable[tuple[Step, Step]]) -> list[tuple[Step, Step]]:
    """Waits in the order of the waiting engine, without those that an earlier one implies."""
    last_of: dict[Step, Step] = {}
    for last, step in waits:
        last_of[step] = max(last_of.get(step, last), last, key=_place)
    out: list[tuple[Step, Step]] = []
    for step in sorted(last_of, key=_place):
        if not out or _place(out[-1][0]) < _place(last_of[step]):
            out.append((last_of[step], step))
    return out


def _learn(known: Knowledge, news: Knowledge) -> None:
    for engine, index in news.items():
        if known.get(engine, -1) < index:
            known[engine] = index
