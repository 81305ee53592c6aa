"""Elements chosen by indices."""

from __future__ import annotations

from xdsl.ir import Operation

from swkpu.dialects import df, nn
from swkpu.dialects.nn import shape_of
from swkpu.lowering.movement import box, flipped, take
from swkpu.lowering.structure import affine
from swkpu.lowering.table import lowering


@lowering(nn.TakeOp)
def lower_take(op: nn.TakeOp) -> list[Operation]:
    return [take(op.input, op.indices, op.dim.value.data)]


@lowering(nn.GatherOp)
def lower_gather(op: nn.GatherOp) -> list[Operation]:
    dim = op.dim.value.data
    domain, d = box(shape_of(op.result))
    read = [0 if i == dim else e for i, e in enumerate(d)]
    return [df.GatherOp(op.input, op.indices, domain, affine(len(d), read), affine(len(d), d), dim)]


@lowering(nn.FlipOp)
def lower_flip(op: nn.FlipOp) -> list[Operation]:
    return flipped(op.input, op.dims.data) or [df.ReshapeOp(op.input, shape_of(op.input))]
