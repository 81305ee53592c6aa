"""Constants and data movement of the nn dialect."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    TensorType,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure

from swkpu.dialects.nn_base import (
    IntsAttr,
    NNOp,
    Tensor,
    ints,
    misfit,
    shape_of,
    type_of,
)
from swkpu.dialects.weights import WeightAttr


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A constant: `#nn.weight<...>` beside the file, or small dense data inline."""

    name = "nn.constant"

    value = prop_def(WeightAttr | DenseIntOrFPElementsAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())
    assembly_format = "$value attr-dict `:` type($result)"

    def __init__(self, value: WeightAttr | DenseIntOrFPElementsAttr, type: Attribute):
        super().__init__(properties={"value": value}, result_types=[type])


# ---- data movement ------------------------------------------------------------------------------------------------


@irdl_op_definition
class ReshapeOp(NNOp):
    """The same elements in row-major order under another shape."""

    name = "nn.reshape"

    input = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue, shape: Sequence[int]):
        super().__init__(operands=[input], result_types=[TensorType(type_of(input).element_type, shape)])

    def infer(self) -> Tensor:
        from math import prod

        if prod(shape_of(self.input)) != prod(shape_of(self.result)):
            raise misfit(f"{self.input.type} and {self.result.type} have different numbers of elements")
        return TensorType(type_of(self.input).element_type, shape_of(self.result))


@irdl_op_definition
class PermuteOp(NNOp):
    """Result dim i is input dim `dims[i]`."""

    name = "nn.permute"

    input = operand_def(TensorType)
    dims = prop_def(IntsAttr)
    result = result_def(TensorType)

    assembly_format = "$input `dims` $dims attr-dict `:` functional-type(operands, results)"

    def __init__(self, input: SSAValue, dims: Sequence[int]):
        x = type_of(input)
        super().__init__(
            operands=[input],
            properties={"dims": ints(dims)},
            result_types=[TensorType(x.element_type, [x.get_shape()[d] for d in dims])],
        )

    @property
    def order(self) -> tuple[int, ...]:
        return self.dims.data

    def infer(self) -> Tensor:
        x = type_of(self.input)
        if sorted(self.order) != list(range(len(x.get_shape()))):
            raise misfit(f"{list(self.order)} is not a permutation of the {len(x.get_shape())} dims of {x}")
        return TensorType(x.element_type, [x.get_shape()[d] for d in self.order])
