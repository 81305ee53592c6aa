"""Arrays as memory has them: two i4 to a byte, the first in the lower half; all else as numpy does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from swkpu.program.dtypes import DType
from swkpu.types import contiguous, numpy_dtype

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def pack(values: Bytes) -> Bytes:
    """Elements of a byte each, of which the lower half counts, two to a byte. After an odd number a zero follows."""
    flat = values.reshape(-1)
    packed = np.bitwise_and(flat[0::2], np.uint8(15))
    packed[: len(flat) // 2] |= flat[1::2] << 4
    return packed


def unpack(packed: Bytes) -> Bytes:
    """The bits of an int8 for each of the two elements of a byte."""
    signed = packed.reshape(-1).view(np.int8)
    values = np.empty((len(signed), 2), np.int8)
    np.left_shift(signed, 4, out=values[:, 0])
    np.right_shift(values[:, 0], 4, out=values[:, 0])
    np.right_shift(signed, 4, out=values[:, 1])
    return values.reshape(-1).view(np.uint8)


def memory_of(array: np.ndarray[Any, Any], dtype: DType) -> Bytes:
    """The bytes of an array of a storage type."""
    elements = contiguous(array).reshape(-1).view(np.uint8)
    return pack(elements) if dtype is DType.I4 else elements


def array_of(memory: Bytes, dtype: DType, shape: Sequence[int]) -> np.ndarray[Any, Any]:
    """The array that bytes hold; a view where that is possible."""
    if dtype is not DType.I4:
        return memory.view(numpy_dtype(dtype)).reshape(shape)
    count = int(np.prod(shape, dtype=np.int64))
    return (unpack(memory)[:count] & 15).view(numpy_dtype(dtype)).reshape(shape)
