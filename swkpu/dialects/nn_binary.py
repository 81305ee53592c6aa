"""Elementwise nn ops of two operands, with broadcasting: arithmetic, bits and comparisons."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def

from swkpu.dialects.nn_base import Kind, NNOp, Tensor, broadcast, check_kind, misfit, shape_of, type_of
from swkpu.types import i1


class BinaryOp(NNOp, ABC):
    """Elementwise function of two tensors of one element type, with broadcasting. `ACCEPTS` says on which types."""

    ACCEPTS: ClassVar[Kind] = Kind.NUMBER

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$lhs `,` $rhs attr-dict `:` functional-type(operands, results)"

    def __init__(self, lhs: SSAValue | Operation, rhs: SSAValue | Operation):
        lhs, rhs = SSAValue.get(lhs), SSAValue.get(rhs)
        type_ = TensorType(self.result_element(type_of(lhs)), broadcast(shape_of(lhs), shape_of(rhs)))
        super().__init__(operands=[lhs, rhs], result_types=[type_])

    def result_element(self, operand: Tensor) -> Attribute:
        return operand.element_type

    def infer(self) -> Tensor:
        left, right = type_of(self.lhs), type_of(self.rhs)
        if left.element_type != right.element_type:
            raise misfit(f"operands differ in element type: {left.element_type} and {right.element_type}")
        check_kind(self, left, self.ACCEPTS)
        return TensorType(self.result_element(left), broadcast(left.get_shape(), right.get_shape()))


# ---- arithmetic ----------------------------------------------------------------------------------------------------


@irdl_op_definition
class AddOp(BinaryOp):
    """a + b"""

    name = "nn.add"


@irdl_op_definition
class SubOp(BinaryOp):
    """a - b"""

    name = "nn.sub"


@irdl_op_definition
class MulOp(BinaryOp):
    """a * b"""

    name = "nn.mul"


@irdl_op_definition
class DivOp(BinaryOp):
    """a / b; of integers truncated towards zero"""

    name = "nn.div"


@irdl_op_definition
class FloorDivideOp(BinaryOp):
    """the largest integer not above a / b"""

    name = "nn.floor_divide"


@irdl_op_definition
class FmodOp(BinaryOp):
    """what is left of a / b truncated; has the sign of a"""

    name = "nn.fmod"


@irdl_op_definition
class RemainderOp(BinaryOp):
    """what is left of a / b rounded down; has the sign of b"""

    name = "nn.remainder"


@irdl_op_definition
class MaximumOp(BinaryOp):
    """the larger; NaN where either is"""

    name = "nn.maximum"


@irdl_op_definition
class MinimumOp(BinaryOp):
    """the smaller; NaN where either is"""

    name = "nn.minimum"


@irdl_op_definition
class PowOp(BinaryOp):
    """a^b"""

    name = "nn.pow"
    ACCEPTS: ClassVar[Kind] = Kind.FLOAT


@irdl_op_definition
class Atan2Op(BinaryOp):
    """the angle of the point (b, a), in (-π, π]"""

    name = "nn.atan2"
    ACCEPTS: ClassVar[Kind] = Kind.FLOAT


@irdl_op_definition
class CopysignOp(BinaryOp):
    """|a| with the sign of b"""

    name = "nn.copysign"
    ACCEPTS: ClassVar[Kind] = Kind.FLOAT


# ---- bits ----------------------------------------------------------------------------------------------------------


@irdl_op_definition
class BitwiseAndOp(BinaryOp):
    """a and b, bit by bit; on i1 logical"""

    name = "nn.bitwise_and"
    ACCEPTS: ClassVar[Kind] = Kind.BITS


@irdl_op_definition
class BitwiseOrOp(BinaryOp):
    """a or b, bit by bit; on i1 logical"""

    name = "nn.bitwise_or"
    ACCEPTS: ClassVar[Kind] = Kind.BITS


@irdl_op_definition
class BitwiseXorOp(BinaryOp):
    """a exclusive-or b, bit by bit; on i1 logical"""

    name = "nn.bitwise_xor"
    ACCEPTS: ClassVar[Kind] = Kind.BITS


@irdl_op_definition
class ShiftLeftOp(BinaryOp):
    """a * 2^b"""

    name = "nn.shift_left"
    ACCEPTS: ClassVar[Kind] = Kind.INTEGER


@irdl_op_definition
class ShiftRightOp(BinaryOp):
    """a / 2^b rounded down"""

    name = "nn.shift_right"
    ACCEPTS: ClassVar[Kind] = Kind.INTEGER


# ---- comparisons ---------------------------------------------------------------------------------------------------


class CompareOp(BinaryOp, ABC):
    """Elementwise comparison: the result is i1. A comparison with NaN is false, except `ne`."""

    ACCEPTS: ClassVar[Kind] = Kind.ANY

    def result_element(self, operand: Tensor) -> Attribute:
        return i1


@irdl_op_definition
class EqOp(CompareOp):
    """a == b"""

    name = "nn.eq"


@irdl_op_definition
class NeOp(CompareOp):
    """a != b"""

    name = "nn.ne"


@irdl_op_definition
class LtOp(CompareOp):
    """a < b"""

    name = "nn.lt"


@irdl_op_definition
class LeOp(CompareOp):
    """a <= b"""

    name = "nn.le"


@irdl_op_definition
class GtOp(CompareOp):
    """a > b"""

    name = "nn.gt"


@irdl_op_definition
class GeOp(CompareOp):
    """a >= b"""

    name = "nn.ge"


BINARY: tuple[type[BinaryOp], ...] = (
    AddOp, SubOp, MulOp, DivOp, FloorDivideOp, FmodOp, RemainderOp, MaximumOp, MinimumOp, PowOp, Atan2Op,
    CopysignOp, BitwiseAndOp, BitwiseOrOp, BitwiseXorOp, ShiftLeftOp, ShiftRightOp,
)  # fmt: skip
"""Those whose result has the operands' element type."""
COMPARE: tuple[type[CompareOp], ...] = (EqOp, NeOp, LtOp, LeOp, GtOp, GeOp)
