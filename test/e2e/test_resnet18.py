"""resnet18 at full size on kpu-t64: compile, save, load, run, compare."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from laws import check_laws

import swkpu
from swkpu import zoo
from swkpu.executable import Executable
from swkpu.report.compare import compare

MAX_RECURRENCES = 24


@pytest.fixture(scope="module")
def program_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("resnet18") / "resnet18.kpu"
    swkpu.compile("resnet18", target="kpu-t64", precision="bf16").save(str(path))
    return path


@pytest.fixture(scope="module")
def loaded(program_file: Path) -> Executable:
    return swkpu.load(str(program_file))


def test_outputs_agree_with_eager(loaded: Executable):
    x = zoo.example_input("resnet18")
    with torch.no_grad():
        reference = zoo.build("resnet18")(x)
    check = compare([loaded(x).numpy()], [reference.numpy()])
    assert check.sqnr_db is not None
    assert check.sqnr_db > 35
    assert check.top1_match


def test_nothing_beats_its_bound_and_the_program_is_efficient(loaded: Executable):
    report = check_laws(loaded)
    assert report.efficiency > 0.5
    assert report.macs == zoo.info("resnet18").macs
    assert (report.dram_read_bytes + report.dram_write_bytes) / report.compulsory_dram_bytes < 1.1
    assert report.cycles / report.estimated_cycles == pytest.approx(1, abs=0.25)


def test_the_program_is_compact(loaded: Executable, program_file: Path):
    program = loaded.program
    recurrences = [layer for layer in program.layers if layer.op not in ("copy", "transpose")]
    assert len(recurrences) <= MAX_RECURRENCES
    assert program.command_count < 1500
    assert program_file.stat().st_size - len(program.constants) < 100_000
