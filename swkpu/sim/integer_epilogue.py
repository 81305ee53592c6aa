"""The integer micro-operations of quantized inference, exact to the bit: RESCALE and TABLE."""

from __future__ import annotations

import numpy as np
import torch

from swkpu.program.dtypes import DType
from swkpu.program.micro_ops import SHIFTS
from swkpu.types import numpy_dtype, torch_dtype


def rescale(
    value: torch.Tensor,
    multiplier: torch.Tensor,
    shift: torch.Tensor,
    input_zero_point: int,
    output_zero_point: int,
    dtype: torch.dtype,
) -> torch.Tensor:
    """`(value - input_zero_point) * multiplier / 2**shift`, rounded half up, plus `output_zero_point`, saturated to
    `dtype`. All broadcast.

    With p the product this is `(p + 2**(shift - 1)) >> shift`, TOSA's `apply_scale_32`. It is computed as
    `((p >> (shift - 1)) + 1) >> 1`, which is the same number and cannot overflow: |p| is below 2**63 for a value and a
    zero point of 32 bits. A shift outside 2 to 62 acts as the nearer of them.
    """
    shape = torch.broadcast_shapes(value.shape, multiplier.shape, shift.shape)
    # One block of 64 bits that everything works on in place: new ones are what takes time.
    scaled = value.expand(shape).to(torch.int64, memory_format=torch.contiguous_format)
    if input_zero_point:
        scaled -= input_zero_point
    scaled *= multiplier
    # The zero point is an integer, so it may as well be added, twice, before the last shift.
    scaled >>= shift.clamp(*SHIFTS).to(torch.int64) - 1
    scaled += 1 + 2 * output_zero_point
    scaled >>= 1
    limits = torch.iinfo(dtype)
    return scaled.clamp_(limits.min, limits.max).to(dtype)


def table_of(content: bytes, dtype: DType) -> torch.Tensor:
    """A fabric program's table, in the order that `look_up` reads it."""
    little_endian = np.frombuffer(content, numpy_dtype(dtype).newbyteorder("<"))
    entries = torch.from_numpy(little_endian.astype(numpy_dtype(dtype)))
    assert entries.dtype == torch_dtype(dtype)
    # Bytes without a sign index without an offset: entries 128 to 255, of the values 0 to 127, come first.
    return entries.roll(entries.numel() // 2)


def look_up(value: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Entry `value + 128` of a table, for i8 values."""
    index = value.view(torch.uint8).to(torch.int32)
    return table.index_select(0, index.flatten()).view(index.shape)
