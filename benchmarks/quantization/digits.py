"""Top-1 of trained networks, quantized by us and by PyTorch: `python -m benchmarks digits`.

Small networks on scikit-learn's digits, 5-fold over all 1,797 images, and a narrow ResNet-18 on drawn shapes. All
quantize the same trained network with the same calibration images, which are of the training part.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from benchmarks.quantization import ours, pytorch
from benchmarks.quantization.data import Images, digits, folds, shapes
from benchmarks.quantization.networks import DIGIT_NETWORKS, NarrowResNet18
from benchmarks.quantization.pytorch import Tensors
from benchmarks.quantization.training import correct, train
from swkpu.tools import console
from swkpu.tools.common import FAULT, OK, ArgumentParser, run_tool

FOLDS = 5
EPOCHS = {"cnn": 15, "depthwise": 15, "transformer": 20, "resnet18": 10}
TRAINING_SHAPES, TEST_SHAPES = 4000, 2000
BATCH = 120
"""Images of one run of a compiled model."""
CALIBRATION_BATCHES = 6
CHECKED = 1
"""Batches of a network that also run on the simulated binary."""
GOALS = {"int8": 0.5, "int4": 2.0}
"""Percent points of top-1 that may be lost."""
BESIDE_PYTORCH = 0.3
"""Points that int8 may lose more than PyTorch's int8."""
EXAMPLE = """\
examples:
  python -m benchmarks digits
  python -m benchmarks digits --networks cnn,resnet18 --json digits.json

int8 and int4 (weights) are ours, run at the nn level: integers are the same at every level below, which is checked on
one batch per network on the simulated binary. PT2E is torchao's with XNNPACK's quantizer. The exit code is 1 where a
goal is missed.
"""


@dataclass(frozen=True)
class Task:
    """A network with parts of a data set to train and test on, one after the other."""

    network: str
    make: Callable[[], nn.Module]
    parts: Callable[[], Iterable[tuple[Images, Images]]]


TASKS = {name: Task(name, make, lambda: folds(digits(), FOLDS)) for name, make in DIGIT_NETWORKS.items()} | {
    "resnet18": Task("resnet18", NarrowResNet18, lambda: [(shapes(TRAINING_SHAPES, 0), shapes(TEST_SHAPES, 1))])
}


def arguments() -> ArgumentParser:
    parser = ArgumentParser("python -m benchmarks digits", "Accuracy of trained networks in integers.", EXAMPLE)
    add = parser.add_argument
    add("--networks", type=_names, default=list(TASKS), metavar="NAME,...", help=f"only these of {', '.join(TASKS)}")
    add("--observer", default="mse", help="how our ranges are chosen (default: mse)")
    add("--folds", type=int, default=FOLDS, metavar="N", help="only the first N of the digits' five folds")
    add("--json", metavar="FILE", help="write the rows as JSON (- for standard output, instead of the table)")
    return parser


def _names(text: str) -> list[str]:
    unknown = [name for name in text.split(",") if name not in TASKS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no network {unknown[0]}; there are {', '.join(TASKS)}")
    return text.split(",")


# ---- measuring -----------------------------------------------------------------------------------------------------


def batches(images: torch.Tensor) -> Iterator[tuple[Tensors, int]]:
    """Whole batches, the last filled with zeros, and how many images of each count."""
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        filler = batch.new_zeros(BATCH - len(batch), *batch.shape[1:])
        yield (torch.cat([batch, filler]),), len(batch)


def score(run: Callable[..., Any], test: Images) -> int:
    """How many test images a model of batches gets right."""
    logits: list[torch.Tensor] = []
    with torch.no_grad():
        for inputs, count in batches(test.images):
            found = run(*inputs)
            logits.append((found[0] if isinstance(found, list) else found)[:count])
    return correct(torch.cat(logits), test.labels)


def measure(task: Task, observer: str, most_folds: int, announce: Callable[[str], None]) -> dict[str, Any]:
    """Top-1 of a task in percent, over all its parts, by each way to compute."""
    hits: dict[str, int] = {}
    images, differing, train_seconds = 0, 0, 0.0
    for part, (training, test) in enumerate(task.parts()):
        if part == most_folds:
            break
        announce(f"{task.network}, part {part}: training")
        start = time.process_time()
        model = train(task.make, training, EPOCHS[task.network], seed=part)
        train_seconds += time.process_time() - start
        calibration = [batch for batch, _ in batches(training.images[: CALIBRATION_BATCHES * BATCH])]
        announce(f"{task.network}, part {part}: quantizing")
        ranges = ours.calibrated(model, calibration, observer)
        runs: dict[str, Callable[..., Any]] = {"fp32": model}
        runs |= {p: ours.Quantized(model, calibration[0], p, ranges) for p in GOALS}
        runs["pt2e"] = pytorch.quantized(model, calibration)
        for way, run in runs.items():
            announce(f"{task.network}, part {part}: {way}")
            hits[way] = hits.get(way, 0) + score(run, test)
        images += len(test)
        if part == 0:
            differing = sum(differences(runs[p], test) for p in GOALS)
    top1 = {way: 100 * count / images for way, count in hits.items()}
    row = {"network": task.network, "images": images, "train_seconds": train_seconds, "top1": top1}
    row["drop"] = {way: top1["fp32"] - value for way, value in top1.items() if way != "fp32"}
    return row | {"binary_differences": differing, "missed": missed(row["drop"], differing)}


def differences(run: Any, test: Images) -> int:
    """How many outputs of the simulated binary differ from the nn level's."""
    found = 0
    for inputs, _ in list(batches(test.images))[:CHECKED]:
        found += sum(int((a != b).sum()) for a, b in zip(run(*inputs), run.on_binary(*inputs), strict=True))
    return found


def missed(drop: dict[str, float], differing: int) -> list[str]:
    """The goals that are not met, as text."""
    found = [f"{p} loses {drop[p]:.2f} points, accepted are {goal}" for p, goal in GOALS.items() if drop[p] > goal]
    if drop["int8"] - drop["pt2e"] > BESIDE_PYTORCH:
        found.append(f"int8 loses {drop['int8'] - drop['pt2e']:.2f} points more than PyTorch's")
    if differing:
        found.append(f"{differing} outputs of the binary differ from the nn level")
    return found


# ---- the command ---------------------------------------------------------------------------------------------------


def run(args: argparse.Namespace) -> int:
    console.check_folders(args.json)
    with console.progress() as step:
        rows = [measure(TASKS[name], args.observer, args.folds, step) for name in args.networks]
    if args.json is not None:
        console.write_json(rows, args.json)
    if args.json != "-":
        show(rows)
    return FAULT if any(row["missed"] for row in rows) else OK


def show(rows: Sequence[dict[str, Any]]) -> None:
    ways = ("int8", "int4", "pt2e")
    keys = ("images", "fp32 %", *(f"{way} %" for way in ways), *(f"{way} drop" for way in ways))
    table = [
        (
            row["network"],
            f"{row['images']:,}",
            *(f"{row['top1'][way]:.2f}" for way in ("fp32", *ways)),
            *(f"{row['drop'][way]:.2f}" for way in ways),
            "; ".join(row["missed"]) or "✓",
        )
        for row in rows
    ]
    console.print_table(("network", *keys, "goals"), table, right=keys)


def main(argv: Sequence[str]) -> int:
    return run_tool(arguments(), list(argv), run)
