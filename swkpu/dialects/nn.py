"""The nn dialect says what: static-shaped tensor operators with the names PyTorch users know.

Contractions and reductions accumulate: whatever floating type their operands are stored in, the result is f32, and
rounding to a storage type is an explicit `nn.cast`. Elementwise operators work on f32 and broadcast as PyTorch does.
"""

from __future__ import annotations

from xdsl.ir import Dialect

from swkpu.dialects.nn_base import (
    IntsAttr,
    NNOp,
    Tensor,
    accumulator,
    broadcast,
    ints,
    shape_of,
    type_of,
    window_extent,
)
from swkpu.dialects.nn_contractions import (
    BatchNormOp,
    Conv2dOp,
    LinearOp,
    MatmulOp,
)
from swkpu.dialects.nn_elementwise import (
    BINARY,
    UNARY,
    AbsOp,
    AddOp,
    BinaryOp,
    CastOp,
    CeilOp,
    ClampOp,
    DivOp,
    ErfOp,
    ExpOp,
    FloorOp,
    LogOp,
    MaximumOp,
    MinimumOp,
    MulOp,
    NegOp,
    ReluOp,
    RsqrtOp,
    SigmoidOp,
    SqrtOp,
    SubOp,
    TanhOp,
    UnaryOp,
)
from swkpu.dialects.nn_movement import (
    ConstantOp,
    PermuteOp,
    ReshapeOp,
)
from swkpu.dialects.nn_reductions import (
    AvgPool2dOp,
    MaxOp,
    MaxPool2dOp,
    MeanOp,
    Pool2dOp,
    ReduceOp,
    SumOp,
)
from swkpu.dialects.weights import WeightAttr

__all__ = [
    "BINARY",
    "NN",
    "UNARY",
    "AbsOp",
    "AddOp",
    "AvgPool2dOp",
    "BatchNormOp",
    "BinaryOp",
    "CastOp",
    "CeilOp",
    "ClampOp",
    "ConstantOp",
    "Conv2dOp",
    "DivOp",
    "ErfOp",
    "ExpOp",
    "FloorOp",
    "IntsAttr",
    "LinearOp",
    "LogOp",
    "MatmulOp",
    "MaxOp",
    "MaxPool2dOp",
    "MaximumOp",
    "MeanOp",
    "MinimumOp",
    "MulOp",
    "NNOp",
    "NegOp",
    "PermuteOp",
    "Pool2dOp",
    "ReduceOp",
    "ReluOp",
    "ReshapeOp",
    "RsqrtOp",
    "SigmoidOp",
    "SqrtOp",
    "SubOp",
    "SumOp",
    "TanhOp",
    "Tensor",
    "UnaryOp",
    "accumulator",
    "broadcast",
    "ints",
    "shape_of",
    "type_of",
    "window_extent",
]

NN = Dialect(
    "nn",
    [
        ConstantOp, *UNARY, ClampOp, CastOp, *BINARY, Conv2dOp, LinearOp, MatmulOp, BatchNormOp,
        MaxPool2dOp, AvgPool2dOp, MeanOp, SumOp, MaxOp, ReshapeOp, PermuteOp,
    ],
    [WeightAttr, IntsAttr],
)  # fmt: skip
