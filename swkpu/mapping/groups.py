"""Groups: recurrences that run together in one layer, piece by piece, and hand their results on in L1.

A value whose maker has `result = l1` stays in the tiles that made it, and all that read it are in its maker's group. A
group is cut in one way: every member has the dims along which tiles and pieces are told apart (the *shared* dims), and
reads what another member made at its own point along them. All other dims are whole in a block.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from swkpu.dialects.df import RecurrenceOp
from swkpu.dialects.location import layer_name, source_of
from swkpu.errors import MappingError
from swkpu.mapping.views import View, stays_in_l1, view_of_block, write_view


@dataclass(frozen=True)
class SharedDim:
    """A dim that all members of a group have: its number in each member's domain."""

    dims: tuple[int, ...]
    extent: int


@dataclass(frozen=True)
class Handover:
    """Operand `operand` of member `reader` is what member `maker` left in L1; `view` is how it is read there."""

    maker: int
    reader: int
    operand: int
    view: View | None


def readers(value: SSAValue) -> list[Operation]:
    """The ops that read a value, each once."""
    return list(dict.fromkeys(use.operation for use in value.uses))


def order_of(func: FuncOp) -> dict[Operation, int]:
    """The place of every op in a function."""
    return {op: i for i, op in enumerate(func.body.block.ops)}


def groups_of(func: FuncOp) -> dict[RecurrenceOp, tuple[RecurrenceOp, ...]]:
    """The groups that the mappings ask for: their members in program order, by member. A recurrence that neither leaves
    its result in L1 nor reads one there is in none.
    """
    home: dict[RecurrenceOp, list[RecurrenceOp]] = {}
    for op in func.body.block.ops:
        if not isinstance(op, RecurrenceOp) or not stays_in_l1(op.result):
            continue
        if not readers(op.result):
            raise group_error(op, "`result = l1`, and nothing reads it there")
        members = home.setdefault(op, [op])
        for reader in readers(op.result):
            if not isinstance(reader, RecurrenceOp) or reader.destination is op.result:
                raise group_error(op, f"`result = l1` is for recurrences to read; {reader.name} does not read L1")
            other = home.setdefault(reader, [reader])
            if other is not members:
                members += other
                home |= dict.fromkeys(other, members)
    order = order_of(func)
    return {op: tuple(sorted(members, key=order.__getitem__)) for op, members in home.items()}


def handovers(members: Sequence[RecurrenceOp], kept: Collection[SSAValue]) -> Iterator[Handover]:
    """Every read of a kept value."""
    number: dict[SSAValue, int] = {op.result: i for i, op in enumerate(members)}
    for r, reader in enumerate(members):
        for o, (value, map) in enumerate(reader.reads):
            if value in kept:
                yield Handover(number[value], r, o, view_of_block(reader, map, members[number[value]]))


def shared_dims(members: Sequence[RecurrenceOp], found: Sequence[Handover]) -> tuple[SharedDim, ...]:
    """The parallel dims that all members share, in the order of the last member's."""
    root: dict[tuple[int, int], tuple[int, int]] = {}

    def find(key: tuple[int, int]) -> tuple[int, int]:
        while root.setdefault(key, key) != key:
            key = root[key]
        return key

    for m, op in enumerate(members):
        for d, extent in enumerate(op.domain.extents):
            if extent > 1:
                find((m, d))
    for h in found:
        if h.view is None:
            continue
        for dim, expr in zip(write_view(members[h.maker]).exprs, h.view.exprs):
            if expr.terms:
                root[find((h.reader, expr.dims[0]))] = find((h.maker, dim.dims[0]))
    classes: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for key in sorted(root):
        classes.setdefault(find(key), []).append(key)
    out: list[SharedDim] = []
    for keys in classes.values():
        whole = [m for m, _ in keys] == list(range(len(members)))
        if whole and all(d < members[m].domain.parallel for m, d in keys):
            m, d = keys[0]
            out.append(SharedDim(tuple(d for _, d in keys), members[m].domain.extents[d]))
    return tuple(sorted(out, key=lambda s: s.dims[-1]))


def obstacle(members: Sequence[RecurrenceOp], found: Sequence[Handover], order: Mapping[Operation, int]) -> str | None:
    """Why some recurrences cannot be one layer, or None: all that is not a question of sizes."""
    last = order[members[-1]]
    own = set(members)
    for h in found:
        if h.view is None:
            maker, reader = (layer_name(members[i], "a recurrence") for i in (h.maker, h.reader))
            return f"'{reader}' does not read the result of '{maker}' point by point, or not all of it"
        if members[h.maker].destination is not None:
            return f"'{layer_name(members[h.maker])}' writes into a part of a tensor, which has no place in L1"
    for op in members:
        for reader in readers(op.result):
            if reader not in own and order[reader] < last:
                name = layer_name(reader, reader.name)
                return f"'{name}' reads the result of '{layer_name(op)}' before the group is done with its last member"
    return None


def group_error(op: RecurrenceOp, message: str) -> MappingError:
    where = f" ({source_of(op)})" if source_of(op) else ""
    return MappingError(f"mapping of '{layer_name(op, 'a recurrence')}'{where}: {message}")
