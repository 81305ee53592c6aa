"""A KPU as a value: everything the mapper, the simulator and the reports know about a target.

The fields carry the names and units of the TOML keys (`machines/*.toml`, read by `loader.py`). There is no number of
any target in this package's Python code, and nothing derived is stored: peaks, bandwidths per cycle and latencies in
cycles are computed here from the fields.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from math import ceil, isqrt
from typing import Any

from swkpu.errors import TargetError

DTYPE_OF_PRECISION = {"int8": "i8", "int4": "i4", "bf16": "bf16", "fp16": "f16", "fp32": "f32"}
"""The name a user writes (command line, TOML) to the name the IR uses."""
PRECISION_OF_DTYPE = {dtype: precision for precision, dtype in DTYPE_OF_PRECISION.items()}

OPERAND_BYTES = {
    "i8": (Fraction(1), Fraction(1)),
    "i4": (Fraction(1), Fraction(1, 2)),
    "bf16": (Fraction(2), Fraction(2)),
    "f16": (Fraction(2), Fraction(2)),
    "f32": (Fraction(4), Fraction(4)),
}
"""Bytes of one activation and of one weight. int4 means int8 activations times int4 weights."""

ACCUMULATOR_BYTES = 4


@dataclass(frozen=True)
class Profile:
    """A power profile: core clock, what the package may dissipate, and what it draws when idle.

    `voltage_v` is None where nobody states it; dynamic energy then is that of the nominal voltage.
    """

    name: str
    mhz: float
    tdp_w: float
    static_w: float
    voltage_v: float | None = None


@dataclass(frozen=True)
class Clock:
    default_profile: str
    profiles: dict[str, Profile] = field(hash=False)


@dataclass(frozen=True)
class Dram:
    capacity_bytes: int
    bandwidth_gb_s: float
    latency_ns: float
    burst_bytes: int
    channels: int


@dataclass(frozen=True)
class L2:
    capacity_bytes: int
    banks: int
    read_bytes_per_cycle: int
    write_bytes_per_cycle: int
    latency_cycles: int


@dataclass(frozen=True)
class Noc:
    bytes_per_cycle: int
    latency_cycles: int
    mesh: tuple[int, int]
    multicast: bool


@dataclass(frozen=True)
class TileGroup:
    """`count` equal tiles, each a `rows` x `cols` array of processing elements with its own L1 and vector lanes.

    `macs_per_pe` maps a dtype ("i8", ...) to MACs per processing element and cycle: a whole number (a wide PE, which
    consumes that many elements of the reduction a cycle) or one over a whole number. `pass_overlap` says whether an
    array pass begins while the one before is still on its way through the array.
    """

    kind: str
    count: int
    rows: int
    cols: int
    macs_per_pe: dict[str, Fraction] = field(hash=False)
    l1_bytes: int
    l1_read_bytes_per_cycle: int
    l1_write_bytes_per_cycle: int
    drain_rows_per_cycle: int
    vector_lanes: int
    program_load_cycles: int
    pass_overlap: bool = True

    def multiplied_as(self, dtype: str) -> str | None:
        """At whose rate the tiles multiply `dtype`, None when they cannot. Weights of i4 without a rate are i8's."""
        if dtype == "i4" and dtype not in self.macs_per_pe:
            dtype = "i8"
        return dtype if dtype in self.macs_per_pe else None

    def supports(self, dtype: str) -> bool:
        return self.multiplied_as(dtype) is not None

    def rate(self, dtype: str) -> Fraction:
        """MACs per processing element and cycle; 0 when the tiles cannot multiply `dtype`."""
        key = self.multiplied_as(dtype)
        return Fraction(0) if key is None else self.macs_per_pe[key]

    def macs_per_cycle(self, dtype: str) -> Fraction:
        """MACs per cycle of the whole group at peak; 0 when the tiles cannot multiply `dtype`."""
        return self.count * self.rows * self.cols * self.rate(dtype)

    def stream_bytes_per_cycle(self, dtype: str) -> Fraction:
        """Bytes one tile reads from its L1 per cycle to run output-stationary at peak: one activation per row and one
        weight per column, `macs_per_pe` times a cycle."""
        row_bytes, col_bytes = OPERAND_BYTES[dtype]
        return (self.rows * row_bytes + self.cols * col_bytes) * self.macs_per_pe[dtype]

    def pass_bytes(self, dtype: str) -> int:
        """Least L1 bytes for one array pass: two buffers of one reduction step's operands and the array's
        accumulators."""
        row_bytes, col_bytes = OPERAND_BYTES[dtype]
        step = (self.rows * row_bytes + self.cols * col_bytes) * max(self.macs_per_pe[dtype], Fraction(1))
        return ceil(2 * step) + ACCUMULATOR_BYTES * self.rows * self.cols


@dataclass(frozen=True)
class Queues:
    """Commands queued per engine, semaphores of the machine, depth of nested loops per stream."""

    depth: int
    semaphores: int
    loop_depth: int


@dataclass(frozen=True)
class Energy:
    """Picojoules per event at `nominal_voltage_v`.

    `mac_pj` is per MAC by dtype, without its accumulation. A NoC transfer costs `noc_pj_per_byte` for each byte that
    streams, plus `Machine.noc_transfer_pj` once: `noc_hop_pj_per_byte` for one flit of the NoC's width.
    """

    mac_pj: dict[str, float] = field(hash=False)
    accumulate_pj: float
    vector_int_pj: float
    vector_float_pj: float
    l1_read_pj_per_byte: float
    l1_write_pj_per_byte: float
    l2_read_pj_per_byte: float
    l2_write_pj_per_byte: float
    noc_pj_per_byte: float
    noc_hop_pj_per_byte: float
    dram_read_pj_per_byte: float
    dram_write_pj_per_byte: float
    command_pj: float
    semaphore_pj: float
    program_load_pj: float
    stream_setup_pj: float
    nominal_voltage_v: float


@dataclass(frozen=True)
class Machine:
    """A target at one of its power profiles.

    `datasheet` holds published claims (the TOML's `datasheet_*` keys without the prefix, at the default profile). They
    are shown beside the derived figures and used for nothing.
    """

    name: str
    description: str
    precisions: tuple[str, ...]
    clock: Clock
    dram: Dram
    l2: L2
    noc: Noc
    tile_groups: tuple[TileGroup, ...]
    queues: Queues
    energy: Energy
    datasheet: dict[str, float] = field(hash=False)
    profile_name: str

    @property
    def profile(self) -> Profile:
        return self.clock.profiles[self.profile_name]

    def with_profile(self, name: str) -> Machine:
        """The same target at another power profile. Raises TargetError when it has none of that name."""
        if name not in self.clock.profiles:
            have = ", ".join(self.clock.profiles)
            raise TargetError(f"target '{self.name}' has no power profile '{name}'; it has: {have}")
        return replace(self, profile_name=name)

    @property
    def dram_bytes_per_cycle(self) -> Fraction:
        """Exact: 128 GB/s at 850 MHz is 2560/17 bytes per cycle (1 GB/s is 1e9 bytes per second)."""
        return exact(self.dram.bandwidth_gb_s) * 1000 / exact(self.profile.mhz)

    @property
    def dram_latency_cycles(self) -> int:
        return ceil(exact(self.dram.latency_ns) * exact(self.profile.mhz) / 1000)

    @property
    def noc_transfer_pj(self) -> float:
        """Energy of starting one NoC transfer, in pJ: one flit of the NoC's width over one hop-equivalent."""
        return self.energy.noc_hop_pj_per_byte * self.noc.bytes_per_cycle

    @property
    def energy_scale(self) -> float:
        """(V / V_nominal)² of the profile, 1 where it states no voltage. Multiplies every dynamic energy."""
        voltage = self.profile.voltage_v
        return 1.0 if voltage is None else (voltage / self.energy.nominal_voltage_v) ** 2

    def peak_macs_per_cycle(self, dtype: str) -> Fraction:
        """MACs per cycle over all groups; 0 when no tile can multiply `dtype`."""
        return sum((g.macs_per_cycle(dtype) for g in self.tile_groups), Fraction(0))

    def peak_tops(self, dtype: str) -> float:
        """10^12 operations per second at this profile, a MAC being two."""
        return float(2 * self.peak_macs_per_cycle(dtype) * exact(self.profile.mhz) / 10**6)

    def groups_for(self, dtype: str) -> tuple[tuple[int, TileGroup], ...]:
        """The groups that have a rate for `dtype`, each with its index in `tile_groups`."""
        return tuple((i, g) for i, g in enumerate(self.tile_groups) if g.supports(dtype))

    def compute_bound_cycles(self, macs: dict[str, int]) -> Fraction:
        """Least time, in cycles, in which all arrays at peak execute `macs` (MACs by dtype).

        The least T for which the MACs of each precision p split over the groups g so that no group is busy for longer
        than T:

            minimise T   subject to   Σ_g m(p,g) = macs(p),   Σ_p m(p,g) / rate(p,g) ≤ T,   m ≥ 0

        By linear programming duality this equals

            maximise Σ_p macs(p) · u(p)   subject to   u(p) · rate(p,g) ≤ w(g),   Σ_g w(g) ≤ 1,   u, w ≥ 0

        where w(g) prices a cycle of a group and u(p) a MAC of a precision. All right-hand sides of the dual are
        non-negative, so it is solved exactly by the simplex method from the origin. For one precision the result is
        macs / peak. Raises TargetError for a dtype that no group can multiply.
        """
        work = {dtype: count for dtype, count in macs.items() if count > 0}
        for dtype in work:
            if not self.groups_for(dtype):
                have = ", ".join(d for d in OPERAND_BYTES if self.groups_for(d))
                raise TargetError(f"target '{self.name}' cannot multiply '{dtype}'; it can: {have}")
        groups = len(self.tile_groups)
        width = len(work) + groups
        rows: list[list[Fraction]] = []
        for p, dtype in enumerate(work):
            for g, group in self.groups_for(dtype):
                row = [Fraction(0)] * width
                row[p], row[len(work) + g] = group.macs_per_cycle(dtype), Fraction(-1)
                rows.append(row)
        rows.append([Fraction(0)] * len(work) + [Fraction(1)] * groups)
        limits = [Fraction(0)] * (len(rows) - 1) + [Fraction(1)]
        gains = [Fraction(count) for count in work.values()] + [Fraction(0)] * groups
        return _maximise(gains, rows, limits)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of everything that changes what a program means or costs on this target.

        Excluded: name, description, datasheet claims, the default and the chosen profile. All profiles are included.
        """
        return sha256(json.dumps(self._canonical(), sort_keys=True, default=str).encode()).hexdigest()

    def _canonical(self) -> dict[str, Any]:
        content = asdict(self)
        for key in ("name", "description", "datasheet", "profile_name"):
            del content[key]
        del content["clock"]["default_profile"]
        content["precisions"] = sorted(self.precisions)
        for group in content["tile_groups"]:
            if group["pass_overlap"]:  # as if it were not stated, which it need not be
                del group["pass_overlap"]
        return content


def exact(number: float) -> Fraction:
    """The decimal number that was written in the TOML file, exactly (25.6 is 128/5)."""
    return Fraction(repr(number))


def warnings(machine: Machine) -> list[str]:
    """Peaks of `machine`, at its profile, that no schedule can feed: one sentence each, naming the level.

    A memory of S accumulators in front of a level lets a matrix product reuse each operand element it loads at most
    √S/2 times on average (Smith et al., "A tight I/O lower bound for matrix multiplication", 2019). A peak of P MACs a
    cycle then needs P / (√S/2) elements a cycle from that level. With multicast all L1s together are such a memory.
    """
    l1_bytes = sum(g.count * g.l1_bytes for g in machine.tile_groups)
    found: list[str] = []
    for precision in machine.precisions:
        dtype = DTYPE_OF_PRECISION[precision]
        groups = machine.groups_for(dtype)
        l1 = (
            sum(g.count * g.l1_bytes for _, g in groups)
            if machine.noc.multicast
            else max(g.l1_bytes for _, g in groups)
        )
        peak = machine.peak_macs_per_cycle(dtype)
        element = sum(OPERAND_BYTES[dtype]) / 2
        levels = (
            ("L2", Fraction(machine.l2.read_bytes_per_cycle), l1),
            ("the NoC", Fraction(machine.noc.bytes_per_cycle), l1),
            ("DRAM", machine.dram_bytes_per_cycle, l1_bytes + machine.l2.capacity_bytes),
        )
        for level, supply, memory in levels:
            reuse = Fraction(max(isqrt(memory // ACCUMULATOR_BYTES), 1), 2)
            need = peak * element / reuse
            if need > supply:
                found.append(
                    f"{machine.name} at {machine.profile_name}: {level} cannot feed the {precision} peak of {peak} "
                    f"MACs/cycle: at best {float(reuse):.0f} MACs per element loaded, so {float(need):.1f} B/cycle "
                    f"needed, {float(supply):.1f} supplied"
                )
    return found


def _maximise(gains: list[Fraction], rows: list[list[Fraction]], limits: list[Fraction]) -> Fraction:
    """max gains·x subject to rows·x ≤ limits, x ≥ 0, for limits ≥ 0 and a bounded maximum.

    The tableau simplex method in exact arithmetic, with Bland's rule (lowest index enters, ties leave by lowest index),
    which cannot cycle (Bland, "New finite pivoting rules for the simplex method", 1977).
    """
    width, height = len(gains), len(rows)
    tableau = [
        [*row, *(Fraction(int(i == j)) for j in range(height)), limit]
        for i, (row, limit) in enumerate(zip(rows, limits, strict=True))
    ]
    objective = [*(-g for g in gains), *([Fraction(0)] * (height + 1))]
    basis = list(range(width, width + height))
    while True:
        entering = next((j for j, value in enumerate(objective[:-1]) if value < 0), None)
        if entering is None:
            return objective[-1]
        leaving = min(
            (i for i in range(height) if tableau[i][entering] > 0),
            key=lambda i, j=entering: (tableau[i][-1] / tableau[i][j], basis[i]),
        )
        pivot = tableau[leaving][entering]
        tableau[leaving] = [value / pivot for value in tableau[leaving]]
        for row in (*tableau[:leaving], *tableau[leaving + 1 :], objective):
            factor = row[entering]
            if factor != 0:
                row[:] = [value - factor * base for value, base in zip(row, tableau[leaving], strict=True)]
        basis[leaving] = entering
