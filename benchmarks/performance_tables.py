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


def bold(text: str, met: bool) -> str:
    """Bold where a goal is missed."""
    return text if met else f"**{text}**"


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


# ---- compile time, and the tools of others -------------------------------------------------------------------------


def compile_growth(found: dict[str, Any]) -> Table:
    """A line per model, and one with the straight line through them."""
    lines = [
        [
            f"`{row['model']}`",
            f"{row['layers']:,}",
            bold(f"{row['seconds']:.2f}", row["met"]["seconds"]),
            bold(f"{row['residual']:+.1%}", row["met"]["linear"]),
            bold(f"{row['peak_bytes'] / 2**20:,.0f}", row["met"]["memory"]),
            f"{row['added_bytes'] / 2**20:,.0f}",
        ]
        for row in found["rows"]
    ]
    line = f"{found['seconds_at_0']:.2f} + {found['seconds_per_layer']:.4f} a layer"
    return ["model", "layers", "CPU s", "from the line", "peak MiB", "added MiB"], [
        *lines,
        ["line", "", line, "", "", ""],
    ]


def vela(rows: Sequence[Row]) -> Table:
    """Vela's and ours side by side."""
    head = ["model", "Vela cycles", "ours", "ratio (goal)", "Vela DRAM MB", "ours", "Vela back end s", "ours"]
    return head, [
        [
            f"`{row['model']}`",
            *(["error"] + 6 * ["–"] if "error" in row else _beside_vela(row)),
        ]
        for row in rows
    ]


def _beside_vela(row: Row) -> list[str]:
    our, their, met = row["ours"], row["vela"], row["met"]
    return [
        f"{their['cycles']:,}",
        f"{our['cycles']:,}",
        bold(f"{our['cycles'] / their['cycles']:.3f}", met["cycles"]) + f" (≤ {row['goal']:.2f})",
        f"{their['dram_bytes'] / 1e6:.1f}",
        bold(f"{our['dram_bytes'] / 1e6:.1f}", met["dram_bytes"]),
        f"{their['seconds']:.1f}",
        bold(f"{our['seconds']:.1f}", met["seconds"]),
    ]


def scalesim(found: dict[str, Any]) -> Table:
    """The different layers, and the sums over all of them."""
    layers: dict[tuple[int, ...], Row] = {}
    for row in found["layers"]:
        layers.setdefault((row["m"], row["n"], row["k"]), row)
    lines = [
        [
            f"`{row['layer']}`",
            *(f"{row[key]:,}" for key in ("m", "n", "k", "ours_apart", "formula")),
            "–" if row["scalesim"] is None else f"{row['scalesim']:,}",
        ]
        for row in layers.values()
    ]
    apart = sum(row["ours_apart"] for row in found["layers"])
    formula = sum(row["formula"] for row in found["layers"])
    total = [f"all {len(found['layers'])}", "", "", "", f"{apart:,}", f"{formula:,}", f"{found['scalesim_cycles']:,}"]
    whole = ["whole program, passes overlapping", "", "", "", f"{found['ours_cycles']:,}", "", ""]
    return ["layer", "M", "N", "K", "ours", "formula", f"SCALE-Sim {found['version']}"], [*lines, total, whole]


def zigzag(found: dict[str, Any]) -> Table:
    ours, theirs = found["ours"], found["zigzag"]
    return ["", "cycles", "CPU s of search"], [
        [f"ZigZag {theirs['version']}", f"{theirs['cycles']:,.0f}", f"{theirs['seconds']:.1f}"],
        ["ours", f"{ours['cycles']:,}", f"{ours['seconds']:.2f}"],
    ]
