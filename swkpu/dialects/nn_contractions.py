"""Matrix products of the nn dialect, and batch norm, which folds into contractions."""

from __future__ import annotations

from xdsl.dialects.builtin import (
    FloatAttr,
    TensorType,
    f32,
)
from xdsl.ir import SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
)

from swkpu.dialects.nn_base import (
    NNOp,
    Tensor,
    accumulator,
    broadcast,
    misfit,
    same_elements,
    shape_of,
    type_of,
)


@irdl_op_definition
class LinearOp(NNOp):
    """`input @ weightᵀ`: [..., in] and [out, in] give [..., out] in the accumulator type."""

    name = "nn.linear"

    input = operand_def(TensorType)
    weight = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$input `,` $weight attr-dict `:` functional-type(operands, results)"

    def __init__(self, input: SSAValue, weight: SSAValue):
        shape = (*shape_of(input)[:-1], shape_of(weight)[0])
        super().__init__(
            operands=[input, weight],
            result_types=[TensorType(accumulator(type_of(input).element_type), shape)],
        )

    def infer(self) -> Tensor:
        x, w = type_of(self.input), type_of(self.weight)
        same_elements(x, w)
        if len(w.get_shape()) != 2 or not x.get_shape() or x.get_shape()[-1] != w.get_shape()[1]:
            raise misfit(f"expected [..., in] and [out, in], got {x} and {w}")
        return TensorType(accumulator(x.element_type), (*x.get_shape()[:-1], w.get_shape()[0]))


@irdl_op_definition
class MatmulOp(NNOp):
    """`lhs @ rhs` with broadcast leading dims: [..., m, k] and [..., k, n] give [..., m, n] in the accumulator type."""

    name = "nn.matmul"

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$lhs `,` $rhs attr-dict `:` functional-type(operands, results)"

    def __init__(self, lhs: SSAValue, rhs: SSAValue):
        a, b = shape_of(lhs), shape_of(rhs)
        shape = (*broadcast(a[:-2], b[:-2]), a[-2], b[-1])
        super().__init__(operands=[lhs, rhs], result_types=[TensorType(accumulator(type_of(lhs).element_type), shape)])

    def infer(self) -> Tensor:
        a, b = type_of(self.lhs), type_of(self.rhs)
        same_elements(a, b)
        if len(a.get_shape()) < 2 or len(b.get_shape()) < 2 or a.get_shape()[-1] != b.get_shape()[-2]:
            raise misfit(f"expected [..., m, k] and [..., k, n], got {a} and {b}")
        batch = broadcast(a.get_shape()[:-2], b.get_shape()[:-2])
        return TensorType(accumulator(a.element_type), (*batch, a.get_shape()[-2], b.get_shape()[-1]))


@irdl_op_definition
class BatchNormOp(NNOp):
    """Inference batch norm over dim 1: `(x - mean) / sqrt(var + eps) * weight + bias`."""

    name = "nn.batch_norm"

    input = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = operand_def(TensorType)
    mean = operand_def(TensorType)
    variance = operand_def(TensorType)
    eps = prop_def(FloatAttr)
    result = result_def(TensorType)

    assembly_format = (
        "$input `,` $weight `,` $bias `,` $mean `,` $variance attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self, input: SSAValue, weight: SSAValue, bias: SSAValue, mean: SSAValue, variance: SSAValue, eps: float
    ):
        super().__init__(
            operands=[input, weight, bias, mean, variance],
            properties={"eps": FloatAttr(eps, f32)},
            result_types=[input.type],
        )

    def infer(self) -> Tensor:
        x = type_of(self.input)
        channels = x.get_shape()[1] if len(x.get_shape()) > 1 else -1
        for value in (self.weight, self.bias, self.mean, self.variance):
            if shape_of(value) != (channels,):
                raise misfit(f"expected statistics of shape ({channels},), one per channel of {x}, got {value.type}")
        return x
