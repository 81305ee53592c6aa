"""nn ops that multiply and sum, and batch norm, which folds into them."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    FloatAttr,
    TensorType,
    f32,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
)

from swkpu.dialects.nn_base import (
    IntsAttr,
    NNOp,
    Tensor,
    accumulator,
    broadcast,
    check_window,
    ints,
    misfit,
    shape_of,
    type_of,
    window_extent,
)


def _same_elements(a: Tensor, b: Tensor) -> None:
    if a.element_type != b.element_type:
        raise misfit(f"input and weight differ in element type: {a.element_type} and {b.element_type}")


@irdl_op_definition
class Conv2dOp(NNOp):
    """2-D convolution (cross-correlation) of NCHW `input` with OIHW `weight`.

    `padding` is [top, bottom, left, right]. With `groups` g, input channels and output channels are cut into g
    groups that do not see each other. The result is the accumulator type.
    """

    name = "nn.conv2d"

    input = operand_def(TensorType)
    weight = operand_def(TensorType)
    stride = prop_def(IntsAttr)
    padding = prop_def(IntsAttr)
    dilation = prop_def(IntsAttr)
    groups = prop_def(IntsAttr)
    result = result_def(TensorType)

    assembly_format = (
        "$input `,` $weight `stride` $stride `padding` $padding `dilation` $dilation `groups` $groups attr-dict "
        "`:` functional-type(operands, results)"
    )

    def __init__(
        self,
        input: SSAValue,
        weight: SSAValue,
        stride: Sequence[int] = (1, 1),
        padding: Sequence[int] = (0, 0, 0, 0),
        dilation: Sequence[int] = (1, 1),
        groups: int = 1,
    ):
        properties: dict[str, Attribute] = {
            "stride": ints(stride),
            "padding": ints(padding),
            "dilation": ints(dilation),
            "groups": ints([groups]),
        }
        n, _, h, w = shape_of(input)
        o, _, kh, kw = shape_of(weight)
        top, bottom, left, right = padding
        shape = (
            n,
            o,
            window_extent(h, kh, stride[0], top, bottom, dilation[0]),
            window_extent(w, kw, stride[1], left, right, dilation[1]),
        )
        super().__init__(
            operands=[input, weight],
            properties=properties,
            result_types=[TensorType(accumulator(type_of(input).element_type), shape)],
        )

    @property
    def window(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]:
        """(stride, padding, dilation, groups) as Python ints."""
        return (
            self.stride.data,
            self.padding.data,
            self.dilation.data,
            self.groups.data[0],
        )

    def infer(self) -> Tensor:
        x, w = type_of(self.input), type_of(self.weight)
        _same_elements(x, w)
        stride, padding, dilation, groups = self.window
        if len(x.get_shape()) != 4 or len(w.get_shape()) != 4:
            raise misfit(f"expected a 4-D input and a 4-D weight, got {x} and {w}")
        check_window(stride, padding, dilation)
        n, c, h, wd = x.get_shape()
        o, ci, kh, kw = w.get_shape()
        if groups < 1 or c != ci * groups or o % groups:
            raise misfit(
                f"{c} input channels in {groups} groups need a weight of {c // max(groups, 1)} input channels, got {ci}"
            )
        oh = window_extent(h, kh, stride[0], padding[0], padding[1], dilation[0])
        ow = window_extent(wd, kw, stride[1], padding[2], padding[3], dilation[1])
        if oh < 1 or ow < 1:
            raise misfit(f"a {kh}x{kw} window does not fit a {h}x{wd} input with padding {list(padding)}")
        return TensorType(accumulator(x.element_type), (n, o, oh, ow))


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
        _same_elements(x, w)
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
        _same_elements(a, b)
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
