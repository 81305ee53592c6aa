"""Copies and gathers as layers of transfers."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from xdsl.builder import Builder
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Block, Operation, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.rewriter import InsertPoint

from swkpu.affine import Linear, linear_map
from swkpu.applying.layer import row_major
from swkpu.dialects import df, kpu
from swkpu.dialects.kpu import BufferType, buffer_type
from swkpu.dialects.location import layer_name
from swkpu.dialects.nn import type_of
from swkpu.errors import IRError
from swkpu.mapping.residency import bytes_of
from swkpu.mapping.transfers import Walk, walk_of
from swkpu.program.model import Space

if TYPE_CHECKING:
    from swkpu.applying.program import ProgramLowering


def _loops_over(builder: Builder, extents: Sequence[int], box: Sequence[int]) -> tuple[Builder, list[Linear]]:
    """Loops that walk a tensor box by box: where the next ops go, and the start of the box there."""
    at = [Linear(0) for _ in extents]
    for depth, d in enumerate(d for d, e in enumerate(extents) if box[d] < e):
        loop = builder.insert(kpu.ForOp(ceil(extents[d] / box[d])))
        builder = Builder(InsertPoint.at_end(loop.body.block))
        at[d] = Linear.of(0, {depth: box[d]})
    return builder, at


class MoveLowering:
    """Makes the layers that only move data."""

    def __init__(self, program: ProgramLowering):
        self.program = program

    def copy(self, op: df.CopyOp) -> None:
        """A copy out of DRAM is a load with another order of dims; one out of L2 a store."""
        walk = walk_of(op)
        if walk is None:
            raise IRError(f"df.copy with access {op.map.data} is not a single transfer; run df-lower-copies")
        source = self.program.buffers[op.input]
        in_l2 = buffer_type(source).memory is Space.L2
        body = Block()
        builder = Builder(InsertPoint.at_end(body))
        if not in_l2 and self.program.residency.is_dram(op.result):
            self._copy_through_l2(op, builder, walk)
        else:
            target = self.program.result_buffer(op, Space.DRAM if in_l2 else Space.L2)
            extents = op.domain.extents
            origin = [Linear(e.const) for e in linear_map(op.map.data)]
            transfer = kpu.StoreOp if in_l2 else kpu.LoadOp
            builder.insert(
                transfer(
                    source,
                    origin,
                    target,
                    row_major(extents),
                    extents,
                    src_axes=walk.axes,
                    steps=walk.steps,
                    pad=op.pad_value,
                )
            )
        self.program.layer(op, body, {"op": StringAttr("copy")})

    def _copy_through_l2(self, op: df.CopyOp, builder: Builder, walk: Walk) -> None:
        """DRAM to DRAM box by box, through a double buffer in L2. The outermost dims are cut first."""
        source, target = self.program.buffers[op.input], self.program.result_buffer(op, Space.DRAM)
        extents = op.domain.extents
        box = self._slice(op, extents)
        builder, at = _loops_over(builder, extents, box)
        looped = box != list(extents)
        element = type_of(op.result).element_type
        buffer = builder.insert(kpu.AllocOp(BufferType.of(box, element, Space.L2), 2 if looped else 1)).result
        origin = [e.substitute(dict(enumerate(at))) for e in linear_map(op.map.data)]
        transfer = kpu.LoadOp(
            source, origin, buffer, row_major(box), box, src_axes=walk.axes, steps=walk.steps, pad=op.pad_value
        )
        builder.insert(transfer)
        builder.insert(kpu.StoreOp(buffer, row_major(box), target, at, box))

    def gather(self, op: df.GatherOp) -> None:
        """One gather into L2, or, where the result is in DRAM, box by box through a double buffer."""
        extents, axis = op.domain.extents, op.axis.value.data
        to_dram = self.program.residency.is_dram(op.result)
        target = self.program.result_buffer(op, Space.DRAM if to_dram else Space.L2)
        at_axis = linear_map(op.map.data)[axis]
        if at_axis.terms:
            raise IRError(f"df.gather '{layer_name(op)}': the indexed axis takes a constant, got {op.map.data}")
        source = self._walked(op.source, op.map.data, extents, axis)
        indices = self._walked(op.indices, op.index_map.data, extents)
        body = Block()
        builder = Builder(InsertPoint.at_end(body))
        box, at = list(extents), [Linear(0) for _ in extents]
        buffer = target
        if to_dram:
            box = self._slice(op, extents)
            builder, at = _loops_over(builder, extents, box)
            slots = 2 if box != list(extents) else 1
            alloc = kpu.AllocOp(BufferType.of(box, type_of(op.result).element_type, Space.L2), slots)
            buffer = builder.insert(alloc).result
        start = (source, [Linear(at_axis.const), *at])
        builder.insert(kpu.GatherOp(start, 0, (indices, at), (buffer, row_major(box)), box))
        if to_dram:
            builder.insert(kpu.StoreOp(buffer, row_major(box), target, at, box))
        self.program.layer(op, body, {"op": StringAttr("gather")})

    def _walked(self, value: SSAValue, map: AffineMap, extents: Sequence[int], axis: int | None = None) -> SSAValue:
        """A view of a buffer with a dim per dim of the domain, after the indexed axis if there is one."""
        buffer = self.program.buffers[value]
        old, exprs = buffer_type(buffer), linear_map(map)
        strides = kpu.element_strides(old.extents)
        own = [(e, s) for i, (e, s) in enumerate(zip(exprs, strides)) if i != axis]
        offset = sum(e.const * s for e, s in own)
        walks = [sum(e.coef(d) * s for e, s in own) for d in range(len(extents))]
        lead = [] if axis is None else [axis]
        shape = [*(old.extents[a] for a in lead), *extents]
        type_ = BufferType.of(shape, old.element, old.memory)
        return self.program.builder.insert(
            kpu.ViewOp(buffer, offset, [*(strides[a] for a in lead), *walks], type_)
        ).result

    def _slice(self, op: Operation, extents: Sequence[int]) -> list[int]:
        """The largest box of a result, cut from the outermost dim on, of which L2 has room for two at this step."""
        room = self.program.residency.budget[self.program.residency.steps.index(op)] // 2 - kpu.GRANULE
        box, size = list(extents), bytes_of(op.results[0])
        for d, e in enumerate(extents):
            if size > room:
                size //= e
                box[d] = max(1, min(e, room // size))
                size *= box[d]
        return box
