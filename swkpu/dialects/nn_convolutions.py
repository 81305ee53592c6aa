"""Convolutions of the nn dialect and their transposes, over two or three spatial dims."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
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
    check_window,
    ints,
    misfit,
    same_elements,
    shape_of,
    times,
    type_of,
    window_extents,
)


class ConvolutionOp(NNOp, ABC):
    """What convolutions and transposed convolutions over `SPATIAL` dims share: operands and window attributes.

    `padding` is [before, after] of each spatial dim: [top, bottom, left, right] in two dims. With `groups` g, input
    and output channels are cut into g groups that do not see each other. The result is the accumulator type.
    """

    SPATIAL: ClassVar[int]

    input = operand_def(TensorType)
    weight = operand_def(TensorType)
    stride = prop_def(IntsAttr)
    padding = prop_def(IntsAttr)
    dilation = prop_def(IntsAttr)
    groups = prop_def(IntsAttr)
    result = result_def(TensorType)

    @property
    def window(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]:
        """(stride, padding, dilation, groups) as Python ints."""
        return (
            self.stride.data,
            self.padding.data,
            self.dilation.data,
            self.groups.data[0],
        )

    def _check(self) -> tuple[Tensor, Tensor]:
        """The types of input and weight, where ranks and window attributes fit."""
        x, w = type_of(self.input), type_of(self.weight)
        same_elements(x, w)
        rank = self.SPATIAL + 2
        if len(x.get_shape()) != rank or len(w.get_shape()) != rank:
            raise misfit(f"expected a {rank}-D input and a {rank}-D weight, got {x} and {w}")
        stride, padding, dilation, _ = self.window
        check_window(self.SPATIAL, stride, padding, dilation)
        return x, w


class ConvOp(ConvolutionOp, ABC):
    """Convolution (cross-correlation): each result element sums a window of the input times the weight."""

    assembly_format = (
        "$input `,` $weight `stride` $stride `padding` $padding `dilation` $dilation `groups` $groups attr-dict "
        "`:` functional-type(operands, results)"
    )

    def __init__(
        self,
        input: SSAValue,
        weight: SSAValue,
        stride: Sequence[int] | None = None,
        padding: Sequence[int] | None = None,
        dilation: Sequence[int] | None = None,
        groups: int = 1,
    ):
        stride, dilation = stride or (1,) * self.SPATIAL, dilation or (1,) * self.SPATIAL
        padding = padding or (0,) * (2 * self.SPATIAL)
        (n, _, *sizes), (o, _, *kernel) = shape_of(input), shape_of(weight)
        shape = (n, o, *window_extents(sizes, kernel, stride, padding, dilation))
        super().__init__(
            operands=[input, weight],
            properties={
                "stride": ints(stride),
                "padding": ints(padding),
                "dilation": ints(dilation),
                "groups": ints([groups]),
            },
            result_types=[TensorType(accumulator(type_of(input).element_type), shape)],
        )

    def infer(self) -> Tensor:
        x, w = self._check()
        stride, padding, dilation, groups = self.window
        (n, c, *sizes), (o, ci, *kernel) = x.get_shape(), w.get_shape()
        if groups < 1 or c != ci * groups or o % groups:
            raise misfit(
                f"{c} input channels in {groups} groups need a weight of {c // max(groups, 1)} input channels, got {ci}"
            )
        out = window_extents(sizes, kernel, stride, padding, dilation)
        if min(out) < 1:
            raise misfit(f"a {times(kernel)} window does not fit a {times(sizes)} input with padding {list(padding)}")
        return TensorType(accumulator(x.element_type), (n, o, *out))


@irdl_op_definition
class Conv2dOp(ConvOp):
    """2-D convolution (cross-correlation) of NCHW `input` with OIHW `weight`.

    `padding` is [top, bottom, left, right]. With `groups` g, input channels and output channels are cut into g
    groups that do not see each other. The result is the accumulator type.
    """

    name = "nn.conv2d"
    SPATIAL: ClassVar[int] = 2


@irdl_op_definition
class Conv3dOp(ConvOp):
    """3-D convolution (cross-correlation) of NCDHW `input` with OIDHW `weight`.

    `padding` is [front, back, top, bottom, left, right]; the rest is as in nn.conv2d.
    """

    name = "nn.conv3d"
    SPATIAL: ClassVar[int] = 3


def transposed_extents(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    dilation: Sequence[int],
) -> tuple[int, ...]:
    """(size - 1) * stride + dilation * (kernel - 1) + 1 + output_padding - padding, of each spatial dim."""
    return tuple(
        (size - 1) * s + d * (k - 1) + 1 + more - before - after
        for size, k, s, before, after, more, d in zip(
            sizes, kernel, stride, padding[::2], padding[1::2], output_padding, dilation
        )
    )


class ConvTransposeOp(ConvolutionOp, ABC):
    """Transposed convolution: each input element adds itself times the weight to a window of the result.

    `padding` is cut off the result; `output_padding` is added at its ends.
    """

    output_padding = prop_def(IntsAttr)

    assembly_format = (
        "$input `,` $weight `stride` $stride `padding` $padding `output_padding` $output_padding "
        "`dilation` $dilation `groups` $groups attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self,
        input: SSAValue,
        weight: SSAValue,
        stride: Sequence[int] | None = None,
        padding: Sequence[int] | None = None,
        output_padding: Sequence[int] | None = None,
        dilation: Sequence[int] | None = None,
        groups: int = 1,
    ):
        stride, dilation = stride or (1,) * self.SPATIAL, dilation or (1,) * self.SPATIAL
        padding = padding or (0,) * (2 * self.SPATIAL)
        output_padding = output_padding or (0,) * self.SPATIAL
        (n, _, *sizes), (_, o, *kernel) = shape_of(input), shape_of(weight)
        shape = (n, o * groups, *transposed_extents(sizes, kernel, stride, padding, output_padding, dilation))
        super().__init__(
            operands=[input, weight],
            properties={
                "stride": ints(stride),
                "padding": ints(padding),
                "output_padding": ints(output_padding),
                "dilation": ints(dilation),
                "groups": ints([groups]),
            },
            result_types=[TensorType(accumulator(type_of(input).element_type), shape)],
        )

    def infer(self) -> Tensor:
        x, w = self._check()
        stride, padding, dilation, groups = self.window
        more = self.output_padding.data
        if len(more) != self.SPATIAL or any(not 0 <= m < max(s, d) for m, s, d in zip(more, stride, dilation)):
            raise misfit(
                f"output_padding must be {self.SPATIAL} integers, not negative, and each smaller than its dim's stride "
                f"or dilation, got {list(more)}"
            )
        (n, c, *sizes), (ci, o, *kernel) = x.get_shape(), w.get_shape()
        if c != ci or groups < 1 or c % groups:
            raise misfit(f"{c} input channels in {groups} groups do not fit a weight of {ci} input channels")
        out = transposed_extents(sizes, kernel, stride, padding, more, dilation)
        if min(out) < 1:
            raise misfit(f"padding {list(padding)} leaves nothing of a result of a {times(kernel)} window")
        return TensorType(accumulator(x.element_type), (n, o * groups, *out))


@irdl_op_definition
class ConvTranspose2dOp(ConvTransposeOp):
    """Transposed 2-D convolution of NCHW `input` with IOHW `weight` (O per group), cut by `padding`."""

    name = "nn.conv_transpose2d"
    SPATIAL: ClassVar[int] = 2


@irdl_op_definition
class ConvTranspose3dOp(ConvTransposeOp):
    """Transposed 3-D convolution of NCDHW `input` with IODHW `weight` (O per group), cut by `padding`."""

    name = "nn.conv_transpose3d"
    SPATIAL: ClassVar[int] = 3


CONVOLUTIONS: tuple[type[ConvolutionOp], ...] = (Conv2dOp, Conv3dOp, ConvTranspose2dOp, ConvTranspose3dOp)
