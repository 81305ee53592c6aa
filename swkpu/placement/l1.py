"""Addresses in L1: every layer's blocks, where they are free before their layer begins.

A block that is pushed is had from some layers before its own on, where there is room: then its push need not wait for
the execs and pulls in between. Constants choose first, since nothing else holds them back. Where a layer's blocks do
not fit among those of the layers before, they lie side by side in their own layer only.

A loop of short iterations gets more copies of its blocks than it asks for, where half of L1 has room for them: a block
is on its way for as long as the latencies of a push and a pull, and in that time the array is done with several. (They
are counted twice: an estimate is for the whole layer, its beginning and end included.)
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IntegerAttr, i64

from swkpu.dialects import kpu
from swkpu.dialects.kpu import GRANULE, AllocOp, aligned, buffer_type
from swkpu.errors import MemoryError
from swkpu.mapping.packing import Placed
from swkpu.placement.l2 import set_address
from swkpu.placement.occupancy import Occupancy, Place, placed_at
from swkpu.placement.streams import at_most, epochs_of, holds_constants, writers_of
from swkpu.target import Machine

REACH = {"constant": 3, "pushed": 2, "made": 1}
"""How many layers before its own a block is had, at most: block movers and arrays run no further ahead."""


def kind_of(alloc: AllocOp) -> str:
    writers = writers_of(alloc)
    if not writers:
        return "made"
    return "constant" if holds_constants(alloc) else "pushed"


def deepen(layer: kpu.LayerOp, allocs: Sequence[AllocOp], machine: Machine, capacity: int) -> None:
    """More copies for the blocks of loops whose iterations, by the estimate, are short."""
    cycles = kpu.info_int(layer.info, "estimated_cycles")
    latency = 4 * (machine.l2.latency_cycles + machine.noc.latency_cycles)
    wanted: dict[AllocOp, int] = {}
    for alloc in allocs:
        copies, epochs = alloc.buffer_count, epochs_of(alloc)
        if cycles and copies > 1:
            enough = copies + latency * epochs // cycles
            wanted[alloc] = epochs if enough >= epochs else max(copies, at_most(enough))
    total = sum(wanted.get(a, a.buffer_count) * aligned(buffer_type(a.result).bytes) for a in allocs)
    if total <= capacity // 2:
        for alloc, copies in wanted.items():
            alloc.properties["buffers"] = IntegerAttr(copies, i64)


def assign_l1(layers: Sequence[kpu.LayerOp], machine: Machine) -> int:
    """Returns the largest use of one tile by one layer."""
    capacity = {g.kind: g.l1_bytes for g in machine.tile_groups}
    memories = {kind: Occupancy(size // GRANULE * GRANULE) for kind, size in capacity.items()}
    most = 0
    for i, layer in enumerate(layers):
        groups: dict[str, list[AllocOp]] = {}
        for op in layer.walk():
            if isinstance(op, AllocOp) and op.group is not None:
                groups.setdefault(op.group.data, []).append(op)
        for group, allocs in groups.items():
            if group in memories:
                deepen(layer, allocs, machine, memories[group].capacity)
            total = sum(a.total_bytes for a in allocs)
            if group not in memories:
                raise MemoryError("L1", total, 0, f"there is no tile group '{group}'")
            if total > memories[group].capacity:
                name = layer.sym_name.data
                raise MemoryError("L1", total, capacity[group], f"layer '{name}' on '{group}' tiles")
            for alloc, placed in _place(i, allocs, memories[group]):
                set_address(alloc, placed.offset)
            most = max(most, total)
    return most


def _place(i: int, allocs: Sequence[AllocOp], memory: Occupancy) -> list[tuple[AllocOp, Placed]]:
    kinds = {alloc: kind_of(alloc) for alloc in allocs}
    order = sorted(allocs, key=lambda a: (list(REACH).index(kinds[a]), -a.total_bytes))
    out: list[tuple[AllocOp, Placed]] = []
    for alloc in order:
        place = memory.earliest(alloc.total_bytes, i, i, max(i - REACH[kinds[alloc]], 0))
        if place is None:
            break
        out.append((alloc, placed_at(place, alloc.total_bytes, i)))
        memory.add(out[-1][1])
    else:
        return out
    for _, placed in out:
        memory.remove(placed)
    out, at = [], 0
    for alloc in order:
        out.append((alloc, placed_at(Place(at, i), alloc.total_bytes, i)))
        memory.add(out[-1][1])
        at += alloc.total_bytes
    return out
