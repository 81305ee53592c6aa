"""Elementwise nn ops of one operand: signs, roundings, activations and tests. The rest is in `nn_functions`."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from xdsl.dialects.builtin import StringAttr, TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import BaseAttr, VarConstraint, irdl_op_definition, operand_def, prop_def, result_def

from swkpu.dialects.nn_base import Kind, NNOp, Tensor, check_kind, misfit, shape_of, type_of
from swkpu.types import i1


class UnaryOp(NNOp, ABC):
    """Elementwise function of one tensor; floats are computed in f32. `ACCEPTS` says on which element types."""

    T: ClassVar = VarConstraint("T", BaseAttr(TensorType))
    ACCEPTS: ClassVar[Kind] = Kind.FLOAT

    input = operand_def(T)
    result = result_def(T)

    assembly_format = "$input attr-dict `:` type($result)"

    def __init__(self, input: SSAValue | Operation, properties: dict[str, Attribute] | None = None):
        input = SSAValue.get(input)
        super().__init__(operands=[input], properties=properties or {}, result_types=[input.type])

    def infer(self) -> Tensor:
        check_kind(self, type_of(self.input), self.ACCEPTS)
        return type_of(self.input)


# ---- signs and roundings -------------------------------------------------------------------------------------------


@irdl_op_definition
class NegOp(UnaryOp):
    """-x"""

    name = "nn.neg"
    ACCEPTS: ClassVar[Kind] = Kind.NUMBER


@irdl_op_definition
class AbsOp(UnaryOp):
    """|x|"""

    name = "nn.abs"
    ACCEPTS: ClassVar[Kind] = Kind.NUMBER


@irdl_op_definition
class SignOp(UnaryOp):
    """-1, 0 or 1 as x is negative, zero or positive; 0 for NaN"""

    name = "nn.sign"
    ACCEPTS: ClassVar[Kind] = Kind.NUMBER


@irdl_op_definition
class FloorOp(UnaryOp):
    """largest integer not above x"""

    name = "nn.floor"


@irdl_op_definition
class CeilOp(UnaryOp):
    """smallest integer not below x"""

    name = "nn.ceil"


@irdl_op_definition
class RoundOp(UnaryOp):
    """nearest integer, the even one of two"""

    name = "nn.round"


@irdl_op_definition
class TruncOp(UnaryOp):
    """x without its fraction"""

    name = "nn.trunc"


@irdl_op_definition
class BitwiseNotOp(UnaryOp):
    """every bit inverted; on i1 that is logical not"""

    name = "nn.bitwise_not"
    ACCEPTS: ClassVar[Kind] = Kind.BITS


# ---- activations ---------------------------------------------------------------------------------------------------


@irdl_op_definition
class ReluOp(UnaryOp):
    """max(x, 0)"""

    name = "nn.relu"
    ACCEPTS: ClassVar[Kind] = Kind.NUMBER


@irdl_op_definition
class SigmoidOp(UnaryOp):
    """1 / (1 + e^-x)"""

    name = "nn.sigmoid"


@irdl_op_definition
class SiluOp(UnaryOp):
    """x * sigmoid(x)"""

    name = "nn.silu"


@irdl_op_definition
class HardswishOp(UnaryOp):
    """x * min(max(x + 3, 0), 6) / 6"""

    name = "nn.hardswish"


@irdl_op_definition
class HardsigmoidOp(UnaryOp):
    """min(max(x + 3, 0), 6) / 6"""

    name = "nn.hardsigmoid"


@irdl_op_definition
class GeluOp(UnaryOp):
    """x * Φ(x), Φ the normal distribution; `approximate = "tanh"` is 0.5 x (1 + tanh(sqrt(2/π) (x + 0.044715 x³)))"""

    name = "nn.gelu"

    approximate = prop_def(StringAttr)

    def __init__(self, input: SSAValue | Operation, approximate: str = "none"):
        super().__init__(input, {"approximate": StringAttr(approximate)})

    def infer(self) -> Tensor:
        if self.approximate.data not in ("none", "tanh"):
            raise misfit(f'approximate must be "none" or "tanh", got {self.approximate}')
        return super().infer()


# ---- tests ---------------------------------------------------------------------------------------------------------


class PredicateOp(UnaryOp, ABC):
    """Elementwise yes or no: the result is i1."""

    input = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$input attr-dict `:` functional-type(operands, results)"

    def __init__(self, input: SSAValue | Operation):
        input = SSAValue.get(input)
        NNOp.__init__(self, operands=[input], result_types=[TensorType(i1, shape_of(input))])

    def infer(self) -> Tensor:
        return TensorType(i1, super().infer().get_shape())


@irdl_op_definition
class IsNanOp(PredicateOp):
    """whether x is not a number"""

    name = "nn.isnan"


@irdl_op_definition
class IsInfOp(PredicateOp):
    """whether x is infinite, of either sign"""

    name = "nn.isinf"


BASIC: tuple[type[UnaryOp], ...] = (
    NegOp, AbsOp, SignOp, FloorOp, CeilOp, RoundOp, TruncOp, BitwiseNotOp, ReluOp, SigmoidOp, SiluOp, HardswishOp,
    HardsigmoidOp,
)  # fmt: skip
"""Those without attributes whose result has the operand's type."""
PREDICATES: tuple[type[PredicateOp], ...] = (IsNanOp, IsInfOp)
