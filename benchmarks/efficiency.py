"""Cycles against the lower bound, and against the compiler's own estimate."""

from __future__ import annotations

from benchmarks.measure import Case
from benchmarks.metric import Goal, Metric, above


def _efficiency(case: Case) -> Goal | None:
    return above(0.5) if case.model == "resnet18" and case.target in ("swkpu-v1", "kpu-t64") else None


METRICS = (
    Metric("cycles", lambda m: m.report.cycles),
    Metric("lower_bound_cycles", lambda m: m.report.lower_bound_cycles),
    Metric("estimated_cycles", lambda m: m.report.estimated_cycles),
    Metric("efficiency", lambda m: m.report.efficiency, ".3f", _efficiency),
    Metric("time_ms", lambda m: m.report.time_us / 1e3, ".3f"),
    Metric("energy_mj", lambda m: m.report.energy_uj / 1e3, ".2f"),
    Metric("average_power_w", lambda m: m.report.average_power_w, ".2f"),
    Metric("dram_mb", lambda m: (m.report.dram_read_bytes + m.report.dram_write_bytes) / 1e6, ".1f"),
)
