"""How near schedules come to the bound of the machine, per model and target: `python -m benchmarks schedules`.

Timing only: programs are compiled and run through the cycle model, without values.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import schedule_goals as goals
from benchmarks.prepared import WARM_UP, Prepared, compile_for, prepare
from swkpu import zoo
from swkpu.errors import SwkpuError
from swkpu.sim.timing import simulate_timing
from swkpu.target import load_target
from swkpu.tools import console
from swkpu.tools.common import FAULT, OK, ArgumentParser, UsageError, run_tool

Row = dict[str, Any]
EXAMPLE = """\
examples:
  python -m benchmarks schedules
  python -m benchmarks schedules --models resnet18,vit_b_16 --targets kpu-t64
  python -m benchmarks schedules --precision bf16 --json docs/schedules_bf16.json
  python -m benchmarks schedules --batch 8 --json docs/schedules_batch8.json

efficiency  the bound of the whole program (arithmetic at full rate, or compulsory DRAM traffic) / simulated cycles
dram        DRAM traffic / compulsory traffic
estimate    how far the estimates of layers are from their simulated cycles: the median and the largest, of the layers
            that `swkpu explain` compares, as it does
compile s   CPU seconds from nn to a .kpu file, after capture and calibration
At another batch than 1 the goal is the efficiency at batch 1, which is measured too. The exit code is 1 where a goal is
missed.
"""


def arguments() -> ArgumentParser:
    parser = ArgumentParser("python -m benchmarks schedules", "Measure schedules against the bound.", EXAMPLE)
    add = parser.add_argument
    add("--models", type=_names, default=list(goals.MODELS), metavar="MODEL,...", help="default: those with goals")
    add("--targets", type=_names, default=list(goals.TARGETS), metavar="TARGET,...", help="default: those with goals")
    add("--precision", default="int8", help="default: int8")
    add("--batch", type=int, default=1, metavar="N", help="default: 1")
    add("--json", metavar="FILE", help="write the rows as JSON (- for standard output, instead of the table)")
    return parser


def _names(text: str) -> list[str]:
    return text.split(",")


# ---- measuring -----------------------------------------------------------------------------------------------------


def measure(prepared: Prepared, target: str, goal: float | None) -> Row:
    """The numbers of a model on a target. What the compiler refuses has an `error` instead."""
    row: Row = {
        "model": prepared.model,
        "target": target,
        "precision": prepared.precision,
        "batch": prepared.batch,
        "goal": goal,
    }
    try:
        compiled = compile_for(prepared, target)
        executable, start = compiled.executable, time.process_time()
        simulate_timing(executable.program, executable.machine)
        seconds = time.process_time() - start
        report, agreed = executable.report, executable.explain().estimate.differences
    except SwkpuError as error:
        return {**row, "error": str(error), "met": False}
    row |= {
        "cycles": report.cycles,
        "bound_cycles": report.lower_bound_cycles,
        "efficiency": report.efficiency,
        "bound_by": "compute" if report.compute_bound_cycles >= report.dram_bound_cycles else "dram",
        "dram_bytes": report.dram_read_bytes + report.dram_write_bytes,
        "compulsory_dram_bytes": report.compulsory_dram_bytes,
        "dram_ratio": (report.dram_read_bytes + report.dram_write_bytes) / report.compulsory_dram_bytes,
        "estimated_cycles": report.estimated_cycles,
        "estimate_error_median": agreed.median,
        "estimate_error_max": agreed.largest,
        "layers": len(report.layers),
        "commands": report.commands,
        "compile_seconds": compiled.seconds,
        "simulate_seconds": seconds,
    }
    return {**row, "met": goal is None or row["efficiency"] >= goal}


def rows_of(model: str, targets: Sequence[str], precision: str, batch: int, announce: console.Progress) -> list[Row]:
    """A model on all targets, prepared once."""
    announce(f"{model}: capture and calibration")
    single = prepare(model, precision)
    many = single if batch == 1 else prepare(model, precision, batch)
    rows: list[Row] = []
    for target in targets:
        announce(f"{model} on {target}")
        goal = goals.efficiency_goal(model, target, precision)
        if batch != 1:
            goal = measure(single, target, None).get("efficiency")
        rows.append(measure(many, target, goal))
        gc.collect()
    return rows


# ---- showing -------------------------------------------------------------------------------------------------------


def marked(text: str, met: bool, goal: str) -> str:
    return f"{text} ✓" if met else f"{text} ✗ {goal}"


def cells(row: Row) -> tuple[str, ...]:
    """A line of the table."""
    if "error" in row:
        return row["model"], row["target"], "–", "–", "error", "–", "–", "–"
    goal, limit = row["goal"], goals.COMPILE_SECONDS.get(row["model"])
    efficiency, seconds = f"{row['efficiency']:.3f}", f"{row['compile_seconds']:.1f}"
    middle, most = row["estimate_error_median"], row["estimate_error_max"]
    near = middle <= goals.ESTIMATE_MEDIAN and most <= goals.ESTIMATE_MAX
    return (
        row["model"],
        row["target"],
        f"{row['cycles']:,}",
        f"{row['bound_cycles']:,}",
        efficiency if goal is None else marked(efficiency, row["met"], f"≥ {goal:.3g}"),
        marked(f"{row['dram_ratio']:.3f}", row["dram_ratio"] <= goals.DRAM_RATIO, f"> {goals.DRAM_RATIO:g}"),
        marked(f"{middle:.1%}, {most:.0%}", near, "").rstrip(),
        seconds if limit is None else marked(seconds, row["compile_seconds"] <= limit, f"> {limit:g}"),
    )


def show(rows: Sequence[Row]) -> None:
    keys = ("cycles", "bound", "efficiency", "dram", "estimate", "compile s")
    console.print_table(("model", "target", *keys), map(cells, rows), right=keys)
    with_goal = [row for row in rows if row["goal"] is not None or "error" in row]
    print(f"{sum(row['met'] for row in with_goal)} of {len(with_goal)} goals of efficiency met")
    for row in rows:
        if "error" in row:
            print(f"{row['model']} on {row['target']}: {row['error']}")


# ---- the command ---------------------------------------------------------------------------------------------------


def check_names(args: argparse.Namespace) -> None:
    """Raises before any long work where a model or target is not known."""
    for target in args.targets:
        load_target(target)
    for model in args.models:
        zoo.info(model)
    if args.batch < 1:
        raise UsageError(f"batch = {args.batch}: expected a whole number from 1")


def run(args: argparse.Namespace) -> int:
    console.check_folders(args.json)
    check_names(args)
    rows: list[Row] = []
    with console.progress(len(args.models) * (len(args.targets) + 1)) as step:
        compile_for(prepare(WARM_UP, args.precision), args.targets[0])
        for model in args.models:
            rows += rows_of(model, args.targets, args.precision, args.batch, step)
            if args.json is not None and args.json != "-":
                console.write_json(rows, args.json)  # of what is known, should a later model fail
    if args.json == "-":
        console.write_json(rows, args.json)
    else:
        show(rows)
    return OK if all(row["met"] for row in rows) else FAULT


def main(argv: Sequence[str]) -> int:
    return run_tool(arguments(), list(argv), run)
