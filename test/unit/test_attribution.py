"""Where cycles go: the categories partition the cycles beyond the bound, whatever the program."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import linear_program
from test_timing_reference import programs
from torch import nn

from swkpu import compile
from swkpu.program.model import Engine, Exec, Program
from swkpu.report.attribution import ProgramGap, attribute
from swkpu.report.build import layer_windows
from swkpu.report.categories import FAMILIES, TEXT, Lost
from swkpu.report.exec_losses import exec_losses
from swkpu.report.waits import waits_of
from swkpu.sim.timing import Timing, simulate_timing
from swkpu.target import Machine, load_target

SIGNED = {Lost.OVERLAP, Lost.HIDDEN, Lost.BOUNDS}
"""What moves time between layers; all else is a number of lost slots."""


def assert_partition(gap: ProgramGap) -> None:
    assert sum(gap.lost.values()) == gap.cycles - gap.bound
    assert sum(layer.cycles for layer in gap.layers) == gap.cycles
    for layer in gap.layers:
        assert sum(layer.lost.values()) == layer.cycles - layer.bound
        assert sum(layer.slots.values()) == layer.cycles - layer.compute_bound
    # The layers' slots are the program's, but for what a DRAM bound excuses, and rounding.
    dram = {Lost.DRAM, Lost.WEIGHTS, Lost.HIDDEN, Lost.BOUNDS}
    for category in set(Lost) - dram:
        total = sum(layer.slots.get(category, 0) for layer in gap.layers)
        assert abs(gap.lost.get(category, 0) - total) <= len(gap.layers) + 1


def assert_chain(program: Program, timing: Timing) -> None:
    """Behind every item there is a chain of commands without a gap to the beginning."""
    waits = waits_of(program, timing)
    for stream, event in enumerate(timing.stream_events):
        for item in range(len(event.arrival)):
            at = int(event.completion[item])
            for link in waits.up_to(stream, item, 0):
                assert link.end == at
                assert link.start < link.end
                at = link.start
            assert at == 0


@st.composite
def bounded(draw: st.DrawFn) -> tuple[Program, Machine]:
    """Random programs whose layers claim any work."""
    program, machine = draw(programs())
    numbers = st.integers(0, 1) | st.integers(0, 10**6)
    layers = tuple(replace(x, macs=draw(numbers), compulsory_dram_bytes=draw(numbers)) for x in program.layers)
    bytes_ = sum(x.compulsory_dram_bytes for x in layers)
    return replace(program, layers=layers, metadata=replace(program.metadata, compulsory_dram_bytes=bytes_)), machine


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(bounded())
def test_random_programs(case: tuple[Program, Machine]) -> None:
    program, machine = case
    timing = simulate_timing(program, machine)
    assert_partition(attribute(program, machine, timing))
    assert_chain(program, timing)
    busy: Counter[tuple[int, int]] = Counter()
    for stream, unrolled, event in zip(program.streams, timing.streams, timing.stream_events, strict=True):
        if stream.engine is Engine.FABRIC:
            for index, cycles in zip(unrolled.command.tolist(), (event.end - event.arrival).tolist(), strict=True):
                busy[stream.commands[index].layer, stream.group] += cycles * machine.tile_groups[stream.group].count
    losses = exec_losses(program, machine, timing)
    assert {k: v.total() for k, v in losses.items()} == {k: n for k, n in busy.items() if n}
    assert all(n >= 0 for v in losses.values() for n in v.values())


class Net(nn.Module):
    """Convolutions, a branch, a sum, a pool, a matrix product."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 24, 3, 2, 1)
        self.deep = nn.Conv2d(24, 24, 3, 1, 1, groups=24)
        self.side = nn.Conv2d(24, 24, 1)
        self.last = nn.Linear(24, 500)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).relu()
        return self.last((self.deep(x) + self.side(x)).mean((2, 3)))


@pytest.mark.parametrize(("target", "precision"), [("kpu-16x16", "bf16"), ("swkpu-v1", "fp16"), ("kpu-t64", "bf16")])
def test_a_net(target: str, precision: str) -> None:
    executable = compile(Net().eval(), (torch.zeros(1, 3, 20, 20),), target=target, precision=precision)
    program, machine = executable.program, executable.machine
    timing = simulate_timing(program, machine)
    gap = attribute(program, machine, timing)
    assert_partition(gap)
    assert_chain(program, timing)
    for layer in gap.layers:
        assert all(n >= 0 for c, n in layer.lost.items() if c not in SIGNED), layer
    assert gap.lost.get(Lost.BOUNDS, 0) >= 0
    report = executable.report
    assert [x.cycles for x in gap.layers] == [x.cycles for x in report.layers]
    assert [x.bound for x in gap.layers] == [x.lower_bound_cycles for x in report.layers]
    assert gap.bound == report.lower_bound_cycles


def of_linear(**changes: Any) -> tuple[Program, Machine, Timing, ProgramGap]:
    machine = load_target("kpu-t64")
    program = linear_program(machine)
    program = replace(program, layers=tuple(replace(x, **changes) for x in program.layers))
    timing = simulate_timing(program, machine)
    return program, machine, timing, attribute(program, machine, timing)


def test_by_hand() -> None:
    """4 blocks of 48 reduction steps on 2 of 13 tiles, and an addition on the vector lanes."""
    program, machine, timing, gap = of_linear()
    losses = exec_losses(program, machine, timing)
    [group] = {g for _, g in losses}
    tiles = machine.tile_groups[group].count
    total = sum((Counter(v) for v in losses.values()), Counter[str]())
    execs = 4 * 54 + 32
    assert total.total() == execs * tiles
    used = next(c.tiles.count for s in program.streams for c in s.commands if isinstance(c, Exec))
    loads = total[Lost.PROGRAM_LOAD]
    assert total[Lost.UNUSED_TILES] == (execs - loads // tiles) * (tiles - used)
    # In the end the result travels: a pull, and a store with the DRAM's latency.
    assert gap.lost[Lost.DRAM] > machine.dram_latency_cycles / 2
    assert_partition(gap)


def test_the_dram_that_a_bound_counts_is_no_loss() -> None:
    """Waits for DRAM pay for what a layer's bound has of it beyond the arrays'; what is left passed behind work."""
    machine = load_target("kpu-t64")
    free = of_linear(macs=0, compulsory_dram_bytes=0)[3].layers[0].lost
    waited = free.get(Lost.DRAM, 0) + free.get(Lost.WEIGHTS, 0)
    for bound, hidden in ((waited // 2, 0), (waited + 100, -100)):
        bytes_ = int(bound * machine.dram_bytes_per_cycle)
        lost = of_linear(macs=0, compulsory_dram_bytes=bytes_)[3].layers[0].lost
        assert abs(lost.get(Lost.HIDDEN, 0) - hidden) <= 2
        left = lost.get(Lost.DRAM, 0) + lost.get(Lost.WEIGHTS, 0)
        assert abs(left - max(waited - bound, 0)) <= 2


def test_windows_without_time() -> None:
    """A layer that runs nothing owns nothing and loses nothing."""
    machine = load_target("kpu-t64")
    program = linear_program(machine)
    program = replace(program, layers=(*program.layers, replace(program.layers[0], name="none", macs=0)))
    timing = simulate_timing(program, machine)
    gap = attribute(program, machine, timing)
    assert_partition(gap)
    empty = [w.layer for w in layer_windows(timing) if w.start == w.end]
    assert [x.lost for x in gap.layers if x.layer in empty] == [{} for _ in empty]


def test_the_last_resource_is_that_which_ends_a_transfer() -> None:
    program, _, timing, _ = of_linear()
    waits = waits_of(program, timing)
    for number, (unrolled, event) in enumerate(zip(timing.streams, timing.stream_events, strict=True)):
        alone = event.end - event.arrival == unrolled.own
        for item in np.flatnonzero(~unrolled.is_control).tolist():
            shared = [o[item] for o in unrolled.shared]
            if any(shared) and not alone[item]:
                assert waits.resource[number][item] in unrolled.resources


def test_every_category_has_a_family_and_a_text() -> None:
    assert sorted(c for family in FAMILIES for c in family.members) == sorted(Lost)
    assert set(TEXT) == set(Lost)
