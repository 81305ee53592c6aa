"""Elementwise nn ops: one result element per element, with broadcasting."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from xdsl.dialects.builtin import (
    FloatAttr,
    TensorType,
    f32,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    BaseAttr,
    VarConstraint,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    result_def,
)

from swkpu.dialects.nn_base import (
    NNOp,
    Tensor,
    broadcast,
    misfit,
    shape_of,
    type_of,
)
from swkpu.types import is_float


class UnaryOp(NNOp, ABC):
    """Elementwise function of one f32 tensor."""

    T: ClassVar = VarConstraint("T", BaseAttr(TensorType))

    input = operand_def(T)
    result = result_def(T)

    assembly_format = "$input attr-dict `:` type($result)"

    def __init__(self, input: SSAValue | Operation):
        input = SSAValue.get(input)
        super().__init__(operands=[input], result_types=[input.type])

    def infer(self) -> Tensor:
        if not is_float(type_of(self.input).element_type):
            raise misfit(f"expected a floating type, got {self.input.type}")
        return type_of(self.input)


@irdl_op_definition
class ReluOp(UnaryOp):
    """max(x, 0)"""

    name = "nn.relu"


@irdl_op_definition
class NegOp(UnaryOp):
    """-x"""

    name = "nn.neg"


@irdl_op_definition
class AbsOp(UnaryOp):
    """|x|"""

    name = "nn.abs"


@irdl_op_definition
class ExpOp(UnaryOp):
    """e^x"""

    name = "nn.exp"


@irdl_op_definition
class LogOp(UnaryOp):
    """natural logarithm"""

    name = "nn.log"


@irdl_op_definition
class SqrtOp(UnaryOp):
    """square root"""

    name = "nn.sqrt"


@irdl_op_definition
class RsqrtOp(UnaryOp):
    """1 / sqrt(x)"""

    name = "nn.rsqrt"


@irdl_op_definition
class TanhOp(UnaryOp):
    """hyperbolic tangent"""

    name = "nn.tanh"


@irdl_op_definition
class ErfOp(UnaryOp):
    """Gauss error function"""

    name = "nn.erf"


@irdl_op_definition
class SigmoidOp(UnaryOp):
    """1 / (1 + e^-x)"""

    name = "nn.sigmoid"


@irdl_op_definition
class FloorOp(UnaryOp):
    """largest integer not above x"""

    name = "nn.floor"


@irdl_op_definition
class CeilOp(UnaryOp):
    """smallest integer not below x"""

    name = "nn.ceil"


@irdl_op_definition
class ClampOp(NNOp):
    """min(max(x, min), max); a missing bound does not bind. relu6 is `{min = 0.0, max = 6.0}`."""

    name = "nn.clamp"

    T: ClassVar = VarConstraint("T", BaseAttr(TensorType))

    input = operand_def(T)
    min = opt_prop_def(FloatAttr)
    max = opt_prop_def(FloatAttr)
    result = result_def(T)

    assembly_format = "$input attr-dict `:` type($result)"

    def __init__(self, input: SSAValue, min: float | None, max: float | None):
        super().__init__(
            operands=[input],
            properties={
                "min": None if min is None else FloatAttr(min, f32),
                "max": None if max is None else FloatAttr(max, f32),
            },
            result_types=[input.type],
        )

    def infer(self) -> Tensor:
        if self.min is None and self.max is None:
            raise misfit("a clamp needs a min, a max, or both")
        return type_of(self.input)


@irdl_op_definition
class CastOp(NNOp):
    """Convert to another element type; to a narrower float rounds to nearest even. No pass removes a rounding."""

    name = "nn.cast"

    input = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue, element: Attribute):
        super().__init__(operands=[input], result_types=[TensorType(element, shape_of(input))])

    def infer(self) -> Tensor:
        return TensorType(type_of(self.result).element_type, shape_of(self.input))


class BinaryOp(NNOp, ABC):
    """Elementwise function of two tensors of one element type, with broadcasting."""

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$lhs `,` $rhs attr-dict `:` functional-type(operands, results)"

    def __init__(self, lhs: SSAValue | Operation, rhs: SSAValue | Operation):
        lhs, rhs = SSAValue.get(lhs), SSAValue.get(rhs)
        shape = broadcast(shape_of(lhs), shape_of(rhs))
        super().__init__(operands=[lhs, rhs], result_types=[TensorType(type_of(lhs).element_type, shape)])

    def infer(self) -> Tensor:
        left, right = type_of(self.lhs), type_of(self.rhs)
        if left.element_type != right.element_type:
            raise misfit(f"operands differ in element type: {left.element_type} and {right.element_type}")
        return TensorType(left.element_type, broadcast(left.get_shape(), right.get_shape()))


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
    """a / b"""

    name = "nn.div"


@irdl_op_definition
class MaximumOp(BinaryOp):
    """the larger"""

    name = "nn.maximum"


@irdl_op_definition
class MinimumOp(BinaryOp):
    """the smaller"""

    name = "nn.minimum"


UNARY: tuple[type[UnaryOp], ...] = (
    ReluOp, NegOp, AbsOp, ExpOp, LogOp, SqrtOp, RsqrtOp, TanhOp, ErfOp, SigmoidOp, FloorOp, CeilOp,
)  # fmt: skip
BINARY: tuple[type[BinaryOp], ...] = (AddOp, SubOp, MulOp, DivOp, MaximumOp, MinimumOp)
