"""From the range of a tensor's values to its scale and zero point: `real = scale * (stored - zero_point)`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from swkpu.errors import CalibrationError

Array = np.ndarray[Any, np.dtype[Any]]

SMALLEST_SCALE = 2.0**-126
"""The least normal f32: a narrower range gets this scale, so that neither a scale nor its reciprocal is subnormal."""
LARGEST_SCALE = 2 * float(np.finfo(np.float32).max) / 127
"""More than any range of f32 values asks for."""


def stored_limits(bits: int, symmetric: bool = False) -> tuple[int, int]:
    """The least and largest stored value. A symmetric one has a negative for every positive: -127 to 127."""
    most = (1 << bits - 1) - 1
    return (-most if symmetric else -most - 1), most


def scale_and_zero_point(low: float, high: float, bits: int = 8, symmetric: bool = False) -> tuple[float, int]:
    """The scale and zero point with which stored values of `bits` cover the reals from `low` to `high`.

    The range is widened to contain 0, which is then represented exactly. Asymmetric: the range becomes the
    2^bits - 1 steps of the stored type. Symmetric: the zero point is 0, and the larger magnitude is stored as
    2^(bits - 1) - 1. A range of nothing but 0 has scale 1.

    Raises CalibrationError for a range that is not one, or whose scale f32 cannot hold ("scale overflow").
    """
    if not low <= high or not np.isfinite([low, high]).all():
        raise CalibrationError(f"[{low:g}, {high:g}] is not a range; expected two finite numbers, low to high")
    scales, zero_points = scales_and_zero_points(low, high, bits, symmetric)
    scale = float(scales)
    if scale > LARGEST_SCALE:
        raise CalibrationError(
            f"scale overflow: values from {low:g} to {high:g} need a scale of {scale:g}; "
            f"expected at most {LARGEST_SCALE:.3g}, as values in f32 ask for"
        )
    return scale, int(zero_points)


def scales_and_zero_points(
    low: ArrayLike, high: ArrayLike, bits: int = 8, symmetric: bool = False
) -> tuple[Array, Array]:
    """`scale_and_zero_point` of many ranges at once, in float64, without its checks."""
    least, most = stored_limits(bits, symmetric)
    low = np.minimum(np.asarray(low, np.float64), 0.0)
    high = np.maximum(np.asarray(high, np.float64), 0.0)
    if symmetric:
        scale = np.maximum(-low, high) / most
    else:
        scale = high / (most - least) - low / (most - least)  # the difference itself may overflow
    scale = np.where(scale == 0.0, 1.0, np.maximum(scale, SMALLEST_SCALE))
    if symmetric:
        return scale, np.zeros(scale.shape, np.int64)
    return scale, np.clip(np.rint(least - low / scale), least, most).astype(np.int64)


def represented_range(scale: ArrayLike, zero_point: ArrayLike, bits: int = 8) -> tuple[Array, Array]:
    """The reals that the least and the largest stored value stand for."""
    least, most = stored_limits(bits)
    scale, zero_point = np.asarray(scale, np.float64), np.asarray(zero_point)
    return scale * (least - zero_point), scale * (most - zero_point)
