"""Do two boxes of memory have an address in common? Exactly, for boxes that step through memory in any strides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BUDGET = 4096
"""Steps after which two boxes are said to meet: what is not known to be apart is not apart."""

Dims = tuple[tuple[int, int], ...]
"""(stride in addresses, number of steps) from the longest stride on."""


@dataclass(frozen=True)
class Footprint:
    """The addresses `start + sum(stride * i) + [0, size)` for every 0 <= i < count of every dim."""

    start: int
    dims: Dims
    size: int

    @staticmethod
    def of(start: int, strides: Sequence[int], counts: Sequence[int], size: int) -> Footprint:
        """Dims that continue each other without a gap become one run of addresses."""
        rest: list[tuple[int, int]] = []
        for stride, count in sorted((s, n) for s, n in zip(strides, counts) if n > 1 and s > 0):
            if stride <= size and not rest:
                size = stride * (count - 1) + size
            else:
                rest.insert(0, (stride, count))
        return Footprint(start, tuple(rest), size)

    def meets(self, other: Footprint) -> bool:
        return _Search(self.size, other.size).meet(self.dims, other.dims, other.start - self.start)


def _span(dims: Dims, size: int) -> int:
    return size + sum(s * (n - 1) for s, n in dims)


class _Search:
    def __init__(self, size_a: int, size_b: int):
        self.size_a, self.size_b = size_a, size_b
        self.steps = 0

    def meet(self, a: Dims, b: Dims, distance: int) -> bool:
        """Does a box at 0 meet one at `distance`? The dims with the longest strides are taken apart first; where both
        have the same stride only the difference of the two counters matters.
        """
        if distance >= _span(a, self.size_a) or -distance >= _span(b, self.size_b):
            return False
        if not a and not b:
            return True
        stride = max(d[0][0] for d in (a, b) if d)
        low = high = 0
        if a and a[0][0] == stride:
            low, a = 1 - a[0][1], a[1:]
        if b and b[0][0] == stride:
            high, b = b[0][1] - 1, b[1:]
        # distance + k * stride must lie in (-span of b, span of a)
        first = max(low, -((distance + _span(b, self.size_b) - 1) // stride))
        last = min(high, -((distance - _span(a, self.size_a)) // stride))
        for k in range(first, last + 1):
            self.steps += 1
            if self.steps > BUDGET or self.meet(a, b, distance + k * stride):
                return True
        return False
