"""The report: its keys, its laws, and the table."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from programs import linear_program

from swkpu.errors import InputError
from swkpu.program.model import Program
from swkpu.report.build import build_report, layer_windows
from swkpu.report.report import Check, Report
from swkpu.sim.energy import simulate_energy
from swkpu.sim.timing import LayerTiming, Timing, simulate_timing
from swkpu.target.loader import load_target
from swkpu.target.machine import Machine

KEYS = [
    "model",
    "target",
    "profile",
    "precision",
    "batch",
    "cycles",
    "lower_bound_cycles",
    "efficiency",
    "compute_bound_cycles",
    "dram_bound_cycles",
    "estimated_cycles",
    "time_us",
    "clock_mhz",
    "throughput_per_s",
    "macs",
    "dram_read_bytes",
    "dram_write_bytes",
    "compulsory_dram_bytes",
    "l2_read_bytes",
    "l2_write_bytes",
    "l1_read_bytes",
    "l1_write_bytes",
    "energy_uj",
    "average_power_w",
    "energy_breakdown_uj",
    "compute_utilization",
    "memory_bandwidth_utilization",
    "peak_l1_bytes",
    "peak_l2_bytes",
    "peak_dram_bytes",
    "weight_bytes",
    "activation_bytes",
    "compile_seconds",
    "simulate_seconds",
    "layers",
    "check",
]
LAYER_KEYS = [
    "name",
    "op",
    "source",
    "cycles",
    "start_cycle",
    "lower_bound_cycles",
    "bound_by",
    "macs",
    "dram_bytes",
    "energy_uj",
    "tiling",
]  # the promise of the documented interface


@pytest.fixture
def machine() -> Machine:
    return load_target("kpu-t64")


def report_of(program: Program, machine: Machine, check: Check | None = None) -> Report:
    timing = simulate_timing(program, machine)
    return build_report(program, machine, timing, simulate_energy(program, machine, timing), 0.25, check=check)


def linear(machine: Machine) -> Program:
    program = linear_program(machine)
    return replace(program, metadata=replace(program.metadata, compulsory_dram_bytes=1824))


def test_keys(machine: Machine) -> None:
    data = json.loads(report_of(linear(machine), machine).to_json())
    assert set(KEYS) <= set(data)
    assert set(data["energy_breakdown_uj"]) == {"compute", "l1", "l2", "noc", "dram", "control", "static"}
    assert set(LAYER_KEYS) <= set(data["layers"][0])


def test_numbers(machine: Machine) -> None:
    r = report_of(linear(machine), machine)
    assert r.cycles == 493
    # 4096 MACs at 13 * 128 + 7 * 64 * 2 a cycle is 1.6; 1824 bytes at 2560 / 17 is 12.1.
    assert (r.compute_bound_cycles, r.dram_bound_cycles, r.lower_bound_cycles) == (2, 13, 13)
    assert r.efficiency == pytest.approx(13 / 493)
    assert r.time_us == pytest.approx(493 / 850)
    assert r.throughput_per_s == pytest.approx(850e6 / 493)
    assert r.memory_bandwidth_utilization == pytest.approx((1344 + 512) * 17 / 2560 / 493)
    assert sum(r.energy_breakdown_uj.values()) == pytest.approx(r.energy_uj, rel=1e-9)
    assert r.compute_cycles + r.memory_stall_cycles + r.other_cycles == r.cycles
    assert r.compute_cycles == 4 * 54 + 32
    # Lines read by the arrays, and lines that were brought in for them.
    assert r.l1_misses == (1024 + 2 * 288) // 64
    assert r.l1_hits == (8 * 16 * 48 + 256 * 4) // 64 - r.l1_misses


def test_round_trip(machine: Machine) -> None:
    check = Check(0.5, 0.01, 40.0, True)
    r = report_of(linear(machine), machine, check)
    assert Report.from_json(r.to_json()) == r
    exact = replace(r, check=Check(0.0, 0.0, math.inf))
    back = Report.from_json(exact.to_json()).check
    assert back is not None
    assert back.sqnr_db is None
    assert "no noise" in str(exact)


def test_bad_json() -> None:
    with pytest.raises(InputError, match="not valid JSON"):
        Report.from_json("{")
    with pytest.raises(InputError, match="expected a JSON object"):
        Report.from_json("[]")
    with pytest.raises(InputError, match="missing keys: model"):
        Report.from_json("{}")


def test_table_reads_well_in_a_pipe(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = str(report_of(linear(machine), machine))
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "lower bound" in text
    assert "493" in text
    assert "…" not in text


def test_zero_bound_is_a_dash(machine: Machine) -> None:
    program = linear_program(machine)
    program = replace(program, layers=tuple(replace(layer, macs=0) for layer in program.layers))
    r = report_of(program, machine)
    assert r.lower_bound_cycles == 0
    assert r.efficiency == 0.0
    lines = str(r).splitlines()
    assert next(line for line in lines if line.startswith("efficiency")).split()[-1] == "–"


def test_over_tdp_says_what_fits(machine: Machine) -> None:
    r = replace(report_of(linear(machine), machine), tdp_excess_w=1.5, tdp_fits_mhz=640.4, tdp_fits_profile="3W")
    assert "exceeds it by 1.50 W, 640 MHz fits; profile 3W fits" in " ".join(str(r).split())


def timing_with(layers: tuple[LayerTiming, ...], cycles: int, base: Timing) -> Timing:
    return replace(base, layers=layers, cycles=cycles)


def test_layer_windows_partition_the_timeline(machine: Machine) -> None:
    base = simulate_timing(linear_program(machine), machine)
    spans = (
        LayerTiming(0, 90, 20, 50),
        LayerTiming(0, 200, 50, 170),
        LayerTiming(5, 140, 60, 120),
        LayerTiming(-1, -1, -1, -1),
        LayerTiming(150, 180, -1, -1),
    )
    windows = layer_windows(timing_with(spans, 210, base))
    assert [(w.layer, w.start, w.end) for w in windows] == [
        (3, 0, 0),
        (0, 0, 50),
        (2, 50, 120),
        (1, 120, 170),
        (4, 170, 210),
    ]
    r = report_of(linear(machine), machine)
    assert sum(layer.cycles for layer in r.layers) == r.cycles


def test_what_bounds_a_program(machine: Machine) -> None:
    r = report_of(linear(machine), machine)
    assert r.bound_by == "compute"
    starved = replace(machine, dram=replace(machine.dram, bandwidth_gb_s=0.5))
    assert report_of(linear(starved), starved).bound_by == "dram"
    far = replace(machine, dram=replace(machine.dram, latency_ns=10_000.0))
    assert report_of(linear(far), far).bound_by == "latency"
    assert report_of(linear(far), far).layers[0].bound_by == "latency"
