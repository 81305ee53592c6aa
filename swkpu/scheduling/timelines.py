"""Timelines: order between layers.

For an ordered pair of engines (X, Y) one counting semaphore. A step of X that some step of Y needs releases a token
when it is finished, and that step of Y acquires what it has not yet of the tokens up to there. Where iterations of Y
need only the first iterations of X, X releases tokens in every iteration, and Y acquires some before its loop and
some in every iteration: as few and as late as constants allow. What Y already knows, directly or through others, is
not waited for again.

A machine has a fixed number of semaphores. Where there are too many pairs, some go over a *relay*: at the beginning of
the layer after the one that X has to finish, the relay engine waits for X, and tells Y. It waits for the engines
that are done first before it waits for the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xdsl.ir import Operation

from swkpu.dialects.kpu import ForOp
from swkpu.scheduling.channels import Channels
from swkpu.scheduling.engines import PIPELINE, RELAY, Engine, commands_in, engine_of
from swkpu.scheduling.needs import Needs, Point, Wait
from swkpu.scheduling.semaphores import Semaphores
from swkpu.scheduling.steps import Plan, Step, add_tokens

Pair = tuple[Engine, Engine]
Knowledge = dict[Engine, int]
"""Engine to the index of its last step that is known to be finished."""


class Timelines:
    def __init__(self, plan: Plan, needs: Needs, channels: Channels, relayed: frozenset[Pair]):
        self.plan, self.relayed = plan, relayed
        self.waits: dict[Pair, list[tuple[Wait, Step]]] = {}
        self.uses: dict[Pair, int] = {}
        self.relays: dict[tuple[int, int], Step] = {}
        self.knows: dict[Engine, Knowledge] = {}
        self.after: dict[tuple[Engine, int], Knowledge] = {}
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
                    later = self._wait(step, needs.get(step, {}), known)
                    at_first.setdefault(engine, dict(known))
                    _learn(known, later)
                    known[engine] = step.index
                    self.after[engine, step.index] = dict(known)

    def _wait(self, step: Step, wanted: dict[Engine, Wait], known: Knowledge) -> Knowledge:
        """Wait for what is not known. Learns what is known when the step begins, and returns what is when it ends."""
        later: Knowledge = {}
        for other, wait in sorted(wanted.items(), key=lambda item: (-item[1][-1].step.layer, item[0])):
            last = wait[-1].step
            if known.get(other, -1) >= last.index:
                continue
            pair = other, step.engine
            self.uses[pair] = self.uses.get(pair, 0) + 1
            if pair in self.relayed:
                wait = [Point.end(last)]
                at = last.layer + 1, PIPELINE.index(other[0])
                relay = self.relays.setdefault(at, Step(RELAY, at[0], None, index=at[1] - len(PIPELINE)))
                self.waits.setdefault((other, RELAY), []).append((wait, relay))
                self.waits.setdefault((RELAY, step.engine), []).append(([Point.end(relay)], step))
            else:
                self.waits.setdefault(pair, []).append((wait, step))
            _learn(known, self._learned(other, wait[0]))
            _learn(later, self._learned(other, wait[-1]))
        return later

    def _learned(self, engine: Engine, point: Point) -> Knowledge:
        return self.after.get((engine, point.step.index - (not point.is_end)), {})

    def direct(self) -> list[Pair]:
        """Pairs that could be relayed, the least used first."""
        pairs = [p for p in self.uses if p not in self.relayed and RELAY not in p]
        return sorted(pairs, key=lambda p: (self.uses[p], p))

    def assign(self, semaphores: Semaphores) -> None:
        """Tokens for all waits, of one semaphore per pair of engines."""
        for pair, waits in sorted(self.waits.items()):
            _Timeline(semaphores.number("timeline", *pair), waits, semaphores).assign()


def _place(step: Step) -> tuple[int, int]:
    """Where a step stands in its engine's stream; relays, of negative index, before the layer's own steps."""
    return (step.layer, step.index)


class _Timeline:
    """The tokens of one semaphore."""

    def __init__(self, semaphore: int, waits: Iterable[tuple[Wait, Step]], semaphores: Semaphores):
        self.semaphore, self.semaphores = semaphore, semaphores
        self.waits: dict[Step, Wait] = {}
        for wait, step in waits:
            known = self.waits.get(step)
            self.waits[step] = wait if known is None or _place(known[-1].step) < _place(wait[-1].step) else known
        # Tokens per iteration (at the end: 0) of every step that releases some, and those released before it.
        self.rate: dict[Step, int] = {}
        for step, wait in self.waits.items():
            for point in wait:
                fine = 0 if point.is_end else max(1, -(-step.trips // point.step.trips))
                self.rate[point.step] = max(self.rate.get(point.step, 0), fine)
        self.before: dict[Step, int] = {}
        total = 0
        for step in sorted(self.rate, key=_place):
            self.before[step] = total
            total += self._released(step)

    def _released(self, step: Step) -> int:
        return self.rate[step] * step.trips or 1

    def _tokens(self, point: Point) -> int:
        """How many tokens one must have to know of a point."""
        return self.before[point.step] + self.rate[point.step] * point.iteration + 1

    def assign(self) -> None:
        taken = 0
        for step in sorted(self.waits, key=_place):
            wait = self.waits[step]
            last = wait[-1].step
            wanted = [self._tokens(p) - taken for p in wait]
            if wanted[-1] <= 0:
                continue
            entry, each = _constants(wanted, self.before[last] + self._released(last) - taken)
            taken += entry + each * len(wait)
            if entry:
                add_tokens(step.tokens.acquire, self.semaphore, entry)
            if each:
                first = _inside(step)[0]
                self.semaphores.acquire(first, step.engine, self.semaphore, each)
        for step, rate in self.rate.items():
            if rate:
                self.semaphores.release(_inside(step)[-1], step.engine, self.semaphore, rate)
            else:
                add_tokens(step.tokens.release, self.semaphore, 1)


def _inside(step: Step) -> list[Operation]:
    """The statements in a loop that its engine has part in."""
    assert isinstance(step.op, ForOp)
    return [o for o in step.op.body.block.ops if any(engine_of(c) == step.engine for c in commands_in(o))]


def _constants(wanted: Sequence[int], available: int) -> tuple[int, int]:
    """Tokens to acquire on entry and in every iteration so that after the acquire of iteration n at least `wanted[n]`
    are taken, and `available` at most; of all such pairs the one that takes the fewest over time.
    """
    if len(wanted) == 1:
        return max(wanted[0], 0), 0
    best: tuple[int, int, int] | None = None
    for each in range(available // len(wanted) + 1):
        entry = max(0, *(w - each * (n + 1) for n, w in enumerate(wanted)))
        if entry + each * len(wanted) <= available:
            cost = entry * len(wanted) + each * len(wanted) * (len(wanted) + 1) // 2
            best = min(best, (cost, entry, each)) if best is not None else (cost, entry, each)
    assert best is not None  # taking all on entry is one of them
    return best[1], best[2]


def _learn(known: Knowledge, news: Knowledge) -> None:
    for engine, index in news.items():
        if known.get(engine, -1) < index:
            known[engine] = index
