"""Pools of the nn dialect: one result element per window of an input."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import (
    BoolAttr,
    IntegerAttr,
    TensorType,
    i64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_prop_def,
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
    shape_of,
    times,
    type_of,
    window_extents,
)


class PoolOp(NNOp, ABC):
    """Base of the pools over N, C and `SPATIAL` dims. `padding` is [before, after] of each spatial dim."""

    SPATIAL: ClassVar[int]
    ACCUMULATES: ClassVar[bool] = False

    input = operand_def(TensorType)
    kernel = prop_def(IntsAttr)
    stride = prop_def(IntsAttr)
    padding = prop_def(IntsAttr)
    dilation = prop_def(IntsAttr)
    ceil_mode = prop_def(BoolAttr)
    result = result_def(TensorType)

    assembly_format = (
        "$input `kernel` $kernel `stride` $stride `padding` $padding `dilation` $dilation attr-dict "
        "`:` functional-type(operands, results)"
    )

    def __init__(
        self,
        input: SSAValue,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int] | None = None,
        dilation: Sequence[int] | None = None,
        ceil_mode: bool = False,
        *,
        extra: dict[str, Attribute] | None = None,
        result: Attribute | None = None,
    ):
        padding = padding or (0,) * (2 * self.SPATIAL)
        dilation = dilation or (1,) * self.SPATIAL
        x = type_of(input)
        shape = (
            *x.get_shape()[:2],
            *window_extents(x.get_shape()[2:], kernel, stride, padding, dilation, ceil_mode),
        )
        super().__init__(
            operands=[input],
            properties={
                "kernel": ints(kernel),
                "stride": ints(stride),
                "padding": ints(padding),
                "dilation": ints(dilation),
                "ceil_mode": BoolAttr.from_bool(ceil_mode),
                **(extra or {}),
            },
            result_types=[result or TensorType(self._element(x), shape)],
        )

    @property
    def window(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], bool]:
        """(kernel, stride, padding, dilation, ceil_mode) as Python values."""
        ceil = bool(self.ceil_mode.value.data)
        return self.kernel.data, self.stride.data, self.padding.data, self.dilation.data, ceil

    def _element(self, x: Tensor) -> Attribute:
        return accumulator(x.element_type) if self.ACCUMULATES else x.element_type

    def infer(self) -> Tensor:
        x = type_of(self.input)
        kernel, stride, padding, dilation, ceil = self.window
        rank = self.SPATIAL
        if len(x.get_shape()) != rank + 2 or len(kernel) != rank or min(kernel) < 1:
            raise misfit(f"expected a {rank + 2}-D input and a positive {rank}-D kernel, got {x} and {list(kernel)}")
        check_window(rank, stride, padding, dilation)
        n, c, *sizes = x.get_shape()
        out = window_extents(sizes, kernel, stride, padding, dilation, ceil)
        if min(out) < 1:
            raise misfit(f"a {times(kernel)} window does not fit a {times(sizes)} input with padding {list(padding)}")
        return TensorType(self._element(x), (n, c, *out))


class MaxPoolOp(PoolOp, ABC):
    """The largest element of each window; padding never wins."""


@irdl_op_definition
class MaxPool2dOp(MaxPoolOp):
    """The largest element of each window of an NCHW input; padding never wins."""

    name = "nn.max_pool2d"
    SPATIAL: ClassVar[int] = 2


@irdl_op_definition
class MaxPool3dOp(MaxPoolOp):
    """The largest element of each window of an NCDHW input; padding never wins."""

    name = "nn.max_pool3d"
    SPATIAL: ClassVar[int] = 3


class AvgPoolOp(PoolOp, ABC):
    """The mean of each window. `count_include_pad` says whether padding counts in the divisor; `divisor` is instead."""

    ACCUMULATES: ClassVar[bool] = True

    count_include_pad = prop_def(BoolAttr)
    divisor = opt_prop_def(IntegerAttr)

    def __init__(
        self,
        input: SSAValue,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int] | None = None,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor: int | None = None,
    ):
        extra: dict[str, Attribute] = {"count_include_pad": BoolAttr.from_bool(count_include_pad)}
        if divisor is not None:
            extra["divisor"] = IntegerAttr(divisor, i64)
        super().__init__(input, kernel, stride, padding, None, ceil_mode, extra=extra)

    def infer(self) -> Tensor:
        type_ = super().infer()
        if max(self.dilation.data) > 1:
            raise misfit(f"an average pool has no dilation, got {list(self.dilation.data)}")
        if self.divisor is not None and self.divisor.value.data == 0:
            raise misfit("the divisor must not be 0")
        return type_


@irdl_op_definition
class AvgPool2dOp(AvgPoolOp):
    """The mean of each window of an NCHW input. `count_include_pad` says whether padding counts in the divisor."""

    name = "nn.avg_pool2d"
    SPATIAL: ClassVar[int] = 2


@irdl_op_definition
class AvgPool3dOp(AvgPoolOp):
    """The mean of each window of an NCDHW input. `count_include_pad` says whether padding counts in the divisor."""

    name = "nn.avg_pool3d"
    SPATIAL: ClassVar[int] = 3


class AdaptivePoolOp(NNOp, ABC):
    """Base of the pools to a given `size`: window i of o over s elements is floor(i*s/o) to ceil((i+1)*s/o)."""

    SPATIAL: ClassVar[int]
    ACCUMULATES: ClassVar[bool] = False

    input = operand_def(TensorType)
    size = prop_def(IntsAttr)
    result = result_def(TensorType)

    assembly_format = "$input `size` $size attr-dict `:` functional-type(operands, results)"

    def __init__(self, input: SSAValue, size: Sequence[int]):
        x = type_of(input)
        type_ = TensorType(self._element(x), (*x.get_shape()[:2], *size))
        super().__init__(operands=[input], properties={"size": ints(size)}, result_types=[type_])

    @property
    def windows(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """(start, end) of every window, dim by dim."""
        return tuple(
            tuple((i * s // o, -(-(i + 1) * s // o)) for i in range(o))
            for s, o in zip(shape_of(self.input)[2:], self.size.data)
        )

    def _element(self, x: Tensor) -> Attribute:
        return accumulator(x.element_type) if self.ACCUMULATES else x.element_type

    def infer(self) -> Tensor:
        x, size = type_of(self.input), self.size.data
        if len(x.get_shape()) != self.SPATIAL + 2 or len(size) != self.SPATIAL or min(size) < 1:
            raise misfit(
                f"expected a {self.SPATIAL + 2}-D input and a positive {self.SPATIAL}-D size, got {x} and {list(size)}"
            )
        return TensorType(self._element(x), (*x.get_shape()[:2], *size))


@irdl_op_definition
class AdaptiveAvgPool2dOp(AdaptivePoolOp):
    """The mean of each window of an NCHW input, whose windows follow from the result's size."""

    name = "nn.adaptive_avg_pool2d"
    SPATIAL: ClassVar[int] = 2
    ACCUMULATES: ClassVar[bool] = True


@irdl_op_definition
class AdaptiveAvgPool3dOp(AdaptivePoolOp):
    """The mean of each window of an NCDHW input, whose windows follow from the result's size."""

    name = "nn.adaptive_avg_pool3d"
    SPATIAL: ClassVar[int] = 3
    ACCUMULATES: ClassVar[bool] = True


@irdl_op_definition
class AdaptiveMaxPool2dOp(AdaptivePoolOp):
    """The largest element of each window of an NCHW input, whose windows follow from the result's size."""

    name = "nn.adaptive_max_pool2d"
    SPATIAL: ClassVar[int] = 2


@irdl_op_definition
class AdaptiveMaxPool3dOp(AdaptivePoolOp):
    """The largest element of each window of an NCDHW input, whose windows follow from the result's size."""

    name = "nn.adaptive_max_pool3d"
    SPATIAL: ClassVar[int] = 3
