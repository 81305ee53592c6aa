"""The accuracy table of the simulator's requirements, measured: `python -m benchmarks accuracy_table`.

The requirements ask for a largest absolute difference from PyTorch. Outputs of these models (with random weights) have
ranges of their own, so each difference is also shown relative to the largest output, and the reason is given where a
storage type alone makes the absolute figure impossible.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import swkpu
from benchmarks.quantization import ours
from benchmarks.quantization.signal import Subject, decibels
from swkpu.executable import Executable
from swkpu.quant.calibration import Calibration
from swkpu.report.report import Check
from swkpu.tools import console
from swkpu.tools.common import FAULT, OK, ArgumentParser, run_tool

MAX_ERROR = 0.01
"""What mixed precision keeps within, relative to the largest output."""
SAMPLES, TESTS = 100, 2
EXAMPLE = f"""\
examples:
  python -m benchmarks accuracy_table
  python -m benchmarks accuracy_table --samples 32 --json table.json

Everything runs as a binary on the simulator of {ours.TARGET}. `mixed` has to be within {MAX_ERROR} of the
largest output on every row: the exit code is 1 where it is not.
"""


@dataclass(frozen=True)
class Row:
    """A row of the requirements: the largest absolute difference at a precision."""

    model: str
    precision: str
    goal: float


ROWS = (
    Row("resnet18", "fp16", 0.001),
    Row("resnet18", "int8", 0.01),
    Row("yolov8n", "fp16", 0.001),
    Row("yolov8n", "int8", 0.02),
    Row("mobilenet_v2", "int8", 0.01),
)


@dataclass(frozen=True)
class Case:
    """A model with its calibration, made when first needed."""

    subject: Subject
    observer: str

    @cached_property
    def ranges(self) -> Calibration:
        return ours.calibrated(self.subject.model, self.subject.calibration(), self.observer)

    def executable(self, precision: str) -> Executable:
        options: dict[str, Any] = {"calibration": self.ranges} if precision == "int8" else {}
        if precision == "mixed":
            options = {"calibration": self.subject.calibration(), "observer": self.observer, "max_error": MAX_ERROR}
        example = self.subject.inputs()[0]
        return swkpu.compile(self.subject.model, example, target=ours.TARGET, precision=precision, **options)

    def check(self, precision: str) -> Check:
        """The worst of the test inputs."""
        return max(self.subject.checks(self.executable(precision)), key=lambda check: check.max_rel_diff)


def arguments() -> ArgumentParser:
    parser = ArgumentParser("python -m benchmarks accuracy_table", "The requirements' accuracy table.", EXAMPLE)
    add = parser.add_argument
    add("--samples", type=int, default=SAMPLES, metavar="N", help=f"to calibrate on (default: {SAMPLES})")
    add("--tests", type=int, default=TESTS, metavar="N", help=f"inputs to compare on (default: {TESTS})")
    add("--observer", default="mse", help="how ranges are chosen (default: mse)")
    add("--json", metavar="FILE", help="write the rows as JSON (- for standard output, instead of the table)")
    return parser


def rounding(precision: str, outputs: Sequence[Any]) -> float:
    """How far the nearest value of the storage type may be from an output, at the least."""
    low, high = (float(f([f(y) for y in outputs])) for f in (np.min, np.max))
    if precision == "fp16":
        return float(np.spacing(np.float16(max(-low, high)))) / 2
    return (high - low) / 255 / 2


def comment(row: Row, check: Check, outputs: Sequence[Any]) -> str:
    """Why the absolute figure is missed, where rounding alone explains it."""
    least = rounding(row.precision, outputs)
    if check.max_abs_diff < row.goal:
        return ""
    if least > row.goal:
        return f"outputs reach {max(np.abs(y).max() for y in outputs):.4g}: rounding them once is off by {least:.2g}"
    return f"rounding the outputs alone is off by {least:.2g}; every layer rounds"


def measure(args: argparse.Namespace, announce: Callable[[str], None]) -> list[dict[str, Any]]:
    cases = {name: Case(Subject(name, args.samples, args.tests), args.observer) for name in {r.model for r in ROWS}}
    mixed: dict[str, Check] = {}
    rows: list[dict[str, Any]] = []
    for row in ROWS:
        case = cases[row.model]
        announce(f"{row.model} at {row.precision}")
        check = case.check(row.precision)
        if row.model not in mixed:
            announce(f"{row.model} at mixed precision")
            mixed[row.model] = case.check("mixed")
        rows.append(
            {
                "model": row.model,
                "precision": row.precision,
                "goal": row.goal,
                "max_abs_diff": check.max_abs_diff,
                "max_rel_diff": check.max_rel_diff,
                "sqnr_db": decibels([check])[0],
                "met_absolute": check.max_abs_diff < row.goal,
                "met_relative": check.max_rel_diff < row.goal,
                "comment": comment(row, check, [y for outputs in case.subject.expected for y in outputs]),
                "mixed_rel_diff": mixed[row.model].max_rel_diff,
            }
        )
        gc.collect()
    return rows


def run(args: argparse.Namespace) -> int:
    console.check_folders(args.json)
    with console.progress() as step:
        rows = measure(args, step)
    if args.json is not None:
        console.write_json(rows, args.json)
    if args.json != "-":
        show(rows)
    return OK if all(row["mixed_rel_diff"] <= MAX_ERROR for row in rows) else FAULT


def show(rows: Sequence[dict[str, Any]]) -> None:
    keys = ("goal", "max abs", "max rel", "SQNR dB", "mixed max rel")
    table = [
        (
            row["model"],
            row["precision"],
            f"< {row['goal']:g}",
            f"{row['max_abs_diff']:.2e} {'✓' if row['met_absolute'] else '✗'}",
            f"{row['max_rel_diff']:.2e} {'✓' if row['met_relative'] else '✗'}",
            f"{row['sqnr_db']:.1f}",
            f"{row['mixed_rel_diff']:.2e} {'✓' if row['mixed_rel_diff'] <= MAX_ERROR else '✗'}",
            row["comment"],
        )
        for row in rows
    ]
    console.print_table(("model", "precision", *keys, "comment"), table, right=keys)
    print(
        "max abs: largest difference from eager fp32; max rel: over the largest output; ✓ and ✗ are for the same goal"
    )
    print(f"mixed: int8 and 16-bit floats by layer, chosen for max rel ≤ {MAX_ERROR}")


def main(argv: Sequence[str]) -> int:
    return run_tool(arguments(), list(argv), run)
