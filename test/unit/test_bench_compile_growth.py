"""The bench of compile time by size: the line through the models, what is met, the plot."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import compile_growth as bench
from benchmarks import performance_tables as tables
from benchmarks.growth_plot import svg, ticks


def row(model: str, layers: int, seconds: float, peak: int = 1 << 30) -> dict[str, Any]:
    return {"model": model, "layers": layers, "seconds": seconds, "peak_bytes": peak, "added_bytes": 1 << 20}


def test_the_line_through_points() -> None:
    assert bench.line([(10, 1.5), (20, 2.5), (30, 3.5)]) == (pytest.approx(0.5), pytest.approx(0.1))
    assert bench.line([(10, 2.0)]) == (2.0, 0.0)


def test_linear_growth_is_met_and_other_growth_is_not() -> None:
    linear = bench.judged([row("a", n, 0.1 + 0.05 * n) for n in (20, 40, 80, 160)])
    assert linear["seconds_per_layer"] == pytest.approx(0.05)
    assert all(all(r["met"].values()) for r in linear["rows"])
    square = bench.judged([row("a", n, (n / 40) ** 2) for n in (20, 40, 80, 160)])
    assert not all(r["met"]["linear"] for r in square["rows"])


def test_seconds_and_memory_have_goals() -> None:
    found = bench.judged([row("resnet18", 24, 2.1), row("resnet50", 57, 3.9, (2 << 30) + 1)])
    assert [r["met"]["seconds"] for r in found["rows"]] == [False, True]
    assert [r["met"]["memory"] for r in found["rows"]] == [True, False]
    assert bench.cells(found["rows"][0])[2] == "2.10 ✗ ≤ 2"


def test_peak_memory_is_of_this_process() -> None:
    bench.reset_peak()
    before = bench.peak_bytes()
    block = bytearray(64 << 20)
    assert bench.peak_bytes() >= before + (len(block) >> 1)


def test_ticks_are_round_and_reach_beyond() -> None:
    assert ticks(4.3) == [0, 1, 2, 3, 4, 5]
    assert ticks(157) == [0, 50, 100, 150, 200]
    assert ticks(0.07) == [0, 0.02, 0.04, 0.06, 0.08]


def test_the_plot_has_a_point_for_each_model() -> None:
    found = bench.judged([row("resnet18", 24, 1.0), row("resnet<50>", 57, 2.0)])
    root = ElementTree.fromstring(svg(found))
    space = "{http://www.w3.org/2000/svg}"
    points = root.findall(f"{space}circle")
    assert len(points) == 2
    assert float(points[0].get("cx", 0)) < float(points[1].get("cx", 0))
    assert float(points[0].get("cy", 0)) > float(points[1].get("cy", 0))
    assert "resnet<50>" in [text.text for text in root.findall(f"{space}text")]


def test_the_table_marks_what_is_missed() -> None:
    head, lines = tables.compile_growth(bench.judged([row("resnet18", 24, 2.1), row("resnet50", 57, 3.9)]))
    assert lines[0] == ["`resnet18`", "24", "**2.10**", "-0.0%", "1,024", "1"] or lines[0][3] == "+0.0%"
    assert lines[-1][0] == "line" and {len(line) for line in lines} == {len(head)}
