"""What each step needs of other engines in earlier layers, from the memory that its commands touch."""

from __future__ import annotations

from swkpu.scheduling.engines import Access, Engine
from swkpu.scheduling.reuse import reuses
from swkpu.scheduling.steps import Plan, Step

Needs = dict[Step, dict[Engine, Step]]
"""Step to {other engine: the last of its steps that must be finished}."""


class _Past:
    """For every engine the last step so far, layer by layer, that did something."""

    def __init__(self) -> None:
        self.steps: dict[Engine, list[tuple[int, Step]]] = {}

    def add(self, layer: int, step: Step) -> None:
        steps = self.steps.setdefault(step.engine, [])
        if not steps or steps[-1][0] < layer:
            steps.append((layer, max((steps[-1][1], step), key=_index) if steps else step))
        else:
            steps[-1] = (layer, max(steps[-1][1], step, key=_index))

    def before(self, layer: int) -> list[Step]:
        """The last step of every engine in the layers before one."""
        out: list[Step] = []
        for steps in self.steps.values():
            for at, step in reversed(steps[-2:]):
                if at < layer:
                    out.append(step)
                    break
        return out


def _index(step: Step) -> int:
    return step.index


def needs_of(plan: Plan) -> Needs:
    needs: Needs = {}

    def need(access: Access, others: list[Step]) -> None:
        step = plan.first[access.top, access.engine]
        for other in others:
            if other.engine != access.engine:
                wanted = needs.setdefault(step, {})
                wanted[other.engine] = max(wanted.get(other.engine, other), other, key=_index)

    # A read needs what was written, and where several layers write, a write needs all that was done before.
    for uses in plan.accesses.values():
        several = len({u.layer for u in uses if u.writes}) > 1
        written, used = _Past(), _Past()
        for use in uses:
            if not use.writes:
                need(use, written.before(use.layer))
            elif several:
                need(use, used.before(use.layer))
            step = plan.last[use.top, use.engine]
            used.add(use.layer, step)
            if use.writes:
                written.add(use.layer, step)
    # Whoever writes first where another buffer was needs all that was done with that.
    for earlier, later in reuses(plan.accesses):
        past = _Past()
        for use in plan.accesses[earlier]:
            past.add(use.layer, plan.last[use.top, use.engine])
        done = past.before(len(plan.layers))
        first: dict[Engine, Access] = {}
        for use in plan.accesses[later]:
            if use.writes:
                known = first.setdefault(use.engine, use)
                if plan.first[use.top, use.engine].index < plan.first[known.top, use.engine].index:
                    first[use.engine] = use
        for use in first.values():
            need(use, done)
    return needs
