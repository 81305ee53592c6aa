"""nn ops that choose elements by run-time indices, which are from 0 to the dim's size minus 1."""

from __future__ import annotations

from xdsl.dialects.builtin import I64, IntegerAttr, TensorType, i64
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from swkpu.dialects.nn_base import NNOp, Tensor, check_dim, misfit, shape_of, type_of
from swkpu.types import i32


def _check_indices(indices: Tensor) -> None:
    if indices.element_type not in (i32, i64):
        raise misfit(f"indices are i32 or i64, got {indices}")


@irdl_op_definition
class TakeOp(NNOp):
    """Elements of a dim by index: the dims of `indices`, of any rank, take the place of dim `dim` of the input."""

    name = "nn.take"

    input = operand_def(TensorType)
    indices = operand_def(TensorType)
    dim = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)

    assembly_format = "$input `,` $indices `dim` $dim attr-dict `:` functional-type(operands, results)"

    def __init__(self, input: SSAValue, indices: SSAValue, dim: int):
        x = type_of(input)
        shape = (*x.get_shape()[:dim], *shape_of(indices), *x.get_shape()[dim + 1 :])
        super().__init__(
            operands=[input, indices],
            properties={"dim": IntegerAttr(dim, i64)},
            result_types=[TensorType(x.element_type, shape)],
        )

    @property
    def along(self) -> int:
        return self.dim.value.data

    def infer(self) -> Tensor:
        x, indices, dim = type_of(self.input), type_of(self.indices), self.along
        _check_indices(indices)
        check_dim(dim, x)
        shape = x.get_shape()
        return TensorType(x.element_type, (*shape[:dim], *indices.get_shape(), *shape[dim + 1 :]))


@irdl_op_definition
class GatherOp(NNOp):
    """Result element i is the input's element i with i[dim] replaced by indices[i]; other dims may be shorter."""

    name = "nn.gather"

    input = operand_def(TensorType)
    indices = operand_def(TensorType)
    dim = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)

    assembly_format = "$input `,` $indices `dim` $dim attr-dict `:` functional-type(operands, results)"

    def __init__(self, input: SSAValue, indices: SSAValue, dim: int):
        super().__init__(
            operands=[input, indices],
            properties={"dim": IntegerAttr(dim, i64)},
            result_types=[TensorType(type_of(input).element_type, shape_of(indices))],
        )

    @property
    def along(self) -> int:
        return self.dim.value.data

    def infer(self) -> Tensor:
        x, indices, dim = type_of(self.input), type_of(self.indices), self.along
        _check_indices(indices)
        check_dim(dim, x)
        sizes = indices.get_shape()
        if len(sizes) != len(x.get_shape()) or any(
            n > s for d, (n, s) in enumerate(zip(sizes, x.get_shape())) if d != dim
        ):
            raise misfit(f"indices {indices} do not fit {x}: the ranks agree, and dims other than {dim} are not larger")
        return TensorType(x.element_type, sizes)
