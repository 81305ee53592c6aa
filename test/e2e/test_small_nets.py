"""Small networks on every target at every float precision: values against PyTorch, and the laws of the simulation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from laws import check_accuracy, check_laws
from small_nets import NETS, Net
from torch.utils._pytree import tree_leaves

import swkpu
from swkpu.compiler import FLOAT_PRECISIONS
from swkpu.executable import Executable
from swkpu.program.container import to_bytes
from swkpu.report.compare import compare
from swkpu.report.report import Check
from swkpu.target import list_targets, load_target

MATRIX = [
    (target, precision)
    for target in list_targets()
    for precision in FLOAT_PRECISIONS
    if precision in load_target(target).precisions
]
MAX_COMMANDS_PER_LAYER = 50
MAX_PROGRAM_BYTES_PER_LAYER = 3000


def compiled(net: Net, target: str, precision: str, batch: int = 1) -> Executable:
    return swkpu.compile(net.build(), (net.input(batch),), target=target, precision=precision)


def check_values(executable: Executable, net: Net, batch: int = 1) -> Check:
    x = net.input(batch)
    outputs, references = tree_leaves(executable(x)), tree_leaves(net.build()(x))
    return compare([o.float().numpy() for o in outputs], [r.numpy() for r in references])


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("target", "precision"), MATRIX)
def test_every_target_and_precision(name: str, target: str, precision: str):
    executable = compiled(NETS[name], target, precision)
    check_accuracy(precision, check_values(executable, NETS[name]))
    report = check_laws(executable)
    program = executable.program
    assert program.command_count <= MAX_COMMANDS_PER_LAYER * len(report.layers)
    assert len(to_bytes(program)) - len(program.constants) <= MAX_PROGRAM_BYTES_PER_LAYER * len(report.layers)


@pytest.mark.parametrize("batch", [2, 4])
@pytest.mark.parametrize(("target", "precision"), [("kpu-t64", "bf16"), ("swkpu-v1", "fp16"), ("kpu-sim", "fp32")])
def test_batches(batch: int, target: str, precision: str):
    net = NETS["classifier"]
    one, many = compiled(net, target, precision), compiled(net, target, precision, batch)
    check_accuracy(precision, check_values(many, net, batch))
    report = check_laws(many)
    assert report.batch == batch
    assert report.macs == batch * one.report.macs
    assert one.report.cycles < report.cycles < batch * one.report.cycles
    x = net.input(batch)
    singles = torch.cat([one(row) for row in x.split(1)])
    assert compare([many(x).numpy()], [singles.numpy()]).max_rel_diff < 0.02


@pytest.mark.parametrize("profile", load_target("kpu-t64").clock.profiles)
def test_profiles_change_the_clock_and_not_the_values(profile: str):
    net = NETS["classifier"]
    executable = swkpu.compile(net.build(), (net.input(),), target="kpu-t64", profile=profile)
    report = check_laws(executable)
    assert (report.profile, report.clock_mhz) == (profile, load_target("kpu-t64", profile).profile.mhz)
    assert torch.equal(executable(net.input()), compiled(net, "kpu-t64", "bf16")(net.input()))


def test_save_and_load_keep_program_and_results(tmp_path: Path):
    net = NETS["branches"]
    executable = compiled(net, "kpu-t64", "bf16")
    executable.save(str(tmp_path / "net.kpu"))
    loaded = swkpu.load(str(tmp_path / "net.kpu"))
    assert to_bytes(loaded.program) == to_bytes(executable.program)
    assert loaded.report.cycles == executable.report.cycles
    for a, b in zip(loaded(net.input()), executable(net.input()), strict=True):
        assert torch.equal(a, b)


COMPILE = """
import sys
import swkpu
from small_nets import NETS
net = NETS["classifier"]
swkpu.compile(net.build(), (net.input(),), target="kpu-t64").save(sys.argv[1])
"""


def test_compiling_in_another_process_gives_the_same_bytes(tmp_path: Path):
    programs: list[bytes] = []
    for hash_seed in ("0", "4711"):
        file = tmp_path / f"{hash_seed}.kpu"
        environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parent)}
        subprocess.run([sys.executable, "-c", COMPILE, str(file)], check=True, env=environment)
        programs.append(file.read_bytes())
    assert programs[0] == programs[1]
