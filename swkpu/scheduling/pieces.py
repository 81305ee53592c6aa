"""Long loads in pieces.

A shared port serves in order of arrival, and a load takes its whole turn at the L2 write port when it arrives: while
a megabyte of weights has it, no pull gets through. So what prefetch loads far ahead is loaded in pieces, each of
which takes the port no longer than the latency of a pull. The pieces follow each other without a gap.
"""

from __future__ import annotations

from math import prod

from xdsl.builder import Builder
from xdsl.dialects.builtin import AffineMapAttr
from xdsl.ir import Block, Region
from xdsl.rewriter import InsertPoint

from swkpu.affine import Linear, linear_map
from swkpu.dialects import kpu
from swkpu.dialects.kpu import ForOp, buffer_type, coordinate_map
from swkpu.dialects.kpu_structure import depth_of
from swkpu.dialects.kpu_types import MAX_LOOPS
from swkpu.dialects.nn import ints
from swkpu.target import Machine
from swkpu.types import dtype_of


def split_loads(layer: kpu.LayerOp, machine: Machine) -> None:
    limit = machine.l2.write_bytes_per_cycle * (machine.l2.latency_cycles + machine.noc.latency_cycles)
    for op in [o for o in layer.walk() if isinstance(o, kpu.LoadOp)]:
        if depth_of(op) < MAX_LOOPS:
            _split(op, limit)


def _split(load: kpu.LoadOp, limit: int) -> None:
    """A loop over the outermost dim in DRAM, so that rows of contiguous bytes stay whole."""
    box = load.box.data
    pieces = -(-dtype_of(buffer_type(load.dst).element).bytes_of(prod(box)) // limit)
    axes = load.src_axes.data if load.src_axes is not None else tuple(range(len(box)))
    dims = [d for d in range(len(box)) if box[d] > 1]
    if pieces < 2 or not dims:
        return
    dim = min(dims, key=lambda d: axes[d])
    size = -(-box[dim] // min(pieces, box[dim]))
    starts = linear_map(load.dst_start.data)
    whole = starts[dim] == Linear(0) and buffer_type(load.dst).extents[dim] == box[dim]
    while not whole and box[dim] % size:  # the last piece must end where the load does, or at the end of the buffer
        size -= 1
    counter = Linear.of(0, {depth_of(load): size})
    step = load.steps.data[dim] if load.steps is not None else 1
    loop = ForOp(-(-box[dim] // size), Region(Block()))
    Builder(InsertPoint.before(load)).insert(loop)
    load.detach()
    loop.body.block.add_op(load)
    load.properties["src_start"] = _moved(load.src_start, axes[dim], counter * step)
    load.properties["dst_start"] = _moved(load.dst_start, dim, counter)
    load.properties["box"] = ints([size if d == dim else b for d, b in enumerate(box)])


def _moved(start: AffineMapAttr, dim: int, by: Linear) -> AffineMapAttr:
    return AffineMapAttr(coordinate_map([e + by if d == dim else e for d, e in enumerate(linear_map(start.data))]))
