"""The nn dialect says what: static-shaped tensor operators with the names PyTorch users know.

Contractions and reductions accumulate: whatever floating type their operands are stored in, the result is f32, and
rounding to a storage type is an explicit `nn.cast`. Elementwise operators work on f32 and broadcast as PyTorch does.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Any, ClassVar, cast

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    BoolAttr,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    TensorType,
    f32,
    i64,
)
from xdsl.ir import Attribute, Data, Dialect, Operation, SSAValue
from xdsl.irdl import (
    BaseAttr,
    IRDLOperation,
    ParsePropInAttrDict,
    VarConstraint,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from swkpu.dialects.weights import WeightAttr
from swkpu.types import is_float

Tensor = TensorType[Any]


@irdl_attr_definition
class IntsAttr(Data[tuple[int, ...]]):
    """A short list of integers, written `[3, 3]`."""

    name = "nn.ints"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[int, ...]:
        return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer))

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_square_brackets():
            printer.print_list(self.data, printer.print_int)


def ints(values: Sequence[int]) -> IntsAttr:
    return IntsAttr(tuple(values))


def type_of(value: SSAValue) -> Tensor:
    """The tensor type of a value that a verifier has checked."""
    return cast(Tensor, value.type)


def shape_of(value: SSAValue) -> tuple[int, ...]:
    return type_of(value).get_shape()


class NNOp(IRDLOperation, ABC):
    """Base of the dialect: one result, no side effects, a result type that the operands and attributes imply."""

    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)

    def infer(self) -> Tensor:
        """The result type that operands and attributes imply. Raises VerifyException where they do not fit."""
        raise NotImplementedError

    def verify_(self) -> None:
        for value in (*self.operands, *self.results):
            if not isinstance(value.type, TensorType) or DYNAMIC_INDEX in value.type.get_shape():
                raise VerifyException(f"expected tensors of static shape, got {value.type}")
        expected = self.infer()
        if self.results[0].type != expected:
            raise VerifyException(f"the operands imply a result of type {expected}, got {self.results[0].type}")


def _fail(message: str) -> VerifyException:
    return VerifyException(message)


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


# ---- elementwise --------------------------------------------------------------------------------------------------


class UnaryOp(NNOp, ABC):
    """Elementwise function of one f32 tensor."""

    T: ClassVar = VarConstraint("T", BaseAttr(TensorType))

    input = operand_def(T)
    result = result_def(T)

    assembly_format = "$input attr-dict `:` type($result)"

    def __init__(self, input: SSAValue | Operation):
        input = SSAValue.get(input)
        super().__init__(operands=[input], result_types=[input.type])

    def infer(self) -> Tensor:
        if not is_float(type_of(self.input).element_type):
            raise _fail(f"expected a floating type, got {self.input.type}")
        return type_of(self.input)


@irdl_op_definition
class ReluOp(UnaryOp):
    """max(x, 0)"""

    name = "nn.relu"


@irdl_op_definition
class NegOp(UnaryOp):
    """-x"""

    name = "nn.neg"


@irdl_op_definition
class AbsOp(UnaryOp):
    """|x|"""

    name = "nn.abs"


@irdl_op_definition
class ExpOp(UnaryOp):
    """e^x"""

    name = "nn.exp"


@irdl_op_definition
class LogOp(UnaryOp):
    """natural logarithm"""

    name = "nn.log"


@irdl_op_definition
class SqrtOp(UnaryOp):
    """square root"""

    name = "nn.sqrt"


@irdl_op_definition
class RsqrtOp(UnaryOp):
    """1 / sqrt(x)"""

    name = "nn.rsqrt"


@irdl_op_definition
class TanhOp(UnaryOp):
    """hyperbolic tangent"""

    name = "nn.tanh"


@irdl_op_definition
class ErfOp(UnaryOp):
    """Gauss error function"""

    name = "nn.erf"


@irdl_op_definition
class SigmoidOp(UnaryOp):
    """1 / (1 + e^-x)"""

    name = "nn.sigmoid"


@irdl_op_definition
class FloorOp(UnaryOp):
    """largest integer not above x"""

    name = "nn.floor"


@irdl_op_definition
class CeilOp(UnaryOp):
    """smallest integer not below x"""

    name = "nn.ceil"


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
        if self.min is None and self.max is None:
            raise _fail("a clamp needs a min, a max, or both")
        return type_of(self.input)


@irdl_op_definition
class CastOp(NNOp):
    """Convert to another element type; to a narrower float rounds to nearest even. No pass removes a rounding."""

    name = "nn.cast"

    input = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue, element: Attribute):
        super().__init__(operands=[input], result_types=[TensorType(element, shape_of(input))])

    def infer(self) -> Tensor:
        return TensorType(type_of(self.result).element_type, shape_of(self.input))


def broadcast(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    """The shape that PyTorch's broadcasting gives. Raises VerifyException where there is none."""
    rank = max(len(a), len(b))
    left, right = (1,) * (rank - len(a)) + tuple(a), (1,) * (rank - len(b)) + tuple(b)
    out: list[int] = []
    for x, y in zip(left, right):
        if x != y and 1 not in (x, y):
            raise _fail(f"shapes {tuple(a)} and {tuple(b)} do not broadcast: {x} against {y}")
        out.append(y if x == 1 else x)
    return tuple(out)


class BinaryOp(NNOp, ABC):
    """Elementwise function of two tensors of one element type, with broadcasting."""

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$lhs `,` $rhs attr-dict `:` functional-type(operands, results)"

    def __init__(self, lhs: SSAValue | Operation, rhs: SSAValue | Operation):
        lhs, rhs = SSAValue.get(lhs), SSAValue.get(rhs)
        shape = broadcast(shape_of(lhs), shape_of(rhs))
        super().__init__(operands=[lhs, rhs], result_types=[TensorType(type_of(lhs).element_type, shape)])

    def infer(self) -> Tensor:
        left, right = type_of(self.lhs), type_of(self.rhs)
        if left.element_type != right.element_type:
            raise _fail(f"operands differ in element type: {left.element_type} and {right.element_type}")
        return TensorType(left.element_type, broadcast(left.get_shape(), right.get_shape()))


@irdl_op_definition
class AddOp(BinaryOp):
    """a + b"""

    name = "nn.add"


@irdl_op_definition
class SubOp(BinaryOp):
    """a - b"""

    name = "nn.sub"


@irdl_op_definition
class MulOp(BinaryOp):
    """a * b"""

    name = "nn.mul"


@irdl_op_definition
class DivOp(BinaryOp):
    """a / b"""

    name = "nn.div"


@irdl_op_definition
class MaximumOp(BinaryOp):
    """the larger"""

    name = "nn.maximum"


@irdl_op_definition
class MinimumOp(BinaryOp):
    """the smaller"""

    name = "nn.minimum"


# ---- contractions -------------------------------------------------------------------------------------------------


def accumulator(element: Attribute) -> Attribute:
    """The type in which values stored as `element` are summed (f32 for floats)."""
    from swkpu.types import i32

    return f32 if is_float(element) else i32


def _same_elements(a: Tensor, b: Tensor) -> None:
    if a.element_type != b.element_type:
        raise _fail(f"input and weight differ in element type: {a.element_type} and {b.element_type}")


def window_extent(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int, ceil: bool = False
) -> int:
    """How many windows fit: floor or ceil of (size + padding - dilation * (kernel - 1) - 1) / stride, plus one.

    With `ceil`, a window that would start in the padding after the input is dropped, as PyTorch does.
    """
    room = size + before + after - dilation * (kernel - 1) - 1
    count = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (count - 1) * stride >= size + before:
        count -= 1
    return count


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
            raise _fail(f"expected a 4-D input and a 4-D weight, got {x} and {w}")
        _check_window(stride, padding, dilation)
        n, c, h, wd = x.get_shape()
        o, ci, kh, kw = w.get_shape()
        if groups < 1 or c != ci * groups or o % groups:
            raise _fail(
                f"{c} input channels in {groups} groups need a weight of {c // max(groups, 1)} input channels, got {ci}"
            )
        oh = window_extent(h, kh, stride[0], padding[0], padding[1], dilation[0])
        ow = window_extent(wd, kw, stride[1], padding[2], padding[3], dilation[1])
        if oh < 1 or ow < 1:
            raise _fail(f"a {kh}x{kw} window does not fit a {h}x{wd} input with padding {list(padding)}")
        return TensorType(accumulator(x.element_type), (n, o, oh, ow))


def _check_window(stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]) -> None:
    if len(stride) != 2 or min(stride) < 1:
        raise _fail(f"stride must be two positive integers, got {list(stride)}")
    if len(padding) != 4 or min(padding) < 0:
        raise _fail(f"padding must be [top, bottom, left, right], not negative, got {list(padding)}")
    if len(dilation) != 2 or min(dilation) < 1:
        raise _fail(f"dilation must be two positive integers, got {list(dilation)}")


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
            raise _fail(f"expected [..., in] and [out, in], got {x} and {w}")
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
            raise _fail(f"expected [..., m, k] and [..., k, n], got {a} and {b}")
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
                raise _fail(f"expected statistics of shape ({channels},), one per channel of {x}, got {value.type}")
        return x


# ---- windows and reductions ---------------------------------------------------------------------------------------


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
            raise _fail(f"expected a 4-D input and a positive 2-D kernel, got {x} and {list(kernel)}")
        _check_window(stride, padding, dilation)
        n, c, h, w = x.get_shape()
        oh = window_extent(h, kernel[0], stride[0], padding[0], padding[1], dilation[0], ceil)
        ow = window_extent(w, kernel[1], stride[1], padding[2], padding[3], dilation[1], ceil)
        if oh < 1 or ow < 1:
            raise _fail(f"a {kernel[0]}x{kernel[1]} window does not fit a {h}x{w} input with padding {list(padding)}")
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
            raise _fail(f"dims must be ascending and within a tensor of rank {len(x.get_shape())}, got {list(dims)}")
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
            raise _fail(f"{self.input.type} and {self.result.type} have different numbers of elements")
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
            raise _fail(f"{list(self.order)} is not a permutation of the {len(x.get_shape())} dims of {x}")
        return TensorType(x.element_type, [x.get_shape()[d] for d in self.order])


UNARY: tuple[type[UnaryOp], ...] = (
    ReluOp, NegOp, AbsOp, ExpOp, LogOp, SqrtOp, RsqrtOp, TanhOp, ErfOp, SigmoidOp, FloorOp, CeilOp,
)  # fmt: skip
BINARY: tuple[type[BinaryOp], ...] = (AddOp, SubOp, MulOp, DivOp, MaximumOp, MinimumOp)

NN = Dialect(
    "nn",
    [
        ConstantOp, *UNARY, ClampOp, CastOp, *BINARY, Conv2dOp, LinearOp, MatmulOp, BatchNormOp,
        MaxPool2dOp, AvgPool2dOp, MeanOp, SumOp, MaxOp, ReshapeOp, PermuteOp,
    ],
    [WeightAttr, IntsAttr],
)  # fmt: skip
