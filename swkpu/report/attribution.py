"""Where the cycles between bound and actual go. docs/explain.md defines the categories; they partition the gap.

A layer's time, weighted by what each tile could do of the layer's kind of work, is a number of slots; a slot is either
used by what the bound counts or lost for one reason. All sums are exact; whole cycles are made at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np

from swkpu.program.model import Engine
from swkpu.report.build import Window, layer_windows
from swkpu.report.categories import Lost
from swkpu.report.exec_losses import STEPS, exec_losses
from swkpu.report.idle import Idle
from swkpu.target.machine import DTYPE_OF_PRECISION

if TYPE_CHECKING:
    from swkpu.program.model import Layer, Program
    from swkpu.sim.timing import StreamEvents, Timing
    from swkpu.sim.unroll import Array
    from swkpu.target.machine import Machine

Parts = dict[Lost, int]


@dataclass(frozen=True)
class LayerGap:
    """`cycles - bound` of a layer, by category: `sum(lost.values())` is exactly that. `slots` are those beyond the
    compute bound alone, which is what the layer adds to the program's."""

    layer: int
    cycles: int
    compute_bound: int
    dram_bound: int
    lost: Parts
    slots: Parts

    @property
    def bound(self) -> int:
        return max(self.compute_bound, self.dram_bound)


@dataclass(frozen=True)
class ProgramGap:
    """The program's `cycles - bound` by category; `layers` in the order of the program."""

    cycles: int
    bound: int
    lost: Parts
    layers: tuple[LayerGap, ...]


def attribute(program: Program, machine: Machine, timing: Timing) -> ProgramGap:
    """Partition the cycles beyond the bound, of every layer and of the whole."""
    windows = layer_windows(timing)
    spent = exec_losses(program, machine, timing)
    inside, others = _busy(program, machine, timing, windows)
    idle = Idle(program, timing, windows)
    idle_by_group = [idle.by_layer(g) for g in range(len(machine.tile_groups))]
    gaps: list[LayerGap] = []
    total = _Slots()
    for window in sorted(windows, key=lambda w: w.layer):
        number = window.layer
        layer = program.layers[number]
        compute = machine.compute_bound_cycles(_macs([layer]))
        dram = layer.compulsory_dram_bytes / machine.dram_bytes_per_cycle
        lost = _Slots()
        for g, weight in enumerate(_tile_weights(machine, layer)):
            tiles = machine.tile_groups[g].count
            executed = spent.get((number, g), Counter())
            for category, tile_cycles in executed.items():
                lost.add(Lost.RAGGED if category == STEPS else Lost(category), weight * tile_cycles)
            outside = executed.total() - inside[g][number] * tiles
            lost.add(Lost.OVERLAP, weight * (others[g][number] * tiles - outside))
            for category, cycles in idle_by_group[g][number].items():
                lost.add(category, weight * cycles * tiles)
        lost.add(Lost.RAGGED, -compute)
        total.add_all(lost)
        total.add(Lost.BOUNDS, compute)
        cycles = window.end - window.start
        slots = lost.whole(cycles - ceil(compute))
        lost.excuse(dram - compute)
        lost_cycles = lost.whole(cycles - max(ceil(compute), ceil(dram)))
        gaps.append(LayerGap(number, cycles, ceil(compute), ceil(dram), lost_cycles, slots))
    compute = machine.compute_bound_cycles(_macs(program.layers))
    dram = program.metadata.compulsory_dram_bytes / machine.dram_bytes_per_cycle
    bound = max(ceil(compute), ceil(dram))
    unclaimed = timing.cycles - sum(gap.cycles for gap in gaps)
    total.add(Lost.BOUNDS, unclaimed - compute)
    total.excuse(dram - compute)
    return ProgramGap(timing.cycles, bound, total.whole(timing.cycles - bound), tuple(gaps))


def _macs(layers: Iterable[Layer]) -> dict[str, int]:
    macs: Counter[str] = Counter()
    for layer in layers:
        if layer.macs:
            macs[_dtype(layer)] += layer.macs
    return dict(macs)


def _dtype(layer: Layer) -> str:
    return DTYPE_OF_PRECISION.get(layer.mac_type, layer.mac_type)


def _tile_weights(machine: Machine, layer: Layer) -> list[Fraction]:
    """Per group: the share of the machine that one tile is, for MACs of the layer's type, else on the vector lanes."""
    if layer.macs:
        peak = machine.peak_macs_per_cycle(_dtype(layer))
        return [g.macs_per_cycle(_dtype(layer)) / g.count / peak for g in machine.tile_groups]
    lanes = sum(g.count * g.vector_lanes for g in machine.tile_groups)
    return [Fraction(g.vector_lanes, lanes) for g in machine.tile_groups]


def _busy(
    program: Program, machine: Machine, timing: Timing, windows: list[Window]
) -> tuple[list[list[int]], list[list[int]]]:
    """Per group and layer: cycles in which the group executes, in the layer's time, that layer or another one."""
    groups = range(len(machine.tile_groups))
    inside = [[0] * len(program.layers) for _ in groups]
    others = [[0] * len(program.layers) for _ in groups]
    opens = np.zeros(len(program.layers), dtype=np.int64)
    closes = np.zeros(len(program.layers), dtype=np.int64)
    for window in windows:
        opens[window.layer], closes[window.layer] = window.start, window.end
    for stream, unrolled, event in zip(program.streams, timing.streams, timing.stream_events, strict=True):
        if stream.engine is not Engine.FABRIC:
            continue
        layer = np.array([c.layer for c in stream.commands], dtype=np.int64)[unrolled.command]
        within = np.maximum(np.minimum(event.end, closes[layer]) - np.maximum(event.arrival, opens[layer]), 0)
        own = np.zeros(len(program.layers), dtype=np.int64)
        np.add.at(own, layer, within)
        all_ = _busy_until(event, closes) - _busy_until(event, opens)
        inside[stream.group], others[stream.group] = own.tolist(), (all_ - own).tolist()
    return inside, others


def _busy_until(event: StreamEvents, times: Array) -> Array:
    """How long a stream was busy before each time."""
    before = np.concatenate([[0], np.cumsum(event.end - event.arrival)])
    at = np.searchsorted(event.arrival, times)
    ends = np.concatenate([[0], event.end])[at]
    return before[at] - np.maximum(ends - times, 0)


class _Slots:
    """Lost slots by category, exactly."""

    def __init__(self) -> None:
        self.exact: dict[Lost, Fraction] = {}

    def add(self, category: Lost, amount: Fraction) -> None:
        self.exact[category] = self.exact.get(category, Fraction(0)) + amount

    def add_all(self, other: _Slots) -> None:
        for category, amount in other.exact.items():
            self.add(category, amount)

    def excuse(self, excess: Fraction) -> None:
        """What is bound by DRAM has to wait for it: what its bound has beyond the arrays' is no loss. Waits for DRAM
        pay for that; what they do not amount to passed behind other work."""
        excess = max(excess, Fraction(0))
        for category in (Lost.WEIGHTS, Lost.DRAM):
            paid = min(self.exact.get(category, Fraction(0)), excess)
            self.add(category, -paid)
            excess -= paid
        self.add(Lost.HIDDEN, -excess)

    def whole(self, total: int) -> Parts:
        """Whole cycles that add up to `total`: the largest remainders are rounded up."""
        parts = {category: floor(amount) for category, amount in self.exact.items()}
        order = list(Lost)
        largest = sorted(parts, key=lambda c: (parts[c] - self.exact[c], order.index(c)))
        missing = total - sum(parts.values())
        assert 0 <= missing <= len(parts), "the categories are no partition"
        for category in largest[:missing]:
            parts[category] += 1
        return {c: parts[c] for c in Lost if parts.get(c)}
