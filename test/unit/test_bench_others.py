"""Comparisons with the tools of others: what we tell them, how we read them, and when a goal is met."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import performance_tables as tables
from benchmarks.others import environment, ethos, scalesim, vela, zigzag
from benchmarks.others.accelerator import accelerator, yaml_text
from benchmarks.others.whole_layers import Product, closed_form, run_whole_layers
from benchmarks.prepared import prepare
from swkpu.errors import InputError, TargetError
from swkpu.target import load_target

MACHINE = load_target("kpu-16x16")

# ---- environments ----------------------------------------------------------------------------------------------------


def test_every_environment_is_pinned_exactly() -> None:
    files = sorted(environment.REQUIREMENTS.glob("*.txt"))
    assert [file.stem for file in files] == ["scalesim", "tosa", "vela", "zigzag"]
    for file in files:
        lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
        assert lines and all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), file.name


def test_an_environment_that_is_up_to_date_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(
        environment,
        "run",
        lambda command, cwd=None: (tmp_path / "vela").mkdir(exist_ok=True) or commands.append(command),
    )
    assert environment.environment("vela", tmp_path) == tmp_path / "vela" / "bin"
    assert len(commands) == 2 and commands[1][-2:] == ["-r", str(environment.REQUIREMENTS / "vela.txt")]
    environment.environment("vela", tmp_path)
    assert len(commands) == 2
    (tmp_path / "vela" / environment.STAMP).write_text("other pins")
    environment.environment("vela", tmp_path)
    assert len(commands) == 4


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(InputError, match=r"sh -c echo no such package; exit 3 failed \(3\):\nno such package"):
        environment.run(["sh", "-c", "echo no such package; exit 3"])


# ---- SCALE-Sim -------------------------------------------------------------------------------------------------------


def test_the_closed_form_is_that_of_one_fold_per_block() -> None:
    assert closed_form(49, 512, 256, 16, 16) == 4 * 32 * (256 + 30) - 1 == 36607
    assert closed_form(1, 1, 1, 16, 16) == 30


def product(name: str, m: int, exec_cycles: int, lanes: int = 0) -> Product:
    return Product(name, m, 16, 100, exec_cycles, lanes)


def test_equal_layers_are_simulated_once_and_the_shortest_first() -> None:
    products = [product("a", 64, 519), product("b", 16, 129), product("c", 64, 519)]
    assert scalesim.to_simulate(products, 16, 16, None) == [["b", 16, 16, 100], ["a", 64, 16, 100]]
    assert scalesim.to_simulate(products, 16, 16, 1) == [["b", 16, 16, 100]]
    rows = scalesim.layer_rows(products, {"a": 519}, 16, 16)
    assert [row["scalesim"] for row in rows] == [519, None, 519]
    assert all(map(scalesim.equal, rows))


def test_layers_that_differ_are_found() -> None:
    (ours,) = scalesim.layer_rows([product("a", 64, 520)], {"a": 519}, 16, 16)
    (theirs,) = scalesim.layer_rows([product("a", 64, 519)], {"a": 518}, 16, 16)
    assert not scalesim.equal(ours) and not scalesim.equal(theirs)
    (behind,) = scalesim.layer_rows([product("a", 64, 535, 16)], {"a": 519}, 16, 16)
    assert scalesim.equal(behind) and behind["lanes"] == 16


def test_whole_layers_take_what_scale_sim_says() -> None:
    """The compiled program of a network, simulated, not the cost formula alone."""
    products = run_whole_layers(prepare("lenet"), scalesim.APART)
    assert len(products) == 5
    for p in products:
        assert p.array_cycles == closed_form(*p.shape, 16, 16), p


# ---- ZigZag ----------------------------------------------------------------------------------------------------------


def test_the_accelerator_is_the_target() -> None:
    found = json.loads(yaml_text(accelerator(MACHINE)))
    assert found["operational_array"]["sizes"] == [16, 16]
    memories = found["memories"]
    assert memories["l1"]["size"] == 8 * 262144 and memories["l2"]["size"] == 8 * 2097152
    ports = {name: {p["name"]: p for p in memory["ports"]} for name, memory in memories.items()}
    assert ports["l2"]["r_port_1"]["bandwidth_max"] == 8 * 512
    assert ports["dram"]["rw_port_1"]["bandwidth_max"] == 410  # 51.2 bytes a cycle, rounded up
    for memory in memories.values():
        names = [p["name"] for p in memory["ports"]]
        assert len(set(names)) == len(names)
        carried = [a for p in memory["ports"] for a in p["allocation"]]
        assert len(set(carried)) == len(carried)
        assert {a.split(", ")[0] for a in carried} == set(memory["operands"])


def test_an_accelerator_has_one_tile() -> None:
    with pytest.raises(TargetError, match="expected a target with one tile, kpu-t64 has 64"):
        accelerator(load_target("kpu-t64"))


def test_zigzag_is_judged_by_cycles_and_time() -> None:
    theirs = {"version": "3.9", "cycles": 9.3e6, "seconds": 60.0}
    assert zigzag.judged({"cycles": 7_000_000, "seconds": 0.2}, theirs)["met"]
    assert not zigzag.judged({"cycles": 9_400_000, "seconds": 0.2}, theirs)["met"]
    found = zigzag.judged({"cycles": 7_000_000, "seconds": 1.2}, theirs)
    assert not found["met"]
    assert zigzag.lines(found) == [("ZigZag 3.9", "9,300,000", "60.0"), ("ours", "7,000,000", "1.20")]


# ---- Vela ------------------------------------------------------------------------------------------------------------


def test_the_npu_has_the_clock_and_memories_of_the_target() -> None:
    lines = dict(line.split("=") for line in ethos.configuration(MACHINE).splitlines() if "=" in line)
    assert float(lines["core_clock"]) == 500e6
    dram = float(lines["Dram_clock_scale"]) * int(lines["Dram_ports_used"]) * ethos.PORT_BYTES * 500e6
    assert dram == pytest.approx(25.6e9)
    assert int(lines["arena_cache_size"]) == 2097152 and int(lines["Dram_read_latency"]) == 50


def test_velas_summary() -> None:
    text = "network,cycles_total,dram_total_bytes,sram_memory_used\nresnet18,10830000.0,16100000,1999.5\n"
    assert ethos.figures(text) == {"cycles": 10830000, "dram_bytes": 16100000, "sram_bytes": 2047488}
    for broken in ("", "network\nx\n", text + "more,1,2,3\n", text.replace("16100000", "many")):
        with pytest.raises(InputError, match="Vela's summary: expected one line"):
            ethos.figures(broken)


def test_velas_better_memory_mode_counts_where_it_fits() -> None:
    slow = {"cycles": 1100, "dram_bytes": 3, "sram_bytes": 1 << 20}
    fast, light = slow | {"cycles": 1000, "dram_bytes": 5}, slow | {"cycles": 1010, "dram_bytes": 4}
    assert ethos.best([slow, fast], MACHINE) == fast
    assert ethos.best([slow, fast, light], MACHINE) == light
    assert ethos.best([slow, light | {"sram_bytes": (2 << 20) + 1}], MACHINE) == slow
    with pytest.raises(InputError, match="Vela needs 4,194,304 bytes of SRAM, kpu-16x16 has 2,097,152"):
        ethos.best([slow | {"sram_bytes": 4 << 20}], MACHINE)


def test_each_goal_against_vela_counts() -> None:
    their: dict[str, Any] = {"version": "5.2.0", "cycles": 1000, "dram_bytes": 100, "seconds": 2.0}
    fine: dict[str, Any] = {"cycles": 800, "dram_bytes": 99, "seconds": 2.0}
    assert all(vela.judged("resnet18", fine, their)["met"].values())
    for change in ({"cycles": 801}, {"dram_bytes": 100}, {"seconds": 2.1}):
        met = vela.judged("resnet18", fine | change, their)["met"]
        assert [key for key, value in met.items() if not value] == list(change)
    assert vela.cells(vela.judged("resnet18", fine, their))[3] == "0.800 ✓ ≤ 0.80"


# ---- tables of docs/performance.md -----------------------------------------------------------------------------------


def test_the_table_of_vela() -> None:
    their: dict[str, Any] = {"version": "5.2.0", "cycles": 10_000, "dram_bytes": 2_000_000, "seconds": 2.0}
    our: dict[str, Any] = {"cycles": 9_000, "dram_bytes": 1_000_000, "seconds": 1.0}
    head, (line,) = tables.vela([vela.judged("resnet18", our, their)])
    assert line == ["`resnet18`", "10,000", "9,000", "**0.900** (≤ 0.80)", "2.0", "1.0", "2.0", "1.0"]
    assert len(head) == len(line)


def test_what_one_side_refuses_is_a_row_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(model: str) -> dict[str, Any]:
        raise TargetError("no room")

    monkeypatch.setattr(vela, "ours", refuse)
    row = vela.row_of("resnet18")
    assert row["error"] == "no room" and not all(row["met"].values())
    assert len(vela.cells(row)) == 8
    head, (line,) = tables.vela([row])
    assert line[:2] == ["`resnet18`", "error"] and len(line) == len(head)


def test_the_table_of_scale_sim_has_each_size_once() -> None:
    products = [product("a", 64, 519), product("b", 16, 129), product("c", 64, 519)]
    rows = scalesim.layer_rows(products, {"a": 519}, 16, 16)
    found = {"version": "3.0.0", "layers": rows, "scalesim_cycles": 1167, "ours_cycles": 900}
    head, lines = tables.scalesim(found)
    assert [line[0] for line in lines] == ["`a`", "`b`", "all 3", "whole program, passes overlapping"]
    assert lines[0][1:] == ["64", "16", "100", "519", "519", "519"] and lines[1][-1] == "–"
    assert lines[2][4:] == ["1,167", "1,167", "1,167"] and lines[3][4] == "900"
    assert {len(line) for line in lines} == {len(head)}


def test_the_table_of_zigzag() -> None:
    theirs = {"version": "3.9", "cycles": 9.3e6, "seconds": 60.0}
    _, lines = tables.zigzag(zigzag.judged({"cycles": 7_000_000, "seconds": 0.2}, theirs))
    assert lines == [["ZigZag 3.9", "9,300,000", "60.0"], ["ours", "7,000,000", "0.20"]]
