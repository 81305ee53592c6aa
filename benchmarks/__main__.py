"""Measure models on targets, print tables, and say which goals are met."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks import accuracy, compactness, compile_time, efficiency
from benchmarks.measure import MATRIX, Case, Measured
from benchmarks.metric import Metric
from swkpu.errors import SwkpuError
from swkpu.tools import console
from swkpu.tools.common import FAULT, OK, ArgumentParser, UsageError, run_tool

BENCHMARKS: dict[str, tuple[Metric, ...]] = {
    "accuracy": accuracy.METRICS,
    "efficiency": efficiency.METRICS,
    "compactness": compactness.METRICS,
    "compile_time": compile_time.METRICS,
}
COMMANDS = {
    "zoo": "benchmarks.zoo",
    "import_time": "benchmarks.import_time",
    "calibration_time": "benchmarks.calibration_time",
    "simulation_time": "benchmarks.simulation_time",
    "schedules": "benchmarks.schedules",
    "compile_growth": "benchmarks.compile_growth",
    "scalesim": "benchmarks.others.scalesim",
    "zigzag": "benchmarks.others.zigzag",
    "vela": "benchmarks.others.vela",
    "conformance": "benchmarks.conformance",
    "digits": "benchmarks.quantization.digits",
    "sqnr": "benchmarks.quantization.sqnr",
    "accuracy_table": "benchmarks.quantization.accuracy_table",
}
"""Benchmarks with arguments of their own: modules that have a `main`."""
EXAMPLE = """\
examples:
  python -m benchmarks
  python -m benchmarks accuracy --models resnet18 --targets kpu-t64 --json accuracy.json
  python -m benchmarks zoo --help
  python -m benchmarks import_time --help
  python -m benchmarks calibration_time --help
  python -m benchmarks simulation_time --help
  python -m benchmarks schedules --help
  python -m benchmarks compile_growth --help
  python -m benchmarks scalesim --help
  python -m benchmarks zigzag --help
  python -m benchmarks vela --help
  python -m benchmarks conformance --level kpu
  python -m benchmarks digits --help
  python -m benchmarks sqnr --help
  python -m benchmarks accuracy_table --help

The exit code is 1 where a goal is missed.
"""


def arguments() -> ArgumentParser:
    parser = ArgumentParser("python -m benchmarks", "Measure compiled models.", EXAMPLE)
    add = parser.add_argument
    add("benchmarks", nargs="*", metavar="BENCHMARK", help=f"{', '.join(BENCHMARKS)} (default: all)")
    add("--models", nargs="+", metavar="MODEL", help="only these of the matrix")
    add("--targets", nargs="+", metavar="TARGET", help="only these of the matrix")
    add("--precisions", nargs="+", metavar="PRECISION", help="only these of the matrix")
    add("--json", metavar="FILE", help="write the numbers as JSON (- for standard output, instead of the tables)")
    return parser


def chosen_cases(args: argparse.Namespace) -> list[Case]:
    cases = MATRIX
    for flag, names in (("model", args.models), ("target", args.targets), ("precision", args.precisions)):
        known = list(dict.fromkeys(getattr(case, flag) for case in MATRIX))
        for name in names or ():
            if name not in known:
                raise UsageError(f"{flag} {name} is not in the matrix; it has {', '.join(known)}")
        cases = [case for case in cases if names is None or getattr(case, flag) in names]
    if not cases:
        raise UsageError("no case of the matrix is left")
    return cases


def measure(case: Case, benchmarks: Sequence[str]) -> dict[str, Any]:
    """The numbers of a case, and `goals`: those that have one, with whether they are met. Errors are kept."""
    row: dict[str, Any] = {"model": case.model, "target": case.target, "precision": case.precision, "goals": {}}
    measured = Measured(case)
    try:
        for metric in (metric for name in benchmarks for metric in BENCHMARKS[name]):
            value, goal = metric.value(measured), metric.goal(case)
            row[metric.key] = value
            if goal is not None:
                row["goals"][metric.key] = {"goal": str(goal), "met": goal.met(value)}
    except SwkpuError as error:
        row["error"] = str(error)
    gc.collect()
    return row


def show(name: str, cases: Sequence[Case], rows: Sequence[dict[str, Any]]) -> None:
    metrics = BENCHMARKS[name]
    table = [
        (
            case.model,
            case.target,
            case.precision,
            *(m.text(row[m.key], m.goal(case)) if m.key in row else "error" for m in metrics),
        )
        for case, row in zip(cases, rows, strict=True)
    ]
    keys = [m.key for m in metrics]
    print(f"\n{name}")
    console.print_table(("model", "target", "precision", *keys), table, right=keys)


def failures(rows: Sequence[dict[str, Any]]) -> list[str]:
    out: list[str] = []
    for row in rows:
        where = f"{row['model']} on {row['target']} at {row['precision']}"
        if "error" in row:
            out.append(f"{where}: {row['error']}")
        out += [
            f"{where}: {key} = {row[key]:g}, expected {goal['goal']}"
            for key, goal in row["goals"].items()
            if not goal["met"]
        ]
    return out


def run(args: argparse.Namespace) -> int:
    for name in args.benchmarks:
        if name not in BENCHMARKS:
            raise UsageError(f"unknown benchmark '{name}'; there are {', '.join(BENCHMARKS)}")
    console.check_folders(args.json)
    benchmarks, cases = args.benchmarks or list(BENCHMARKS), chosen_cases(args)
    if os.getloadavg()[0] > (os.cpu_count() or 1):
        console.note(f"others keep this machine busy (load {os.getloadavg()[0]:.1f}): times are too long")
    rows: list[dict[str, Any]] = []
    with console.progress(len(cases)) as step:
        for case in cases:
            step(f"{case.model} on {case.target} at {case.precision}")
            rows.append(measure(case, benchmarks))
    missed = failures(rows)
    if args.json is not None:
        console.write_json(rows, args.json)
    if args.json != "-":
        for name in benchmarks:
            show(name, cases, rows)
        goals = sum(len(row["goals"]) for row in rows)
        print(f"\n{goals - sum(not g['met'] for r in rows for g in r['goals'].values())} of {goals} goals met")
    for text in missed:
        print(f"missed: {text}", file=sys.stderr)
    return FAULT if missed else OK


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        sys.exit(import_module(COMMANDS[sys.argv[1]]).main(sys.argv[2:]))
    sys.exit(run_tool(arguments(), None, run))
