"""Quantizing on the host: the same arithmetic as `nn.quantize` and `nn.dequantize`, on numpy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def quantized(reals: Array, scale: float, zero_point: int, storage: np.dtype[Any]) -> Array:
    """The stored integers nearest to f32 numbers: half to even, saturated; NaN is the zero point."""
    limits = np.iinfo(storage)
    steps = np.rint(reals.astype(np.float32) * np.float32(1.0 / scale))
    steps = np.nan_to_num(steps, nan=0.0, posinf=np.inf, neginf=-np.inf) + np.float32(zero_point)
    return np.clip(steps.astype(np.float64), limits.min, limits.max).astype(storage)


def dequantized(stored: Array, scale: float, zero_point: int) -> Array:
    """The f32 numbers that stored integers stand for."""
    return (stored.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
