"""What kind of operator an nn op is, and which of its producers an elementwise op is computed together with."""

from __future__ import annotations

from xdsl.dialects.builtin import f32, f64
from xdsl.ir import Operation, OpResult

from swkpu.dialects import nn
from swkpu.dialects.nn import shape_of
from swkpu.types import is_float

ELEMENTWISE = (nn.UnaryOp, nn.BinaryOp, nn.ClampOp, nn.CastOp, nn.WhereOp, nn.BatchNormOp)
"""Each result element is a function of one element of each operand."""
CONTRACTIONS = (nn.ConvOp, nn.LinearOp, nn.MatmulOp, nn.SdpaOp)
REDUCTIONS = (nn.PoolOp, nn.ReduceOp, nn.SoftmaxBaseOp, nn.NormOp, nn.CumulativeOp)
_SELECTIONS = (
    *(nn.MaxPoolOp, nn.AdaptiveMaxPool2dOp, nn.AdaptiveMaxPool3dOp),
    *(nn.MaxOp, nn.MinOp, nn.CumMaxOp, nn.CumMinOp),
    *(nn.ReshapeOp, nn.PermuteOp, nn.SliceOp, nn.ConcatOp, nn.PadOp, nn.ExpandOp, nn.FlipOp, nn.InsertSliceOp),
    *(nn.TakeOp, nn.GatherOp),
)


def is_selection(op: object) -> bool:
    """Is each result element one of an operand's? Such ops work on any storage type and round nothing."""
    return isinstance(op, _SELECTIONS) or (isinstance(op, nn.ResizeOp) and op.mode.data.startswith("nearest"))


def is_elementwise(op: Operation) -> bool:
    return isinstance(op, ELEMENTWISE)


def is_decoding(op: object) -> bool:
    """Whether the op only widens a stored float: it rounds nothing, and is read together with its operand for free."""
    if not isinstance(op, nn.CastOp):
        return False
    stored = nn.type_of(op.input).element_type
    return nn.type_of(op.result).element_type == f32 and is_float(stored) and stored != f64


def absorbed_producer(op: Operation) -> OpResult | None:
    """The operand whose producer the elementwise `op` is evaluated with, so that the value is never stored.

    At most one: the latest in program order that nothing else uses, has the result's shape (is not broadcast), and is
    the result of a contraction, a pool, a reduction or another elementwise op that is not merely decoding.
    """
    if not is_elementwise(op):
        return None
    candidates = [v for v in op.operands if isinstance(v, OpResult) and _can_absorb(op, v)]
    latest: OpResult | None = None
    for value in candidates:
        if latest is None or latest.op.is_before_in_block(value.op):
            latest = value
    return latest


def _can_absorb(op: Operation, value: OpResult) -> bool:
    producer = value.op
    return (
        isinstance(producer, ELEMENTWISE + CONTRACTIONS + REDUCTIONS)
        and not is_decoding(producer)
        and producer.parent is op.parent
        and all(use.operation is op for use in value.uses)
        and shape_of(value) == shape_of(op.results[0])
    )
