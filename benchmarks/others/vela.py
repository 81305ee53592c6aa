"""Arm's Vela beside ours: `python -m benchmarks vela`.

The same captured program goes both ways: through ExecuTorch's int8 quantizer to TOSA, which Vela compiles for an
Ethos-U85-256 with kpu-16x16's clock, SRAM and DRAM; and through ours. Vela's cycles are its own estimate.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from benchmarks.others import ethos
from benchmarks.others.environment import ENVIRONMENTS, INSIDE, REQUIREMENTS, ask
from benchmarks.prepared import WARM_UP, compile_for, prepare
from swkpu.errors import SwkpuError
from swkpu.frontend.resolve import resolve_model
from swkpu.target import load_target
from swkpu.tools import console
from swkpu.tools.common import FAULT, OK, ArgumentParser, UsageError, run_tool

TARGET = "kpu-16x16"
GOALS = {"resnet18": 0.80, "resnet50": 0.85, "mobilenet_v2": 0.50, "vit_b_16": 0.45}
"""The most of Vela's cycles that ours may take."""
EXAMPLE = f"""\
examples:
  python -m benchmarks vela
  python -m benchmarks vela --models resnet18 --json -

cycles     ours are simulated, Vela's its own estimate, both at 500 MHz; the goal is a ratio of {GOALS}
DRAM MB    traffic of one inference; ours is to be less
back end   CPU seconds: Vela's from TOSA to its command stream, ours from nn to a .kpu file; ours is to be no more
Vela is run in both of its memory modes with DRAM (activations cached in SRAM, or all in it); the better one counts.
The exit code is 1 where any is missed. TOSA files are kept beside the environments; writing one takes minutes.
"""


def arguments() -> ArgumentParser:
    parser = ArgumentParser("python -m benchmarks vela", "Compare with Arm's Vela.", EXAMPLE)
    add = parser.add_argument
    add("--models", default=",".join(GOALS), metavar="MODEL,...", help=f"only these of {', '.join(GOALS)}")
    add("--json", metavar="FILE", help="write the rows as JSON (- for standard output, instead of the table)")
    return parser


def tosa_file(model: str) -> Path:
    """The model as int8 TOSA, written where it is missing or the exporter's pins or script have changed."""
    pins = (REQUIREMENTS / "tosa.txt").read_bytes() + (INSIDE / "tosa_export.py").read_bytes()
    path = ENVIRONMENTS / "tosa_files" / f"{model}.{sha256(pins).hexdigest()[:12]}.tosa"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / f"{model}.pt2"
            torch.export.save(resolve_model(model).exported(), program)
            ask("tosa", "tosa_export", {"program": str(program), "tosa": str(path)})
    return path


def vela(model: str) -> dict[str, Any]:
    """Vela's better memory mode."""
    machine = load_target(TARGET)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "target.ini"
        config.write_text(ethos.configuration(machine))
        question = {
            "tosa": str(tosa_file(model)),
            "accelerator": ethos.ACCELERATOR,
            "config": str(config),
            "system": ethos.SYSTEM,
        }
        answers = {mode: ask("vela", "vela_compile", {**question, "memory": mode}) for mode in ethos.MODES}
    results = [
        {"version": a["version"], "memory": mode, "seconds": a["seconds"], **ethos.figures(a["summary"])}
        for mode, a in answers.items()
    ]
    return ethos.best(results, machine)


def ours(model: str) -> dict[str, Any]:
    compiled = compile_for(prepare(model), TARGET)
    report = compiled.executable.report
    return {
        "seconds": compiled.seconds,
        "cycles": report.cycles,
        "dram_bytes": report.dram_read_bytes + report.dram_write_bytes,
    }


def judged(model: str, our: dict[str, Any], their: dict[str, Any]) -> dict[str, Any]:
    """Both sides, and which goals ours meets."""
    met = {
        "cycles": our["cycles"] <= GOALS[model] * their["cycles"],
        "dram_bytes": our["dram_bytes"] < their["dram_bytes"],
        "seconds": our["seconds"] <= their["seconds"],
    }
    return {"model": model, "target": TARGET, "goal": GOALS[model], "ours": our, "vela": their, "met": met}


def row_of(model: str) -> dict[str, Any]:
    """Both sides; what one of them refuses is an `error`."""
    try:
        return judged(model, ours(model), vela(model))
    except SwkpuError as error:
        return {"model": model, "target": TARGET, "goal": GOALS[model], "error": str(error), "met": {"compiled": False}}


def run(args: argparse.Namespace) -> int:
    console.check_folders(args.json)
    models = args.models.split(",")
    for model in models:
        if model not in GOALS:
            raise UsageError(f"model {model} has no goal; those that have are {', '.join(GOALS)}")
    compile_for(prepare(WARM_UP), TARGET)
    rows: list[dict[str, Any]] = []
    with console.progress(len(models)) as step:
        for model in models:
            step(model)
            rows.append(row_of(model))
            if args.json is not None and args.json != "-":
                console.write_json(rows, args.json)
    if args.json == "-":
        console.write_json(rows, args.json)
    else:
        show(rows)
    return OK if all(all(row["met"].values()) for row in rows) else FAULT


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    if "error" in row:
        return (row["model"], *(7 * ["–"]))
    our, their, mark = row["ours"], row["vela"], {True: "✓", False: "✗"}
    return (
        row["model"],
        f"{their['cycles']:,}",
        f"{our['cycles']:,}",
        f"{our['cycles'] / their['cycles']:.3f} {mark[row['met']['cycles']]} ≤ {row['goal']:.2f}",
        f"{their['dram_bytes'] / 1e6:.1f}",
        f"{our['dram_bytes'] / 1e6:.1f} {mark[row['met']['dram_bytes']]}",
        f"{their['seconds']:.1f}",
        f"{our['seconds']:.1f} {mark[row['met']['seconds']]}",
    )


def show(rows: Sequence[dict[str, Any]]) -> None:
    keys = ("Vela cycles", "ours", "ratio", "Vela DRAM MB", "ours ", "Vela back end s", "ours  ")
    console.print_table(("model", *keys), map(cells, rows), right=keys)
    print(f"Vela for {ethos.ACCELERATOR} with the clock, SRAM and DRAM of {TARGET}")
    for row in rows:
        if "error" in row:
            print(f"{row['model']}: {row['error']}")


def main(argv: Sequence[str]) -> int:
    return run_tool(arguments(), list(argv), run)
