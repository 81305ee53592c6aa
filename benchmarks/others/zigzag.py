"""ZigZag beside ours, on kpu-16x16: `python -m benchmarks zigzag`.

ZigZag searches mappings of each layer of its own resnet18 for least latency, on a description made of our target file.
Ours is the whole program, simulated, mapped by `df-choose-mapping`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.others.accelerator import accelerator, yaml_text
from benchmarks.others.environment import ask
from benchmarks.prepared import WARM_UP, compile_for, prepare
from swkpu.target import load_target
from swkpu.tools import console
from swkpu.tools.common import FAULT, OK, ArgumentParser, run_tool

TARGET, MODEL = "kpu-16x16", "resnet18"
SEARCH = "df-choose-mapping"
SEARCH_SECONDS = 1.0
"""What our search may take."""
MAPPING = [{"name": "default", "memory_operand_links": {"O": "O", "W": "I2", "I": "I1"}}]
"""What ZigZag is told of mappings: which operand is which. Where the loops go it is to find."""
EXAMPLE = f"""\
examples:
  python -m benchmarks zigzag
  python -m benchmarks zigzag --json docs/zigzag.json

ZigZag's search takes some minutes. The exit code is 1 where our program needs no fewer cycles, or our search more than
{SEARCH_SECONDS:g} s.
"""


def arguments() -> ArgumentParser:
    parser = ArgumentParser("python -m benchmarks zigzag", "Compare with ZigZag.", EXAMPLE)
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON (- for standard output)")
    return parser


def measure() -> dict[str, Any]:
    compile_for(prepare(WARM_UP), TARGET)
    compiled = compile_for(prepare(MODEL), TARGET)
    ours = {"cycles": compiled.executable.report.cycles, "seconds": compiled.passes[SEARCH]}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: str(Path(folder) / f"{name}.yaml") for name in ("accelerator", "mapping")}
        Path(files["accelerator"]).write_text(yaml_text(accelerator(load_target(TARGET))))
        Path(files["mapping"]).write_text(yaml_text(MAPPING))
        theirs = ask("zigzag", "zigzag_search", {"workload": MODEL, **files})
    return judged(ours, theirs)


def judged(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    met = ours["cycles"] < theirs["cycles"] and ours["seconds"] <= SEARCH_SECONDS
    return {"model": MODEL, "target": TARGET, "ours": ours, "zigzag": theirs, "met": met}


def run(args: argparse.Namespace) -> int:
    console.check_folders(args.json)
    found = measure()
    if args.json is not None:
        console.write_json(found, args.json)
    if args.json != "-":
        show(found)
    return OK if found["met"] else FAULT


def lines(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Who, cycles, and CPU seconds of search."""
    ours, theirs = found["ours"], found["zigzag"]
    return [
        (f"ZigZag {theirs['version']}", f"{theirs['cycles']:,.0f}", f"{theirs['seconds']:.1f}"),
        ("ours", f"{ours['cycles']:,}", f"{ours['seconds']:.2f}"),
    ]


def show(found: dict[str, Any]) -> None:
    keys = ("cycles", "search s")
    console.print_table(("", *keys), lines(found), right=keys)
    ratio = found["ours"]["cycles"] / found["zigzag"]["cycles"]
    print(f"{found['model']} on {found['target']}: {ratio:.3f} of ZigZag's cycles {'✓' if found['met'] else '✗'}")


def main(argv: Sequence[str]) -> int:
    return run_tool(arguments(), list(argv), run)
