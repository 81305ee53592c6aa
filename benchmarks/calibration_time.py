"""How long calibrating takes beside the eager model on the same samples: `python -m benchmarks calibration_time`."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from swkpu import zoo
from swkpu.errors import CalibrationWarning
from swkpu.frontend import import_model
from swkpu.passes.pipeline import folding_pipeline
from swkpu.quant.calibration import calibrate
from swkpu.quant.data import open_samples
from swkpu.quant.observers import OBSERVERS
from swkpu.quant.samples import inputs_of
from swkpu.tools import console
from swkpu.tools.common import FAULT, OK, ArgumentParser, run_tool

GOAL = 1.5
"""Calibrating takes at most this many times as long as running the model eagerly."""
ROUNDS = 3
"""Each is measured this often, in turns; the fastest counts."""
EXAMPLE = """\
examples:
  python -m benchmarks calibration_time
  python -m benchmarks calibration_time --models mobilenet_v2,vit_b_16 --samples 20

The exit code is 1 where calibrating takes longer than 1.5 times the eager passes.
"""


def arguments() -> ArgumentParser:
    parser = ArgumentParser("python -m benchmarks calibration_time", "Compare calibrating with eager passes.", EXAMPLE)
    add = parser.add_argument
    add("--models", type=_names, default=["resnet18"], metavar="MODEL,...", help="default: resnet18")
    add("--observers", type=_names, default=list(OBSERVERS), metavar="NAME,...", help="default: all")
    add("--samples", type=int, default=100, metavar="N", help="default: 100")
    add("--json", metavar="FILE", help="write the rows as JSON")
    return parser


def _names(text: str) -> list[str]:
    return text.split(",")


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one thread, which do not depend on what else the machine does."""
    start = time.process_time()
    work()
    return time.process_time() - start


def folded(name: str) -> ModuleOp:
    """The module that calibration runs."""
    module = import_model(zoo.build(name), zoo.example_inputs(name), name)
    for step in folding_pipeline():
        step.apply(Context(), module)
    return module


def measure(name: str, observers: Sequence[str], count: int) -> list[dict[str, Any]]:
    model, module = zoo.build(name), folded(name)
    samples = list(open_samples(f"synthetic:{count}", inputs_of(module), name))

    def eager() -> None:
        with torch.no_grad():
            for sample in samples:
                model(*sample)

    work = {observer: lambda observer=observer: calibrate(module, samples, observer) for observer in observers}
    eager()
    times = [{"eager": seconds(eager), **{o: seconds(run) for o, run in work.items()}} for _ in range(ROUNDS)]
    fastest = {key: min(row[key] for row in times) for key in times[0]}
    return [
        {
            "model": name,
            "observer": observer,
            "samples": count,
            "eager_seconds": fastest["eager"],
            "calibration_seconds": fastest[observer],
            "ratio": fastest[observer] / fastest["eager"],
            "met": fastest[observer] <= GOAL * fastest["eager"],
        }
        for observer in observers
    ]


def run(args: argparse.Namespace) -> int:
    console.check_folders(args.json)
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    with console.progress(len(args.models)) as step, warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        for name in args.models:
            step(name)
            rows += measure(name, args.observers, args.samples)
    if args.json is not None:
        console.write_json(rows, args.json)
    if args.json != "-":
        show(rows)
    return OK if all(row["met"] for row in rows) else FAULT


def show(rows: Sequence[dict[str, Any]]) -> None:
    keys = ("samples", "eager s", "calibration s", "ratio")
    table = [
        (
            row["model"],
            row["observer"],
            f"{row['samples']:,}",
            f"{row['eager_seconds']:.2f}",
            f"{row['calibration_seconds']:.2f}",
            f"{row['ratio']:.2f} {'✓' if row['met'] else f'✗ > {GOAL:g}'}",
        )
        for row in rows
    ]
    console.print_table(("model", "observer", *keys), table, right=keys)


def main(argv: Sequence[str]) -> int:
    return run_tool(arguments(), list(argv), run)
