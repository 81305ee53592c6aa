"""Seconds to compile a captured model, and to simulate its program."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.measure import Case
from benchmarks.metric import Goal, Metric, below


def _resnet50(seconds: float) -> Callable[[Case], Goal | None]:
    return lambda case: below(seconds) if case.model == "resnet50" else None


METRICS = (
    Metric("compile_seconds", lambda m: m.compile_seconds, ".2f", _resnet50(30)),
    Metric("functional_seconds", lambda m: m.functional_seconds, ".2f", _resnet50(10)),
    Metric("cycle_seconds", lambda m: m.cycle_seconds, ".2f", _resnet50(20)),
)
