"""How large programs are beside their constants."""

from __future__ import annotations

from benchmarks.measure import Case
from benchmarks.metric import Goal, Metric, below

MAX_RECURRENCES = {"resnet18": 24, "mobilenet_v2": 56}


def _recurrences(case: Case) -> Goal | None:
    return below(MAX_RECURRENCES[case.model] + 1) if case.model in MAX_RECURRENCES else None


def _commands(case: Case) -> Goal | None:
    return below(3000) if case.model == "resnet50" else None


def _bytes(case: Case) -> Goal | None:
    return below(320 * 1024) if case.model == "resnet50" else None


METRICS = (
    Metric("recurrences", lambda m: m.layers, goal=_recurrences),
    Metric("commands", lambda m: m.commands, goal=_commands),
    Metric("program_bytes", lambda m: m.program_bytes, goal=_bytes),
    Metric("constant_bytes", lambda m: len(m.executable.program.constants)),
)
