"""Several copies of a buffer, as the machine knows them: a leading dim that wraps around."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr
from xdsl.ir import Operation
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.affine import Linear, linear_map
from swkpu.dialects import kpu
from swkpu.dialects.kpu import AllocOp, BufferType, buffer_type, coordinate_map
from swkpu.placement.streams import loops_around


def _epoch(alloc: AllocOp) -> Linear:
    """The number of the current iteration of the loops around an alloc."""
    loops = list(loops_around(alloc))
    coefs: dict[int, int] = {}
    weight = 1
    for depth, loop in zip(range(len(loops) - 1, -1, -1), loops):
        coefs[depth] = weight
        weight *= loop.trips
    return Linear.of(0, coefs)


def hoist_buffers(program: kpu.ProgramOp, layers: Sequence[kpu.LayerOp]) -> None:
    """Move buffers to the program's scope; several copies become a leading slot dim, indexed by iteration."""
    for layer in layers:
        for alloc in [o for o in layer.walk() if isinstance(o, AllocOp)]:
            type_ = buffer_type(alloc.result)
            slots = alloc.buffer_count
            epoch = _epoch(alloc)
            shape = (slots, *type_.extents) if slots > 1 else type_.extents
            group = alloc.group.data if alloc.group is not None else None
            address = alloc.address.value.data if alloc.address is not None else None
            hoisted = AllocOp(BufferType.of(shape, type_.element, type_.memory), 1, group, address, slots)
            hoisted.result.name_hint = alloc.result.name_hint
            Rewriter.insert_op(hoisted, InsertPoint.before(layer))
            if slots > 1:
                for use in list(alloc.result.uses):
                    _index_slot(use.operation, use.index, epoch)
            alloc.result.replace_all_uses_with(hoisted.result)
            Rewriter.erase_op(alloc)


def _index_slot(command: Operation, operand: int, epoch: Linear) -> None:
    """Prepend the slot coordinate to a command's reference to its operand number `operand`."""

    def prepend(attr: AffineMapAttr) -> AffineMapAttr:
        return AffineMapAttr(coordinate_map([epoch, *linear_map(attr.data)]))

    if isinstance(command, kpu.ExecOp):
        if operand < len(command.blocks):
            starts = list(command.starts.data)
            starts[operand] = prepend(starts[operand])
            command.properties["starts"] = ArrayAttr(starts)
        else:
            assert command.accumulator_start is not None
            command.properties["accumulator_start"] = prepend(command.accumulator_start)
        return
    assert isinstance(command, kpu.TransferOp | kpu.GatherOp | kpu.ReduceOp)
    starts = [name for name in ("src_start", "index_start", "dst_start") if name in command.properties]
    attr = command.properties[starts[operand]]
    assert isinstance(attr, AffineMapAttr)
    command.properties[starts[operand]] = prepend(attr)
