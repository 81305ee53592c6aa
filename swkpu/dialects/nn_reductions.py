"""Pools and reductions of the nn dialect."""

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
    type_of,
    window_extent,
)


class Pool2dOp(NNOp, ABC):
    """Base of the 2-D pools over NCHW. `padding` is [top, bottom, left, right]."""

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

    ACCUMULATES: ClassVar[bool] = False

    def pool_properties(
        self,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        ceil_mode: bool,
    ) -> dict[str, Attribute]:
        return {
            "kernel": ints(kernel),
            "stride": ints(stride),
            "padding": ints(padding),
            "dilation": ints(dilation),
            "ceil_mode": BoolAttr.from_bool(ceil_mode),
        }

    @property
    def window(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], bool]:
        """(kernel, stride, padding, dilation, ceil_mode) as Python values."""
        ceil = bool(self.ceil_mode.value.data)
        return self.kernel.data, self.stride.data, self.padding.data, self.dilation.data, ceil

    def infer(self) -> Tensor:
        x = type_of(self.input)
        kernel, stride, padding, dilation, ceil = self.window
        if len(x.get_shape()) != 4 or len(kernel) != 2 or min(kernel) < 1:
            raise misfit(f"expected a 4-D input and a positive 2-D kernel, got {x} and {list(kernel)}")
        check_window(stride, padding, dilation)
        n, c, h, w = x.get_shape()
        oh = window_extent(h, kernel[0], stride[0], padding[0], padding[1], dilation[0], ceil)
        ow = window_extent(w, kernel[1], stride[1], padding[2], padding[3], dilation[1], ceil)
        if oh < 1 or ow < 1:
            raise misfit(f"a {kernel[0]}x{kernel[1]} window does not fit a {h}x{w} input with padding {list(padding)}")
        return TensorType(accumulator(x.element_type) if self.ACCUMULATES else x.element_type, (n, c, oh, ow))


@irdl_op_definition
class MaxPool2dOp(Pool2dOp):
    """The largest element of each window; padding never wins."""

    name = "nn.max_pool2d"

    def __init__(
        self,
        input: SSAValue,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int] = (0, 0, 0, 0),
        dilation: Sequence[int] = (1, 1),
        ceil_mode: bool = False,
        *,
        result: Attribute | None = None,
    ):
        properties = self.pool_properties(kernel, stride, padding, dilation, ceil_mode)
        n, c, h, w = shape_of(input)
        oh = window_extent(h, kernel[0], stride[0], padding[0], padding[1], dilation[0], ceil_mode)
        ow = window_extent(w, kernel[1], stride[1], padding[2], padding[3], dilation[1], ceil_mode)
        type_ = result or TensorType(type_of(input).element_type, (n, c, oh, ow))
        super().__init__(operands=[input], properties=properties, result_types=[type_])


@irdl_op_definition
class AvgPool2dOp(Pool2dOp):
    """The mean of each window. `count_include_pad` says whether padding counts in the divisor."""

    name = "nn.avg_pool2d"

    count_include_pad = prop_def(BoolAttr)
    divisor = opt_prop_def(IntegerAttr)

    ACCUMULATES: ClassVar[bool] = True

    def __init__(
        self,
        input: SSAValue,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int] = (0, 0, 0, 0),
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor: int | None = None,
    ):
        properties = self.pool_properties(kernel, stride, padding, (1, 1), ceil_mode)
        properties["count_include_pad"] = BoolAttr.from_bool(count_include_pad)
        if divisor is not None:
            properties["divisor"] = IntegerAttr(divisor, i64)
        n, c, h, w = shape_of(input)
        oh = window_extent(h, kernel[0], stride[0], padding[0], padding[1], 1, ceil_mode)
        ow = window_extent(w, kernel[1], stride[1], padding[2], padding[3], 1, ceil_mode)
        element = accumulator(type_of(input).element_type)
        super().__init__(operands=[input], properties=properties, result_types=[TensorType(element, (n, c, oh, ow))])


class ReduceOp(NNOp, ABC):
    """Reduce the listed dims (not negative, ascending)."""

    input = operand_def(TensorType)
    dims = prop_def(IntsAttr)
    keepdim = prop_def(BoolAttr)
    result = result_def(TensorType)

    assembly_format = "$input `dims` $dims attr-dict `:` functional-type(operands, results)"

    ACCUMULATES: ClassVar[bool] = True

    def __init__(self, input: SSAValue, dims: Sequence[int], keepdim: bool):
        x = type_of(input)
        super().__init__(
            operands=[input],
            properties={"dims": ints(dims), "keepdim": BoolAttr.from_bool(keepdim)},
            result_types=[TensorType(self._element(x), _reduced(x.get_shape(), dims, keepdim))],
        )

    @property
    def reduced(self) -> tuple[tuple[int, ...], bool]:
        """(dims, keepdim) as Python values."""
        return self.dims.data, bool(self.keepdim.value.data)

    def _element(self, x: Tensor) -> Attribute:
        return accumulator(x.element_type) if self.ACCUMULATES else x.element_type

    def infer(self) -> Tensor:
        x = type_of(self.input)
        dims, keepdim = self.reduced
        if list(dims) != sorted(set(dims)) or any(not 0 <= d < len(x.get_shape()) for d in dims):
            raise misfit(f"dims must be ascending and within a tensor of rank {len(x.get_shape())}, got {list(dims)}")
        return TensorType(self._element(x), _reduced(x.get_shape(), dims, keepdim))


def _reduced(shape: Sequence[int], dims: Sequence[int], keepdim: bool) -> list[int]:
    return [1 if d in dims else s for d, s in enumerate(shape) if keepdim or d not in dims]


@irdl_op_definition
class MeanOp(ReduceOp):
    """Arithmetic mean over dims."""

    name = "nn.mean"


@irdl_op_definition
class SumOp(ReduceOp):
    """Sum over dims."""

    name = "nn.sum"


@irdl_op_definition
class MaxOp(ReduceOp):
    """Largest element over dims."""

    name = "nn.max"

    ACCUMULATES: ClassVar[bool] = False
