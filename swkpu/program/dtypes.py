"""Storage types of a program."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import numpy as np

    Count = int | np.ndarray[Any, np.dtype[np.int64]]


class DType(IntEnum):
    """Storage types. `bits` is the storage size of one element.

    An i4 is a weight, two to a byte, the first in the lower half: the second input of a `mac`, and nothing else.
    Addresses of a tensor map of i4 count half bytes, those of all others bytes.
    """

    I4 = 0
    I8 = 1
    I32 = 2
    F16 = 3
    BF16 = 4
    F32 = 5
    I1 = 6
    I64 = 7

    @property
    def bits(self) -> int:
        return BITS[self]

    @property
    def bytes(self) -> int:
        """Bytes of one element; i4 has no whole number of them, see `bytes_of`."""
        if self is DType.I4:
            raise ValueError("an i4 is half a byte")
        return self.bits // 8

    @overload
    def bytes_of(self, count: int) -> int: ...

    @overload
    def bytes_of(self, count: Count) -> Count: ...

    def bytes_of(self, count: Count) -> Count:
        """Bytes that hold so many elements."""
        return (count * self.bits + 7) // 8

    @property
    def step(self) -> int:
        """Addresses from one element to the next."""
        return 1 if self is DType.I4 else self.bytes

    @property
    def addresses_per_byte(self) -> int:
        return 2 if self is DType.I4 else 1

    @property
    def is_float(self) -> bool:
        return self in (DType.F16, DType.BF16, DType.F32)

    @property
    def integer_range(self) -> tuple[int, int]:
        """Least and largest value of an integer type. An i1 is 0 or 1."""
        if self is DType.I1:
            return 0, 1
        return -(1 << self.bits - 1), (1 << self.bits - 1) - 1

    def represents(self, value: float) -> bool:
        """Whether an integer type has the value. A floating type has every value, rounded."""
        if self.is_float:
            return True
        low, high = self.integer_range
        return low <= value <= high and value == int(value)

    def clamped(self, value: float) -> float:
        """The value, or the nearest that the type has: an infinity is the least or largest of an integer type."""
        if self.is_float:
            return value
        low, high = self.integer_range
        return int(min(max(value, low), high))


BITS = (4, 8, 32, 16, 16, 32, 8, 64)
"""Of each DType, in the order of their numbers."""
