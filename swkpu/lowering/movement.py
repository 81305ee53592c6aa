"""Constants and data movement: copies with access maps, and reshapes."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr
from xdsl.ir import Operation
from xdsl.ir.affine import AffineExpr

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import shape_of, type_of
from swkpu.dialects.weights import WeightAttr
from swkpu.lowering.structure import (
    affine,
)
from swkpu.lowering.table import lowering
from swkpu.types import dtype_of, numpy_dtype


@lowering(nn.ConstantOp)
def lower_constant(op: nn.ConstantOp) -> list[Operation]:
    value = op.value
    if isinstance(value, DenseIntOrFPElementsAttr):
        type_ = type_of(op.result)
        array = np.array(value.get_values(), dtype=numpy_dtype(dtype_of(type_.element_type)))
        if value.is_splat():
            array = np.broadcast_to(array.reshape(-1)[0], type_.get_shape())
        value = WeightAttr.from_array(array.reshape(type_.get_shape()))
    return [df.ConstantOp(value, op.result.type)]


@lowering(nn.PermuteOp)
def lower_permute(op: nn.PermuteOp) -> list[Operation]:
    shape = shape_of(op.result)
    rank = len(shape)
    exprs: list[AffineExpr | int] = [0] * rank
    for i, axis in enumerate(op.order):
        exprs[axis] = AffineExpr.dimension(i)
    return [df.CopyOp(op.input, Domain(tuple(f"d{i}" for i in range(rank)), shape, rank), affine(rank, exprs))]


@lowering(nn.ReshapeOp)
def lower_reshape(op: nn.ReshapeOp) -> list[Operation]:
    return [df.ReshapeOp(op.input, shape_of(op.result))]
