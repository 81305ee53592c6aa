"""Elementwise nn ops beside the functions of one or two tensors: clamp, cast and where."""

from __future__ import annotations

from typing import ClassVar

from xdsl.dialects.builtin import FloatAttr, TensorType, f32
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import BaseAttr, VarConstraint, irdl_op_definition, operand_def, opt_prop_def, result_def

from swkpu.dialects.nn_base import Kind, NNOp, Tensor, broadcast, check_kind, misfit, shape_of, type_of
from swkpu.types import i1


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
        check_kind(self, type_of(self.input), Kind.FLOAT)
        if self.min is None and self.max is None:
            raise misfit("a clamp needs a min, a max, or both")
        return type_of(self.input)


@irdl_op_definition
class CastOp(NNOp):
    """Convert to another element type. No pass removes a rounding.

    To a narrower float rounds to nearest even, from float to integer truncates, to i1 is `x != 0`.
    """

    name = "nn.cast"

    input = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue, element: Attribute):
        super().__init__(operands=[input], result_types=[TensorType(element, shape_of(input))])

    def infer(self) -> Tensor:
        return TensorType(type_of(self.result).element_type, shape_of(self.input))


@irdl_op_definition
class WhereOp(NNOp):
    """`lhs` where the i1 `condition` holds, else `rhs`; all three broadcast. Works on any storage type."""

    name = "nn.where"

    condition = operand_def(TensorType)
    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$condition `,` $lhs `,` $rhs attr-dict `:` functional-type(operands, results)"

    def __init__(self, condition: SSAValue, lhs: SSAValue, rhs: SSAValue):
        shape = broadcast(shape_of(condition), broadcast(shape_of(lhs), shape_of(rhs)))
        super().__init__(operands=[condition, lhs, rhs], result_types=[TensorType(type_of(lhs).element_type, shape)])

    def infer(self) -> Tensor:
        condition, left, right = type_of(self.condition), type_of(self.lhs), type_of(self.rhs)
        if condition.element_type != i1:
            raise misfit(f"expected a condition of i1, got {condition}")
        if left.element_type != right.element_type:
            raise misfit(f"operands differ in element type: {left.element_type} and {right.element_type}")
        shape = broadcast(condition.get_shape(), broadcast(left.get_shape(), right.get_shape()))
        return TensorType(left.element_type, shape)
