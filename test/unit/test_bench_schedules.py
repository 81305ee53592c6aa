"""The bench of schedules: its goals, its rows, its tables."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import performance_tables as tables
from benchmarks import schedule_goals as goals
from benchmarks import schedules as bench
from benchmarks.prepared import Prepared, compile_for, prepare
from swkpu.tools import console


def row(**changes: Any) -> dict[str, Any]:
    fine: dict[str, Any] = {
        "model": "resnet18",
        "target": "kpu-t64",
        "precision": "int8",
        "batch": 1,
        "goal": 0.88,
        "met": True,
        "cycles": 1000,
        "bound_cycles": 900,
        "efficiency": 0.9,
        "dram_ratio": 1.05,
        "estimate_error_median": 0.02,
        "estimate_error_max": 0.1,
        "compile_seconds": 1.5,
    }
    return fine | changes


def test_every_model_has_a_goal_on_every_target() -> None:
    assert len(goals.MODELS) == 9 and len(goals.TARGETS) == 5
    assert all(0.5 < goals.efficiency_goal(m, t, "int8") < 1 for m in goals.MODELS for t in goals.TARGETS)
    assert goals.efficiency_goal("yolov8n", "kpu-t768", "int8") == 0.65
    assert goals.efficiency_goal("yolov8n", "kpu-t768", "bf16") == 0.60
    assert goals.efficiency_goal("lenet", "kpu-t64", "int8") is None


@pytest.fixture(scope="module")
def lenet() -> Prepared:
    return prepare("lenet")


@pytest.fixture(scope="module")
def measured(lenet: Prepared) -> dict[str, Any]:
    return bench.measure(lenet, "kpu-16x16", 0.01)


def test_a_measured_row(measured: dict[str, Any]) -> None:
    assert measured["met"] and 0 < measured["efficiency"] <= 1
    assert measured["efficiency"] == measured["bound_cycles"] / measured["cycles"]
    assert measured["dram_ratio"] >= 1 and measured["compile_seconds"] > 0
    assert measured["estimate_error_max"] >= measured["estimate_error_median"] >= 0


def test_a_goal_is_met_from_its_value_on(lenet: Prepared, measured: dict[str, Any]) -> None:
    assert bench.measure(lenet, "kpu-16x16", measured["efficiency"])["met"]
    assert not bench.measure(lenet, "kpu-16x16", measured["efficiency"] + 1e-9)["met"]


def test_batch_is_compared_with_batch_1(measured: dict[str, Any]) -> None:
    with console.progress() as step:
        (many,) = bench.rows_of("lenet", ["kpu-16x16"], "int8", 2, step)
    assert many["batch"] == 2 and many["goal"] == measured["efficiency"]


def test_a_target_without_the_precision_is_an_error(lenet: Prepared) -> None:
    found = bench.measure(lenet, "kpu-sim", None)
    assert not found["met"] and "no int8 tiles" in found["error"]
    assert bench.cells(found)[4] == "error"
    assert tables.by_target([found], tables.efficiency)[1] == [["`lenet`", "error"]]


def test_preparing_once_is_enough_for_many_targets(lenet: Prepared) -> None:
    """The module is not changed by compiling it."""
    text = str(lenet.module)
    first, again = (compile_for(lenet, "kpu-16x16") for _ in range(2))
    assert str(lenet.module) == text
    assert first.executable.program == again.executable.program


def test_estimates_are_compared_as_explain_does(lenet: Prepared, measured: dict[str, Any]) -> None:
    estimate = compile_for(lenet, "kpu-16x16").executable.explain().estimate
    found = measured["estimate_error_median"], measured["estimate_error_max"]
    assert found == (estimate.differences.median, estimate.differences.largest)


def test_cells_say_what_is_missed() -> None:
    assert bench.cells(row())[4:] == ("0.900 ✓", "1.050 ✓", "2.0%, 10% ✓", "1.5 ✓")
    missed = row(met=False, efficiency=0.5, dram_ratio=2.0, estimate_error_max=0.2, compile_seconds=3.0)
    assert bench.cells(missed)[4:] == ("0.500 ✗ ≥ 0.88", "2.000 ✗ > 1.05", "2.0%, 20% ✗", "3.0 ✗ > 2")
    assert bench.cells(row(model="lenet", goal=None))[4] == "0.900"


def test_tables_have_a_line_per_model_and_a_column_per_target() -> None:
    rows = [row(), row(target="kpu-t256", met=False, efficiency=0.7), row(model="x", goal=None)]
    head, lines = tables.by_target(rows, tables.efficiency)
    assert head == ["model", "`kpu-t64`", "`kpu-t256`"]
    assert lines == [["`resnet18`", "0.900", "**0.700** < 0.88"], ["`x`", "0.900", "–"]]
    assert tables.dram(row()) == "1.05" and tables.dram(row(dram_ratio=1.06)) == "**1.06**"
    assert tables.estimate(row(estimate_error_median=0.04)) == "**4.0%**, 10%"
    assert tables.seconds(row(compile_seconds=2.4)) == "**2.4** > 2"
    assert tables.summary(rows).startswith("Of 3 programs 2 reach their goal of efficiency, and 3 move ")
