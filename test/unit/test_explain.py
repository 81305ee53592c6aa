"""`swkpu explain`: what is said of a program, and the agreement of estimate and simulation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from programs import linear_program

from swkpu.executable import Executable
from swkpu.program.model import Program
from swkpu.report.agreement import MIN_SHARE, Spread, agreement, own_cycles
from swkpu.report.explain_text import explanation_text, kinds
from swkpu.report.mapping_text import mapping_lines, mapping_words
from swkpu.sim.timing import LayerTiming, simulate_timing
from swkpu.target import Machine, load_target
from swkpu.tools import swkpu as swkpu_tool
from swkpu.tools.commands_explain import chosen_layers

TILING: dict[str, Any] = {
    "l2": {"oc": 64},
    "result": "l2",
    "split": "oh",
    "parts": [
        {
            "group": "int8",
            "share": [0, 18],
            "space": {"oh": 6, "oc": 2},
            "l1": {"oh": 3},
            "order": ["oc", "oh"],
            "rows": ["oh", "ow"],
            "cols": ["oc"],
            "dataflow": "ws",
            "buffers": 2,
        },
        {
            "group": "matrix",
            "share": [18, 28],
            "space": {},
            "l1": {},
            "order": [],
            "rows": [],
            "cols": [],
            "dataflow": "vector",
            "buffers": 1,
        },
    ],
}


@pytest.fixture
def machine() -> Machine:
    return load_target("kpu-t64")


def linear(machine: Machine, estimated: int = 450) -> Program:
    program = linear_program(machine)
    alternatives = ({**TILING, "cycles": 460}, {**TILING, "cycles": 470})
    layer = replace(program.layers[0], estimated_cycles=estimated, tiling=TILING, alternatives=alternatives)
    return replace(program, layers=(layer, *program.layers[1:]))


def test_a_mapping_in_words() -> None:
    assert mapping_lines({}) == []
    assert mapping_lines(TILING) == [
        "L2 loops oc=64, result in L2",
        "int8    oh 0:18   ws      rows oh·ow cols oc  space oh=6 oc=2  L1 oh=3  order oc oh  2 buffers",
        "matrix  oh 18:28  vector                      space –          L1 –     order –      1 buffers",
    ]
    assert mapping_words({**TILING, "l2": {}, "split": None, "parts": [{**TILING["parts"][0], "share": None}]}) == (
        "no L2 loops, result in L2; int8 ws rows oh·ow cols oc space oh=6 oc=2 L1 oh=3 order oc oh 2 buffers"
    )


def test_explanation(machine: Machine) -> None:
    explained = Executable(linear(machine), machine).explain()
    data = json.loads(json.dumps(explained.to_dict(), allow_nan=False))
    assert data["cycles"] == 493
    assert sum(data["lost"].values()) == data["cycles"] - data["bound_cycles"] == explained.lost_cycles
    for layer, values in zip(data["layers"], explained.layers, strict=True):
        assert sum(layer["lost"].values()) == layer["cycles"] - layer["bound_cycles"] == values.lost_cycles
    assert [a["cycles"] for a in data["layers"][0]["alternatives"]] == [460, 470]
    assert data["layers"][0]["tiling"] == TILING
    for layer, values in zip(data["layers"], explained.layers, strict=True):
        shares = {"compute": layer["compute_bound_cycles"], **layer["slots"]}
        assert sum(shares.values()) == layer["cycles"]
        assert values.limited_by == (layer["limited_by"], max(shares.values()))
    text = explanation_text(explained, explained.layers)
    for words in ("mostly", "lost", "next best", "460: L2 loops oc=64", "array_fill", explained.layers[0].name):
        assert words in text
    assert all(line == line.rstrip() for line in text.splitlines())
    assert text.startswith(explanation_text(explained, ()))


def test_layers_that_are_alike_are_shown_once(machine: Machine) -> None:
    explained = Executable(linear(machine), machine).explain()
    one = explained.layers[0]
    layers = (one, replace(one, name="other", cycles=one.cycles + 1), replace(one, name="twin"))
    assert [[x.name for x in alike] for alike in kinds(layers)] == [[one.name, "twin"], ["other"]]
    text = explanation_text(replace(explained, layers=layers), layers)
    assert "  and        twin" in text
    assert text.count("next best") == 2
    category = next(name for name, n in one.slots.items() if n > 0)
    assert f"{one.name} {one.slots[category]:,} ×3" in text
    most = chosen_layers(replace(explained, layers=layers), None, 1)
    assert [x.name for x in most] == ["other"]
    assert [x.name for x in chosen_layers(replace(explained, layers=layers), ["twin", one.name], 1)] == [
        one.name,
        "twin",
    ]


def test_agreement(machine: Machine) -> None:
    program = linear(machine)
    timing = simulate_timing(program, machine)
    own = own_cycles(timing)
    assert sum(own) == max(span.end for span in timing.layers)
    found = agreement(program, timing, [100])
    assert found.layers[0].difference == pytest.approx(450 / own[0] - 1)
    assert found.layers[0].with_weights_there == pytest.approx(450 / (own[0] - 100) - 1)
    assert found.all.largest == found.all.median == pytest.approx(abs(450 / own[0] - 1))
    assert found.with_weights_there.largest == pytest.approx(abs(450 / (own[0] - 100) - 1))
    assert (found.all.layer, found.count) == (0, 1)
    nothing = agreement(linear(machine, 0), timing, [0])
    assert (nothing.count, nothing.all) == (0, Spread(0.0, 0.0, None))
    assert agreement(program, timing, own).layers[0].with_weights_there is None


def test_only_layers_that_matter_are_compared(machine: Machine) -> None:
    program = linear(machine)
    program = replace(program, layers=(program.layers[0],) * 3)
    timing = simulate_timing(linear(machine), machine)
    spans = [LayerTiming(0, 600, 0, 600), LayerTiming(0, 1, 0, 1), LayerTiming(500, 1000, 500, 1000)]
    found = agreement(program, replace(timing, cycles=1000, layers=tuple(spans)), [0, 0, 0])
    assert [x.own_cycles for x in found.layers] == [599, 1, 400]
    assert [x.compared for x in found.layers] == [True, MIN_SHARE * 1000 <= 1, True]
    assert found.covered == pytest.approx(0.999)
    assert found.all.median == pytest.approx((450 / 400 - 1 + 1 - 450 / 599) / 2)


@pytest.fixture
def file(machine: Machine, tmp_path: Path) -> Path:
    path = tmp_path / "linear.kpu"
    Executable(linear(machine), machine).save(str(path))
    return path


def test_the_command(file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert swkpu_tool.main(["explain", str(file)]) == 0
    text = capsys.readouterr().out
    assert "where they go" in text and "mapping" in text
    assert swkpu_tool.main(["explain", str(file), "--top", "0", "--json", str(tmp_path / "e.json")]) == 0
    assert text.startswith(capsys.readouterr().out.rstrip("\n"))
    assert json.loads((tmp_path / "e.json").read_text())["layers"] == []
    assert swkpu_tool.main(["explain", str(file), "--json", "-"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert sum(data["lost"].values()) == data["cycles"] - data["bound_cycles"]


def test_what_it_refuses(file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments, words in (
        ([str(file), "--layer", "nothing"], "no layer 'nothing'"),
        ([str(file), "--top", "-1"], "--top -1: expected"),
        ([str(tmp_path / "none.kpu")], "none.kpu"),
    ):
        assert swkpu_tool.main(["explain", *arguments]) == 1
        assert words in capsys.readouterr().err
