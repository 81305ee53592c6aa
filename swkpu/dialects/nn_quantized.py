"""Quantized tensors in the nn dialect: into them, out of them, and the integer arithmetic between scales.

A model comes in Q/DQ form: `nn.quantize` and `nn.dequantize` around operators of floats. `nn-quantize` turns it into
integer form: contractions of stored values, then `nn.rescale` (TOSA 1.0 RESCALE) to the next tensor's scale. A function
of one quantized tensor is `nn.table` (TOSA TABLE).
"""

from __future__ import annotations

from math import prod

from xdsl.dialects.builtin import IntegerAttr, TensorType, f32, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def

from swkpu.dialects.nn_base import NNOp, Tensor, broadcast, misfit, shape_of, type_of
from swkpu.dialects.quantized_type import QuantizedType
from swkpu.dialects.weights import WeightAttr
from swkpu.types import i4, i8, i32

TABLE_ENTRIES = 256


def quantized_type_of(value: SSAValue) -> QuantizedType | None:
    """The quantized element type of a tensor; None where its elements are not quantized."""
    element = type_of(value).element_type if isinstance(value.type, TensorType) else None
    return element if isinstance(element, QuantizedType) else None


@irdl_op_definition
class QuantizeOp(NNOp):
    """The nearest stored value, as PyTorch has it: `clamp(roundeven(x * f32(1 / scale)) + zero_point)`.

    The result's element type has scale and zero point. NaN becomes the zero point.
    """

    name = "nn.quantize"

    input = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue, element: QuantizedType):
        super().__init__(operands=[input], result_types=[TensorType(element, shape_of(input))])

    def infer(self) -> Tensor:
        if type_of(self.input).element_type != f32:
            raise misfit(f"expected f32 to quantize, got {self.input.type}")
        return TensorType(_quantized(self.result), shape_of(self.input))


@irdl_op_definition
class DequantizeOp(NNOp):
    """The real numbers that stored values stand for: `(f32(q) - zero_point) * f32(scale)`."""

    name = "nn.dequantize"

    input = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue):
        super().__init__(operands=[input], result_types=[TensorType(f32, shape_of(input))])

    def infer(self) -> Tensor:
        _quantized(self.input)
        return TensorType(f32, shape_of(self.input))


@irdl_op_definition
class DequantizeWeightOp(NNOp):
    """A weight of i8 or i4 times its scales, which are symmetric: there is no zero point.

    `scales` has one element per index of dim `axis`; with `group`, one row per index of dim 0 and one column per
    `group` consecutive elements of the dims after it ([O, K / group]).
    """

    name = "nn.dequantize_weight"

    weight = operand_def(TensorType)
    scales = operand_def(TensorType)
    axis = prop_def(IntegerAttr)
    group = opt_prop_def(IntegerAttr)
    result = result_def(TensorType)

    assembly_format = "$weight `,` $scales attr-dict `:` functional-type(operands, results)"

    def __init__(self, weight: SSAValue, scales: SSAValue, axis: int = 0, group: int | None = None):
        super().__init__(
            operands=[weight, scales],
            properties={
                "axis": IntegerAttr(axis, i64),
                "group": None if group is None else IntegerAttr(group, i64),
            },
            result_types=[TensorType(f32, shape_of(weight))],
        )

    @property
    def layout(self) -> tuple[int, int | None]:
        """(axis, group) as Python values."""
        return self.axis.value.data, None if self.group is None else self.group.value.data

    def infer(self) -> Tensor:
        weight, scales = type_of(self.weight), type_of(self.scales)
        axis, group = self.layout
        shape = weight.get_shape()
        if weight.element_type not in (i8, i4) or scales.element_type != f32:
            raise misfit(f"expected a weight of i8 or i4 and scales of f32, got {weight} and {scales}")
        if not 0 <= axis < len(shape):
            raise misfit(f"axis {axis} is outside a weight of rank {len(shape)}")
        expected: tuple[int, ...] = (shape[axis],)
        if group is not None:
            if axis != 0 or group < 1 or prod(shape[1:]) % group:
                raise misfit(f"groups of {group} along dim 0's rows do not divide {weight} with axis {axis}")
            expected = (shape[0], prod(shape[1:]) // group)
        if scales.get_shape() != expected:
            raise misfit(f"expected scales of shape {list(expected)}, got {scales}")
        return TensorType(f32, shape)


@irdl_op_definition
class RescaleOp(NNOp):
    """To another scale: `saturate((((x - zero_in) * multiplier + 2^(shift - 1)) >> shift) + zero_out)` in 64 bits.

    TOSA 1.0 RESCALE without double rounding: halves round up. `multiplier` (0 to 2^31 - 1) and `shift` (2 to 62) are
    i32 and broadcast against x, so they may differ by channel. x and the result are i32, or quantized with their zero
    points.
    """

    name = "nn.rescale"

    input = operand_def(TensorType)
    multiplier = operand_def(TensorType)
    shift = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$input `,` $multiplier `,` $shift attr-dict `:` functional-type(operands, results)"

    def __init__(self, input: SSAValue, multiplier: SSAValue, shift: SSAValue, element: Attribute):
        super().__init__(operands=[input, multiplier, shift], result_types=[TensorType(element, shape_of(input))])

    @property
    def zero_points(self) -> tuple[int, int]:
        """Zero points of input and result; that of an i32 is 0."""
        before, after = quantized_type_of(self.input), quantized_type_of(self.result)
        return (before.zero_point if before else 0, after.zero_point if after else 0)

    def infer(self) -> Tensor:
        for value in (self.input, self.result):
            if quantized_type_of(value) is None and type_of(value).element_type != i32:
                raise misfit(f"a rescale goes between quantized tensors and i32, got {value.type}")
        for value in (self.multiplier, self.shift):
            if type_of(value).element_type != i32:
                raise misfit(f"expected multiplier and shift of i32, got {value.type}")
            if broadcast(shape_of(value), shape_of(self.input)) != shape_of(self.input):
                raise misfit(f"{value.type} does not broadcast to {self.input.type}")
        return TensorType(type_of(self.result).element_type, shape_of(self.input))


@irdl_op_definition
class TableOp(NNOp):
    """Entry `q + 128` of a table of 256, for every stored i8 `q`: any function of one quantized tensor.

    `table` has the entries as the result stores them: i8, i32 or f32.
    """

    name = "nn.table"

    input = operand_def(TensorType)
    table = prop_def(WeightAttr)
    result = result_def(TensorType)

    assembly_format = "$input `,` $table attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue, table: WeightAttr, element: Attribute):
        super().__init__(
            operands=[input], properties={"table": table}, result_types=[TensorType(element, shape_of(input))]
        )

    def infer(self) -> Tensor:
        q = quantized_type_of(self.input)
        stored = type_of(self.input).element_type if q is None else q.storage
        if stored != i8:
            raise misfit(f"a table is of stored i8, got {self.input.type}")
        result = quantized_type_of(self.result)
        if result is None and type_of(self.result).element_type not in (i8, i32, f32):
            raise misfit(f"a table gives i8, i32, f32 or quantized elements, got {self.result.type}")
        return TensorType(type_of(self.result).element_type, shape_of(self.input))


def _quantized(value: SSAValue) -> QuantizedType:
    element = quantized_type_of(value)
    if element is None:
        raise misfit(f"expected quantized elements, such as !nn.q<i8, 0.05, -3>, got {value.type}")
    return element
