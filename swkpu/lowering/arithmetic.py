"""Formulas in epilogues: arithmetic on single elements, and elementwise ops as formulas of their operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.builder import Builder
from xdsl.dialects import arith
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Attribute, Operation, SSAValue

from swkpu.dialects.nn import type_of
from swkpu.lowering.structure import Emit, constant, elementwise
from swkpu.types import i1, is_float


@dataclass(frozen=True)
class Arithmetic:
    """Appends operations to an epilogue: `a(arith.AddfOp, x, y)` is their sum."""

    builder: Builder

    def __call__(self, operation: Callable[..., Operation], *arguments: Any) -> SSAValue:
        return self.builder.insert(operation(*arguments)).results[0]

    def number(self, value: float, like: SSAValue) -> SSAValue:
        """A constant of the type of another value."""
        return constant(self.builder, value, like.type)

    def select(self, condition: SSAValue, x: SSAValue, y: SSAValue) -> SSAValue:
        return self(arith.SelectOp, condition, x, y)

    def compare(self, predicate: str, x: SSAValue, y: SSAValue) -> SSAValue:
        return self(arith.CmpfOp if is_float(x.type) else arith.CmpiOp, x, y, predicate)

    def computed(self, x: SSAValue) -> SSAValue:
        """A stored float as the f32 that is computed with; anything else as it is."""
        return self(arith.ExtFOp, x, f32) if is_float(x.type) and x.type != f32 else x

    def stored(self, x: SSAValue, element: Attribute) -> SSAValue:
        """A computed f32 rounded to the type it is stored as; anything else as it is."""
        return self(arith.TruncFOp, x, element) if x.type == f32 and element != f32 else x


Formula = Callable[..., SSAValue]
"""Takes an `Arithmetic` and the elements, floats as f32; returns the element of the result."""


def as_it_is(a: Arithmetic, x: SSAValue) -> SSAValue:
    """The formula that computes nothing."""
    return x


def epilogue(formula: Formula, element: Attribute) -> Emit:
    """The epilogue that evaluates a formula on its arguments and stores the result as `element`."""

    def emit(builder: Builder, arguments: Sequence[SSAValue]) -> SSAValue:
        a = Arithmetic(builder)
        if formula is as_it_is and arguments[0].type == element:
            return arguments[0]
        return a.stored(formula(a, *map(a.computed, arguments)), element)

    return emit


def pointwise(operands: Sequence[SSAValue], result: TensorType[Any], formula: Formula) -> list[Operation]:
    """A recurrence that evaluates a formula at every element; operands broadcast as in PyTorch."""
    return elementwise(operands, result, epilogue(formula, result.element_type))


def lower_by(formula: Formula, op: Operation) -> list[Operation]:
    """An nn op as a formula of its operands' elements."""
    return pointwise(op.operands, type_of(op.results[0]), formula)


def simple(operation: Callable[..., Operation]) -> Formula:
    """The formula that is one operation."""
    return lambda a, *arguments: a(operation, *arguments)


def by_type(floats: Formula, integers: Formula, booleans: Formula | None = None) -> Formula:
    """One formula for floats, another for integers, and for i1 a third (else that of integers)."""

    def formula(a: Arithmetic, *arguments: SSAValue) -> SSAValue:
        element = arguments[0].type
        if is_float(element):
            return floats(a, *arguments)
        return (booleans if element == i1 and booleans is not None else integers)(a, *arguments)

    return formula
