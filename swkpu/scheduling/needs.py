"""What each step needs of other engines in earlier layers, from the memory that its commands touch.

Where a step reads what another layer wrote, it need not wait for all of it: for every iteration, of the reading loop
and of the writing one, the regions say what is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir import SSAValue

from swkpu.scheduling.engines import Access, Engine
from swkpu.scheduling.regions import Region, regions
from swkpu.scheduling.reuse import reuses
from swkpu.scheduling.steps import Plan, Step

FINEST = 256
"""A loop of more iterations is not looked into."""


@dataclass(frozen=True)
class Point:
    """An engine has finished iteration `iteration` of a step (0 of a single command)."""

    step: Step
    iteration: int

    @staticmethod
    def end(step: Step) -> Point:
        return Point(step, max(step.trips - 1, 0))

    @property
    def is_end(self) -> bool:
        return self.iteration == max(self.step.trips - 1, 0)

    @property
    def order(self) -> tuple[int, int]:
        return self.step.index, self.iteration


Wait = list[Point]
"""One point, before the step begins; or one for every iteration of it, in order, each no earlier than the last."""

Needs = dict[Step, dict[Engine, Wait]]
"""Step to {other engine: what that must have done}."""


class _Past:
    """For every engine the accesses of a buffer so far, layer by layer."""

    def __init__(self) -> None:
        self.accesses: dict[Engine, list[tuple[int, list[Access]]]] = {}

    def add(self, access: Access) -> None:
        layers = self.accesses.setdefault(access.engine, [])
        if not layers or layers[-1][0] < access.layer:
            layers.append((access.layer, []))
        layers[-1][1].append(access)

    def before(self, layer: int) -> list[list[Access]]:
        """The accesses of every engine in the last layer before one where it has any."""
        out: list[list[Access]] = []
        for layers in self.accesses.values():
            for at, accesses in reversed(layers[-2:]):
                if at < layer:
                    out.append(accesses)
                    break
        return out


class _Collector:
    def __init__(self, plan: Plan):
        self.plan = plan
        self.needs: Needs = {}
        self.known: dict[tuple[Access, SSAValue], list[Region | None] | None] = {}

    def need(self, access: Access, others: list[list[Access]]) -> None:
        """All that was done."""
        step = self.plan.first[access.top, access.engine]
        for accesses in others:
            self._add(step, [self._end(accesses)])

    def need_contents(self, reads: Sequence[Access], others: list[list[Access]], value: SSAValue) -> None:
        """What was written, as far as a step's reads want it."""
        step = self.plan.first[reads[0].top, reads[0].engine]
        for accesses in others:
            self._add(step, self._parts(step, reads, accesses, value) or [self._end(accesses)])

    def _end(self, accesses: Sequence[Access]) -> Point:
        return max((Point.end(self.plan.last[a.top, a.engine]) for a in accesses), key=lambda p: p.order)

    def _add(self, step: Step, wait: Wait) -> None:
        engine = wait[0].step.engine
        if engine == step.engine:
            return
        wanted = self.needs.setdefault(step, {})
        wanted[engine] = _later(wanted[engine], wait) if engine in wanted else wait

    def _parts(self, step: Step, reads: Sequence[Access], writes: Sequence[Access], value: SSAValue) -> Wait | None:
        """For every iteration of a step the point of the writing engine that it needs; None where that is no earlier
        than the end.
        """
        trips = max(step.trips, 1)
        if self.plan.last[reads[0].top, reads[0].engine] is not step or trips > FINEST:
            return None
        wanted = [self._regions(r, value, trips) for r in reads]
        written: list[tuple[Point, Region | None, bool]] = []
        for write in writes:
            made = self.plan.last[write.top, write.engine]
            if self.plan.first[write.top, write.engine] is not made or made.trips > FINEST:
                return None
            parts = self._regions(write, value, max(made.trips, 1))
            for a in range(max(made.trips, 1)):
                written.append((Point(made, a), parts[a] if parts is not None else None, parts is None))
        written.sort(key=lambda w: w[0].order, reverse=True)
        if any(w is None for w in wanted):
            return None
        out: Wait = []
        for b in range(trips):
            now = [w[b] for w in wanted if w is not None]
            point = next((p for p, part, unknown in written if unknown or _meet(part, now)), None)
            previous = out[-1] if out else written[-1][0]
            out.append(previous if point is None or point.order < previous.order else point)
        return None if out[0].order == written[0][0].order else out

    def _regions(self, access: Access, value: SSAValue, trips: int) -> list[Region | None] | None:
        key = access, value
        if key not in self.known:
            self.known[key] = regions(access.command, value, trips)
        return self.known[key]


def _meet(part: Region | None, wanted: Sequence[Region | None]) -> bool:
    return part is not None and any(w is not None and part.meets(w) for w in wanted)


def _later(a: Wait, b: Wait) -> Wait:
    """Both."""
    if len(a) < len(b):
        a, b = b, a
    if len(b) == 1:
        b = b * len(a)
    return [max(p, q, key=lambda point: point.order) for p, q in zip(a, b)]


def needs_of(plan: Plan) -> Needs:
    collector = _Collector(plan)
    # A read needs what was written, and where several layers write, a write needs all that was done before.
    for value, uses in plan.accesses.items():
        if len({u.layer for u in uses}) == 1:
            continue
        several = len({u.layer for u in uses if u.writes}) > 1
        written, used = _Past(), _Past()
        reads: dict[Step, list[Access]] = {}
        for use in uses:
            if not use.writes:
                reads.setdefault(plan.first[use.top, use.engine], []).append(use)
            elif several:
                collector.need(use, used.before(use.layer))
            used.add(use)
        for use in uses:
            if use.writes:
                written.add(use)
                continue
            together = reads.pop(plan.first[use.top, use.engine], None)
            if together is not None:
                collector.need_contents(together, written.before(use.layer), value)
    # Whoever writes first where another buffer was needs all that was done with that.
    for earlier, later in reuses(plan.accesses):
        past = _Past()
        for use in plan.accesses[earlier]:
            past.add(use)
        done = past.before(len(plan.layers))
        first: dict[Engine, Access] = {}
        for use in plan.accesses[later]:
            if use.writes:
                known = first.setdefault(use.engine, use)
                if plan.first[use.top, use.engine].index < plan.first[known.top, use.engine].index:
                    first[use.engine] = use
        for use in first.values():
            collector.need(use, done)
    return collector.needs
