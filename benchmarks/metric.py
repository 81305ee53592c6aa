"""Metrics of a measured case, and the targets some of them have to meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.measure import Case, Measured


@dataclass(frozen=True)
class Goal:
    """A metric has to stay below, or get above, a number."""

    limit: float
    below: bool

    def met(self, value: float | None) -> bool:
        """No value is no noise, which is above any limit."""
        if value is None:
            return not self.below
        return value < self.limit if self.below else value > self.limit

    def __str__(self) -> str:
        return f"{'<' if self.below else '>'} {self.limit:g}"


def below(limit: float) -> Goal:
    return Goal(limit, below=True)


def above(limit: float) -> Goal:
    return Goal(limit, below=False)


@dataclass(frozen=True)
class Metric:
    """A column. `goal` says what a case has to meet, None where nothing."""

    key: str
    value: Callable[[Measured], float | None]
    format: str = ","
    goal: Callable[[Case], Goal | None] = lambda case: None

    def text(self, value: float | None, goal: Goal | None) -> str:
        shown = "–" if value is None else format(value, self.format)
        return shown if goal is None else f"{shown} {'✓' if goal.met(value) else f'✗ {goal}'}"
