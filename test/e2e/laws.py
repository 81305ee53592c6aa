"""What holds for every simulated program, whatever the model and the target."""

from __future__ import annotations

from itertools import pairwise

import pytest

from swkpu.executable import Executable
from swkpu.report.report import Check, Report

MIN_SQNR_DB = {"fp16": 52.0, "bf16": 35.0}
MAX_REL_DIFF = {"fp32": 1e-5}


def check_accuracy(precision: str, check: Check | None) -> None:
    """What each precision promises against eager fp32."""
    assert check is not None
    assert check.max_rel_diff < MAX_REL_DIFF.get(precision, 0.05)
    assert check.sqnr_db is None or check.sqnr_db > MIN_SQNR_DB.get(precision, 90.0)


def check_laws(executable: Executable) -> Report:
    """Nothing beats its bound, and every total is the sum of its parts. Returns the report."""
    report = executable.report
    _check_bounds(report)
    _check_timeline(report)
    _check_energy(report)
    assert 0 < report.peak_l1_bytes <= report.l1_bytes
    assert 0 < report.peak_l2_bytes <= report.l2_bytes
    assert 0 < report.peak_dram_bytes <= report.dram_bytes
    assert executable.simulate("functional").cycles <= report.cycles, "contention made the program faster"
    return report


def _check_bounds(report: Report) -> None:
    assert report.lower_bound_cycles == max(report.compute_bound_cycles, report.dram_bound_cycles)
    assert 0 < report.lower_bound_cycles <= report.cycles
    assert report.efficiency == pytest.approx(report.lower_bound_cycles / report.cycles)
    assert report.dram_read_bytes + report.dram_write_bytes >= report.compulsory_dram_bytes
    assert report.executed_macs >= report.macs
    for layer in report.layers:
        assert layer.exec_cycles >= layer.compute_bound_cycles, layer.name
    assert all(0 <= share <= 1 for layer in report.layers for share in layer.utilization.values())


def _check_timeline(report: Report) -> None:
    """Layers partition the timeline; so do computing, waiting for data, and the rest."""
    layers = sorted((x for x in report.layers if x.cycles), key=lambda x: x.start_cycle)
    assert layers[0].start_cycle == 0
    for before, after in pairwise(layers):
        assert before.start_cycle + before.cycles == after.start_cycle
    assert sum(x.cycles for x in report.layers) == report.cycles
    assert report.compute_cycles + report.memory_stall_cycles + report.other_cycles == report.cycles
    assert min(report.compute_cycles, report.memory_stall_cycles, report.other_cycles) >= 0
    for engine in report.engines:
        parts = ("busy_cycles", "semaphore_stall_cycles", "port_stall_cycles", "idle_cycles")
        assert sum(engine[part] for part in parts) == report.cycles, engine["name"]


def _check_energy(report: Report) -> None:
    """Components and layers add up, and power is energy over time."""
    assert sum(report.energy_breakdown_uj.values()) == pytest.approx(report.energy_uj)
    assert sum(x.energy_uj for x in report.layers) == pytest.approx(report.energy_uj)
    for layer in report.layers:
        assert sum(layer.energy_breakdown_uj.values()) == pytest.approx(layer.energy_uj)
    assert report.average_power_w * report.time_us == pytest.approx(report.energy_uj)
    assert report.time_us == pytest.approx(report.cycles / report.clock_mhz)
    assert report.throughput_per_s == pytest.approx(report.batch * 1e6 / report.time_us)
