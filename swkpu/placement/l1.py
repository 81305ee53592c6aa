"""Addresses in L1: every layer's blocks, where they are free before their layer begins.

A block that is pushed is had from some layers before its own on, where there is room: then its push need not wait for
the execs and pulls in between. Constants choose first, since nothing else holds them back. Where a layer's blocks do
not fit among those of the layers before, they lie side by side in their own layer only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.ir import Operation

from swkpu.dialects import kpu
from swkpu.dialects.kpu import GRANULE, AllocOp
from swkpu.errors import MemoryError
from swkpu.mapping.packing import Placed, Request, stack
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


@dataclass(frozen=True)
class _Unit:
    """Blocks of a layer that are placed together: (alloc, offset in the unit)."""

    kind: str
    size: int
    blocks: tuple[tuple[AllocOp, int], ...]


def assign_l1(layers: Sequence[kpu.LayerOp], machine: Machine) -> int:
    """Returns the largest use of one tile by one layer."""
    capacity = {g.kind: g.l1_bytes for g in machine.tile_groups}
    memories = {kind: Occupancy(size // GRANULE * GRANULE) for kind, size in capacity.items()}
    most = 0
    for i, layer in enumerate(layers):
        groups: dict[str, list[AllocOp]] = {}
        position = {op: n for n, op in enumerate(layer.walk())}
        for op in position:
            if isinstance(op, AllocOp) and op.group is not None:
                groups.setdefault(op.group.data, []).append(op)
        for group, allocs in groups.items():
            units = _units(allocs, position)
            total = sum(u.size for u in units)
            if group not in memories:
                raise MemoryError("L1", total, 0, f"there is no tile group '{group}'")
            if total > memories[group].capacity:
                name = layer.sym_name.data
                raise MemoryError("L1", total, capacity[group], f"layer '{name}' on '{group}' tiles")
            for unit, placed in _place(i, units, memories[group]):
                for alloc, offset in unit.blocks:
                    set_address(alloc, placed.offset + offset)
            most = max(most, total)
    return most


def _units(allocs: Sequence[AllocOp], position: Mapping[Operation, int]) -> list[_Unit]:
    """One unit for every block that a mover touches, and one for all others, which share memory: the fabric's commands
    run in order, so such a block lives from the first to the last statement of its scope that uses it.
    """
    inner = [a for a in allocs if all(isinstance(use.operation, kpu.ExecOp) for use in a.result.uses)]
    units = [_Unit(kind_of(a), a.total_bytes, ((a, 0),)) for a in allocs if a not in inner]
    if inner:
        requests = [Request(a.total_bytes, *_life(a, position)) for a in inner]
        offsets = stack(requests)
        size = max(o + r.size for o, r in zip(offsets, requests))
        units.append(_Unit("made", size, tuple(zip(inner, offsets))))
    return units


def _life(alloc: AllocOp, position: Mapping[Operation, int]) -> tuple[int, int]:
    statements = [_statement_beside(alloc, use.operation) for use in alloc.result.uses]
    if not statements:
        return 0, len(position)
    return min(position[s] for s in statements), max(position[o] for s in statements for o in s.walk())


def _statement_beside(alloc: AllocOp, op: Operation) -> Operation:
    """The op of an alloc's block that is, or contains, `op`."""
    while op.parent is not alloc.parent:
        parent = op.parent_op()
        assert parent is not None
        op = parent
    return op


def _place(i: int, units: Sequence[_Unit], memory: Occupancy) -> list[tuple[_Unit, Placed]]:
    order = sorted(units, key=lambda u: (list(REACH).index(u.kind), -u.size))
    out: list[tuple[_Unit, Placed]] = []
    for unit in order:
        place = memory.earliest(unit.size, i, i, max(i - REACH[unit.kind], 0))
        if place is None:
            break
        out.append((unit, placed_at(place, unit.size, i)))
        memory.add(out[-1][1])
    else:
        return out
    for _, placed in out:
        memory.remove(placed)
    out, at = [], 0
    for unit in order:
        out.append((unit, placed_at(Place(at, i), unit.size, i)))
        memory.add(out[-1][1])
        at += unit.size
    return out
