"""df ops of an epilogue that `arith` and `math` lack: the integer rescale and the table lookup of quantized inference.

Both are the operators of the same name of the TOSA 1.0 specification, on one element:

```mlir
epilogue(%acc: i32, %bias: i32, %m: i32, %s: i32) {
  %sum = arith.addi %acc, %bias : i32
  %q = df.rescale %sum, %m, %s zero_points[0, -128] : i32 -> i8
  %y = df.table %q, #nn.weight<"net.safetensors", "sigmoid"> : i8 -> i8
  df.yield %y : i8
}
```
"""

from __future__ import annotations

from xdsl.dialects.builtin import I32, IntegerAttr, f32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from swkpu.dialects.weights import Array, WeightAttr
from swkpu.program.micro_ops import TABLE_ENTRIES
from swkpu.types import dtype_of, i8, i32, numpy_dtype

RESCALED = (i8, i32)
"""What a rescale takes and gives."""
TABULATED = (i8, i32, f32)
"""What a table gives."""


@irdl_op_definition
class RescaleOp(IRDLOperation):
    """Multiply by `multiplier / 2**shift`, round half up, saturate: TOSA 1.0 RESCALE with `apply_scale_32` and without
    double rounding.

        r = (((value - input_zero_point) * multiplier + 2**(shift - 1)) >> shift) + output_zero_point

    in 64 bits, then the nearest value that the result's type has. `0 <= multiplier < 2**31` and `2 <= shift <= 62`.
    """

    name = "df.rescale"

    value = operand_def()
    multiplier = operand_def(i32)
    shift = operand_def(i32)
    input_zero_point = prop_def(IntegerAttr[I32])
    output_zero_point = prop_def(IntegerAttr[I32])
    result = result_def()

    traits = traits_def(Pure())
    assembly_format = (
        "$value `,` $multiplier `,` $shift `zero_points` `[` $input_zero_point `,` $output_zero_point `]`"
        " attr-dict `:` type($value) `->` type($result)"
    )

    def __init__(
        self,
        value: SSAValue | Operation,
        multiplier: SSAValue | Operation,
        shift: SSAValue | Operation,
        input_zero_point: int,
        output_zero_point: int,
        result_type: Attribute,
    ):
        super().__init__(
            operands=[value, multiplier, shift],
            properties={
                "input_zero_point": IntegerAttr(input_zero_point, i32),
                "output_zero_point": IntegerAttr(output_zero_point, i32),
            },
            result_types=[result_type],
        )

    @property
    def zero_points(self) -> tuple[int, int]:
        """Of the value and of the result."""
        return self.input_zero_point.value.data, self.output_zero_point.value.data

    def verify_(self) -> None:
        for what, type_, zero_point in zip(("input", "output"), (self.value.type, self.result.type), self.zero_points):
            if type_ not in RESCALED:
                raise VerifyException(f"a rescale is from i8 or i32 to i8 or i32, got {what} {type_}")
            low, high = dtype_of(type_).integer_range
            if not low <= zero_point <= high:
                raise VerifyException(
                    f"{what} zero point {zero_point} of a rescale is outside {low}..{high}, the range of {type_}"
                )


@irdl_op_definition
class TableOp(IRDLOperation):
    """Entry `value + 128` of a table of 256 elements of the result's type: TOSA 1.0 TABLE, which gives a function of
    an 8-bit number exactly.
    """

    name = "df.table"

    value = operand_def(i8)
    table = prop_def(WeightAttr)
    result = result_def()

    traits = traits_def(Pure())
    assembly_format = "$value `,` qualified($table) attr-dict `:` type($value) `->` type($result)"

    def __init__(self, value: SSAValue | Operation, table: WeightAttr, result_type: Attribute):
        super().__init__(operands=[value], properties={"table": table}, result_types=[result_type])

    def entries(self) -> Array:
        """The table. Raises IRError where it is not at hand, or not 256 elements of the result's type."""
        return self.table.array_for((TABLE_ENTRIES,), numpy_dtype(dtype_of(self.result.type)))

    def verify_(self) -> None:
        if self.result.type not in TABULATED:
            raise VerifyException(f"a table gives i8, i32 or f32, got {self.result.type}")
        # A table that is still in its file is looked at when it is used.
        array = self.table.data.payload.array
        expected = numpy_dtype(dtype_of(self.result.type))
        if array is not None and (array.shape != (TABLE_ENTRIES,) or array.dtype != expected):
            raise VerifyException(
                f"a table to {self.result.type} is {expected.name} of shape ({TABLE_ENTRIES},), "
                f"got {array.dtype.name} of shape {array.shape}"
            )
