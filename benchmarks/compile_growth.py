"""How compiling grows with a network: `python -m benchmarks compile_growth`.

CPU seconds from nn to the bytes of a .kpu file, after capture and calibration, and the most memory that took; each
model in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.growth_plot import svg
from swkpu.errors import SwkpuError
from swkpu.tools import console
from swkpu.tools.common import FAULT, OK, ArgumentParser, run_tool

MODELS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
SECONDS = {"resnet18": 2.0, "resnet50": 4.0}
"""The goals."""
PEAK_BYTES = 2 << 30
RESIDUAL = 0.15
"""How far a model may be from the straight line over layers, relative to the line."""
EXAMPLE = f"""\
examples:
  python -m benchmarks compile_growth
  python -m benchmarks compile_growth --json docs/compile_growth.json --plot docs/compile_growth.svg

line     the straight line through the models' seconds over layers, by least squares, and how far each is from it
memory   the most the process had, and how much of that compiling added to what capture and calibration left
The exit code is 1 where a goal is missed: {SECONDS}, seconds within {RESIDUAL:.0%} of the line, 2 GiB.
"""


def arguments() -> ArgumentParser:
    parser = ArgumentParser("python -m benchmarks compile_growth", "Compile time by size.", EXAMPLE)
    add = parser.add_argument
    add("--models", default=",".join(MODELS), metavar="MODEL,...", help=f"default: {','.join(MODELS)}")
    add("--target", default="kpu-t64", metavar="NAME", help="default: kpu-t64")
    add("--json", metavar="FILE", help="write the figures as JSON (- for standard output, instead of the table)")
    add("--plot", metavar="FILE", help="draw seconds over layers as SVG")
    return parser


# ---- one model, in a process of its own ----------------------------------------------------------------------------


def peak_bytes() -> int:
    """The most memory that this process has had since the last `reset_peak` (or ever, where that cannot be reset)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise SwkpuError("no peak memory in /proc/self/status")


def reset_peak() -> None:
    """From here on the peak counts anew (Linux, proc(5))."""
    Path("/proc/self/clear_refs").write_text("5")


def measure_here(model: str, target: str) -> dict[str, Any]:
    """Compile a model once, after a small one: a first compilation, as `swkpu compile` makes it."""
    from benchmarks.prepared import WARM_UP, compile_for, prepare

    compile_for(prepare(WARM_UP), target)
    before: list[int] = []

    def begin() -> None:
        reset_peak()
        before.append(peak_bytes())

    prepared = prepare(model, before_compiling=begin)
    compiled = compile_for(prepared, target)
    peak = peak_bytes()
    return {
        "model": model,
        "target": target,
        "layers": len(compiled.executable.program.layers),
        "commands": compiled.executable.program.command_count,
        "seconds": compiled.seconds,
        "passes": {"nn": prepared.nn_seconds, **compiled.passes},
        "peak_bytes": peak,
        "added_bytes": peak - before[0],
    }


def measure(model: str, target: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        code = (
            "import json, sys; from benchmarks.compile_growth import measure_here; "
            "open(sys.argv[3], 'w').write(json.dumps(measure_here(*sys.argv[1:3])))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, model, target, str(answer)],
            cwd=Path(__file__).parents[1],
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        if done.returncode != 0:
            raise SwkpuError(f"{model} for {target}: {done.stderr.strip().splitlines()[-1]}")
        return json.loads(answer.read_text())


# ---- growth --------------------------------------------------------------------------------------------------------


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Least squares: (y at 0, slope)."""
    count, sum_x, sum_y = len(points), sum(x for x, _ in points), sum(y for _, y in points)
    middle_x, middle_y = sum_x / count, sum_y / count
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0
    return middle_y - slope * middle_x, slope


def judged(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The line through the rows, how far each is from it, and what is met."""
    start, slope = line([(row["layers"], row["seconds"]) for row in rows])
    out: list[dict[str, Any]] = []
    for row in rows:
        expected, limit = start + slope * row["layers"], SECONDS.get(row["model"])
        residual = row["seconds"] / expected - 1 if expected > 0 else float(row["seconds"] > 0)
        met = {
            "seconds": limit is None or row["seconds"] <= limit,
            "linear": abs(residual) <= RESIDUAL,
            "memory": row["peak_bytes"] <= PEAK_BYTES,
        }
        out.append({**row, "residual": residual, "met": met})
    return {"seconds_at_0": start, "seconds_per_layer": slope, "rows": out}


def run(args: argparse.Namespace) -> int:
    console.check_folders(args.json, args.plot)
    models = args.models.split(",")
    rows: list[dict[str, Any]] = []
    with console.progress(len(models)) as step:
        for model in models:
            step(model)
            rows.append(measure(model, args.target))
    found = judged(rows)
    if args.json is not None:
        console.write_json(found, args.json)
    if args.plot is not None:
        console.write_file(Path(args.plot), svg(found).encode())
    if args.json != "-":
        show(found)
    return OK if all(all(row["met"].values()) for row in found["rows"]) else FAULT


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    mark, limit = {True: "✓", False: "✗"}, SECONDS.get(row["model"])
    seconds = f"{row['seconds']:.2f}"
    return (
        row["model"],
        f"{row['layers']:,}",
        seconds if limit is None else f"{seconds} {mark[row['met']['seconds']]} ≤ {limit:g}",
        f"{row['residual']:+.1%} {mark[row['met']['linear']]}",
        f"{row['peak_bytes'] / 2**20:,.0f} {mark[row['met']['memory']]}",
        f"{row['added_bytes'] / 2**20:,.0f}",
    )


def show(found: dict[str, Any]) -> None:
    keys = ("layers", "seconds", "from the line", "peak MiB", "added MiB")
    console.print_table(("model", *keys), map(cells, found["rows"]), right=keys)
    print(f"line: {found['seconds_at_0']:.2f} s + {1e3 * found['seconds_per_layer']:.1f} ms a layer")


def main(argv: Sequence[str]) -> int:
    return run_tool(arguments(), list(argv), run)
