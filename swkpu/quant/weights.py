"""Weights as integers: one scale per output channel, or per group of a channel's elements. Zero points are 0."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from swkpu.errors import IRError
from swkpu.quant.scales import SMALLEST_SCALE, stored_limits

Array = np.ndarray[Any, np.dtype[Any]]

GROUPS = (32, 64, 128)
"""Sizes of a group along K."""
STEPS = 24
"""How many scales a search tries, from half to all of what the largest magnitude asks for."""
BLOCK = 1 << 18
"""Elements that a search takes at once, so that they stay in the cache."""


def weight_scales(weight: Array, bits: int = 8, axis: int = 0, group: int | None = None, search: bool = False) -> Array:
    """The f32 scales of a weight: one per index of `axis`, or [C, K / group] with `group`.

    K are the elements of an output channel, the dims after `axis` 0 flattened. The largest magnitude of each is stored
    as 127 (int8) or 7 (int4). With `search`, the scale is that of the least squared error instead, and -128 or -8 are
    stored too where they are nearest. Where all elements are 0 the scale is 1.

    Raises IRError for a group that does not divide K, and for elements that are not finite.
    """
    rows = _rows(weight, axis, group)
    if not np.isfinite(rows).all():
        raise IRError("a weight has elements that are NaN or infinite, which no integer stands for")
    _, most = stored_limits(bits)
    largest = np.abs(rows).max(axis=-1, initial=0.0)
    scales = largest / np.float32(most)
    if search:
        scales = _searched(rows, scales, bits)
    return np.where(largest == 0.0, np.float32(1.0), np.maximum(scales, np.float32(SMALLEST_SCALE)))


def quantize_weight(
    weight: Array, scales: Array, bits: int = 8, axis: int = 0, group: int | None = None, full: bool = False
) -> Array:
    """The int8 array of stored values, rounded half to even. `full` stores the lowest value (-128, -8) too."""
    least, most = stored_limits(bits, symmetric=not full)
    rows = _rows(weight, axis, group)
    stored = np.clip(np.rint(rows / scales[..., None]), least, most).astype(np.int8)
    return _unrowed(stored, weight.shape, axis, group)


@dataclass
class WeightCache:
    """Quantized weights, each made once, for who quantizes the same module more than once."""

    known: dict[tuple[int, int, int, int | None], tuple[Array, Array, Array]] = field(
        default_factory=dict[tuple[int, int, int, "int | None"], tuple[Array, Array, Array]]
    )

    def quantized(self, weight: Array, bits: int, axis: int, group: int | None) -> tuple[Array, Array]:
        """Stored values and scales: by the largest magnitude to int8, by a search of the least error to int4."""
        key = (id(weight), bits, axis, group)
        if key not in self.known:
            scales = weight_scales(weight, bits, axis, group, search=bits == 4)
            stored = quantize_weight(weight, scales, bits, axis, group, full=bits == 4)
            self.known[key] = (weight, stored, scales)  # keeping the weight keeps its id
        return self.known[key][1:]


def dequantize_weight(stored: Array, scales: Array, axis: int = 0, group: int | None = None) -> Array:
    """The f32 weight that stored values stand for."""
    rows = _rows(stored, axis, group) * scales[..., None].astype(np.float32)
    return _unrowed(rows.astype(np.float32), stored.shape, axis, group)


def _rows(weight: Array, axis: int, group: int | None) -> Array:
    """f32 [C, K], or [C, K / group, group]."""
    rows = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1).astype(np.float32, copy=False)
    if group is None:
        return rows
    if axis != 0 or group < 1 or rows.shape[1] % group:
        raise IRError(f"groups of {group} do not divide the {rows.shape[1]} elements per channel of axis {axis}")
    return rows.reshape(len(rows), -1, group)


def _unrowed(rows: Array, shape: tuple[int, ...], axis: int, group: int | None) -> Array:
    moved = (shape[axis], *shape[:axis], *shape[axis + 1 :])
    return np.ascontiguousarray(np.moveaxis(rows.reshape(moved), 0, axis))


def _searched(rows: Array, scales: Array, bits: int) -> Array:
    """Of some fractions of each scale, that with the least sum of squared errors."""
    least, most = stored_limits(bits)
    flat, start = rows.reshape(-1, rows.shape[-1]), np.maximum(scales.reshape(-1), np.float32(SMALLEST_SCALE))
    best = start.copy()
    height = max(1, BLOCK // max(flat.shape[1], 1))
    for at in range(0, len(flat), height):
        block, own = flat[at : at + height], start[at : at + height]
        error = np.full(len(block), np.inf, np.float32)
        for step in range(STEPS):
            scale = own * np.float32(1 - 0.5 * step / (STEPS - 1))
            off = np.clip(np.rint(block / scale[:, None]), least, most) * scale[:, None] - block
            squares = np.einsum("ck,ck->c", off, off)
            better = squares < error
            error = np.where(better, squares, error)
            best[at : at + height] = np.where(better, scale, best[at : at + height])
    return best.reshape(scales.shape)
