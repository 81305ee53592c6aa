"""From a TOML file to a validated `Machine`. Every error names the file, the key, the value and what is accepted."""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from swkpu.errors import TargetError
from swkpu.target.machine import (
    DTYPE_OF_PRECISION,
    L2,
    PRECISION_OF_DTYPE,
    Clock,
    Dram,
    Energy,
    Machine,
    Noc,
    Profile,
    Queues,
    TileGroup,
)

TERA = 10**12
MAX_BYTES_PER_CYCLE = 1 << 24
MAX_SIDE = 1 << 12
MAX_PJ = 1e6
MAX_MACS_PER_PE = 4096
_MACHINES = files("swkpu.target") / "machines"


def list_targets() -> list[str]:
    """Names of the built-in targets, in natural order (t64 before t256)."""
    names = (f.name.removesuffix(".toml") for f in _MACHINES.iterdir() if f.name.endswith(".toml"))
    return sorted(names, key=lambda name: [(int(s), "") if s.isdigit() else (0, s) for s in re.split(r"(\d+)", name)])


def load_target(name_or_path: str, profile: str | None = None) -> Machine:
    """The built-in target of that name, or the one a `.toml` file describes, at `profile` or its default profile.

    Raises TargetError when there is no such target, file or profile, or when the description is invalid.
    """
    machine = load_text(*_source(str(name_or_path)))
    return machine if profile is None else machine.with_profile(profile)


def load_text(text: str, source: str = "<target>") -> Machine:
    """The machine that TOML `text` describes; `source` names it in errors. Raises TargetError."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: syntax, and integers of thousands of digits
        raise TargetError(f"{source}: not valid TOML: {error or 'nested too deeply'}") from None
    machine = _machine(_Table(source, "", data))
    _validate(machine, source)
    return machine


def _source(name_or_path: str) -> tuple[str, str]:
    """Text and display name of a target description."""
    if not name_or_path.endswith(".toml") and "/" not in name_or_path and "\\" not in name_or_path:
        names = list_targets()
        if name_or_path in names:
            return (_MACHINES / f"{name_or_path}.toml").read_text("utf-8"), name_or_path
        close = get_close_matches(name_or_path, names, 1)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        raise TargetError(f"unknown target '{name_or_path}'{hint}; expected one of {', '.join(names)}, or a .toml file")
    try:
        return Path(name_or_path).read_text("utf-8"), name_or_path
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a null character in the path
        reason = error.strerror if isinstance(error, OSError) else "not a UTF-8 text file"
        raise TargetError(f"cannot read target file '{name_or_path}': {reason}") from None


class _Table:
    """Typed access to one TOML table. `done` reports the keys nobody asked for."""

    def __init__(self, source: str, path: str, data: object):
        if not isinstance(data, dict):
            raise TargetError(f"{source}: {path} = {data!r}: expected a table")
        self.source = source
        self.path = path
        self.data = cast("dict[str, Any]", data)
        self.asked: set[str] = set()

    def key(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def error(self, key: str, expected: str) -> TargetError:
        return TargetError(f"{self.source}: {self.key(key)} = {_shown(self.data.get(key))}: expected {expected}")

    def get(self, key: str, expected: str) -> Any:
        self.asked.add(key)
        if key not in self.data:
            raise TargetError(f"{self.source}: missing key {self.key(key)}: expected {expected}")
        return self.data[key]

    def integer(self, key: str, low: int = 1, high: int = TERA) -> int:
        expected = f"a whole number from {low} to {high}"
        value = self.get(key, expected)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.error(key, expected)
        return value

    def number(self, key: str, high: float, low: float = 0.0) -> float:
        """A number above `low`, at most `high`."""
        expected = f"a number above {low:g} and at most {high:g}"
        value = self.get(key, expected)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low < value <= high:
            raise self.error(key, expected)
        return float(value)

    def energy(self, key: str) -> float:
        return self.number(key, MAX_PJ)

    def text(self, key: str) -> str:
        expected = "a text that is not empty"
        value = self.get(key, expected)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, expected)
        return value

    def boolean(self, key: str, default: bool | None = None) -> bool:
        """Optional where there is a default."""
        self.asked.add(key)
        if default is not None and key not in self.data:
            return default
        value = self.get(key, "true or false")
        if not isinstance(value, bool):
            raise self.error(key, "true or false")
        return value

    def table(self, key: str) -> _Table:
        return _Table(self.source, self.key(key), self.get(key, "a table"))

    def tables(self, key: str) -> list[_Table]:
        expected = "one or more tables"
        value = self.get(key, expected)
        if not isinstance(value, list) or not value:
            raise self.error(key, expected)
        items = cast("list[object]", value)
        return [_Table(self.source, f"{self.key(key)}[{i}]", item) for i, item in enumerate(items)]

    def done(self) -> None:
        for key in self.data:
            if key in self.asked:
                continue
            close = get_close_matches(key, sorted(self.asked - self.data.keys()) or sorted(self.asked), 1)
            hint = f" (did you mean '{close[0]}'?)" if close else ""
            accepted = ", ".join(sorted(self.asked))
            raise TargetError(f"{self.source}: unknown key {self.key(key)}{hint}; expected one of {accepted}")


def _machine(t: _Table) -> Machine:
    clock = _clock(t.table("clock"))
    machine = Machine(
        name=t.text("name"),
        description=t.text("description"),
        precisions=_precisions(t),
        clock=clock,
        dram=_dram(t.table("dram")),
        l2=_l2(t.table("l2")),
        noc=_noc(t.table("noc")),
        tile_groups=tuple(_tile_group(g) for g in t.tables("tile_group")),
        queues=_queues(t.table("queues")),
        energy=_energy(t.table("energy")),
        datasheet={k.removeprefix("datasheet_"): t.number(k, 1e9) for k in t.data if k.startswith("datasheet_")},
        profile_name=clock.default_profile,
    )
    t.done()
    return machine


def _precisions(t: _Table) -> tuple[str, ...]:
    expected = f"a list of different precisions out of {', '.join(DTYPE_OF_PRECISION)}"
    value = t.get("precisions", expected)
    if not isinstance(value, list) or not value:
        raise t.error("precisions", expected)
    items = cast("list[object]", value)
    names = tuple(item for item in items if isinstance(item, str) and item in DTYPE_OF_PRECISION)
    if len(names) != len(items) or len(set(names)) != len(names):
        raise t.error("precisions", expected)
    return names


def _clock(t: _Table) -> Clock:
    profiles_table = t.table("profiles")
    profiles = {name: _profile(name, profiles_table.table(name)) for name in profiles_table.data}
    default = t.text("default_profile")
    if default not in profiles:
        raise t.error("default_profile", f"the name of a profile: {', '.join(profiles) or 'there is none yet'}")
    t.done()
    return Clock(default, profiles)


def _profile(name: str, t: _Table) -> Profile:
    profile = Profile(
        name=name,
        mhz=t.number("mhz", 1e5),
        tdp_w=t.number("tdp_w", 1e5),
        static_w=t.number("static_w", 1e5),
        voltage_v=t.number("voltage_v", 10.0) if "voltage_v" in t.data else None,
    )
    t.asked.add("voltage_v")
    t.done()
    if profile.static_w >= profile.tdp_w:
        raise t.error("static_w", f"less than tdp_w = {profile.tdp_w:g}")
    return profile


def _dram(t: _Table) -> Dram:
    dram = Dram(
        capacity_bytes=t.integer("capacity_bytes", 1 << 10, 1 << 50),
        bandwidth_gb_s=t.number("bandwidth_gb_s", 1e6),
        latency_ns=t.number("latency_ns", 1e6),
        burst_bytes=t.integer("burst_bytes", 1, 1 << 16),
        channels=t.integer("channels", 1, 1 << 12),
    )
    t.done()
    return dram


def _l2(t: _Table) -> L2:
    l2 = L2(
        capacity_bytes=t.integer("capacity_bytes", 1 << 10, 1 << 40),
        banks=t.integer("banks", 1, 1 << 16),
        read_bytes_per_cycle=t.integer("read_bytes_per_cycle", 1, MAX_BYTES_PER_CYCLE),
        write_bytes_per_cycle=t.integer("write_bytes_per_cycle", 1, MAX_BYTES_PER_CYCLE),
        latency_cycles=t.integer("latency_cycles", 0, 10**6),
    )
    t.done()
    if l2.capacity_bytes % l2.banks != 0:
        raise t.error("capacity_bytes", f"a multiple of banks = {l2.banks}")
    return l2


def _noc(t: _Table) -> Noc:
    expected = f"two whole numbers from 1 to {MAX_SIDE}: rows and columns of tiles"
    mesh = t.get("mesh", expected)
    if not isinstance(mesh, list) or len(cast("list[object]", mesh)) != 2:
        raise t.error("mesh", expected)
    sides = tuple(
        side
        for side in cast("list[object]", mesh)
        if isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= MAX_SIDE
    )
    if len(sides) != 2:
        raise t.error("mesh", expected)
    noc = Noc(
        bytes_per_cycle=t.integer("bytes_per_cycle", 1, MAX_BYTES_PER_CYCLE),
        latency_cycles=t.integer("latency_cycles", 0, 10**6),
        mesh=(sides[0], sides[1]),
        multicast=t.boolean("multicast"),
    )
    t.done()
    return noc


def _tile_group(t: _Table) -> TileGroup:
    rates = t.table("macs_per_pe")
    group = TileGroup(
        kind=t.text("kind"),
        count=t.integer("count", 1, 1 << 20),
        rows=t.integer("rows", 1, MAX_SIDE),
        cols=t.integer("cols", 1, MAX_SIDE),
        macs_per_pe={_dtype(rates, key): _rate(rates, key) for key in rates.data},
        l1_bytes=t.integer("l1_bytes", 1, 1 << 40),
        l1_read_bytes_per_cycle=t.integer("l1_read_bytes_per_cycle", 1, MAX_BYTES_PER_CYCLE),
        l1_write_bytes_per_cycle=t.integer("l1_write_bytes_per_cycle", 1, MAX_BYTES_PER_CYCLE),
        drain_rows_per_cycle=t.integer("drain_rows_per_cycle", 1, MAX_SIDE),
        vector_lanes=t.integer("vector_lanes", 1, 1 << 16),
        program_load_cycles=t.integer("program_load_cycles", 0, 10**6),
        pass_overlap=t.boolean("pass_overlap", default=True),
    )
    t.done()
    if not group.macs_per_pe:
        raise t.error("macs_per_pe", f"a rate for at least one of {', '.join(DTYPE_OF_PRECISION)}")
    if group.drain_rows_per_cycle > group.rows:
        raise t.error("drain_rows_per_cycle", f"at most rows = {group.rows}")
    return group


def _dtype(t: _Table, precision: str) -> str:
    if precision not in DTYPE_OF_PRECISION:
        raise TargetError(
            f"{t.source}: unknown key {t.key(precision)}; expected one of {', '.join(DTYPE_OF_PRECISION)}"
        )
    return DTYPE_OF_PRECISION[precision]


def _rate(t: _Table, precision: str) -> Fraction:
    """MACs per PE and cycle: `2`, `0.5` or `"1/2"`."""
    expected = f"a whole number up to {MAX_MACS_PER_PE} or one over it, such as 16, 0.5 or '1/2'"
    value = t.get(precision, expected)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise t.error(precision, expected)
    text = value.strip() if isinstance(value, str) else repr(value)
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}|/[0-9]{1,9})?", text) is None or not text.split("/")[-1].strip("0."):
        raise t.error(precision, expected)
    rate = Fraction(text)
    if rate == 0 or 1 not in (rate.numerator, rate.denominator) or max(rate, 1 / rate) > MAX_MACS_PER_PE:
        raise t.error(precision, expected)
    return rate


def _queues(t: _Table) -> Queues:
    queues = Queues(
        depth=t.integer("depth", 1, 1 << 16),
        semaphores=t.integer("semaphores", 1, 1 << 16),
        loop_depth=t.integer("loop_depth", 1, 64),
    )
    t.done()
    return queues


def _energy(t: _Table) -> Energy:
    macs = t.table("mac_pj")
    energy = Energy(
        mac_pj={_dtype(macs, key): macs.energy(key) for key in macs.data},
        accumulate_pj=t.energy("accumulate_pj"),
        vector_int_pj=t.energy("vector_int_pj"),
        vector_float_pj=t.energy("vector_float_pj"),
        l1_read_pj_per_byte=t.energy("l1_read_pj_per_byte"),
        l1_write_pj_per_byte=t.energy("l1_write_pj_per_byte"),
        l2_read_pj_per_byte=t.energy("l2_read_pj_per_byte"),
        l2_write_pj_per_byte=t.energy("l2_write_pj_per_byte"),
        noc_pj_per_byte=t.energy("noc_pj_per_byte"),
        noc_hop_pj_per_byte=t.energy("noc_hop_pj_per_byte"),
        dram_read_pj_per_byte=t.energy("dram_read_pj_per_byte"),
        dram_write_pj_per_byte=t.energy("dram_write_pj_per_byte"),
        command_pj=t.energy("command_pj"),
        semaphore_pj=t.energy("semaphore_pj"),
        program_load_pj=t.energy("program_load_pj"),
        stream_setup_pj=t.energy("stream_setup_pj"),
        nominal_voltage_v=t.number("nominal_voltage_v", 10.0),
    )
    t.done()
    return energy


def _validate(machine: Machine, source: str) -> None:
    """Reject a machine that cannot work, by the facts that span tables."""
    kinds: dict[str, int] = {}
    for index, group in enumerate(machine.tile_groups):
        where = f"{source}: tile_group[{index}]"
        if group.kind in kinds:
            first = kinds[group.kind]
            raise TargetError(f"{where}.kind = '{group.kind}': expected a kind that tile_group[{first}] does not have")
        kinds[group.kind] = index
        for dtype in group.macs_per_pe:
            _validate_rate(machine, group, dtype, where, source)
    tiles = sum(g.count for g in machine.tile_groups)
    places = machine.noc.mesh[0] * machine.noc.mesh[1]
    if tiles > places:
        raise TargetError(
            f"{source}: noc.mesh = {list(machine.noc.mesh)}: expected room for the {tiles} tiles of all tile_group "
            f"tables, it has {places}"
        )
    for precision in machine.precisions:
        if not machine.groups_for(DTYPE_OF_PRECISION[precision]):
            raise TargetError(
                f"{source}: precisions has '{precision}': expected a tile_group whose macs_per_pe has a rate for it"
            )


def _validate_rate(machine: Machine, group: TileGroup, dtype: str, where: str, source: str) -> None:
    precision = PRECISION_OF_DTYPE[dtype]
    stream = group.stream_bytes_per_cycle(dtype)
    if stream > group.l1_read_bytes_per_cycle:
        raise TargetError(
            f"{where}.l1_read_bytes_per_cycle = {group.l1_read_bytes_per_cycle}: expected at least "
            f"{float(stream):g}, what the {group.rows}x{group.cols} array streams at its {precision} peak of "
            f"{group.macs_per_pe[dtype]} MACs per PE"
        )
    needed = group.pass_bytes(dtype)
    if needed > group.l1_bytes:
        raise TargetError(
            f"{where}.l1_bytes = {group.l1_bytes}: expected at least {needed}, what one {precision} pass of the "
            f"{group.rows}x{group.cols} array holds"
        )
    if dtype not in machine.energy.mac_pj:
        raise TargetError(f"{source}: missing key energy.mac_pj.{precision}: {where} has a rate for {precision}")


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a very long number"
    return text if len(text) <= 60 else f"{text[:57]}..."
