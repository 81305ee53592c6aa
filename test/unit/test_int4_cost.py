"""Weights of i4 take half the bytes of i8 in every memory and stream, and run at the i4 rate."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from int4_cases import compiled, conv, module_of, program_of
from programs import access
from test_timing_reference import assert_agree, programs

from swkpu.compiler import check_precision
from swkpu.errors import TargetError
from swkpu.program.dtypes import DType
from swkpu.program.model import Combiner, Dataflow, Exec, FabricProgram, Load, Program, Space, Stage
from swkpu.report.build import build_report
from swkpu.sim.energy import simulate_energy
from swkpu.sim.timing import simulate_timing
from swkpu.target import Machine, cost, load_target


def weight_maps(program: Program, dtype: DType) -> set[int]:
    """The maps that are loaded from the program's constants."""
    constants = range(min(s.address for s in program.segments), max(s.address + s.size for s in program.segments))
    return {
        i for i, m in enumerate(program.maps) if m.dtype is dtype and m.space is Space.DRAM and m.begin in constants
    }


@pytest.mark.parametrize("target", ["kpu-t64", "swkpu-v1", "kpu-16x16"])
def test_half_the_bytes(target: str) -> None:
    machine = load_target(target)
    four, eight = (program_of("pointwise", target, d) for d in (DType.I4, DType.I8))
    weight = 130 * 64
    assert [sum(s.size for s in p.segments) for p in (four, eight)] == [weight // 2, weight]
    assert [p.metadata.weight_bytes for p in (four, eight)] == [weight // 2, weight]
    assert eight.metadata.compulsory_dram_bytes - four.metadata.compulsory_dram_bytes == weight // 2
    read = []
    for program, dtype in ((four, DType.I4), (eight, DType.I8)):
        maps = weight_maps(program, dtype)
        timing = simulate_timing(program, machine)
        dma = next(i for i, s in enumerate(program.streams) if s.engine.name == "DMA_IN")
        counts = [
            n
            for c, n in zip(program.streams[dma].commands, timing.streams[dma].counts, strict=True)
            if isinstance(c, Load) and c.src.map in maps
        ]
        read.append([sum(n.dram_read_bytes for n in counts), sum(n.l2_write_bytes for n in counts)])
        bursts = machine.dram.burst_bytes * len(counts)
    # Loads may be cut where a burst is not whole.
    assert 0 <= read[0][0] - weight // 2 <= bursts and 0 <= read[1][0] - weight <= bursts
    assert read[1][1] == 2 * read[0][1] == weight


def test_operand_streams_are_half_as_long() -> None:
    group = replace(load_target("kpu-t64").tile_groups[0], l1_read_bytes_per_cycle=1)
    fabric = FabricProgram(
        "matmul", ("m", "n", "k"), 2, 2, (access(0, 2), access(1, 2), access(0, 1)), Combiner.MAC, DType.I32, (), 0,
        (0,), (1,), Dataflow.OS,
    )  # fmt: skip
    out = [
        cost.exec_cost(group, fabric, (DType.I8, w, DType.I32), (16, 8, 100), run=1).l1_read_bytes
        for w in (DType.I8, DType.I4)
    ]
    assert out == [100 * (16 + 8), 100 * (16 + 4)]


def test_rate() -> None:
    """kpu-t64: int8 tiles multiply i4 at twice the i8 rate, matrix tiles as i8."""
    machine = load_target("kpu-t64")
    assert [cost.macs_per_pe(g, "i4") for g in machine.tile_groups if g.supports("i4")] == [2, 4]
    assert [g.multiplied_as("i4") for g in machine.tile_groups] == ["i4", None, "i8"]
    assert machine.compute_bound_cycles({"i4": 13056}) == 1
    case = conv((1, 128, 28, 28), (128, 128, 3, 3), padding=1)
    four, eight = (
        compiled(module_of(case, np.ones(case.w, w)), "kpu-t64") for w in (np.dtype(ml_dtypes.int4), np.dtype(np.int8))
    )
    macs = 128 * 128 * 9 * 28 * 28
    layer = next(layer for layer in four.layers if layer.macs)
    assert (layer.macs, layer.mac_type) == (macs, "i4")
    timings = [simulate_timing(p, machine) for p in (four, eight)]
    assert timings[0].cycles < 0.75 * timings[1].cycles
    assert timings[0].cycles >= macs / 13056
    energies = [simulate_energy(p, machine, t) for p, t in zip((four, eight), timings)]
    assert energies[0].total.compute < energies[1].total.compute
    report = build_report(four, machine, timings[0], energies[0], 0.0)
    assert report.compute_bound_cycles == ceil(macs / 13056)
    used = {t for u in timings[0].streams for t in u.mac_types if t is not None}
    assert used == {"i4", "i8"}


def test_target_without_a_rate() -> None:
    """Stored in half bytes, multiplied as i8; but it is not one of the target's precisions."""
    machine = load_target("kpu-16x16")
    assert machine.peak_macs_per_cycle("i4") == machine.peak_macs_per_cycle("i8")
    assert not load_target("kpu-sim").groups_for("i4")
    timing = simulate_timing(program_of("pointwise", "kpu-16x16"), machine)
    assert {t for u in timing.streams for t in u.mac_types} == {"i8", None}
    with pytest.raises(TargetError, match="int4"):
        check_precision(machine, "int4")
    check_precision(load_target("swkpu-v1"), "int4")


@pytest.mark.parametrize("name", ["odd channels", "depthwise", "linear"])
@pytest.mark.parametrize("target", ["kpu-t64", "swkpu-v1"])
def test_timing_is_that_of_the_reference(name: str, target: str) -> None:
    assert_agree(program_of(name, target), load_target(target), True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(programs(), st.booleans())
def test_random_programs(case: tuple[Program, Machine], contention: bool) -> None:
    """Of i4 where transfers begin and where contractions read weights."""
    program, machine = case
    packed = [
        replace(m, dtype=DType.I4) if m.dtype is DType.I8 and m.space is not Space.L1 else m for m in program.maps
    ]
    weights = len(packed)
    packed.append(replace(next(m for m in program.maps if m.space is Space.L1), dtype=DType.I4))
    streams = []
    for stream in program.streams:
        commands = list(stream.commands)
        for i, command in enumerate(commands):
            if not isinstance(command, Exec) or command.stage is Stage.FINISH:
                continue
            if program.fabrics[command.fabric].combiner is Combiner.MAC:
                first, second, *rest = command.operands
                commands[i] = replace(command, operands=(first, replace(second, map=weights), *rest))
        streams.append(replace(stream, commands=tuple(commands)))
    assert_agree(replace(program, streams=tuple(streams), maps=tuple(packed)), machine, contention)
