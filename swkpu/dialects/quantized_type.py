"""The element type of quantized tensors: what is stored, and what real number it stands for."""

from __future__ import annotations

from math import isfinite
from typing import Any

from xdsl.dialects.builtin import Float64Type, FloatAttr, IntAttr, IntegerType, f64
from xdsl.ir import ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition, param_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

STORAGE_BITS = (8, 32)


@irdl_attr_definition
class QuantizedType(ParametrizedAttribute, TypeAttribute):
    """`!nn.q<i8, 0.0235, -128>`: the integer q stands for the real number `0.0235 * (q + 128)`.

    Parameters: the storage type (i8 or i32), the scale (a positive f64) and the zero point (of the storage type).
    """

    name = "nn.q"

    storage: IntegerType = param_def()
    scale_attr: FloatAttr[Float64Type] = param_def()
    zero_point_attr: IntAttr = param_def()

    @staticmethod
    def of(scale: float, zero_point: int = 0, bits: int = 8) -> QuantizedType:
        return QuantizedType(IntegerType(bits), FloatAttr(scale, f64), IntAttr(zero_point))

    @property
    def scale(self) -> float:
        return self.scale_attr.value.data

    @property
    def zero_point(self) -> int:
        return self.zero_point_attr.data

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the largest stored value."""
        bits = self.storage.width.data
        return -(1 << bits - 1), (1 << bits - 1) - 1

    def verify(self) -> None:
        if self.storage.width.data not in STORAGE_BITS:
            raise VerifyException(f"expected a storage type of i8 or i32, got {self.storage}")
        if not (isfinite(self.scale) and self.scale > 0):
            raise VerifyException(f"expected a positive, finite scale, got {self.scale}")
        low, high = self.limits
        if not low <= self.zero_point <= high:
            raise VerifyException(f"zero point {self.zero_point} is outside {self.storage}: {low} to {high}")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Any]:
        with parser.in_angle_brackets():
            storage = parser.parse_type()
            parser.parse_punctuation(",")
            scale = parser.parse_number()
            parser.parse_punctuation(",")
            zero_point = parser.parse_integer()
        if not isinstance(storage, IntegerType):
            parser.raise_error(f"expected a storage type of i8 or i32, got {storage}")
        return [storage, FloatAttr(float(scale), f64), IntAttr(zero_point)]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_attribute(self.storage)
            printer.print_string(f", {number_text(self.scale)}, {self.zero_point}")


def number_text(value: float) -> str:
    """The shortest text that reads as the same f64; with a point, as the parser wants it."""
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    return text if "." in mantissa else f"{mantissa}.0{e}{exponent}"
