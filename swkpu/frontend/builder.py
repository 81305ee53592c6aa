"""What an import rule builds with: one operator call's place in the IR, and its result's type as torch has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from xdsl.builder import Builder
from xdsl.dialects.builtin import f32
from xdsl.ir import Attribute, Operation, SSAValue

from swkpu.dialects import nn
from swkpu.dialects.weights import Array
from swkpu.frontend.elements import element_of
from swkpu.frontend.names import Source
from swkpu.frontend.table import Unsupported
from swkpu.interp.constants import constant
from swkpu.types import dtype_of, i1, i64, is_float, numpy_dtype, torch_dtype

Scalar = bool | int | float
Value = SSAValue | Scalar


@dataclass(frozen=True)
class NodeBuilder:
    """`shape` and `element` are those of the call's (first) result."""

    builder: Builder
    source: Source
    shape: tuple[int, ...]
    element: Attribute
    used: frozenset[int] = frozenset()
    """Which of several results something uses; a rule may return None for the others."""
    first: torch.Tensor | None = None
    """The first operand as torch has it, with its strides."""
    readers: frozenset[Any] = frozenset()
    """The operators that read the result."""

    def emit(self, op: Operation) -> SSAValue:
        """Insert an op at the call's place, with its location and name. Raises VerifyException for operands it cannot
        have.
        """
        op.verify()
        op.location = self.source.as_attribute()
        self.builder.insert(op)
        (result,) = op.results
        result.name_hint = self.source.hint
        return result

    def op(self, op: Callable[..., Operation], *operands: Value | None, **attributes: Any) -> SSAValue:
        """Emit an op on operands as they are; numbers become constants of the type of the last tensor, None is none."""
        element = next((nn.type_of(v).element_type for v in reversed(operands) if isinstance(v, SSAValue)), f32)
        values = [v if v is None or isinstance(v, SSAValue) else self.scalar(v, element) for v in operands]
        return self.emit(op(*values, **attributes))

    def scalar(self, value: Scalar, element: Attribute = f32) -> SSAValue:
        """A constant of rank 0."""
        return self.filled((), value, element)

    def filled(self, shape: Sequence[int], value: Scalar, element: Attribute = f32) -> SSAValue:
        """A constant of one value."""
        if isinstance(value, complex):
            raise Unsupported("with complex numbers")
        return self.emit(constant(np.full(shape, value, dtype=numpy_dtype(dtype_of(element)))))

    def iota(self, count: int, element: Attribute = i64, dim: int = 0, rank: int = 1) -> SSAValue:
        """The constant 0, 1, ..., count - 1 along a dim of a tensor whose other dims are 1."""
        values = np.arange(count).astype(numpy_dtype(dtype_of(element)))
        return self.emit(constant(values.reshape([count if d == dim else 1 for d in range(rank)])))

    def cast(self, x: SSAValue, element: Attribute) -> SSAValue:
        return x if nn.type_of(x).element_type == element else self.emit(nn.CastOp(x, element))

    def f32(self, x: Value) -> SSAValue:
        """Operand of an operator that computes in f32."""
        return self.cast(x, f32) if isinstance(x, SSAValue) else self.scalar(x)

    def operands(self, *values: Value) -> list[SSAValue]:
        """Operands of an elementwise operator in the type it computes in: f32 for floats, the result's for integers."""
        return self.as_type(self.element, *values)

    def promoted(self, x: Value, y: Value) -> list[SSAValue]:
        """Operands of an operator whose result's type is another (a comparison), in the type that torch promotes to."""
        return self.as_type(promoted_type(x, y), x, y)

    def as_type(self, element: Attribute, *values: Value) -> list[SSAValue]:
        """Operands in the type that operators on `element` compute in."""
        element = f32 if is_float(element) else element
        return [self.cast(v, element) if isinstance(v, SSAValue) else self.scalar(v, element) for v in values]

    def truth(self, x: Value) -> SSAValue:
        """The operand as i1: whether it is not zero."""
        return self.cast(x, i1) if isinstance(x, SSAValue) else self.scalar(bool(x), i1)

    def reshape(self, x: SSAValue, shape: Sequence[int]) -> SSAValue:
        if prod(shape) != prod(nn.shape_of(x)):
            raise Unsupported(f"from {nn.shape_of(x)} to {tuple(shape)}")
        return x if nn.shape_of(x) == tuple(shape) else self.emit(nn.ReshapeOp(x, shape))

    def permute(self, x: SSAValue, dims: Sequence[int]) -> SSAValue:
        dims = normal_dims(dims, len(nn.shape_of(x)))
        return x if dims == sorted(dims) else self.emit(nn.PermuteOp(x, dims))

    def expand(self, x: SSAValue, shape: Sequence[int]) -> SSAValue:
        """Broadcast to a shape of the same or a higher rank."""
        x = self.reshape(x, (1,) * (len(shape) - len(nn.shape_of(x))) + nn.shape_of(x))
        return x if nn.shape_of(x) == tuple(shape) else self.emit(nn.ExpandOp(x, shape))

    def flat(self, x: SSAValue) -> SSAValue:
        return self.reshape(x, (prod(nn.shape_of(x)),))

    def slice(self, x: SSAValue, dim: int, start: int, size: int, step: int = 1) -> SSAValue:
        """`size` elements along one dim; nothing where those are all."""
        shape = list(nn.shape_of(x))
        if (start, size) == (0, shape[dim]):
            return x
        starts, steps = [0] * len(shape), [1] * len(shape)
        starts[dim], shape[dim], steps[dim] = start, size, step if size > 1 else 1
        return self.emit(nn.SliceOp(x, starts, shape, steps))

    def concat(self, values: Sequence[SSAValue], dim: int) -> SSAValue:
        return values[0] if len(values) == 1 else self.emit(nn.ConcatOp(values, dim))

    def constant(self, array: Array) -> SSAValue:
        return self.emit(constant(array))

    def float_only(self, x: SSAValue | None = None) -> None:
        """Guard of rules for operators that nn has on floats only."""
        element = self.element if x is None else nn.type_of(x).element_type
        if not is_float(element):
            raise Unsupported(f"on {element} tensors")


def promoted_type(x: Value, y: Value) -> Attribute:
    """The element type that torch's promotion gives. Raises Unsupported for one that the KPU does not have."""
    return element_of(torch.result_type(_like(x), _like(y)))


def _like(value: Value) -> torch.Tensor | Scalar:
    """What torch's promotion looks at: a number, or a tensor's type and whether it has dims."""
    if not isinstance(value, SSAValue):
        return value
    return torch.empty([0] * len(nn.shape_of(value)), dtype=torch_dtype(dtype_of(nn.type_of(value).element_type)))


def normal_dims(dims: Sequence[int], rank: int) -> list[int]:
    """Dims counted from the front. A tensor without dims counts as one of one dim, as in torch."""
    return [d % max(rank, 1) for d in dims]


def spread(values: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """As many numbers as there are spatial dims, where ATen accepts one number or all of them."""
    if isinstance(values, int):
        return (values,) * rank
    return (values[0],) * rank if len(values) == 1 else tuple(values)


def both_sides(padding: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """[before, after] of each spatial dim of ATen's symmetric padding."""
    return tuple(p for p in spread(padding, rank) for _ in range(2))
