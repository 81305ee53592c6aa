"""`swkpu models`, `swkpu targets` and `swkpu ops`: what there is."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from swkpu.tools import console
from swkpu.tools.common import OK, ArgumentParser

if TYPE_CHECKING:
    from swkpu.zoo import InputSpec, ModelInfo


MODELS_EXAMPLE = """\
examples:
  swkpu models
  swkpu models resnet18 vit_b_16 --json
"""


def add_list(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_models(parser: ArgumentParser) -> None:
    parser.add_argument("models", nargs="*", metavar="MODEL", help="only these of the zoo")
    parser.add_argument("--json", action="store_true", help="print JSON, with the operators that each model calls")


def models_command(args: argparse.Namespace) -> int:
    from swkpu import zoo

    found = [zoo.info(name) for name in args.models or zoo.names()]
    if args.json:
        console.write_json(_with_coverage(found), "-")
        return OK
    headings = ("model", "family", "parameters", "MACs", "inputs", "description")
    rows = [
        (
            info.name,
            info.family,
            f"{info.parameters:,}",
            f"{info.macs:,}",
            "\n".join(_input(spec, named=len(info.inputs) > 1) for spec in info.inputs),
            info.description,
        )
        for info in found
    ]
    console.print_table(headings, rows, right=("parameters", "MACs"))
    return OK


def _with_coverage(found: Sequence[ModelInfo]) -> list[dict[str, Any]]:
    """The facts, and the operators that each model calls, which takes some seconds per model."""
    from dataclasses import asdict

    from swkpu.errors import SwkpuError

    rows: list[dict[str, Any]] = []
    with console.progress(1 + len(found)) as step:
        step("loading torch")
        from swkpu.frontend.coverage import zoo_coverage

        for info in found:
            step(f"capturing {info.name}")
            try:
                coverage = asdict(zoo_coverage(info.name))
            except SwkpuError as error:  # the other models are still of interest
                coverage = {"error": str(error)}
            rows.append({**asdict(info), "input_shape": info.input_shape, "coverage": coverage})
    return rows


def _input(spec: InputSpec, named: bool) -> str:
    shape = "×".join(map(str, spec.shape))
    return f"{spec.name} {shape}" if named else shape


def targets_command(args: argparse.Namespace) -> int:
    from swkpu.target.table import UNITS, target_rows

    found = target_rows()
    if args.json:
        console.write_json(found, "-")
        return OK
    peaks = [f"{precision}_{unit}" for precision, unit in UNITS.items()]
    numbers = ["MHz", "TDP W", "tiles", "L1 KB", "L2 MB", "DRAM GB", "GB/s", *UNITS]
    rows = [
        (
            str(row["target"]),
            f"{row['profile']}{' *' if row['default'] else ''}",
            *(_number(row[key]) for key in ("clock_mhz", "tdp_w", "tiles", "l1_kb", "l2_mb", "dram_gb", "dram_gb_s")),
            *(_claimed(row, key) for key in peaks),
        )
        for row in found
    ]
    console.print_table(("target", "profile", *numbers), rows, right=numbers)
    print("* default profile. Peaks in TOPS and TFLOPS as derived from tiles and clock (in brackets: data sheet).")
    warned = {str(row["target"]): row["warnings"] for row in found if row["default"] and row["warnings"]}
    for target, warnings in warned.items():
        for warning in warnings if isinstance(warnings, list) else ():
            print(f"{target}: {warning}")
    return OK


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}"


def _claimed(row: dict[str, Any], key: str) -> str:
    claim = row.get(f"datasheet_{key}")
    return _number(row[key]) + (f" ({_number(claim)})" if claim is not None else "")


def ops_command(args: argparse.Namespace) -> int:
    with console.progress() as step:
        step("loading torch")
        from swkpu.frontend.table import supported_ops
    found = supported_ops()
    if args.json:
        console.write_json([{"operator": name, "becomes": summary} for name, summary in found], "-")
        return OK
    console.print_table(("operator", "becomes"), found)
    return OK
