"""The range of a value's elements, which calibration finds and quantization reads."""

from __future__ import annotations

from math import isfinite
from typing import Any

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, Float64Type, FloatAttr, f64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, BlockArgument, Operation, OpResult, ParametrizedAttribute, SSAValue
from xdsl.irdl import irdl_attr_definition, param_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from swkpu.dialects.quantized_type import number_text

RANGE = "nn.range"
"""The name of the attribute: of an op for its result, of a function's argument for an input."""


@irdl_attr_definition
class RangeAttr(ParametrizedAttribute):
    """`#nn.range<-2.1, 2.64>`: the real numbers between which a value is quantized. What lies outside saturates."""

    name = "nn.range"

    low_attr: FloatAttr[Float64Type] = param_def()
    high_attr: FloatAttr[Float64Type] = param_def()

    @staticmethod
    def of(low: float, high: float) -> RangeAttr:
        return RangeAttr(FloatAttr(low, f64), FloatAttr(high, f64))

    @property
    def low(self) -> float:
        return self.low_attr.value.data

    @property
    def high(self) -> float:
        return self.high_attr.value.data

    def verify(self) -> None:
        if not (isfinite(self.low) and isfinite(self.high) and self.low <= self.high):
            raise VerifyException(f"expected a range of two finite numbers, low to high, got {self.low}, {self.high}")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Any]:
        with parser.in_angle_brackets():
            low = parser.parse_number()
            parser.parse_punctuation(",")
            high = parser.parse_number()
        return [FloatAttr(float(low), f64), FloatAttr(float(high), f64)]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f"{number_text(self.low)}, {number_text(self.high)}")


def range_of(value: SSAValue) -> RangeAttr | None:
    """The range of an op's result or a function's argument; None where there is none."""
    found: Attribute | None = None
    if isinstance(value, OpResult):
        found = value.op.attributes.get(RANGE)
    elif isinstance(value, BlockArgument) and isinstance(function := value.block.parent_op(), FuncOp):
        found = _argument_attributes(function)[value.index].get(RANGE)
    return found if isinstance(found, RangeAttr) else None


def set_range(value: SSAValue, range: RangeAttr | None) -> None:
    """Write, or with None remove, the range of an op's result or a function's argument."""
    if isinstance(value.owner, Operation):
        _put(value.owner.attributes, range)
        return
    function = value.owner.parent_op()
    assert isinstance(function, FuncOp) and isinstance(value, BlockArgument)
    attributes = _argument_attributes(function)
    _put(attributes[value.index], range)
    if any(attributes):
        function.properties["arg_attrs"] = ArrayAttr([DictionaryAttr(a) for a in attributes])
    else:
        function.properties.pop("arg_attrs", None)


def _put(attributes: dict[str, Attribute], range: RangeAttr | None) -> None:
    if range is None:
        attributes.pop(RANGE, None)
    else:
        attributes[RANGE] = range


def _argument_attributes(function: FuncOp) -> list[dict[str, Attribute]]:
    """A dictionary of each argument's."""
    if function.arg_attrs is None:
        return [{} for _ in function.args]
    return [dict(a.data) for a in function.arg_attrs]
