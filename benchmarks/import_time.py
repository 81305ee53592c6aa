"""How long importing takes beside torch.export itself: `python -m benchmarks import_time`."""

from __future__ import annotations

import argparse
import gc
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

from swkpu import zoo
from swkpu.frontend import capture, import_program
from swkpu.frontend.direct import direct_rules
from swkpu.frontend.table import load_rules
from swkpu.tools import console
from swkpu.tools.common import FAULT, OK, ArgumentParser, run_tool

GOAL = 1.0
"""Importing takes no longer than exporting does."""
ROUNDS = 3
"""Each is measured this often; the fastest counts."""
EXAMPLE = """\
examples:
  python -m benchmarks import_time
  python -m benchmarks import_time --models resnet50,bert_base --json import.json

The exit code is 1 where importing takes longer than torch.export. Copying a model's weights is part of importing, and
is shown beside it: models that are mostly weights export in less time than memory is copied.
"""


def arguments() -> ArgumentParser:
    parser = ArgumentParser("python -m benchmarks import_time", "Compare the import with torch.export.", EXAMPLE)
    add = parser.add_argument
    add("--models", type=lambda text: text.split(","), default=zoo.names(), metavar="MODEL,...", help="only these")
    add("--json", metavar="FILE", help="write the rows as JSON")
    return parser


def fastest(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest of a few runs."""
    times: list[float] = []
    for _ in range(ROUNDS):
        gc.collect()
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def measure(name: str) -> dict[str, Any]:
    model, inputs = zoo.build(name), zoo.example_inputs(name)
    program = capture(model, inputs)
    import_program(program, name)
    export = fastest(lambda: capture(model, inputs))
    imported = fastest(lambda: import_program(program, name))
    copied = fastest(lambda: [tensor.numpy().copy() for tensor in model.state_dict().values()])
    return {
        "model": name,
        "calls": sum(node.op == "call_function" for node in program.graph.nodes),
        "direct": direct_rules(program, load_rules()) is not None,
        "export_seconds": export,
        "import_seconds": imported,
        "weights_seconds": copied,
        "ratio": imported / export,
        "met": imported - copied <= GOAL * export,
    }


def run(args: argparse.Namespace) -> int:
    console.check_folders(args.json)
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    with console.progress(len(args.models)) as step, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in args.models:
            step(name)
            rows.append(measure(name))
    if args.json is not None:
        console.write_json(rows, args.json)
    if args.json != "-":
        show(rows)
    return OK if all(row["met"] for row in rows) else FAULT


def show(rows: Sequence[dict[str, Any]]) -> None:
    keys = ("calls", "export s", "import s", "of it weights s", "ratio")
    table = [
        (
            row["model"],
            "direct" if row["direct"] else "decomposed",
            f"{row['calls']:,}",
            f"{row['export_seconds']:.2f}",
            f"{row['import_seconds']:.2f}",
            f"{row['weights_seconds']:.2f}",
            f"{row['ratio']:.2f} {'✓' if row['met'] else '✗'}",
        )
        for row in rows
    ]
    console.print_table(("model", "how", *keys), table, right=keys)


def main(argv: Sequence[str]) -> int:
    return run_tool(arguments(), list(argv), run)
