"""Large blocks in parts that a cache holds from one operation to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

PART_ELEMENTS = 1 << 16
"""A part has at most so many elements."""

Part = tuple[slice, ...]


def parts(shape: Sequence[int]) -> Iterator[Part]:
    """Boxes that make up the shape, each as large in the last dims as can be."""
    inner, dim = 1, len(shape)
    while dim > 1 and inner * shape[dim - 1] <= PART_ELEMENTS:
        dim -= 1
        inner *= shape[dim]
    step = max(PART_ELEMENTS // max(inner, 1), 1)
    for outer in product(*(range(n) for n in shape[: dim - 1])):
        before = tuple(slice(i, i + 1) for i in outer)
        for start in range(0, shape[dim - 1], step):
            yield (*before, slice(start, start + step))
