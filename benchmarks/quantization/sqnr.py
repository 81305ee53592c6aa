"""SQNR of int8 models, ours beside onnxruntime's: `python -m benchmarks sqnr`.

The same model with the same random weights, calibrated on the same inputs, compared with eager fp32 on others: the mean
of the inputs' SQNRs, and the worst, which tells of inputs with larger values than calibration saw.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import torch

from benchmarks.quantization import onnx_runtime, ours, pytorch
from benchmarks.quantization.signal import Subject, decibels, named
from swkpu.tools import console
from swkpu.tools.common import FAULT, OK, ArgumentParser, UsageError, run_tool

MODELS = ("resnet18", "resnet50", "mobilenet_v2", "vit_b_16", "yolov8n")
SAMPLES, TESTS = 100, 8
EXAMPLE = f"""\
examples:
  python -m benchmarks sqnr
  python -m benchmarks sqnr --models resnet18,vit_b_16 --samples 100 --pt2e --json sqnr.json

onnxruntime's settings: {onnx_runtime.SETTINGS}. Ours is run at the nn level; integers are the same at every level
below. The exit code is 1 where our first observer's mean is lower than onnxruntime's.
"""


def arguments() -> ArgumentParser:
    parser = ArgumentParser("python -m benchmarks sqnr", "SQNR of int8, ours beside onnxruntime's.", EXAMPLE)
    add = parser.add_argument
    add("--models", default=",".join(MODELS), metavar="MODEL,...", help=f"only these of {', '.join(MODELS)}")
    add("--samples", type=int, default=SAMPLES, metavar="N", help=f"to calibrate on (default: {SAMPLES})")
    add("--tests", type=int, default=TESTS, metavar="N", help=f"to compare on (default: {TESTS})")
    add("--observers", default="mse,min-max", metavar="NAME,...", help="ours (default: mse,min-max)")
    add("--calibrator", default="MinMax", help="onnxruntime's: MinMax, Entropy or Percentile (default: MinMax)")
    add("--pt2e", action="store_true", help="PyTorch's int8 as well")
    add("--json", metavar="FILE", help="write the rows as JSON (- for standard output, instead of the table)")
    return parser


def measure(subject: Subject, args: argparse.Namespace, announce: Callable[[str], None]) -> dict[str, Any]:
    batches = subject.calibration()
    ways: dict[str, Callable[[], Any]] = {
        f"ours {observer}": lambda observer=observer: ours.Quantized(
            subject.model, batches[0], "int8", ours.calibrated(subject.model, batches, observer)
        )
        for observer in args.observers.split(",")
    }
    first = next(iter(ways))
    ways["onnxruntime"] = lambda: onnx_runtime.quantized(subject.model, batches, args.calibrator)
    if args.pt2e:
        ways["pt2e"] = lambda: pytorch.quantized(subject.model, batches)
    found: dict[str, dict[str, Any]] = {}
    for way, make in ways.items():
        announce(f"{subject.name}: {way}")
        start = time.perf_counter()
        checks = subject.checks(make())
        each = decibels(checks)
        found[way] = {
            "mean_db": fmean(each),
            "worst_db": min(each),
            "max_rel_diff": max(check.max_rel_diff for check in checks),
            "each_db": each,
            "seconds": time.perf_counter() - start,
        }
        gc.collect()
    met = found[first]["mean_db"] >= found["onnxruntime"]["mean_db"]
    return {"model": subject.name, "samples": subject.samples, "tests": subject.tests, "ways": found, "met": met}


def run(args: argparse.Namespace) -> int:
    console.check_folders(args.json)
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        models = named(args.models, MODELS)
    except ValueError as error:
        raise UsageError(str(error)) from None
    rows: list[dict[str, Any]] = []
    with console.progress() as step:
        for name in models:
            rows += [measure(Subject(name, args.samples, args.tests), args, step)]
            if args.json is not None and args.json != "-":
                console.write_json(rows, args.json)  # of what is known, should a later model fail
    if args.json == "-":
        console.write_json(rows, args.json)
    else:
        show(rows)
    return OK if all(row["met"] for row in rows) else FAULT


def show(rows: Sequence[dict[str, Any]]) -> None:
    keys = [heading for way in rows[0]["ways"] for heading in (way, "worst")]
    table = [
        (
            row["model"],
            *(f"{way[key]:.2f}" for way in row["ways"].values() for key in ("mean_db", "worst_db")),
            "✓" if row["met"] else "✗",
        )
        for row in rows
    ]
    console.print_table(("model", *keys, "goal"), table, right=keys)
    print(f"SQNR in dB: mean and worst of {rows[0]['tests']} inputs; calibrated on {rows[0]['samples']} others")
    print(f"onnxruntime: {onnx_runtime.SETTINGS}")


def main(argv: Sequence[str]) -> int:
    return run_tool(arguments(), list(argv), run)
