"""What a compilation or a simulation says about itself: values, and their JSON."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, TypeVar, cast

from swkpu.errors import InputError

MIN_WIDTH = 100
PIPE_WIDTH = 120
"""Columns of the table where there is no terminal."""

T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """How far the outputs are from the model's own. `max_rel_diff` is against max abs of the reference.

    `sqnr_db` is None (or infinite) when there is no noise, `top1_match` is when there are no classes to compare.
    Infinite differences are null in JSON.
    """

    max_abs_diff: float
    max_rel_diff: float
    sqnr_db: float | None
    top1_match: bool | None = None


@dataclass(frozen=True)
class LayerReport:
    """One layer's share of the timeline, and its own counts.

    cycles        from the end of the layer that ended before it to its own end; these partition the timeline
    exec_cycles   from its first exec's start to its last exec's end; layers may overlap in this
    dram_bytes    moved by its own commands, in whole bursts
    utilization   occupancy of each resource in the layer's cycles, 0 to 1
    """

    name: str
    op: str
    source: str
    cycles: int
    start_cycle: int
    lower_bound_cycles: int
    bound_by: str
    macs: int
    dram_bytes: int
    energy_uj: float
    tiling: dict[str, Any]
    estimated_cycles: int = 0
    compute_bound_cycles: int = 0
    exec_start_cycle: int = 0
    exec_cycles: int = 0
    utilization: dict[str, float] = field(default_factory=dict[str, float])
    energy_breakdown_uj: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Report:
    """Totals and layers of a simulated program. Field names are the JSON keys.

    efficiency = lower_bound_cycles / cycles. compute_utilization and memory_bandwidth_utilization are nominal MACs
    against all arrays at peak, and bytes moved against the DRAM's bandwidth. The cycles divide into compute_cycles
    (some array executes), memory_stall_cycles (none does, and data is on its way) and other_cycles. A hit is a
    64-byte line read that was already resident, a miss one that had to be transferred in. l1_bytes, l2_bytes and
    dram_bytes are the capacities that the peaks compare with (L1: of the smallest tile).
    """

    model: str
    target: str
    profile: str
    precision: str
    batch: int
    cycles: int
    lower_bound_cycles: int
    efficiency: float
    compute_bound_cycles: int
    dram_bound_cycles: int
    estimated_cycles: int
    time_us: float
    clock_mhz: float
    throughput_per_s: float
    macs: int
    dram_read_bytes: int
    dram_write_bytes: int
    compulsory_dram_bytes: int
    l2_read_bytes: int
    l2_write_bytes: int
    l1_read_bytes: int
    l1_write_bytes: int
    energy_uj: float
    average_power_w: float
    energy_breakdown_uj: dict[str, float]
    compute_utilization: float
    memory_bandwidth_utilization: float
    peak_l1_bytes: int
    peak_l2_bytes: int
    peak_dram_bytes: int
    weight_bytes: int
    activation_bytes: int
    compile_seconds: float | None
    simulate_seconds: float | None
    layers: tuple[LayerReport, ...]
    check: Check | None = None
    bound_by: str = ""
    utilization: dict[str, float] = field(default_factory=dict[str, float])
    tdp_w: float = 0.0
    tdp_excess_w: float = 0.0
    tdp_fits_mhz: float | None = None
    tdp_fits_profile: str | None = None
    compute_cycles: int = 0
    memory_stall_cycles: int = 0
    other_cycles: int = 0
    executed_macs: int = 0
    vector_ops: int = 0
    noc_bytes: int = 0
    commands: int = 0
    l1_hits: int = 0
    l1_misses: int = 0
    l2_hits: int = 0
    l2_misses: int = 0
    l1_bytes: int = 0
    l2_bytes: int = 0
    dram_bytes: int = 0
    engines: tuple[dict[str, Any], ...] = ()
    resident_l2_bytes: int = 0
    """What the tensors that stay in L2 take of it, and (below) the least that any packing takes."""
    resident_l2_bound_bytes: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers; what is not finite becomes None."""
        return cast("dict[str, Any]", _plain(asdict(self)))

    def to_json(self, indent: int | None = 2) -> str:
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """The inverse of `to_dict`. Unknown keys are ignored; a missing one raises InputError."""
        check = data.get("check")
        values = {
            **data,
            "layers": tuple(_construct(LayerReport, layer, "report layer") for layer in data.get("layers", ())),
            "check": _construct(Check, check, "report check") if check is not None else None,
            "engines": tuple(data.get("engines", ())),
        }
        return _construct(cls, values, "report")

    @classmethod
    def from_json(cls, text: str) -> Report:
        try:
            data: object = json.loads(text)
        except ValueError as error:
            raise InputError(f"report: not valid JSON: {error}") from None
        if not isinstance(data, dict):
            raise InputError(f"report: expected a JSON object, found {type(data).__name__}")
        return cls.from_dict(cast("dict[str, Any]", data))

    def __str__(self) -> str:
        from swkpu.report.table import report_text

        return report_text(self, max(shutil.get_terminal_size((PIPE_WIDTH, 0)).columns, MIN_WIDTH))


def _construct(cls: type[T], values: Mapping[str, Any], what: str) -> T:
    known = fields(cast(Any, cls))
    missing = [f.name for f in known if f.name not in values and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise InputError(f"{what}: missing keys: {', '.join(missing)}")
    return cls(**{f.name: values[f.name] for f in known if f.name in values})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in cast("list[Any]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
