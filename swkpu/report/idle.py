"""Why a tile group executes nothing, cycle by cycle, within each layer's share of the timeline."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from swkpu.program.model import Engine, Gather, Load, Space
from swkpu.report.categories import Lost
from swkpu.report.waits import LATENCY, Link, waits_of
from swkpu.sim.unroll import DRAM, L2_READ, L2_WRITE, NOC

if TYPE_CHECKING:
    from swkpu.program.model import Command, Program
    from swkpu.report.build import Window
    from swkpu.sim.timing import Timing

PORTS = {DRAM: Lost.DRAM, L2_READ: Lost.L2_READ, L2_WRITE: Lost.L2_WRITE, NOC: Lost.NOC}


@dataclass(frozen=True)
class _Exec:
    """An item of a group's fabric stream."""

    start: int
    end: int
    layer: int
    item: int


class Idle:
    """A group that is idle waits for its next exec, if that belongs to the layer whose time it is: the chain of
    commands behind that exec says for what. Otherwise it has nothing to do in this layer (any more): what it waits
    for is another group that works, or, where none does, what all wait for, the next exec of any group or the end of
    the program.
    """

    def __init__(self, program: Program, timing: Timing, windows: list[Window]):
        self.program, self.timing, self.windows = program, timing, windows
        self.edges = [w.start for w in windows]
        self.waits = waits_of(program, timing)
        self.layers = [[c.layer for c in s.commands] for s in program.streams]
        self.items = [s.command.tolist() for s in timing.streams]
        self.fabrics = {s.group: n for n, s in enumerate(program.streams) if s.engine is Engine.FABRIC}
        self.execs = {group: list(self._execs(number)) for group, number in self.fabrics.items()}
        self.first_exec: dict[tuple[int, int], int] = {}
        self.last_exec: dict[tuple[int, int], int] = {}
        for group, execs in self.execs.items():
            for e in execs:
                self.first_exec.setdefault((e.layer, group), e.start)
                self.last_exec[e.layer, group] = e.end

    def by_layer(self, group: int) -> dict[int, Counter[Lost]]:
        """Cycles by layer and category, in which the group executes nothing."""
        out: dict[int, Counter[Lost]] = {w.layer: Counter() for w in self.windows}
        end = 0
        for e in self.execs.get(group, []):
            self._gap(group, end, e.start, e, out)
            end = e.end
        self._gap(group, end, self.timing.cycles, None, out)
        return out

    def _gap(self, group: int, start: int, end: int, following: _Exec | None, out: dict[int, Counter[Lost]]) -> None:
        for window, low, high in self._windows(start, end):
            layer = window.layer
            if following is not None and following.layer == layer:
                links = self.waits.before(self.fabrics[group], following.item, low)
                self._add(links, low, high, layer, out[layer])
                continue
            takes_part = (layer, group) in self.first_exec
            for low_, high_, links in self._nobody(low, high):
                if links is None:
                    out[layer][Lost.GROUPS if takes_part else Lost.UNUSED_GROUPS] += high_ - low_
                else:
                    self._add(links, low_, high_, layer, out[layer])

    def _windows(self, start: int, end: int) -> Iterator[tuple[Window, int, int]]:
        at = max(bisect_right(self.edges, start) - 1, 0)
        while start < end:
            window = self.windows[at]
            if window.end > start:
                yield window, start, min(end, window.end)
                start = window.end
            at += 1

    def _nobody(self, low: int, high: int) -> Iterator[tuple[int, int, list[Link] | None]]:
        """The span cut into pieces in which no group executes, with what all wait for, and others (None)."""
        starts, quiet = self._quiet
        at = max(bisect_right(starts, low) - 1, 0)
        while low < high:
            if at == len(quiet) or quiet[at][0] >= high:
                yield low, high, None
                return
            start, end, links = quiet[at]
            if end > low:
                if start > low:
                    yield low, start, None
                    low = start
                yield low, min(end, high), links
                low = min(end, high)
            at += 1

    @cached_property
    def _quiet(self) -> tuple[list[int], list[tuple[int, int, list[Link]]]]:
        """The spans in which no group executes, with the chain that leads to their end."""
        execs = sorted((e.start, self.fabrics[g], e) for g, all_ in self.execs.items() for e in all_)
        quiet: list[tuple[int, int, list[Link]]] = []
        covered = 0
        for start, stream, e in execs:
            if start > covered:
                quiet.append((covered, start, list(self.waits.before(stream, e.item, covered))))
            covered = max(covered, e.end)
        if covered < self.timing.cycles:
            ends = [(int(e.completion[-1]), -n) for n, e in enumerate(self.timing.stream_events) if len(e.completion)]
            stream = -max(ends)[1]
            last = len(self.timing.stream_events[stream].completion) - 1
            quiet.append((covered, self.timing.cycles, list(self.waits.up_to(stream, last, covered))))
        return [q[0] for q in quiet], quiet

    def _add(self, links: Iterable[Link], low: int, high: int, layer: int, into: Counter[Lost]) -> None:
        for link in links:
            cycles = min(link.end, high) - max(link.start, low)
            if cycles > 0:
                into[self._why(link, layer)] += cycles

    def _why(self, link: Link, layer: int) -> Lost:
        """The category of a link of the chain, in the time of a layer."""
        stream = self.program.streams[link.stream]
        index = self.items[link.stream][link.item]
        command, own = stream.commands[index], self.layers[link.stream][index]
        if stream.engine is Engine.DMA_IN and link.resource in (DRAM, LATENCY):
            return Lost.WEIGHTS if self._loads_weights(command) else Lost.DRAM
        if own < layer:
            return Lost.EARLIER_LAYERS
        if stream.engine is Engine.FABRIC:
            return Lost.GROUPS
        key = (own, stream.group)
        if stream.engine is Engine.DMA_OUT and link.resource == LATENCY:
            return Lost.DRAM
        if link.resource == LATENCY:
            return Lost.LATENCY
        arrival = self.waits.arrival[link.stream][link.item]
        if stream.engine is Engine.BM_IN and arrival < self.first_exec.get(key, 0):
            return Lost.FIRST_PUSH
        if stream.engine is Engine.BM_OUT and arrival >= self.last_exec.get(key, self.timing.cycles):
            return Lost.LAST_PULL
        return PORTS.get(link.resource, Lost.L1)

    def _loads_weights(self, command: Command) -> bool:
        if not isinstance(command, Load | Gather):
            return False
        source = self.program.maps[command.src.map]
        segments, starts = self._segments
        at = bisect_right(starts, source.begin) - 1
        return source.space is Space.DRAM and at >= 0 and source.begin < segments[at]

    @cached_property
    def _segments(self) -> tuple[list[int], list[int]]:
        """Ends and starts of the constants in DRAM."""
        spans = sorted((s.address, s.address + s.size) for s in self.program.segments)
        return [end for _, end in spans], [start for start, _ in spans]

    def _execs(self, number: int) -> Iterator[_Exec]:
        event, unrolled = self.timing.stream_events[number], self.timing.streams[number]
        items = np.flatnonzero(~unrolled.is_control)
        layers = np.array(self.layers[number], dtype=np.int64)[unrolled.command[items]]
        columns = (event.arrival[items].tolist(), event.end[items].tolist(), layers.tolist(), items.tolist())
        for start, end, layer, item in zip(*columns, strict=True):
            yield _Exec(start, end, layer, item)
