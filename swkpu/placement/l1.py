"""Addresses in L1: every layer's blocks, where they are free before their layer begins.

A block that is pushed is had from some layers before its own on, where there is room: then its push need not wait for
the execs and pulls in between. Constants choose first, since nothing else holds them back. Where a layer's blocks do
not fit among those of the layers before, they lie side by side in their own layer only.
"""

from __future__ import annotations

from collections.abc import Sequence

from swkpu.dialects import kpu
from swkpu.dialects.kpu import GRANULE, AllocOp
from swkpu.errors import MemoryError
from swkpu.mapping.packing import Placed
from swkpu.placement.l2 import set_address
from swkpu.placement.occupancy import Occupancy, Place, placed_at
from swkpu.placement.streams import holds_constants, writers_of
from swkpu.target import Machine

REACH = {"constant": 3, "pushed": 2, "made": 1}
"""How many layers before its own a block is had, at most: block movers and arrays run no further ahead."""


def kind_of(alloc: AllocOp) -> str:
    writers = writers_of(alloc)
    if not writers:
        return "made"
    return "constant" if holds_constants(alloc) else "pushed"


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
