"""SCALE-Sim beside ours, on one 16x16 output-stationary array: `python -m benchmarks scalesim`.

SCALE-Sim simulates array passes that do not overlap. Ours has to count the same where the target says so, layer by
layer, and to need fewer cycles where they do overlap, with everything else that a program does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.others.environment import ask
from benchmarks.others.whole_layers import Product, closed_form, run_whole_layers
from benchmarks.prepared import compile_for, prepare
from swkpu.target import load_target
from swkpu.tools import console
from swkpu.tools.common import FAULT, OK, ArgumentParser, run_tool

TARGET = "kpu-16x16"
APART = str(Path(__file__).parent / "scalesim_target.toml")
"""The same array, whose passes do not overlap, with room for whole layers."""
SRAM_KB = 1024
EXAMPLE = """\
examples:
  python -m benchmarks scalesim
  python -m benchmarks scalesim --layers 3

ours apart  simulated cycles of each layer in one piece, where passes do not overlap, without those that the vector
            lanes take for an epilogue behind the last pass (lanes), which SCALE-Sim does not have
formula     ceil(M/R) ceil(N/C) (K+R+C-2) - 1
SCALE-Sim   its simulation, which takes about a minute per million cycles; equal layers are simulated once
The exit code is 1 where they differ in a layer, or where our program needs no fewer cycles than the sum.
"""


def arguments() -> ArgumentParser:
    parser = ArgumentParser("python -m benchmarks scalesim", "Compare with SCALE-Sim.", EXAMPLE)
    add = parser.add_argument
    add("--model", default="resnet18", help="default: resnet18")
    add("--layers", type=int, metavar="N", help="let SCALE-Sim simulate only the N different layers of fewest cycles")
    add("--json", metavar="FILE", help="write the figures as JSON (- for standard output, instead of the table)")
    return parser


def to_simulate(products: Sequence[Product], rows: int, cols: int, limit: int | None) -> list[list[Any]]:
    """One layer of each size, those of fewest cycles first: name, M, N, K."""
    different = {product.shape: product for product in reversed(products)}.values()
    ordered = sorted(different, key=lambda p: (closed_form(*p.shape, rows, cols), p.name))
    return [[p.name, *p.shape] for p in ordered[:limit]]


def layer_rows(products: Sequence[Product], theirs: dict[str, int], rows: int, cols: int) -> list[dict[str, Any]]:
    """The three counts of every layer; SCALE-Sim's is None where it was not asked."""
    by_shape = {p.shape: theirs[p.name] for p in products if p.name in theirs}
    return [
        {
            "layer": p.name,
            "m": p.m,
            "n": p.n,
            "k": p.k,
            "ours_apart": p.array_cycles,
            "lanes": p.lane_cycles,
            "formula": closed_form(*p.shape, rows, cols),
            "scalesim": by_shape.get(p.shape),
        }
        for p in products
    ]


def equal(row: dict[str, Any]) -> bool:
    return row["ours_apart"] == row["formula"] and row["scalesim"] in (None, row["formula"])


def measure(model: str, limit: int | None) -> dict[str, Any]:
    (group,) = load_target(TARGET).tile_groups
    prepared = prepare(model)
    products = run_whole_layers(prepared, APART)
    compiled = compile_for(prepared, TARGET)
    start = time.process_time()
    ours = compiled.executable.report.cycles
    seconds = time.process_time() - start
    size = {"rows": group.rows, "cols": group.cols}
    asked = {**size, "sram_kb": SRAM_KB, "layers": to_simulate(products, **size, limit=limit)}
    answer = ask("scalesim", "scalesim_layers", asked)
    rows = layer_rows(products, answer["cycles"], **size)
    theirs = sum(row["formula"] if row["scalesim"] is None else row["scalesim"] for row in rows)
    return {
        "model": model,
        "version": answer["version"],
        "layers": rows,
        "equal_layers": sum(map(equal, rows)),
        "ours_cycles": ours,
        "scalesim_cycles": theirs,
        "ours_seconds": seconds,
        "scalesim_seconds": answer["seconds"],
        "met": all(map(equal, rows)) and ours < theirs,
    }


def run(args: argparse.Namespace) -> int:
    console.check_folders(args.json)
    found = measure(args.model, args.layers)
    if args.json is not None:
        console.write_json(found, args.json)
    if args.json != "-":
        show(found)
    return OK if found["met"] else FAULT


def show(found: dict[str, Any]) -> None:
    keys = ("M", "N", "K", "lanes", "ours apart", "formula", "SCALE-Sim")
    table = [
        (
            row["layer"],
            *(f"{row[key]:,}" for key in ("m", "n", "k", "lanes", "ours_apart", "formula")),
            f"{'–' if row['scalesim'] is None else format(row['scalesim'], ',')} {'✓' if equal(row) else '✗'}",
        )
        for row in found["layers"]
    ]
    console.print_table(("layer", *keys), table, right=keys)
    print(f"{found['equal_layers']} of {len(found['layers'])} layers are equal")
    theirs, ours = found["scalesim_cycles"], found["ours_cycles"]
    print(
        f"SCALE-Sim {found['version']}: {theirs:,} cycles, of the layers above; {found['scalesim_seconds']:.1f} CPU s"
    )
    print(
        f"ours: {ours:,} cycles, of the whole program; {found['ours_seconds']:.1f} CPU s: {ours / theirs:.3f} of it "
        f"{'✓' if ours < theirs else '✗'}"
    )


def main(argv: Sequence[str]) -> int:
    return run_tool(arguments(), list(argv), run)
