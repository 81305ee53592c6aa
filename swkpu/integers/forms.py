"""What is known of a float value that quantized tensors determine: how integers stand for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any, TypeAlias

import numpy as np
from xdsl.ir import SSAValue

from swkpu.dialects.nn import quantized_type_of, shape_of

Array = np.ndarray[Any, np.dtype[Any]]

ENTRIES = np.arange(-128, 128)
"""The stored values of an i8, in the order of a table."""


@dataclass(frozen=True)
class Affine:
    """The float is `scale * (value + offset)`, clamped to `low` and `high`.

    `value` is an i32 tensor, or a quantized one whose offset is minus its zero point. The arrays are f64, broadcast
    against the value's shape as in PyTorch; the scale is positive, and the offset is rounded where it is added. `limit`
    is the largest `|value + offset|` that can occur, by which no sum can wrap unnoticed.
    """

    value: SSAValue
    scale: Array
    offset: Array
    limit: Array
    low: float = -inf
    high: float = inf

    @property
    def shape(self) -> tuple[int, ...]:
        return shape_of(self.value)

    @property
    def is_clamped(self) -> bool:
        return self.low > -inf or self.high < inf

    @property
    def is_stored(self) -> bool:
        """Whether the value is a quantized i8 tensor as it is, at one scale."""
        element = quantized_type_of(self.value)
        return element is not None and element.storage.width.data == 8 and self.is_bare and self.scale.size == 1

    @property
    def is_dequantized(self) -> bool:
        """Whether the float is what the value's own type says: a stored tensor that nothing was done to."""
        element = quantized_type_of(self.value)
        return element is not None and self.is_bare and self.scale.size == 1 and self.scale.item() == element.scale

    @property
    def is_bare(self) -> bool:
        """Whether its own zero point is all there is to add to the value, and nothing clamps: as a rescale reads it."""
        return not (self.excess.any() or self.is_clamped)

    @property
    def excess(self) -> Array:
        """What is to be added to a value besides its zero point."""
        element = quantized_type_of(self.value)
        return self.offset if element is None else self.offset + element.zero_point

    @property
    def is_uniform(self) -> bool:
        """Whether all elements have one scale and offset."""
        return self.scale.size == self.offset.size == 1

    @property
    def reach(self) -> Array:
        """The largest absolute value of the float."""
        return np.asarray(self.limit * self.scale)

    def bounded(self, limit: float) -> Affine:
        """The same, known to be smaller."""
        return replace(self, limit=scalar(limit))

    def clamped(self, low: float, high: float) -> Affine:
        """With another clamp after its own."""
        return replace(self, low=min(max(self.low, low), high), high=min(max(self.high, low), high))


@dataclass(frozen=True)
class Lookup:
    """The float is `reals[value + 128]`: any function of one quantized i8 tensor, in f64."""

    value: SSAValue
    reals: Array


@dataclass(frozen=True)
class Weight:
    """The float is a constant: `scales` times integers of i8 or i4, by channel of `axis`, or by group along dim 0."""

    value: SSAValue
    integers: Array
    scales: Array
    axis: int
    group: int | None


Form: TypeAlias = "Affine | Lookup | Weight"


def scalar(value: float) -> Array:
    return np.asarray(value, np.float64)


def stored(value: SSAValue) -> Affine:
    """The form of a dequantized tensor."""
    element = quantized_type_of(value)
    assert element is not None
    low, high = element.limits
    limit = max(high - element.zero_point, element.zero_point - low)
    return Affine(value, scalar(element.scale), scalar(-element.zero_point), scalar(limit))


def lookup(form: Affine | Lookup) -> Lookup | None:
    """A form as a table; None where the value is not one quantized i8 tensor with one scale."""
    if isinstance(form, Lookup):
        return form
    element = quantized_type_of(form.value)
    if element is None or element.storage.width.data != 8 or not form.is_uniform:
        return None
    return Lookup(form.value, np.clip(form.scale.item() * (ENTRIES + form.offset.item()), form.low, form.high))
