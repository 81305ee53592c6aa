"""Running reductions of the nn dialect: element i along a dim combines elements 0 to i."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from xdsl.dialects.builtin import I64, IntegerAttr, TensorType, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from swkpu.dialects.nn_base import Kind, NNOp, Tensor, accumulator, check_dim, check_kind, shape_of, type_of


class CumulativeOp(NNOp, ABC):
    """Combine along one dim, keeping every partial result."""

    input = operand_def(TensorType)
    dim = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)

    assembly_format = "$input `dim` $dim attr-dict `:` functional-type(operands, results)"

    ACCUMULATES: ClassVar[bool] = True
    """Whether the result is of the accumulator type; else it is of the operand's."""

    def __init__(self, input: SSAValue, dim: int):
        super().__init__(
            operands=[input],
            properties={"dim": IntegerAttr(dim, i64)},
            result_types=[TensorType(self._element(type_of(input)), shape_of(input))],
        )

    @property
    def along(self) -> int:
        return self.dim.value.data

    def _element(self, x: Tensor) -> Attribute:
        return accumulator(x.element_type) if self.ACCUMULATES else x.element_type

    def infer(self) -> Tensor:
        x = type_of(self.input)
        check_kind(self, x, Kind.NUMBER)
        check_dim(self.along, x)
        return TensorType(self._element(x), x.get_shape())


@irdl_op_definition
class CumSumOp(CumulativeOp):
    """Running sum."""

    name = "nn.cumsum"


@irdl_op_definition
class CumProdOp(CumulativeOp):
    """Running product."""

    name = "nn.cumprod"


@irdl_op_definition
class CumMaxOp(CumulativeOp):
    """Running maximum; NaN from the first NaN on."""

    name = "nn.cummax"

    ACCUMULATES: ClassVar[bool] = False


@irdl_op_definition
class CumMinOp(CumulativeOp):
    """Running minimum; NaN from the first NaN on."""

    name = "nn.cummin"

    ACCUMULATES: ClassVar[bool] = False


CUMULATIVE: tuple[type[CumulativeOp], ...] = (CumSumOp, CumProdOp, CumMaxOp, CumMinOp)
