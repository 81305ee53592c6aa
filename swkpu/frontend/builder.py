"""What an import rule builds with: one operator call's place in the IR, and its result's type as torch has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from xdsl.builder import Builder
from xdsl.dialects.builtin import f32
from xdsl.ir import Attribute, Operation, SSAValue

from swkpu.dialects import nn
from swkpu.frontend.names import Source
from swkpu.frontend.table import Unsupported
from swkpu.interp.constants import constant
from swkpu.types import dtype_of, is_float, numpy_dtype

Scalar = bool | int | float
Value = SSAValue | Scalar


@dataclass(frozen=True)
class NodeBuilder:
    """`shape` and `element` are those of the call's (first) result."""

    builder: Builder
    source: Source
    shape: tuple[int, ...]
    element: Attribute

    def emit(self, op: Operation) -> SSAValue:
        """Insert an op at the call's place, with its location and name."""
        op.location = self.source.as_attribute()
        self.builder.insert(op)
        (result,) = op.results
        result.name_hint = self.source.hint
        return result

    def scalar(self, value: Scalar, element: Attribute = f32) -> SSAValue:
        """A constant of rank 0."""
        return self.emit(constant(np.array(value, dtype=numpy_dtype(dtype_of(element)))))

    def cast(self, x: SSAValue, element: Attribute) -> SSAValue:
        return x if nn.type_of(x).element_type == element else self.emit(nn.CastOp(x, element))

    def f32(self, x: Value) -> SSAValue:
        """Operand of an operator that computes in f32."""
        return self.cast(x, f32) if isinstance(x, SSAValue) else self.scalar(x)

    def operands(self, *values: Value) -> list[SSAValue]:
        """Operands of an elementwise operator in the type it computes in: f32 for floats, the result's for integers."""
        element = f32 if is_float(self.element) else self.element
        return [self.cast(v, element) if isinstance(v, SSAValue) else self.scalar(v, element) for v in values]

    def reshape(self, x: SSAValue, shape: Sequence[int]) -> SSAValue:
        if prod(shape) != prod(nn.shape_of(x)):
            raise Unsupported(f"from {nn.shape_of(x)} to {tuple(shape)}")
        return x if nn.shape_of(x) == tuple(shape) else self.emit(nn.ReshapeOp(x, shape))

    def permute(self, x: SSAValue, dims: Sequence[int]) -> SSAValue:
        dims = normal_dims(dims, len(nn.shape_of(x)))
        return x if dims == sorted(dims) else self.emit(nn.PermuteOp(x, dims))

    def float_only(self, x: SSAValue | None = None) -> None:
        """Guard of rules for operators that nn has on floats only."""
        element = self.element if x is None else nn.type_of(x).element_type
        if not is_float(element):
            raise Unsupported(f"on {element} tensors")


def normal_dims(dims: Sequence[int], rank: int) -> list[int]:
    """Dims counted from the front."""
    return [d % rank for d in dims]


def pair(values: int | Sequence[int]) -> tuple[int, int]:
    """Two numbers where ATen accepts one or two."""
    if isinstance(values, int):
        return values, values
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def both_sides(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """[top, bottom, left, right] of ATen's symmetric padding."""
    h, w = pair(padding)
    return h, h, w, w
