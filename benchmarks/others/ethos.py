"""An Ethos-U85 with a target's clock, SRAM and DRAM, as Vela's configuration files say it, and what Vela reports."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from typing import Any

from swkpu.errors import InputError
from swkpu.target import Machine

ACCELERATOR = "ethos-u85-256"
SYSTEM = "Target"
MODES = ("Dedicated", "Shared")
"""Vela's two ways with a DRAM: activations in DRAM, cached in the SRAM; or in the SRAM, where they have to fit."""
PORT_BYTES = 16
"""Of an AXI port, a cycle."""
EQUAL_CYCLES = 1.01
"""A memory mode this much slower than the other is as good."""
SRAM_PORTS, DRAM_PORTS = 4, 2
"""The most that Arm's own configurations have."""

CONFIGURATION = """\
; {description}
[System_Config.{system}]
core_clock={clock_hz:g}
axi0_port=Sram
axi1_port=Dram
Sram_clock_scale=1.0
Sram_ports_used={sram_ports}
Sram_burst_length={burst}
Sram_read_latency={sram_latency}
Sram_write_latency={sram_latency}
Sram_max_reads=8
Sram_max_writes=8
Dram_clock_scale={dram_scale:g}
Dram_ports_used={dram_ports}
Dram_burst_length={burst}
Dram_read_latency={dram_latency}
Dram_write_latency={dram_latency}
Dram_max_reads=64
Dram_max_writes=32

[Memory_Mode.Dedicated]
const_mem_area=Axi1
arena_mem_area=Axi1
cache_mem_area=Axi0
arena_cache_size={sram_bytes}

[Memory_Mode.Shared]
const_mem_area=Axi1
arena_mem_area=Axi0
cache_mem_area=Axi0
arena_cache_size={sram_bytes}
"""


def configuration(machine: Machine) -> str:
    """Vela's .ini file for an NPU with a machine's clock, L2 as its SRAM, and DRAM."""
    return CONFIGURATION.format(
        description=f"An Ethos-U85 with the clock, SRAM and DRAM of {machine.name}",
        system=SYSTEM,
        clock_hz=float(machine.profile.mhz) * 1e6,
        sram_ports=SRAM_PORTS,
        sram_latency=machine.l2.latency_cycles,
        sram_bytes=machine.l2.capacity_bytes,
        burst=machine.dram.burst_bytes,
        dram_ports=DRAM_PORTS,
        dram_scale=float(machine.dram_bytes_per_cycle) / (DRAM_PORTS * PORT_BYTES),
        dram_latency=machine.dram_latency_cycles,
    )


def figures(summary: str) -> dict[str, Any]:
    """Cycles and bytes of DRAM traffic of one inference, and the SRAM it needs, from the CSV file that Vela writes.

    Raises InputError where it is something else.
    """
    rows = list(csv.DictReader(StringIO(summary)))
    try:
        (row,) = rows
        return {
            "cycles": int(float(row["cycles_total"])),
            "dram_bytes": int(float(row["dram_total_bytes"])),
            "sram_bytes": int(1024 * float(row["sram_memory_used"])),
        }
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"Vela's summary: expected one line with cycles, DRAM and SRAM bytes, found {len(rows)}"
        ) from error


def best(results: Sequence[dict[str, Any]], machine: Machine) -> dict[str, Any]:
    """That of least DRAM traffic, of those that fit the machine's SRAM and are within 1 % of the fewest cycles."""
    fitting = [result for result in results if result["sram_bytes"] <= machine.l2.capacity_bytes]
    if not fitting:
        least = min(result["sram_bytes"] for result in results)
        raise InputError(f"Vela needs {least:,} bytes of SRAM, {machine.name} has {machine.l2.capacity_bytes:,}")
    near = EQUAL_CYCLES * min(result["cycles"] for result in fitting)
    return min((result for result in fitting if result["cycles"] <= near), key=lambda result: result["dram_bytes"])
