"""The mappings of a group's members checked against each other: they are one partition, in each member's own dims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.ir import Operation

from swkpu.dialects.df import RecurrenceOp
from swkpu.dialects.location import layer_name
from swkpu.dialects.nn import type_of
from swkpu.mapping.geometry import Axis, LayerGeometry, layer_geometry
from swkpu.mapping.groups import SharedDim, group_error, handovers, obstacle, shared_dims
from swkpu.mapping.views import stays_in_l1
from swkpu.program.model import Dataflow
from swkpu.target import Machine, cost
from swkpu.types import dtype_of


@dataclass(frozen=True)
class GroupGeometry:
    """The members, and the operands that they read in L1: (reader, operand) to maker, by number."""

    members: tuple[RecurrenceOp, ...]
    handed: dict[tuple[int, int], int]


def group_geometry(members: Sequence[RecurrenceOp], machine: Machine, order: Mapping[Operation, int]) -> GroupGeometry:
    """The loops that a group's mappings mean. Raises MappingError where they are not one layer's."""
    last = members[-1]
    for op in members:
        if op.mapping is None:
            raise group_error(op, "a member of a group has no mapping; run df-choose-mapping, or write one")
    kept = {op.result for op in members if stays_in_l1(op.result)}
    found = list(handovers(members, kept))
    reason = obstacle(members, found, order)
    if reason is not None:
        raise group_error(last, f"this group cannot be one layer: {reason}")
    geometries = tuple(layer_geometry(op, op.mapping.data, machine) for op in members if op.mapping is not None)
    shared = shared_dims(members, found)
    for number, op in enumerate(members):
        _check_whole(op, number, last, geometries[number], shared)
    for number, op in enumerate(members):
        _check_alike(op, number, last, geometries, shared)
    mac_type(members)
    return GroupGeometry(tuple(members), {(h.reader, h.operand): h.maker for h in found})


def mac_type(members: Sequence[RecurrenceOp]) -> str:
    """The precision in which the arrays multiply for a group: one, or none ("")."""
    found: dict[str, RecurrenceOp] = {}
    for op in members:
        if on_array(op):
            dtypes = [dtype_of(type_of(v).element_type) for v in op.inputs]
            found.setdefault(cost.mac_type(*dtypes), op)
    if len(found) > 1:
        names = " and ".join(f"{t} ('{layer_name(op)}')" for t, op in found.items())
        raise group_error(members[-1], f"a group multiplies in one precision, got {names}")
    return next(iter(found), "")


def on_array(op: RecurrenceOp) -> bool:
    """Is a mapped recurrence the arrays' work?"""
    return op.combiner == "mac" and op.mapping is not None and op.mapping.data.parts[0].dataflow is not Dataflow.VECTOR


def _check_whole(
    op: RecurrenceOp, number: int, last: RecurrenceOp, geometry: LayerGeometry, shared: Sequence[SharedDim]
) -> None:
    """A member cuts shared dims only."""
    common = {s.dims[number] for s in shared}
    cut = [d for d, _ in geometry.l2_loops]
    cut += [a.dim for p in geometry.parts for a in p.axes if a.tiles > 1 or a.pieces > 1 or a.offset]
    for dim in cut:
        if dim not in common:
            names = op.domain.names
            known = ", ".join(names[d] for d in sorted(common)) or "none"
            raise group_error(
                op,
                f"'{names[dim]}' is not a dim that all of its group share ({known}): keep it whole",
            )


def _check_alike(
    op: RecurrenceOp, number: int, last: RecurrenceOp, geometries: Sequence[LayerGeometry], shared: Sequence[SharedDim]
) -> None:
    """A member's cuts are those of the last member."""
    mine, model = geometries[number], geometries[-1]
    name = layer_name(last)
    to_last = {s.dims[number]: s.dims[-1] for s in shared}
    if [(to_last[d], s) for d, s in mine.l2_loops] != list(model.l2_loops):
        raise group_error(op, f"its L2 tiles are not those of '{name}', the last of its group")
    if [p.part.group for p in mine.parts] != [p.part.group for p in model.parts]:
        raise group_error(op, f"its parts are on other tile groups than those of '{name}', the last of its group")
    for part, other in zip(mine.parts, model.parts):
        cut = [_cut(part.axes[s.dims[number]]) for s in shared]
        if cut != [_cut(other.axes[s.dims[-1]]) for s in shared] or part.tiles != other.tiles:
            raise group_error(op, f"its shares, tiles or pieces on '{part.part.group}' are not those of '{name}'")
        if [to_last[a.dim] for a in part.loops] != [a.dim for a in other.loops]:
            raise group_error(op, f"its order on '{part.part.group}' is not that of '{name}', the last of its group")
        if part.part.buffers != other.part.buffers:
            raise group_error(op, f"`buffers` on '{part.part.group}' is not that of '{name}', the last of its group")


def _cut(axis: Axis) -> tuple[int, int, int, int, int, int | None]:
    return axis.offset, axis.extent, axis.tiles, axis.pieces, axis.size, axis.tile_coordinate
