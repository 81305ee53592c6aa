"""Slices, borders, concatenation: parts of tensors read, and written."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation, SSAValue

from swkpu.dialects import df, nn
from swkpu.dialects.nn import shape_of
from swkpu.lowering.movement import box, part
from swkpu.lowering.structure import affine
from swkpu.lowering.table import lowering


@lowering(nn.SliceOp)
def lower_slice(op: nn.SliceOp) -> list[Operation]:
    return [part(op.input, op.starts.data, shape_of(op.result), op.steps.data)]


@lowering(nn.ExpandOp)
def lower_expand(op: nn.ExpandOp) -> list[Operation]:
    domain, d = box(shape_of(op.result))
    source = shape_of(op.input)
    read = [0 if source[i] == 1 and domain.extents[i] != 1 else e for i, e in enumerate(d)]
    return [df.CopyOp(op.input, domain, affine(len(d), read))]


@lowering(nn.PadOp)
def lower_pad(op: nn.PadOp) -> list[Operation]:
    domain, d = box(shape_of(op.result))
    read = [e - low for e, low in zip(d, op.low.data)]
    return [df.CopyOp(op.input, domain, affine(len(d), read), op.value.value.data)]


def write(value: SSAValue, into: SSAValue, starts: Sequence[int], steps: Sequence[int]) -> df.CopyOp:
    """Put a whole tensor into a box of another."""
    domain, d = box(shape_of(value))
    place = affine(len(d), [e * s + at for e, s, at in zip(d, steps, starts)])
    return df.CopyOp(value, domain, affine(len(d), d), into=(into, place))


def _position(value: SSAValue) -> int:
    owner = value.owner
    if not isinstance(owner, Operation) or owner.parent is None:
        return -1
    return owner.parent.get_operation_index(owner)


@lowering(nn.ConcatOp)
def lower_concat(op: nn.ConcatOp) -> list[Operation]:
    """One write per operand, in the order in which the operands are made: each maker may come to write itself."""
    dim = op.dim.value.data
    starts: list[int] = []
    at = 0
    for value in op.operands:
        starts.append(at)
        at += shape_of(value)[dim]
    empty = df.EmptyOp(op.result.type)
    ops: list[Operation] = [empty]
    filled = [i for i, v in enumerate(op.operands) if 0 not in shape_of(v)]
    for i in sorted(filled, key=lambda i: _position(op.operands[i])):
        rank = len(shape_of(op.operands[i]))
        offset = [starts[i] if d == dim else 0 for d in range(rank)]
        ops.append(write(op.operands[i], ops[-1].results[0], offset, [1] * rank))
    return ops


@lowering(nn.InsertSliceOp)
def lower_insert_slice(op: nn.InsertSliceOp) -> list[Operation]:
    """The source in its place, and around it, dim by dim, the boxes of the destination that stay."""
    shape, sizes = shape_of(op.dest), shape_of(op.src)
    starts, steps = op.starts.data, op.steps.data
    empty = df.EmptyOp(op.result.type)
    ops: list[Operation] = [empty, write(op.src, empty.result, starts, steps)]
    inside = [(s, n, step) for s, n, step in zip(starts, sizes, steps)]
    for d in range(len(shape)):
        for first, count, step in _outside(shape[d], *inside[d]):
            place = [*inside[:d], (first, count, step), *((0, n, 1) for n in shape[d + 1 :])]
            kept = part(op.dest, *(list(column) for column in (zip(*((s, n, t) for s, n, t in place)))))
            ops += [kept, write(kept.result, ops[-1].results[0], [s for s, _, _ in place], [t for _, _, t in place])]
    return ops


def _outside(size: int, start: int, count: int, step: int) -> list[tuple[int, int, int]]:
    """(first, count, step) of the elements of a dim that `start + i * step` leaves out."""
    end = start + (count - 1) * step + 1
    gaps = [(start + r, count - 1, step) for r in range(1, step)]
    return [g for g in ((0, start, 1), *gaps, (end, size - end, 1)) if g[1] > 0]
