"""What every item of a simulated timeline waited for: the chain of commands behind each moment.

The timing model leaves no freedom: an item arrives because the command before it left the engine or because a
token was posted, and a command ends when the last of its resources has served it. Followed backwards, this is a chain
of commands without a gap, to the beginning of the program.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from swkpu.program.tokens import taken_tokens
from swkpu.sim.unroll import RESOURCES, Array

if TYPE_CHECKING:
    from swkpu.program.model import Program
    from swkpu.sim.timing import Timing

OWN = len(RESOURCES)
"""Beside the shared resources: what an engine has for itself, the L1 port or the array."""
LATENCY = OWN + 1
"""The time between the end of a transfer and its completion."""


class Link(NamedTuple):
    """From `start` to `end` the chain stood at this item of a stream: what served it last (a resource's number, OWN),
    or its LATENCY."""

    start: int
    end: int
    stream: int
    item: int
    resource: int


@dataclass(frozen=True)
class Waits:
    """Per stream and item; `giver` is the stream whose token was waited for (-1: the item waited for the one before it
    in its own stream, or for nothing), `given_by` the item there."""

    arrival: tuple[list[int], ...]
    end: tuple[list[int], ...]
    completion: tuple[list[int], ...]
    control: tuple[list[bool], ...]
    resource: tuple[list[int], ...]
    giver: tuple[list[int], ...]
    given_by: tuple[list[int], ...]

    def before(self, stream: int, item: int, until: int) -> Iterator[Link]:
        """The chain from an item's arrival back to `until`, without a gap."""
        while self.arrival[stream][item] > until:
            if self.giver[stream][item] >= 0:
                stream, item = self.giver[stream][item], self.given_by[stream][item]
                item = yield from self._completed(stream, item, until)
            else:
                item -= 1
                yield from self._occupied(stream, item, until)

    def up_to(self, stream: int, item: int, until: int) -> Iterator[Link]:
        """The same from an item's completion."""
        item = yield from self._completed(stream, item, until)
        yield from self.before(stream, item, until)

    def _completed(self, stream: int, item: int, until: int) -> Generator[Link, None, int]:
        """Back from the completion of an item to the arrival of the one that it completed with."""
        time = self.completion[stream][item]
        while self.control[stream][item] and self.arrival[stream][item] < time:
            item -= 1  # the end of a loop is complete when what came before it is
        end = self.end[stream][item]
        if not self.control[stream][item] and end < time:
            yield Link(max(end, until), time, stream, item, LATENCY)
        yield from self._occupied(stream, item, until)
        return item

    def _occupied(self, stream: int, item: int, until: int) -> Iterator[Link]:
        start, end = self.arrival[stream][item], self.end[stream][item]
        if max(start, until) < end:
            yield Link(max(start, until), end, stream, item, self.resource[stream][item])


def waits_of(program: Program, timing: Timing) -> Waits:
    """Whom each item waited for, from its times and the program's semaphores."""
    token_at, giver, given_by = _tokens(program, timing)
    givers: list[list[int]] = []
    for number, event in enumerate(timing.stream_events):
        engine_free = np.concatenate([[0], event.end[:-1]])[: len(event.end)]
        givers.append(np.where(token_at[number] > engine_free, giver[number], -1).tolist())
    return Waits(
        arrival=tuple(e.arrival.tolist() for e in timing.stream_events),
        end=tuple(e.end.tolist() for e in timing.stream_events),
        completion=tuple(e.completion.tolist() for e in timing.stream_events),
        control=tuple(s.is_control.tolist() for s in timing.streams),
        resource=tuple(r.tolist() for r in _last_served(timing)),
        giver=tuple(givers),
        given_by=tuple(g.tolist() for g in given_by),
    )


def _tokens(program: Program, timing: Timing) -> tuple[list[Array], list[Array], list[Array]]:
    """Per stream and item: when the last token it took was posted (0: it took none that was), by which item."""
    lengths = [len(s.command) for s in timing.streams]
    token_at = [np.zeros(n, dtype=np.int64) for n in lengths]
    giver = [np.full(n, -1, dtype=np.int64) for n in lengths]
    given_by = [np.full(n, -1, dtype=np.int64) for n in lengths]
    for taken in taken_tokens(program, [s.command for s in timing.streams]):
        at = timing.stream_events[taken.giver].completion[taken.given_by]
        later = at > token_at[taken.taker][taken.items]
        items = taken.items[later]
        token_at[taken.taker][items] = at[later]
        giver[taken.taker][items] = taken.giver
        given_by[taken.taker][items] = taken.given_by[later]
    return token_at, giver, given_by


def _last_served(timing: Timing) -> list[Array]:
    """Per stream and item: the resource whose service ended it; of several, the first in RESOURCES."""
    ended = [np.full(len(s.command), OWN, dtype=np.int64) for s in timing.streams]
    latest = [e.arrival + s.own for s, e in zip(timing.streams, timing.stream_events, strict=True)]
    for resource in reversed(range(len(RESOURCES))):
        users = [
            (number, np.flatnonzero(s.shared[s.resources.index(resource)]), s.shared[s.resources.index(resource)])
            for number, s in enumerate(timing.streams)
            if resource in s.resources
        ]
        users = [(number, items, occupancy) for number, items, occupancy in users if len(items)]
        if not users:
            continue
        number = np.concatenate([np.full(len(items), n, dtype=np.int64) for n, items, _ in users])
        item = np.concatenate([items for _, items, _ in users])
        occupancy = np.concatenate([o[items] for _, items, o in users])
        arrival = np.concatenate([timing.stream_events[n].arrival[items] for n, items, _ in users])
        # First come, first served: served_k = max over j <= k of arrival_j + the occupancies from j to k.
        order = np.lexsort((number, arrival))
        total = np.cumsum(occupancy[order])
        served = np.empty_like(total)
        served[order] = total + np.maximum.accumulate(arrival[order] - (total - occupancy[order]))
        for n, _, _ in users:
            mine = number == n
            items, ends = item[mine], served[mine]
            last = ends >= latest[n][items]
            ended[n][items[last]] = resource
            latest[n][items] = np.maximum(latest[n][items], ends)
    return ended
