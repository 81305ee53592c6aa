"""Tables of docs/performance.md, from the rows that benches write with `--json`: headings, and lines of cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import schedule_goals as goals

Row = dict[str, Any]
Table = tuple[list[str], list[list[str]]]


def by_target(rows: Sequence[Row], cell: Callable[[Row], str]) -> Table:
    """A line per model, a column per target, both in the order in which they come."""
    models, targets = (list(dict.fromkeys(row[key] for row in rows)) for key in ("model", "target"))
    found = {(row["model"], row["target"]): "error" if "error" in row else cell(row) for row in rows}
    lines = [[f"`{model}`", *(found.get((model, target), "–") for target in targets)] for model in models]
    return ["model", *(f"`{target}`" for target in targets)], lines


def efficiency(row: Row) -> str:
    """Bold where the goal is missed, with the goal."""
    value, goal = f"{row['efficiency']:.3f}", row["goal"]
    return value if goal is None or row["met"] else f"**{value}** < {goal:.3g}"


def dram(row: Row) -> str:
    value = f"{row['dram_ratio']:.2f}"
    return value if row["dram_ratio"] <= goals.DRAM_RATIO else f"**{value}**"


def estimate(row: Row) -> str:
    """Median and largest error; bold where they are missed."""
    parts = (
        (row["estimate_error_median"], goals.ESTIMATE_MEDIAN, ".1%"),
        (row["estimate_error_max"], goals.ESTIMATE_MAX, ".0%"),
    )
    return ", ".join(f"**{v:{spec}}**" if v > limit else f"{v:{spec}}" for v, limit, spec in parts)


def seconds(row: Row) -> str:
    value, limit = f"{row['compile_seconds']:.1f}", goals.COMPILE_SECONDS.get(row["model"])
    return value if limit is None or row["compile_seconds"] <= limit else f"**{value}** > {limit:g}"


def summary(rows: Sequence[Row]) -> str:
    """How many goals are met, in a sentence."""
    fine = [row for row in rows if "error" not in row]
    efficient = sum(row["met"] for row in rows)
    light = sum(row["dram_ratio"] <= goals.DRAM_RATIO for row in fine)
    near = [row["estimate_error_median"] <= goals.ESTIMATE_MEDIAN for row in fine]
    all_near = [row["estimate_error_max"] <= goals.ESTIMATE_MAX for row in fine]
    return (
        f"Of {len(rows)} programs {efficient} reach their goal of efficiency, and {light} move at most "
        f"{goals.DRAM_RATIO:g} times the compulsory DRAM traffic. In {sum(near)} the median error of the layers' "
        f"estimates is within {goals.ESTIMATE_MEDIAN:.0%}, in {sum(all_near)} the largest within "
        f"{goals.ESTIMATE_MAX:.0%}."
    )
