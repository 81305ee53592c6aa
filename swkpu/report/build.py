"""A report from a program, a machine, and what the simulation found."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from swkpu.program.model import Engine, Program
from swkpu.report.report import Check, LayerReport, Report
from swkpu.sim.energy import Breakdown, Energy, Floats, spread
from swkpu.sim.timing import StreamEvents, Timing
from swkpu.sim.unroll import DRAM, L2_READ, L2_WRITE, NOC, Array
from swkpu.target.machine import DTYPE_OF_PRECISION

if TYPE_CHECKING:
    from swkpu.target.machine import Machine

LINE_BYTES = 64
LATENCY_BOUND = 0.5
"""When no resource is busy for more than this share of the time, what bounds it is latency."""


@dataclass(frozen=True)
class Window:
    """A layer's share of the timeline."""

    layer: int
    start: int
    end: int


def build_report(
    program: Program,
    machine: Machine,
    timing: Timing,
    energy: Energy,
    simulate_seconds: float | None,
    compile_seconds: float | None = None,
    check: Check | None = None,
) -> Report:
    """The report of one simulated run."""
    meta, counts, cycles = program.metadata, energy.counts, timing.cycles
    clock_mhz = machine.profile.mhz
    time_us = cycles / clock_mhz
    compute_bound = ceil(machine.compute_bound_cycles(_macs_by_type(program, range(len(program.layers)))))
    dram_bound = ceil(meta.compulsory_dram_bytes / machine.dram_bytes_per_cycle)
    bound = max(compute_bound, dram_bound)
    overall = _utilizations(timing, [0, cycles])[0]
    computing, stalled = _compute_and_stall(timing)
    dram_bytes = counts.dram_read_bytes + counts.dram_write_bytes
    l1_read, l1_in = (
        _bytes_of(timing, Engine.FABRIC, "l1_read_bytes"),
        _bytes_of(timing, Engine.BM_IN, "l1_write_bytes"),
    )
    l2_in = _bytes_of(timing, Engine.DMA_IN, "l2_write_bytes")
    l1_misses, l2_misses = min(_lines(l1_in), _lines(l1_read)), min(_lines(l2_in), _lines(counts.l2_read_bytes))
    return Report(
        model=meta.model,
        target=machine.name,
        profile=machine.profile.name,
        precision=meta.precision,
        batch=meta.batch,
        cycles=cycles,
        lower_bound_cycles=bound,
        efficiency=bound / cycles if cycles else 0.0,
        compute_bound_cycles=compute_bound,
        dram_bound_cycles=dram_bound,
        estimated_cycles=meta.estimated_cycles,
        time_us=time_us,
        clock_mhz=float(clock_mhz),
        throughput_per_s=meta.batch * 1e6 / time_us if time_us else 0.0,
        macs=sum(layer.macs for layer in program.layers),
        dram_read_bytes=counts.dram_read_bytes,
        dram_write_bytes=counts.dram_write_bytes,
        compulsory_dram_bytes=meta.compulsory_dram_bytes,
        l2_read_bytes=counts.l2_read_bytes,
        l2_write_bytes=counts.l2_write_bytes,
        l1_read_bytes=counts.l1_read_bytes,
        l1_write_bytes=counts.l1_write_bytes,
        energy_uj=energy.total.total * 1e-6,
        average_power_w=energy.average_power_w,
        energy_breakdown_uj=energy.total.as_uj(),
        compute_utilization=compute_bound / cycles if cycles else 0.0,
        memory_bandwidth_utilization=float(dram_bytes / machine.dram_bytes_per_cycle / cycles) if cycles else 0.0,
        peak_l1_bytes=meta.peak_l1_bytes,
        peak_l2_bytes=meta.peak_l2_bytes,
        peak_dram_bytes=meta.peak_dram_bytes,
        resident_l2_bytes=meta.resident_l2_bytes,
        resident_l2_bound_bytes=meta.resident_l2_bound_bytes,
        weight_bytes=meta.weight_bytes,
        activation_bytes=meta.activation_bytes,
        compile_seconds=compile_seconds,
        simulate_seconds=simulate_seconds,
        layers=_layer_reports(program, machine, timing, energy),
        check=check,
        bound_by=_bound_by(overall),
        utilization=overall,
        tdp_w=float(energy.tdp.tdp_w),
        tdp_excess_w=energy.tdp.excess_w,
        tdp_fits_mhz=energy.tdp.fits_mhz,
        tdp_fits_profile=energy.tdp.fits_profile,
        compute_cycles=computing,
        memory_stall_cycles=stalled,
        other_cycles=cycles - computing - stalled,
        executed_macs=counts.macs,
        vector_ops=counts.vector_ops,
        noc_bytes=counts.noc_bytes,
        commands=counts.commands,
        l1_hits=_lines(l1_read) - l1_misses,
        l1_misses=l1_misses,
        l2_hits=_lines(counts.l2_read_bytes) - l2_misses,
        l2_misses=l2_misses,
        l1_bytes=min(g.l1_bytes for g in machine.tile_groups),
        l2_bytes=machine.l2.capacity_bytes,
        dram_bytes=machine.dram.capacity_bytes,
        engines=tuple(
            {
                "name": e.name,
                "busy_cycles": e.busy_cycles,
                "semaphore_stall_cycles": e.semaphore_stall_cycles,
                "port_stall_cycles": e.port_stall_cycles,
                "idle_cycles": e.idle_cycles,
                "commands": e.instances,
            }
            for e in timing.engines
        ),
    )


def layer_windows(timing: Timing) -> list[Window]:
    """The timeline cut into one window per layer, in order of time.

    A layer ends with its last exec, or with its last command's completion when it has no exec. It owns the time from
    the end before it in time (of any layer) to its own; the last one owns the rest. Layers that end together are in
    program order, and those without commands own nothing.
    """
    ends = [
        (max(span.exec_end if span.exec_end >= 0 else span.end, 0), number) for number, span in enumerate(timing.layers)
    ]
    windows: list[Window] = []
    start = 0
    for end, number in sorted(ends):
        windows.append(Window(number, start, end))
        start = end
    if windows:
        last = windows[-1]
        windows[-1] = Window(last.layer, last.start, timing.cycles)
    return windows


def _layer_reports(program: Program, machine: Machine, timing: Timing, energy: Energy) -> tuple[LayerReport, ...]:
    windows = layer_windows(timing)
    utilizations = _utilizations(timing, [0, *(w.end for w in windows)])
    dram_bytes = _dram_bytes_by_layer(program, timing)
    reports: list[LayerReport | None] = [None] * len(windows)
    for window, utilization in zip(windows, utilizations, strict=True):
        layer, span = program.layers[window.layer], timing.layers[window.layer]
        cycles = window.end - window.start
        compute_bound = ceil(machine.compute_bound_cycles(_macs_by_type(program, [window.layer])))
        dram_bound = ceil(layer.compulsory_dram_bytes / machine.dram_bytes_per_cycle)
        static_pj = energy.total.static * cycles / timing.cycles if timing.cycles else 0.0
        own = energy.layers[window.layer] + Breakdown(static=static_pj)
        reports[window.layer] = LayerReport(
            name=layer.name,
            op=layer.op,
            source=layer.source,
            cycles=cycles,
            start_cycle=window.start,
            lower_bound_cycles=max(compute_bound, dram_bound),
            bound_by=_bound_by(utilization),
            macs=layer.macs,
            dram_bytes=dram_bytes[window.layer],
            energy_uj=own.total * 1e-6,
            tiling=dict(layer.tiling),
            estimated_cycles=layer.estimated_cycles,
            compute_bound_cycles=compute_bound,
            exec_start_cycle=max(span.exec_start, 0),
            exec_cycles=span.exec_end - span.exec_start,
            utilization=utilization,
            energy_breakdown_uj=own.as_uj(),
        )
    return tuple(r for r in reports if r is not None)


def _macs_by_type(program: Program, layers: range | list[int]) -> dict[str, int]:
    macs: dict[str, int] = {}
    for number in layers:
        layer = program.layers[number]
        if layer.macs:
            dtype = DTYPE_OF_PRECISION.get(layer.mac_type, layer.mac_type)
            macs[dtype] = macs.get(dtype, 0) + layer.macs
    return macs


def _dram_bytes_by_layer(program: Program, timing: Timing) -> list[int]:
    moved = [0] * len(program.layers)
    for stream, unrolled in zip(program.streams, timing.streams, strict=True):
        for command, counts in zip(stream.commands, unrolled.counts, strict=True):
            if command.layer < len(moved):
                moved[command.layer] += counts.dram_read_bytes + counts.dram_write_bytes
    return moved


def _bytes_of(timing: Timing, engine: Engine, counter: str) -> int:
    """One counter over all streams of an engine kind."""
    return sum(int(getattr(c, counter)) for s in timing.streams if s.engine is engine for c in s.counts)


def _lines(bytes_: int) -> int:
    return -(-bytes_ // LINE_BYTES)


# ---------------------------------------------------------------------------------------------------- what bounds it


def _utilizations(timing: Timing, edges: list[int]) -> list[dict[str, float]]:
    """Occupancy of each resource between consecutive edges, 0 to 1.

    An instance's occupancy of a resource is spread over its time on the engine. Of several arrays, or several tile
    groups' L1 ports, the busiest counts; L2 is the busier of its two ports.
    """
    lengths = np.maximum(np.diff(np.asarray(edges, dtype=np.float64)), 1.0)
    shared = {r: np.zeros(len(lengths)) for r in (DRAM, L2_READ, L2_WRITE, NOC)}
    compute, l1 = np.zeros(len(lengths)), np.zeros(len(lengths))
    for stream, event in zip(timing.streams, timing.stream_events, strict=True):
        for resource, occupancy in zip(stream.resources, stream.shared, strict=True):
            shared[resource] += _spread(event, occupancy, edges)
        if stream.engine is Engine.FABRIC:
            compute = np.maximum(compute, _spread(event, stream.own, edges))
        elif stream.engine in (Engine.BM_IN, Engine.BM_OUT):
            l1 = np.maximum(l1, _spread(event, stream.own, edges))
    by_name = {
        "compute": compute,
        "dram": shared[DRAM],
        "l2": np.maximum(shared[L2_READ], shared[L2_WRITE]),
        "noc": shared[NOC],
        "l1": l1,
    }
    shares = {name: np.clip(busy / lengths, 0.0, 1.0) for name, busy in by_name.items()}
    return [{name: float(values[i]) for name, values in shares.items()} for i in range(len(lengths))]


def _spread(event: StreamEvents, occupancy: Array, edges: list[int]) -> Floats:
    return spread(event.arrival, event.end, occupancy, edges)


def _bound_by(utilization: dict[str, float]) -> str:
    name, highest = max(utilization.items(), key=lambda item: item[1])
    return name if highest > LATENCY_BOUND else "latency"


def _compute_and_stall(timing: Timing) -> tuple[int, int]:
    """Cycles in which some array executes, and those in which none does but data is on its way."""
    fabric: list[tuple[Array, Array]] = []
    moving: list[tuple[Array, Array]] = []
    for stream, event in zip(timing.streams, timing.stream_events, strict=True):
        if stream.engine is Engine.FABRIC:
            fabric.append((event.arrival, event.end))
        else:
            moving.append((event.arrival, event.completion))
    computing = _union(fabric)
    return computing, _union(fabric + moving) - computing


def _union(intervals: list[tuple[Array, Array]]) -> int:
    """Cycles that at least one of the intervals covers."""
    if not intervals:
        return 0
    start = np.concatenate([s for s, _ in intervals])
    end = np.concatenate([e for _, e in intervals])
    order = np.argsort(start, kind="stable")
    start, end = start[order], end[order]
    covered = np.concatenate([[0], np.maximum.accumulate(end)[:-1]]) if len(end) else end
    return int(np.maximum(end - np.maximum(start, covered), 0).sum())
