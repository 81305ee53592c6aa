"""The benchmark of the zoo: what is the worst output, when is a goal met, what is measured again."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import zoo as bench
from benchmarks.zoo_case import accuracy, row


def close(value: float) -> Any:
    return pytest.approx(value, rel=1e-3)


def test_the_worst_output_counts_by_itself() -> None:
    large, small = torch.full((4,), 1000.0), torch.full((4,), 1.0)
    found = accuracy("fp32", [large + 0.01, small + 0.01], [large, small])
    assert not found["met"]  # of both together it would be 1e-5
    assert found["max_rel_diff"] == close(1e-2)
    assert found["sqnr_db"] == close(40)
    assert [output["max_rel_diff"] for output in found["outputs"]] == [close(1e-5), close(1e-2)]


def test_each_precision_has_its_goal() -> None:
    x = torch.ones(2, 3)
    assert accuracy("fp32", [x + 5e-5], [x])["met"]
    assert not accuracy("fp32", [x + 5e-4], [x])["met"]
    assert accuracy("bf16", [x + 0.02], [x])["met"]
    assert not accuracy("bf16", [x + 0.05], [x])["met"]


def test_integers_have_no_ratio() -> None:
    x, indices = torch.ones(3), torch.tensor([1, 2, 4])
    found = accuracy("bf16", [x + 0.01, indices + 1], [x, indices])
    assert found["met"] and found["sqnr_db"] == close(40)
    assert not accuracy("fp32", [indices + 1], [indices])["met"]


def test_equal_outputs_meet_all_goals_and_missing_or_infinite_ones_none() -> None:
    x = torch.ones(3)
    for precision in ("fp32", "bf16"):
        assert accuracy(precision, [x], [x])["met"]
        assert not accuracy(precision, [x], [x, x])["met"]
        broken = accuracy(precision, [x * math.nan], [x])
        assert not broken["met"] and broken["max_rel_diff"] is None and json.dumps(broken, allow_nan=False)


def test_an_error_is_a_row_that_says_where() -> None:
    found = row("no_such_model", "kpu-t64", "fp32")
    assert found["stage"] == "capture" and found["error"].startswith("ModelError") and found["traceback"]
    assert "failed in capture" in bench.line(found)


def made(model: str, precision: str, **values: Any) -> bench.Row:
    return {"model": model, "target": "kpu-t64", "precision": precision, **values}


def test_the_summary_counts_per_precision() -> None:
    rows = [
        made("mlp", "fp32", met=True),
        made("lenet", "fp32", error="broken"),
        made("mlp", "bf16", met=True),
        made("lenet", "bf16", met=False),
    ]
    assert bench.summary(rows) == [
        "fp32: 1 of 2 models meet max rel < 0.0001, 1 failed",
        "bf16: 1 of 2 models meet SQNR dB > 30, 0 failed",
    ]


def test_what_is_known_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def measured(model: str, target: str, precision: str, timeout: float | None) -> bench.Row:
        asked.append(model)
        broken = {"error": "broken", "traceback": ["the end"]}
        return made(model, precision, **({"met": True, "max_rel_diff": 1e-6} if model == "mlp" else broken))

    monkeypatch.setattr(bench, "measured", measured)
    command = ["--models", "mlp,lenet", "--precisions", "fp32", "--json", str(tmp_path / "zoo.json")]
    assert bench.main(command) == 1
    assert asked == ["mlp", "lenet"]
    assert "the end" in capsys.readouterr().err
    assert bench.main(command) == 1
    assert asked == ["mlp", "lenet", "lenet"]
    assert bench.main([*command, "--fresh"]) == 1
    assert asked[3:] == ["mlp", "lenet"]
    assert [r["model"] for r in json.loads((tmp_path / "zoo.json").read_text())] == ["mlp", "lenet"]
    assert bench.main(["--models", "resnet19"]) == 2
