"""Timelines: order between layers.

For an ordered pair of engines (X, Y) one counting semaphore. A step of X that some step of Y needs releases a token
when it is finished, and that step of Y acquires what it has not yet of the tokens up to there. Where iterations of Y
need only the first iterations of X, X releases tokens in every iteration, and Y acquires some before its loop and
some in every iteration: as few and as late as constants allow. Where something else comes first in Y's loop, Y waits
behind that, in every iteration; so X gives as many tokens. What Y already knows, directly or through others, is not
waited for again.

A machine has a fixed number of semaphores. Where there are too many pairs, some go over a *relay*: at the beginning of
the layer after the one that X has to finish, the relay engine waits for X, and tells Y. It waits for the engines
that are done first before it waits for the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swkpu.scheduling.channels import Channels
from swkpu.scheduling.engines import PIPELINE, RELAY, Engine
from swkpu.scheduling.needs import Needs, Point, Wait
from swkpu.scheduling.semaphores import Semaphores
from swkpu.scheduling.steps import Plan, Step, add_tokens, parts_of

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
        at_first: dict[tuple[int, Engine], Knowledge] = {}
        for j in range(len(plan.layers)):
            pairs = channels.pairs.get(j, set())
            for engine in plan.engines:
                steps = plan.steps.get((j, engine), [])
                known = self.knows.setdefault(engine, {})
                for producer, consumer in pairs if steps else ():
                    # every command of these engines comes after a token of its producer; a bm_in may start without
                    if consumer == engine and engine[0] != "bm_in" and (j, producer) in at_first:
                        _learn(known, at_first[j, producer])
                for step in steps:
                    later = self._wait(step, needs.get(step, {}), known)
                    at_first.setdefault((step.layer, engine), dict(known))
                    _learn(known, later)
                    known[engine] = step.index
                    self.after[engine, step.index] = dict(known)

    def _wait(self, step: Step, wanted: dict[tuple[Engine, bool], Wait], known: Knowledge) -> Knowledge:
        """Wait for what is not known. Learns what is known when the step begins, and returns what is when it ends."""
        later: Knowledge = {}
        for (other, inside), wait in sorted(wanted.items(), key=lambda item: _urgency(item[1])):
            last = wait.last.step
            if max(known.get(other, -1), later.get(other, -1)) >= last.index:
                continue
            pair = other, step.engine
            self.uses[pair] = self.uses.get(pair, 0) + 1
            if pair in self.relayed:
                at = last.slot + 1, PIPELINE.index(other[0])
                relay = self.relays.setdefault(at, Step(RELAY, at[0], None, index=at[1] - len(PIPELINE)))
                self.waits.setdefault((other, RELAY), []).append((Wait((Point.end(last),)), relay))
                told = Wait((Point.end(relay),) * len(wait.points), wait.inside)
                self.waits.setdefault((RELAY, step.engine), []).append((told, step))
            else:
                self.waits.setdefault(pair, []).append((wait, step))
            if not inside:
                _learn(known, self._learned(other, wait.points[0]))
            _learn(later, self._learned(other, wait.last))
        return later

    def _learned(self, engine: Engine, point: Point | None) -> Knowledge:
        if point is None:
            return {}
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
    return (step.slot, step.index)


def _urgency(wait: Wait) -> tuple[bool, int, Engine]:
    return wait.inside is not None, -wait.last.step.slot, wait.engine


class _Timeline:
    """The tokens of one semaphore."""

    def __init__(self, semaphore: int, waits: Iterable[tuple[Wait, Step]], semaphores: Semaphores):
        self.semaphore, self.semaphores = semaphore, semaphores
        self.waits: dict[tuple[Step, bool], Wait] = {}
        for wait, step in waits:
            key = step, wait.inside is not None
            known = self.waits.get(key)
            if known is None or _place(known.last.step) < _place(wait.last.step):
                self.waits[key] = wait
        # Tokens that a step releases in every iteration, or else at its end, and those released before it.
        self.each: dict[Step, int] = {}
        self.end: dict[Step, int] = {}
        for (step, inside), wait in self.waits.items():
            for point in filter(None, wait.points):
                fine = 0 if point.is_end else max(1, -(-step.trips // point.step.trips))
                self.each[point.step] = max(self.each.get(point.step, 0), fine)
                self.end[point.step] = max(self.end.get(point.step, 1), len(wait.points) if inside else 1)
        self.before: dict[Step, int] = {}
        total = 0
        for step in sorted(self.each, key=_place):
            self.before[step] = total
            total += self._released(step)

    def _released(self, step: Step) -> int:
        return self.each[step] * step.trips or self.end[step]

    def _tokens(self, point: Point | None) -> int:
        """How many tokens one must have to know of a point."""
        if point is None:
            return 0
        return self.before[point.step] + self.each[point.step] * point.iteration + 1

    def assign(self) -> None:
        taken = 0
        for (step, inside), wait in sorted(self.waits.items(), key=lambda item: (_place(item[0][0]), item[0][1])):
            last = wait.last.step
            wanted = [self._tokens(p) - taken for p in wait.points]
            if wanted[-1] <= 0:
                continue
            late = inside and wait.inside is not parts_of(step)[0]
            entry, each = constants(wanted, self.before[last] + self._released(last) - taken, late)
            taken += entry + each * len(wanted)
            if entry:
                add_tokens(step.tokens.acquire, self.semaphore, entry)
            if each and wait.inside is not None:
                self.semaphores.acquire(wait.inside, step.engine, self.semaphore, each)
        for step, each in self.each.items():
            if each:
                self.semaphores.release(parts_of(step)[-1], step.engine, self.semaphore, each)
            else:
                add_tokens(step.tokens.release, self.semaphore, self.end[step])


def constants(wanted: Sequence[int], available: int, late: bool) -> tuple[int, int]:
    """Tokens to acquire on entry and in every iteration so that after the acquire of iteration n at least `wanted[n]`
    are taken, and `available` at most; of all such pairs the one that takes the fewest over time, or with `late` on
    entry.
    """
    if len(wanted) == 1:
        return (0, wanted[0]) if late else (wanted[0], 0)
    best: tuple[int, int, int] | None = None
    for each in range(available // len(wanted) + 1):
        entry = max(0, *(w - each * (n + 1) for n, w in enumerate(wanted)))
        if entry + each * len(wanted) <= available:
            over_time = entry * len(wanted) + each * len(wanted) * (len(wanted) + 1) // 2
            found = (entry if late else over_time, entry, each)
            best = found if best is None else min(best, found)
    assert best is not None  # taking all on entry is one of them
    return best[1], best[2]


def _learn(known: Knowledge, news: Knowledge) -> None:
    for engine, index in news.items():
        if known.get(engine, -1) < index:
            known[engine] = index
