"""A target with one tile as ZigZag describes accelerators: memories with ports, in bits, and an array."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from swkpu.errors import TargetError
from swkpu.target import Machine

BITS = 8
ACCUMULATOR_BITS = 32
STATIONARY_BITS = 2 * BITS
"""An operand that stays in a processing element, and the next one, which arrives meanwhile."""


@dataclass(frozen=True)
class Port:
    """A port of "r", "w" or "rw", and what it carries: operand and direction, to or from the low (fl, tl) or the high
    (fh, th) side, as in "I1 tl".
    """

    kind: str
    bits: int
    carries: list[str]


def memory(
    size_bits: int, read_pj: float, write_pj: float, operands: str, dims: list[str], *ports: Port
) -> dict[str, Any]:
    return {
        "size": size_bits,
        "r_cost": read_pj,
        "w_cost": write_pj,
        "area": 0,
        "latency": 1,
        "operands": operands.split(),
        "ports": [_port(port, sum(p.kind == port.kind for p in ports[: n + 1])) for n, port in enumerate(ports)],
        "served_dimensions": dims,
    }


def _port(port: Port, number: int) -> dict[str, Any]:
    return {
        "name": f"{port.kind}_port_{number}",
        "type": {"r": "read", "w": "write", "rw": "read_write"}[port.kind],
        "bandwidth_min": BITS,
        "bandwidth_max": port.bits,
        "allocation": [carried.replace(" ", ", ") for carried in port.carries],
    }


def accelerator(machine: Machine) -> dict[str, Any]:
    """The description of a machine of one tile group with one tile. Raises TargetError for another.

    L1 reads for each input at half its port's rate, because ZigZag charges operands that share a port a cycle each.
    DRAM bandwidth is rounded up to whole bits a cycle.
    """
    tiles = sum(group.count for group in machine.tile_groups)
    if tiles != 1:
        raise TargetError(f"ZigZag is given one array: expected a target with one tile, {machine.name} has {tiles}")
    (group,) = machine.tile_groups
    energy, array = machine.energy, ["D1", "D2"]
    l1_read, l1_write = BITS * group.l1_read_bytes_per_cycle, BITS * group.l1_write_bytes_per_cycle
    l2_read, l2_write = BITS * machine.l2.read_bytes_per_cycle, BITS * machine.l2.write_bytes_per_cycle
    dram = -int(-BITS * machine.dram_bytes_per_cycle // 1)
    stationary = memory(
        STATIONARY_BITS, 0, 0, "I2", [],
        Port("r", BITS, ["I2 tl"]),
        Port("w", BITS, ["I2 fh"]),
    )  # fmt: skip
    accumulators = memory(
        ACCUMULATOR_BITS, 0, 0, "O", [],
        Port("r", ACCUMULATOR_BITS, ["O tl"]),
        Port("r", ACCUMULATOR_BITS, ["O th"]),
        Port("w", ACCUMULATOR_BITS, ["O fh"]),
        Port("w", ACCUMULATOR_BITS, ["O fl"]),
    )  # fmt: skip
    l1 = memory(
        BITS * group.l1_bytes,
        energy.l1_read_pj_per_byte * group.l1_read_bytes_per_cycle,
        energy.l1_write_pj_per_byte * group.l1_write_bytes_per_cycle,
        "I1 I2 O", array,
        Port("r", l1_read // 2, ["I1 tl"]),
        Port("r", l1_read // 2, ["I2 tl"]),
        Port("r", l1_read, ["O tl"]),
        Port("w", l1_write, ["O fl"]),
        Port("r", l1_read, ["O th"]),
        Port("w", l1_write, ["I1 fh", "I2 fh", "O fh"]),
    )  # fmt: skip
    l2 = memory(
        BITS * machine.l2.capacity_bytes,
        energy.l2_read_pj_per_byte * machine.l2.read_bytes_per_cycle,
        energy.l2_write_pj_per_byte * machine.l2.write_bytes_per_cycle,
        "I1 I2 O", array,
        Port("r", l2_read, ["I1 tl", "I2 tl", "O tl", "O th"]),
        Port("w", l2_write, ["I1 fh", "I2 fh", "O fh", "O fl"]),
    )  # fmt: skip
    everything = [f"{operand} {way}" for operand in ("I1", "I2") for way in ("fh", "tl")]
    everything += [f"O {way}" for way in ("fh", "tl", "fl", "th")]
    off_chip = memory(
        BITS * machine.dram.capacity_bytes,
        energy.dram_read_pj_per_byte * float(machine.dram_bytes_per_cycle),
        energy.dram_write_pj_per_byte * float(machine.dram_bytes_per_cycle),
        "I1 I2 O", array,
        Port("rw", dram, everything),
    )  # fmt: skip
    return {
        "name": machine.name.replace("-", "_"),
        "memories": {"register": stationary, "accumulator": accumulators, "l1": l1, "l2": l2, "dram": off_chip},
        "operational_array": {
            "input_precision": [BITS, BITS],
            "unit_energy": energy.mac_pj["i8"] + energy.accumulate_pj,
            "unit_area": 1,
            "dimensions": array,
            "sizes": [group.rows, group.cols],
        },
    }


def yaml_text(description: dict[str, Any]) -> str:
    """JSON is YAML."""
    return json.dumps(description, indent=2)
