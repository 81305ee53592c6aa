"""Real factors as integer multipliers and shifts."""

from __future__ import annotations

from typing import Any

import numpy as np

from swkpu.errors import IRError

Array = np.ndarray[Any, np.dtype[Any]]

MULTIPLIER_BITS = 31
LEAST_SHIFT, LARGEST_SHIFT = 2, 62


def multiplier_and_shift(ratio: Array) -> tuple[Array, Array]:
    """i32 arrays with `multiplier / 2^shift` nearest to `ratio`, for factors of 0 to below 2^29.

    The multiplier has 31 bits (TOSA 1.0 RESCALE) unless the factor is below 2^-32, where it has fewer.
    Raises IRError for a factor that is larger, negative or not a number.
    """
    ratio = np.asarray(ratio, np.float64)
    if not (np.isfinite(ratio).all() and (ratio >= 0).all()):
        raise IRError(f"a rescale needs factors of 0 or more, got {ratio.min()}")
    fraction, exponent = np.frexp(ratio)
    shift = np.minimum(MULTIPLIER_BITS - exponent, LARGEST_SHIFT)
    multiplier = np.rint(np.ldexp(ratio, shift))
    carried = multiplier >= 2.0**MULTIPLIER_BITS
    multiplier, shift = np.where(carried, multiplier / 2, multiplier), np.where(carried, shift - 1, shift)
    shift = np.where(fraction == 0, LEAST_SHIFT, shift)
    if (shift < LEAST_SHIFT).any():
        raise IRError(f"scale overflow: a rescale by {ratio.max():g} is beyond 2^29; the scales are too far apart")
    return multiplier.astype(np.int32), shift.astype(np.int32)
