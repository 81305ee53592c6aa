"""One model of the zoo at one precision, all the way: `python -m benchmarks.zoo_case MODEL TARGET PRECISION`.

Prints the row as one line of JSON. What is raised becomes the row's `error`.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from benchmarks.metric import Goal, above, below
from swkpu.compiler import compile_module, program_of
from swkpu.executable import Executable
from swkpu.frontend.importer import import_program
from swkpu.frontend.resolve import ResolvedModel, resolve_model
from swkpu.program.check import check as check_program
from swkpu.program.container import to_bytes
from swkpu.report.compare import compare
from swkpu.report.report import Check
from swkpu.target import load_target
from swkpu.types import to_numpy

ROOT = Path(__file__).resolve().parents[1]
TAIL = 12
"""Lines of a traceback that are kept."""


def goal(precision: str) -> tuple[str, Goal]:
    """What outputs have to meet: the key, and the limit."""
    return ("max_rel_diff", below(1e-4)) if precision == "fp32" else ("sqnr_db", above(30))


def row(model: str, target: str, precision: str) -> dict[str, Any]:
    """The numbers of a case, or its `error`. Where it broke is in `stage`."""
    out: dict[str, Any] = {"model": model, "target": target, "precision": precision}
    try:
        _measure(out)
    except Exception as error:  # whatever breaks; the other models go on
        lines = "".join(traceback.format_exception(error)).replace(f"{ROOT}/", "").splitlines()
        out |= {"error": f"{type(error).__name__}: {error}", "traceback": lines[-TAIL:]}
    out["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return out


def _measure(out: dict[str, Any]) -> None:
    out["stage"] = "capture"
    start = time.perf_counter()
    resolved = resolve_model(out["model"])
    exported = resolved.exported()
    out["capture_seconds"] = time.perf_counter() - start

    out["stage"] = "import"
    start = time.perf_counter()
    module = import_program(exported, out["model"])
    out["import_seconds"] = time.perf_counter() - start

    out["stage"] = "passes"
    machine = load_target(out["target"])
    start = time.perf_counter()
    compile_module(module, machine, out["target"], out["precision"])
    program = program_of(module, machine)
    out["passes_seconds"] = time.perf_counter() - start
    check_program(program, machine)
    out["commands"] = program.command_count
    out["program_bytes"] = len(to_bytes(program)) - len(program.constants)
    del module, exported

    out["stage"] = "values"
    executable = Executable(program, machine)
    start = time.perf_counter()
    found = pytree.tree_leaves(executable(*resolved.example_inputs))
    out["functional_seconds"] = time.perf_counter() - start
    out |= accuracy(out["precision"], found, eager(resolved))

    out["stage"] = "cycles"
    report = executable.report
    out |= {"cycles": report.cycles, "lower_bound_cycles": report.lower_bound_cycles, "efficiency": report.efficiency}
    out["stage"] = "done"


def eager(resolved: ResolvedModel) -> list[Any]:
    """The flat results of PyTorch in fp32."""
    with torch.no_grad():
        return pytree.tree_leaves(resolved.eager()(*resolved.example_inputs))


def accuracy(precision: str, found: Sequence[Any], expected: Sequence[Any]) -> dict[str, Any]:
    """Every output compared by itself; `max_rel_diff` and `sqnr_db` are those of the worst one, the latter of floats.

    What is not finite is null: no noise is no ratio. `met` says whether all outputs meet the goal.
    """
    if len(found) != len(expected):
        return {"met": False, "outputs": [], "max_rel_diff": None, "sqnr_db": None}
    checks = [compare([to_numpy(a)], [to_numpy(b)]) for a, b in zip(found, expected)]
    floats = [check for check, b in zip(checks, expected) if b.is_floating_point()]
    ratios = [check.sqnr_db for check in floats if check.sqnr_db is not None]
    key, limit = goal(precision)
    worst = {
        "max_rel_diff": max((check.max_rel_diff for check in checks), default=0.0),
        "sqnr_db": min(ratios, default=None),
    }
    return {
        "met": limit.met(worst[key]),
        "outputs": [_output(check, b) for check, b in zip(checks, expected)],
        **{name: _finite(value) for name, value in worst.items()},
    }


def _output(check: Check, expected: torch.Tensor) -> dict[str, Any]:
    return {
        "type": f"{str(expected.dtype).removeprefix('torch.')}{list(expected.shape)}",
        "max_rel_diff": _finite(check.max_rel_diff),
        "sqnr_db": _finite(check.sqnr_db),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


if __name__ == "__main__":
    print(json.dumps(row(*sys.argv[1:])))
