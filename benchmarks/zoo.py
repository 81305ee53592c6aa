"""Every model of the zoo compiled, run and compared with eager PyTorch: `python -m benchmarks zoo`.

Each model and precision has a process of its own, so that memory is freed and a failure does not stop the others.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.zoo_case import ROOT, TAIL, goal
from swkpu import zoo
from swkpu.compiler import check_precision
from swkpu.target import load_target
from swkpu.tools import console
from swkpu.tools.common import FAULT, OK, ArgumentParser, UsageError, run_tool

Row = dict[str, Any]
EXAMPLE = """\
examples:
  python -m benchmarks zoo
  python -m benchmarks zoo --models resnet18,vit_b_16 --precisions bf16 --json zoo.json

FILE is written after every model, and what it has without an error is not measured again.
The exit code is 1 where a goal is missed.
"""
COLUMNS = {
    "max_rel_diff": ("max rel", ".1e"),
    "sqnr_db": ("SQNR dB", ".1f"),
    "import_seconds": ("import s", ".1f"),
    "passes_seconds": ("passes s", ".1f"),
    "commands": ("commands", ","),
    "program_kb": ("program KB", ",.0f"),
    "cycles": ("cycles", ","),
    "efficiency": ("efficiency", ".1%"),
    "peak_rss_mb": ("peak RSS MB", ","),
}


def arguments() -> ArgumentParser:
    parser = ArgumentParser("python -m benchmarks zoo", "Compile, run and check the models of the zoo.", EXAMPLE)
    add = parser.add_argument
    add("--models", type=_names, default=zoo.names(), metavar="MODEL,...", help="only these, in this order")
    add("--precisions", type=_names, default=["fp32", "bf16"], metavar="PRECISION,...", help="default: fp32,bf16")
    add("--target", default="kpu-t64", metavar="NAME|FILE", help="default: kpu-t64")
    add("--json", metavar="FILE", help="write the rows as JSON, and go on with those that are there")
    add("--fresh", action="store_true", help="measure again what FILE has")
    add("--timeout", type=float, metavar="SECONDS", help="give up on a model and precision after this long")
    return parser


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def measured(model: str, target: str, precision: str, timeout: float | None = None) -> Row:
    """A row, made by another process. One that dies, or takes too long, is an `error` with where it was."""
    where = {"model": model, "target": target, "precision": precision}
    command = [sys.executable, "-X", "faulthandler", "-m", "benchmarks.zoo_case", model, target, precision]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # prints where it is
            _, err = process.communicate()
            return {**where, "error": f"not done after {timeout:g} s", "traceback": _frames(err)}
    if process.returncode != 0:
        return {**where, "error": f"exit code {process.returncode}", "traceback": err.splitlines()[-TAIL:]}
    return json.loads(out.splitlines()[-1])


def _frames(text: str) -> list[str]:
    """The innermost of our frames that an aborted process prints."""
    start = f'File "{ROOT}/'
    lines = [line.strip() for line in text.splitlines()]
    return [line.replace(f"{ROOT}/", "") for line in lines if line.startswith(start)][:TAIL]


def cell(row: Row, key: str) -> str:
    value = row["program_bytes"] / 1024 if key == "program_kb" and "program_bytes" in row else row.get(key)
    text = "–" if value is None else format(value, COLUMNS[key][1])
    wanted, limit = goal(row["precision"])
    if key != wanted or "met" not in row:
        return text
    return f"{text} {'✓' if row['met'] else f'✗ {limit}'}"


def line(row: Row) -> str:
    """What is printed of a row as it is known."""
    where = f"{row['model']} at {row['precision']}"
    if "error" in row:
        return f"{where}: failed in {row.get('stage', 'its process')}: {row['error'].splitlines()[0]}"
    return f"{where}: {', '.join(f'{COLUMNS[key][0]} {cell(row, key)}' for key in COLUMNS)}"


def missed(row: Row) -> list[str]:
    """What to say on standard error of a row that is not as it should be."""
    if "error" in row:
        return [line(row), *(f"  {text}" for text in row["traceback"])]
    return [] if row["met"] else [f"{line(row)}\n  outputs {row['outputs']}"]


def summary(rows: Sequence[Row]) -> list[str]:
    """How many models meet the goal of each precision."""
    out: list[str] = []
    for precision in dict.fromkeys(row["precision"] for row in rows):
        own = [row for row in rows if row["precision"] == precision]
        key, limit = goal(precision)
        out.append(
            f"{precision}: {sum(row.get('met', False) for row in own)} of {len(own)} models meet "
            f"{COLUMNS[key][0]} {limit}, {sum('error' in row for row in own)} failed"
        )
    return out


def read(path: str | None) -> list[Row]:
    """The rows of an earlier run."""
    return json.loads(Path(path).read_text()) if path is not None and Path(path).exists() else []


def run(args: argparse.Namespace) -> int:
    machine = load_target(args.target)
    for precision in args.precisions:
        check_precision(machine, precision)
    if unknown := [name for name in args.models if name not in zoo.names()]:
        raise UsageError(f"{unknown[0]} is not in the zoo; it has {', '.join(zoo.names())}")
    console.check_folders(args.json)
    known = {(row["model"], row["target"], row["precision"]): row for row in read(args.json)}
    cases = [(model, args.target, precision) for precision in args.precisions for model in args.models]
    for number, case in enumerate(cases, 1):
        if args.fresh or "error" in known.get(case, {"error": "not measured"}):
            known[case] = row = measured(*case, args.timeout)
            print(f"[{number}/{len(cases)}] {line(row)}", flush=True)
            for text in missed(row):
                print(text, file=sys.stderr, flush=True)
            if args.json is not None:
                console.write_json(list(known.values()), args.json)
    rows = [known[case] for case in cases]
    print()
    console.print_table(
        ("model", "precision", *(heading for heading, _ in COLUMNS.values())),
        [(row["model"], row["precision"], *(cell(row, key) for key in COLUMNS)) for row in rows],
        right=[heading for heading, _ in COLUMNS.values()],
    )
    print("\n".join(summary(rows)))
    return OK if all(row.get("met", False) for row in rows) else FAULT


def main(argv: Sequence[str]) -> int:
    return run_tool(arguments(), argv, run)
