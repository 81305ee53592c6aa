"""The integer micro-operations of quantized inference, exact to the bit: RESCALE and TABLE."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
import torch

from swkpu.program.dtypes import DType
from swkpu.program.micro_ops import SHIFTS
from swkpu.sim.parts import parts
from swkpu.types import numpy_dtype, torch_dtype

DOUBLE_EXACT_SHIFT = 44
"""Up to this shift a double tells every product that rounds to 8 bits from the next half; see `_double_is_exact`."""


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

    This is `(p + 2**(shift - 1)) >> shift` of the product p, TOSA's `apply_scale_32`, except that nothing overflows on
    the way. A shift outside 2 to 62 acts as the nearer of them.
    """
    shape = np.broadcast_shapes(value.shape, multiplier.shape, shift.shape)
    if 0 in shape:
        return torch.empty(shape, dtype=dtype)
    shift = shift.clamp(*SHIFTS).to(torch.int64)
    if _double_is_exact(value.dtype, shift, output_zero_point, dtype):
        scaled = partial(_in_double, zero_in=input_zero_point, zero_out=output_zero_point)
        # 2**-shift is put together from its exponent.
        scales = (multiplier * (1023 - shift << 52).view(torch.float64),)
    else:
        scaled = partial(_in_64_bits, zero_in=input_zero_point, zero_out=output_zero_point)
        scales = (multiplier.to(torch.int64), shift - 1)
    limits, blocks = torch.iinfo(dtype), list(parts(shape))
    if len(blocks) == 1:
        return scaled(value.expand(shape), *scales).clamp_(limits.min, limits.max).to(dtype)
    out = torch.empty(shape, dtype=dtype)
    operands = [t.expand(shape) for t in (value, *scales)]
    for part in blocks:
        out[part] = scaled(*(t[part] for t in operands)).clamp_(limits.min, limits.max)
    return out


def _double_is_exact(of: torch.dtype, shift: torch.Tensor, zero_out: int, to: torch.dtype) -> bool:
    """For 8-bit values, whose products have 39 bits, unless a large zero point is added; and for 8-bit results up to a
    shift of 44. There the exact sum t of `_in_double` is a multiple of 2**-44. Rounding to double twice changes it by
    less, where it is below 256, so a t below an integer stays below; and one that is not below stays so, because
    rounding keeps order. Larger ones saturate either way.
    """
    if of is torch.int8:
        return to is torch.int8 or zero_out == 0
    return to is torch.int8 and int(shift.max()) <= DOUBLE_EXACT_SHIFT


def _in_64_bits(
    value: torch.Tensor, multiplier: torch.Tensor, shift: torch.Tensor, *, zero_in: int, zero_out: int
) -> torch.Tensor:
    """`((p >> shift) + 1) >> 1`, which is `(p + 2**shift) >> (shift + 1)` and does not overflow: |p| is below 2**63 for
    a value and a zero point of 32 bits. The zero point is an integer, so it may as well be added, twice, before the
    last shift.
    """
    scaled = value.to(torch.int64, memory_format=torch.contiguous_format)
    if zero_in:
        scaled -= zero_in
    scaled *= multiplier
    scaled >>= shift
    scaled += 1 + 2 * zero_out
    scaled >>= 1
    return scaled


def _in_double(value: torch.Tensor, scale: torch.Tensor, *, zero_in: int, zero_out: int) -> torch.Tensor:
    """`floor(v * scale + zero_out + 1/2)`, in half the time."""
    scaled = value.to(torch.float64, memory_format=torch.contiguous_format)
    if zero_in:
        scaled -= zero_in
    scaled *= scale
    scaled += zero_out + 0.5
    return scaled.floor_()


@lru_cache(maxsize=64)
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
