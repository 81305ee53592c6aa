"""The checks that a program passes before anything of it runs. A program from a file is trusted in nothing.

What is checked here needs no execution: sizes, indices, ranks, addresses against the memories' capacities, tiles
against the target, loop structure and semaphore counts. Races, deadlocks and reads of what was never written are found
by `kpu-verify` and by the simulator.
"""

from __future__ import annotations

from itertools import pairwise
from math import inf, prod
from typing import TYPE_CHECKING

from swkpu.program.check_fabric import check_fabric
from swkpu.program.check_semaphores import check_semaphores
from swkpu.program.check_stream import check_streams
from swkpu.program.dtypes import DType
from swkpu.program.limits import MAX_VALUE, expect, expect_index
from swkpu.program.model import MAX_RANK, Program, Segment, Space, Symbol, TensorMap

if TYPE_CHECKING:
    from swkpu.target.machine import Machine


def check(program: Program, machine: Machine, *, any_target: bool = False) -> None:
    """Raise ProgramError, naming stream, command index and layer, unless `machine` can run `program`.

    With `any_target` the program may have been compiled for another target or another version of this one: it must
    still fit the machine, but its schedule may be a poor one.
    """
    if not any_target:
        check_target(program, machine)
    for i, m in enumerate(program.maps):
        _check_map(m, f"map {i}", machine)
    for i, fabric in enumerate(program.fabrics):
        check_fabric(fabric, f"fabric program {i} ({fabric.name!r})")
    _check_segments(program, machine)
    _check_symbols(program.inputs, "input", program, machine)
    _check_symbols(program.outputs, "output", program, machine)
    _check_layers(program)
    check_streams(program, machine)
    check_semaphores(program, machine)


def check_target(program: Program, machine: Machine) -> None:
    """Raise ProgramError unless the program was compiled for this machine, as it is described now."""
    expect(
        program.target == machine.name,
        f"compiled for target {program.target!r}, and this is {machine.name!r}",
    )
    expect(
        program.target_digest == machine.digest,
        f"compiled for another description of target {machine.name!r} "
        f"(digest {program.target_digest[:12]!r}, now {machine.digest[:12]!r}); compile again",
    )


def _check_map(m: TensorMap, where: str, machine: Machine) -> None:
    expect(1 <= m.rank <= MAX_RANK, f"{where}: rank {m.rank}, expected 1 to {MAX_RANK}")
    expect(
        len(m.strides) == m.rank and len(m.moduli) == m.rank,
        f"{where}: {m.rank} extents, {len(m.strides)} strides, {len(m.moduli)} moduli",
    )
    for name, values, least in (("extent", m.extents, 0), ("stride", m.strides, 0), ("modulus", m.moduli, 1)):
        for v in values:
            expect(least <= v <= MAX_VALUE, f"{where}: {name} {v}, expected at least {least}")
    expect(0 <= m.buffer <= MAX_VALUE, f"{where}: buffer {m.buffer}, expected at least 0")
    # The simulator views a memory as an array of the element type.
    expect(
        m.base % m.dtype.step == 0 and all(s % m.dtype.step == 0 for s in m.strides),
        f"{where}: base {m.base} and strides {m.strides} are not multiples of the {m.dtype.step}-byte element",
    )
    expect(m.dtype.represents(m.pad), f"{where}: pad value {m.pad} is no {m.dtype.name.lower()}")
    capacity = {
        Space.DRAM: machine.dram.capacity_bytes,
        Space.L2: machine.l2.capacity_bytes,
        Space.L1: max(g.l1_bytes for g in machine.tile_groups),
    }[m.space]
    expect(
        m.base >= 0 and m.end <= capacity,
        f"{where}: bytes {m.begin} to {m.end} of {m.space.name}, which has {capacity}",
    )


def _check_segments(program: Program, machine: Machine) -> None:
    for i, s in enumerate(program.segments):
        expect(
            s.offset >= 0 and s.size >= 0 and s.offset + s.size <= len(program.constants),
            f"segment {i}: bytes {s.offset} to {s.offset + s.size} of the constants, of which there are "
            f"{len(program.constants)}",
        )
        expect(
            s.address >= 0 and s.address + s.size <= machine.dram.capacity_bytes,
            f"segment {i}: bytes {s.address} to {s.address + s.size} of DRAM, which has {machine.dram.capacity_bytes}",
        )
    by_address: list[tuple[int, Segment]] = sorted(enumerate(program.segments), key=lambda e: e[1].address)
    for (i, before), (j, after) in pairwise(by_address):
        expect(before.address + before.size <= after.address, f"segments {i} and {j} overlap in DRAM")


def _check_symbols(symbols: tuple[Symbol, ...], kind: str, program: Program, machine: Machine) -> None:
    seen = set[str]()
    for symbol in symbols:
        where = f"{kind} {symbol.name!r}"
        expect(symbol.name not in seen, f"two {kind}s are named {symbol.name!r}")
        seen.add(symbol.name)
        expect_index(symbol.map, program.maps, f"{where}: map")
        m = program.maps[symbol.map]
        expect(m.space is Space.DRAM, f"{where}: map {symbol.map} is in {m.space.name}, expected DRAM")
        # A scalar has no dims, a map has at least one.
        expect(
            m.extents == (symbol.shape or (1,)),
            f"{where}: shape {symbol.shape}, and map {symbol.map} has the extents {m.extents}",
        )
        expect(
            all(e <= wrap for e, wrap in zip(m.extents, m.moduli, strict=True)),
            f"{where}: map {symbol.map} has moduli {m.moduli} smaller than its extents {m.extents}",
        )
        if symbol.scale != 0:
            expect(0 < symbol.scale < inf, f"{where}: scale {symbol.scale}, expected a positive number")
            expect(symbol.dtype is DType.F32, f"{where}: quantized, but the host has {symbol.dtype.name}, expected F32")
            expect(not m.dtype.is_float, f"{where}: quantized, but stored as {m.dtype.name}, expected an integer type")
        expect(
            symbol.zero_point == 0 or (symbol.is_quantized and m.dtype.represents(symbol.zero_point)),
            f"{where}: zero point {symbol.zero_point} of {m.dtype.name} with scale {symbol.scale}",
        )
        # A map may repeat its elements with strides of 0; what the host holds is dense.
        size = m.dtype.bytes_of(prod(m.extents))
        expect(
            size <= machine.dram.capacity_bytes,
            f"{where}: {size} bytes, more than the DRAM of {machine.dram.capacity_bytes}",
        )


def _check_layers(program: Program) -> None:
    for layer in program.layers:
        for name in ("macs", "compulsory_dram_bytes", "estimated_cycles"):
            value = getattr(layer, name)
            expect(0 <= value <= MAX_VALUE, f"layer {layer.name!r}: {name} {value}, expected at least 0")
