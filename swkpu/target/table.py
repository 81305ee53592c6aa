"""The rows of `swkpu targets`: what each target derives to, beside what its data sheet claims."""

from __future__ import annotations

from swkpu.target.loader import list_targets, load_target
from swkpu.target.machine import DTYPE_OF_PRECISION, Machine, warnings

Row = dict[str, str | float | bool | list[str] | None]

UNITS = {"int8": "tops", "int4": "tops", "bf16": "tflops", "fp16": "tflops", "fp32": "tflops"}


def target_rows(machines: list[Machine] | None = None) -> list[Row]:
    """One row per target and power profile; all built-in targets when `machines` is None.

    Keys: target, description, profile, default, clock_mhz, tdp_w, static_w, tiles, precisions, l1_kb (per tile, the
    largest), l2_mb, dram_gb (binary units), dram_gb_s, `<precision>_tops` or `_tflops` (None: not a precision of it),
    `datasheet_*` (None on the profiles that are not the default, where claims are not made), warnings.
    """
    chosen = [load_target(name) for name in list_targets()] if machines is None else machines
    claims = sorted({claim for m in chosen for claim in m.datasheet})
    return [_row(m.with_profile(profile), claims) for m in chosen for profile in m.clock.profiles]


def _row(machine: Machine, claims: list[str]) -> Row:
    is_default = machine.profile_name == machine.clock.default_profile
    row: Row = {
        "target": machine.name,
        "description": machine.description,
        "profile": machine.profile_name,
        "default": is_default,
        "clock_mhz": machine.profile.mhz,
        "tdp_w": machine.profile.tdp_w,
        "static_w": machine.profile.static_w,
        "tiles": sum(g.count for g in machine.tile_groups),
        "precisions": list(machine.precisions),
        "l1_kb": max(g.l1_bytes for g in machine.tile_groups) / 2**10,
        "l2_mb": machine.l2.capacity_bytes / 2**20,
        "dram_gb": machine.dram.capacity_bytes / 2**30,
        "dram_gb_s": machine.dram.bandwidth_gb_s,
    }
    for precision, dtype in DTYPE_OF_PRECISION.items():
        tops = machine.peak_tops(dtype)
        row[f"{precision}_{UNITS[precision]}"] = tops if precision in machine.precisions else None
    for claim in claims:
        row[f"datasheet_{claim}"] = machine.datasheet.get(claim) if is_default else None
    row["warnings"] = list(warnings(machine))
    return row
