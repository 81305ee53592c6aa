"""Energy: what the commands did, times the target's coefficients, plus static power times the time they took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from swkpu.errors import TargetError
from swkpu.program.micro_ops import signature
from swkpu.program.model import Combiner, Exec, Program, Reduce
from swkpu.sim.timing import Timing
from swkpu.sim.unroll import Counts

if TYPE_CHECKING:
    from swkpu.target.machine import Machine, Profile

Floats: TypeAlias = npt.NDArray[np.float64]

COMPONENTS = ("compute", "l1", "l2", "noc", "dram", "control", "static")


@dataclass(frozen=True)
class Breakdown:
    """Energy by component, in pJ."""

    compute: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    noc: float = 0.0
    dram: float = 0.0
    control: float = 0.0
    static: float = 0.0

    @property
    def total(self) -> float:
        return fsum(vars(self).values())

    def __add__(self, other: Breakdown) -> Breakdown:
        return Breakdown(**{k: v + getattr(other, k) for k, v in vars(self).items()})

    def as_uj(self) -> dict[str, float]:
        return {name: getattr(self, name) * 1e-6 for name in COMPONENTS}


@dataclass(frozen=True)
class TdpCheck:
    """Average power against the profile's TDP.

    excess_w      by how much the average exceeds it (0 when it fits)
    fits_mhz      the highest core clock at which the same work stays within it, None when static power alone exceeds it
    fits_profile  the target's fastest profile that stays within its own TDP, None when none does
    """

    average_power_w: float
    tdp_w: float
    excess_w: float
    fits_mhz: float | None
    fits_profile: str | None

    @property
    def ok(self) -> bool:
        return self.excess_w == 0.0


@dataclass(frozen=True)
class PowerTrace:
    """Average power in equal bins of time: bin i covers cycles `edges[i]` to `edges[i + 1]`."""

    edges: Floats
    power_w: Floats


@dataclass(frozen=True)
class Energy:
    """`layers` are the dynamic energies by layer; a layer's share of the static energy goes with its time."""

    total: Breakdown
    layers: tuple[Breakdown, ...]
    average_power_w: float
    tdp: TdpCheck
    counts: Counts


def simulate_energy(program: Program, machine: Machine, timing: Timing) -> Energy:
    """Energy of a simulated program, in pJ."""
    layers = [Breakdown() for _ in program.layers]
    everything = Counts()
    dynamic = Breakdown()
    for stream, unrolled in zip(program.streams, timing.streams, strict=True):
        for index, command in enumerate(stream.commands):
            counts = unrolled.counts[index]
            energy = dynamic_energy(machine, counts, unrolled.mac_types[index], vector_is_float(program, command))
            everything = everything + counts
            dynamic = dynamic + energy
            if command.layer < len(layers):
                layers[command.layer] = layers[command.layer] + energy
    seconds = timing.cycles / (machine.profile.mhz * 1e6)
    total = dynamic + Breakdown(static=machine.profile.static_w * seconds * 1e12)
    average = total.total * 1e-12 / seconds if seconds else 0.0
    return Energy(total, tuple(layers), average, check_tdp(machine, dynamic.total, timing.cycles), everything)


def dynamic_energy(machine: Machine, counts: Counts, mac_type: str | None, is_float: bool) -> Breakdown:
    """Energy of what `counts` counts, at the profile's voltage. `is_float` says what the vector lanes compute in."""
    e = machine.energy
    scale = machine.energy_scale
    vector_pj = e.vector_float_pj if is_float else e.vector_int_pj
    mac_pj = _mac_pj(machine, mac_type) + e.accumulate_pj if mac_type is not None else 0.0
    noc_transfers = counts.transfers if counts.noc_bytes else 0
    return Breakdown(
        compute=scale * (counts.macs * mac_pj + counts.vector_ops * vector_pj),
        l1=scale * (counts.l1_read_bytes * e.l1_read_pj_per_byte + counts.l1_write_bytes * e.l1_write_pj_per_byte),
        l2=scale * (counts.l2_read_bytes * e.l2_read_pj_per_byte + counts.l2_write_bytes * e.l2_write_pj_per_byte),
        noc=scale * (counts.noc_bytes * e.noc_pj_per_byte + noc_transfers * machine.noc_transfer_pj),
        dram=scale
        * (counts.dram_read_bytes * e.dram_read_pj_per_byte + counts.dram_write_bytes * e.dram_write_pj_per_byte),
        control=scale
        * (
            counts.commands * e.command_pj
            + counts.semaphore_ops * e.semaphore_pj
            + counts.program_loads * e.program_load_pj
            + counts.transfers * e.stream_setup_pj
        ),
    )


def check_tdp(machine: Machine, dynamic_pj: float, cycles: int) -> TdpCheck:
    """Does the work, `dynamic_pj` in `cycles`, stay within the profile's TDP; and at which clock would it?

    Dynamic power is proportional to the clock at a given voltage, static power is not:
    P(f) = static + E_dynamic / cycles * f.
    """
    profile = machine.profile
    if cycles == 0:
        return TdpCheck(profile.static_w, profile.tdp_w, max(profile.static_w - profile.tdp_w, 0.0), None, profile.name)
    joules_per_cycle = dynamic_pj * 1e-12 / cycles
    average = profile.static_w + joules_per_cycle * profile.mhz * 1e6
    headroom = profile.tdp_w - profile.static_w
    fits_mhz = headroom / joules_per_cycle * 1e-6 if headroom > 0 and joules_per_cycle > 0 else None
    nominal = joules_per_cycle / machine.energy_scale
    fitting = [p for p in machine.clock.profiles.values() if _fits(machine, p, nominal)]
    best = max(fitting, key=lambda p: p.mhz, default=None)
    return TdpCheck(
        average, profile.tdp_w, max(average - profile.tdp_w, 0.0), fits_mhz, best.name if best is not None else None
    )


def _fits(machine: Machine, profile: Profile, nominal_joules_per_cycle: float) -> bool:
    scale = machine.with_profile(profile.name).energy_scale
    return profile.static_w + nominal_joules_per_cycle * scale * profile.mhz * 1e6 <= profile.tdp_w


def power_trace(program: Program, machine: Machine, timing: Timing, bins: int = 200) -> PowerTrace:
    """Power over time, static included. An instance's energy is its command's average, spread over its occupancy."""
    edges = np.linspace(0.0, float(timing.cycles), bins + 1)
    energy = np.zeros(bins)
    for stream, unrolled, events in zip(program.streams, timing.streams, timing.stream_events, strict=True):
        per_instance = np.zeros(len(stream.commands))
        for index, command in enumerate(stream.commands):
            if unrolled.instances[index]:
                counts, mac_type = unrolled.counts[index], unrolled.mac_types[index]
                pj = dynamic_energy(machine, counts, mac_type, vector_is_float(program, command)).total
                per_instance[index] = pj / unrolled.instances[index]
        energy += spread(events.arrival, events.end, per_instance[unrolled.command], edges)
    seconds = np.diff(edges) / (machine.profile.mhz * 1e6)
    dynamic_w = np.divide(energy * 1e-12, seconds, out=np.zeros(bins), where=seconds > 0)
    return PowerTrace(edges, dynamic_w + machine.profile.static_w)


def spread(
    start: Sequence[int] | npt.NDArray[np.int64],
    end: Sequence[int] | npt.NDArray[np.int64],
    amount: Sequence[float] | npt.NDArray[np.int64] | Floats,
    edges: Sequence[float] | npt.NDArray[np.int64] | Floats,
) -> Floats:
    """How much falls between consecutive `edges` when each `amount` is spread evenly over its [start, end).

    An interval is at least one cycle long. `edges` ascend.
    """
    begin = np.asarray(start, dtype=np.float64)
    length = np.maximum(np.asarray(end, dtype=np.float64) - begin, 1.0)
    total = np.asarray(amount, dtype=np.float64)
    bounds = np.asarray(edges, dtype=np.float64)
    if not len(begin):
        return np.zeros(max(len(bounds) - 1, 0))
    # An interval's amount before a bound is rate * (bound - begin) inside it, all of it behind: sums over sorted
    # starts and ends give the sums over all intervals at once.
    rate = total / length
    up, down = np.argsort(begin), np.argsort(begin + length)
    stops = (begin + length)[down]

    def before(times: Floats, rates: Floats) -> Floats:
        slope = np.concatenate([[0.0], np.cumsum(rates)])
        offset = np.concatenate([[0.0], np.cumsum(rates * times)])
        at = np.searchsorted(times, bounds, side="right")
        return slope[at] * bounds - offset[at]

    return np.diff(before(begin[up], rate[up]) - before(stops, rate[down]))


def _mac_pj(machine: Machine, mac_type: str) -> float:
    if mac_type not in machine.energy.mac_pj:
        raise TargetError(
            f"target '{machine.name}' states no energy of a {mac_type} MAC; it has {sorted(machine.energy.mac_pj)}"
        )
    return machine.energy.mac_pj[mac_type]


def vector_is_float(program: Program, command: object) -> bool:
    """Whether a command's lanes compute on floats: all of its vector work counts as float when any does."""
    if isinstance(command, Reduce):
        return program.maps[command.src.map].dtype.is_float
    if not isinstance(command, Exec):
        return False
    fabric = program.fabrics[command.fabric]
    reduces_floats = fabric.combiner is not Combiner.NONE and fabric.acc_dtype.is_float
    return reduces_floats or any(op.dtype.is_float or signature(op.opcode).uses_floats for op in fabric.micro_ops)
