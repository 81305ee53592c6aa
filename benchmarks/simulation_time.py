"""How long a model takes to simulate at int8 beside bf16: `python -m benchmarks simulation_time`."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from typing import Any

import swkpu
from swkpu import zoo
from swkpu.errors import CalibrationWarning
from swkpu.executable import Executable
from swkpu.tools import console
from swkpu.tools.common import FAULT, OK, ArgumentParser, run_tool

PRECISIONS = ("int8", "bf16")
"""The first is to be no slower than the second."""
SAMPLES = "synthetic:4"
"""What int8 is calibrated with; the values do not change the time."""
EXAMPLE = """\
examples:
  python -m benchmarks simulation_time
  python -m benchmarks simulation_time --models resnet18,mobilenet_v2 --rounds 5

The functional simulation of one input, the fastest of some rounds in turns. The exit code is 1 where int8 is slower.
"""


def arguments() -> ArgumentParser:
    parser = ArgumentParser("python -m benchmarks simulation_time", "Compare simulating int8 and bf16.", EXAMPLE)
    add = parser.add_argument
    add("--models", default="resnet50", metavar="MODEL,...", help="default: resnet50")
    add("--target", default="kpu-t64", metavar="NAME", help="default: kpu-t64")
    add("--rounds", type=int, default=5, metavar="N", help="default: 5")
    add("--json", metavar="FILE", help="write the rows as JSON (- for standard output, instead of the table)")
    return parser


def compiled(name: str, target: str, precision: str) -> Executable:
    calibration = SAMPLES if precision == "int8" else None
    return swkpu.compile(name, target=target, precision=precision, calibration=calibration)


def measure(name: str, target: str, rounds: int) -> dict[str, Any]:
    """The seconds of one model, by precision. The first run of each, which warms caches, does not count."""
    programs = {precision: compiled(name, target, precision) for precision in PRECISIONS}
    inputs = zoo.example_inputs(name)
    seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for _ in range(rounds + 1):
        for precision, program in programs.items():
            start = time.perf_counter()
            program(*inputs)
            seconds[precision].append(time.perf_counter() - start)
    fastest = {precision: min(found[1:]) for precision, found in seconds.items()}
    ratio = fastest["int8"] / fastest["bf16"]
    return {"model": name, "target": target, "seconds": fastest, "ratio": ratio, "met": ratio <= 1}


def run(args: argparse.Namespace) -> int:
    console.check_folders(args.json)
    names = args.models.split(",")
    rows: list[dict[str, Any]] = []
    with console.progress(len(names)) as step, warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        for name in names:
            step(name)
            rows.append(measure(name, args.target, max(1, args.rounds)))
    if args.json is not None:
        console.write_json(rows, args.json)
    if args.json != "-":
        show(rows)
    return OK if all(row["met"] for row in rows) else FAULT


def show(rows: Sequence[dict[str, Any]]) -> None:
    keys = ("int8 s", "bf16 s", "ratio")
    table = [
        (
            row["model"],
            row["target"],
            *(f"{row['seconds'][precision]:.2f}" for precision in PRECISIONS),
            f"{row['ratio']:.2f} {'✓' if row['met'] else '✗ > 1'}",
        )
        for row in rows
    ]
    console.print_table(("model", "target", *keys), table, right=keys)


def main(argv: Sequence[str]) -> int:
    return run_tool(arguments(), list(argv), run)
