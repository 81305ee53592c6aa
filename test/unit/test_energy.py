"""Energy: counts times coefficients, by hand, and its laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from programs import linear_program

from swkpu.program.model import Combiner, Dataflow, DType, Exec, FabricProgram, MicroOp, MicroOpcode
from swkpu.sim.energy import (
    COMPONENTS,
    Breakdown,
    Energy,
    check_tdp,
    dynamic_energy,
    power_trace,
    simulate_energy,
    spread,
    vector_is_float,
)
from swkpu.sim.timing import Timing, simulate_timing
from swkpu.sim.unroll import Counts
from swkpu.target.loader import list_targets, load_target
from swkpu.target.machine import Machine, Profile


def simulated(machine: Machine) -> tuple[Timing, Energy]:
    program = linear_program(machine)
    timing = simulate_timing(program, machine)
    return timing, simulate_energy(program, machine, timing)


def test_linear_program_by_hand() -> None:
    machine = load_target("kpu-t64")
    timing, energy = simulated(machine)
    total = energy.total
    assert total.compute == pytest.approx(4096 * (0.40 + 0.08))
    # Four execs on two tiles stream 16 * (16 * 2 + 8 * 2) bytes, and read a 4-byte bias and write bf16 per result.
    streamed = 8 * 16 * 48 + 256 * 4
    assert total.l1 == pytest.approx((streamed + 512) * 0.2 + (512 + 1024 + 2 * 288) * 0.3)
    assert total.l2 == pytest.approx((1824 + 1824) * 0.7)
    # Ten transfers over the NoC, each starting with one flit of 512 bytes.
    assert total.noc == pytest.approx(1824 * 0.15 + 10 * 0.5 * 512)
    assert total.dram == pytest.approx((1344 + 512) * 12)
    commands, transfers, loads = 24 + 1, 20, 2
    semaphores = (1 + 1 + 8) + (2 + 2 + 16) + (1 + 16) + 16 + 8
    assert total.control == pytest.approx(commands * 20 + transfers * 50 + loads * 500 + semaphores * 10)
    assert total.static == pytest.approx(0.6 * timing.cycles / 850e6 * 1e12)


@pytest.mark.parametrize("target", [t for t in list_targets() if load_target(t).groups_for("bf16")])
def test_components_and_layers_sum_to_the_total(target: str) -> None:
    machine = load_target(target)
    timing, energy = simulated(machine)
    assert sum(getattr(energy.total, c) for c in COMPONENTS) == pytest.approx(energy.total.total, rel=1e-9)
    dynamic = sum(layer.total for layer in energy.layers)
    assert dynamic + energy.total.static == pytest.approx(energy.total.total, rel=1e-9)
    seconds = timing.cycles / machine.profile.mhz / 1e6
    assert energy.average_power_w * seconds == pytest.approx(energy.total.total * 1e-12, rel=1e-9)
    assert energy.tdp.average_power_w == pytest.approx(energy.average_power_w, rel=1e-9)


def test_voltage_scales_dynamic_energy_only() -> None:
    machine = load_target("kpu-t64")
    profile = machine.profile
    doubled = replace(profile, voltage_v=2 * machine.energy.nominal_voltage_v)
    at_double = replace(machine, clock=replace(machine.clock, profiles={profile.name: doubled}))
    nominal = replace(profile, voltage_v=None)
    at_nominal = replace(machine, clock=replace(machine.clock, profiles={profile.name: nominal}))
    low, high = simulated(at_nominal)[1].total, simulated(at_double)[1].total
    assert high.dram == pytest.approx(4 * low.dram)
    assert high.control == pytest.approx(4 * low.control)
    assert high.static == low.static


def test_tdp_check_says_which_clock_fits() -> None:
    machine = load_target("kpu-t64")
    profiles = {
        "slow": Profile("slow", 100.0, 6.0, 1.0),
        "mid": Profile("mid", 500.0, 6.0, 1.0),
        "fast": Profile("fast", 1000.0, 6.0, 1.0),
    }
    machine = replace(machine, clock=replace(machine.clock, profiles=profiles), profile_name="fast")
    # 8 nJ a cycle at 1 GHz is 8 W, and 1 W static.
    check = check_tdp(machine, 8000.0 * 1000, 1000)
    assert check.average_power_w == pytest.approx(9.0)
    assert check.excess_w == pytest.approx(3.0)
    assert not check.ok
    assert check.fits_mhz == pytest.approx(625.0)
    assert check.fits_profile == "mid"
    assert check_tdp(machine, 1000.0 * 1000, 1000).ok
    hot = replace(machine, clock=replace(machine.clock, profiles={"fast": Profile("fast", 1000.0, 6.0, 7.0)}))
    check = check_tdp(hot, 8000.0 * 1000, 1000)
    assert (check.fits_mhz, check.fits_profile) == (None, None)


def test_power_trace_integrates_to_the_total() -> None:
    machine = load_target("kpu-t64")
    program = linear_program(machine)
    timing = simulate_timing(program, machine)
    energy = simulate_energy(program, machine, timing)
    for bins in (1, 7, 200):
        trace = power_trace(program, machine, timing, bins)
        seconds = np.diff(trace.edges) / machine.profile.mhz / 1e6
        assert float((trace.power_w * seconds).sum()) == pytest.approx(energy.total.total * 1e-12)
        assert np.all(trace.power_w >= machine.profile.static_w - 1e-9)


def test_spread() -> None:
    assert spread([0, 2], [4, 4], [8.0, 2.0], [0, 1, 2, 4]).tolist() == pytest.approx([2.0, 2.0, 6.0])
    assert spread([], [], [], [0, 5]).tolist() == [0.0]
    assert spread([3], [3], [7.0], [0, 3, 10]).tolist() == pytest.approx([0.0, 7.0])


def test_sums() -> None:
    assert Counts(macs=1, commands=2) + Counts(macs=3) == Counts(macs=4, commands=2)
    assert (Breakdown(l1=1.0) + Breakdown(l1=2.0, static=1.0)).total == 4.0


def test_vector_work_costs_what_it_computes_in() -> None:
    """Integers at the integer price; any float among the micro-ops makes it the float price."""
    machine = load_target("kpu-t64")
    program = linear_program(machine)
    access = program.fabrics[0].accesses[-1]
    exec_ = next(c for s in program.streams for c in s.commands if isinstance(c, Exec))

    def lane_pj(*ops: MicroOp) -> float:
        fabric = FabricProgram(
            "f", ("m", "n"), 2, 0, (access, access), Combiner.NONE, DType.I32, ops, len(ops), (), (), Dataflow.OS
        )
        is_float = vector_is_float(replace(program, fabrics=(fabric,)), replace(exec_, fabric=0))
        return dynamic_energy(machine, Counts(vector_ops=100), None, is_float).compute

    assert lane_pj(MicroOp(MicroOpcode.ADDI, DType.I32, (0, 0))) == pytest.approx(100 * machine.energy.vector_int_pj)
    rescale = MicroOp(MicroOpcode.RESCALE, DType.I8, (0, 0, 0), integers=(0, 0))
    table = MicroOp(MicroOpcode.TABLE, DType.I8, (1,), integers=(0,))
    assert lane_pj(rescale, table) == pytest.approx(100 * machine.energy.vector_int_pj)
    assert lane_pj(MicroOp(MicroOpcode.SITOFP, DType.F32, (0,))) == pytest.approx(100 * machine.energy.vector_float_pj)
    assert lane_pj(MicroOp(MicroOpcode.CMPF_OLT, DType.I1, (0, 0))) == pytest.approx(
        100 * machine.energy.vector_float_pj
    )
