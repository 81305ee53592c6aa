"""A histogram that widens as values come in."""

from __future__ import annotations

from math import floor, frexp
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

Array = np.ndarray[Any, np.dtype[Any]]

BINS = 4096
"""The most bins. Bins double in width when more would be needed, so that at least half of them are in use."""
LEAST_EXPONENT = -126


class Histogram:
    """Counts of values in bins `[i * width, (i + 1) * width)` from the lowest value (or 0) to the highest (or 0).

    The width is a power of two and bins begin at multiples of it, so that widening merges neighbours exactly: the
    counts depend on the values and not on their order or how they were divided into batches. (Only a value that is
    2^126 times smaller than the width may be counted on the other side of 0.)
    """

    def __init__(self) -> None:
        self.exponent = LEAST_EXPONENT
        self.first = 0
        self.counts: Array = np.zeros(1)

    @property
    def width(self) -> float:
        return 2.0**self.exponent

    @property
    def edges(self) -> Array:
        """Where bins begin, and where the last ends."""
        return (self.first + np.arange(len(self.counts) + 1)) * self.width

    @property
    def total(self) -> float:
        return float(self.counts.sum())

    def add(self, values: torch.Tensor, low: float, high: float, weight: float = 1.0) -> None:
        """Count f32 values, a tensor of one dim, all of them finite and from `low` to `high`, each as `weight`."""
        import torch

        self._widen(min(low, 0.0), max(high, 0.0))
        bins = torch.floor(values * 2.0**-self.exponent).to(torch.int32).sub_(self.first)
        self.counts += weight * torch.bincount(bins, minlength=len(self.counts)).numpy()

    def _widen(self, low: float, high: float) -> None:
        """Make bins for the reals from `low` to `high`, 0 among them."""
        if low == high:
            return
        last = self.first + len(self.counts) - 1
        exponent = max(self.exponent, frexp((high - low) / BINS)[1] - 1)
        while True:
            first, end = (floor(edge / 2.0**exponent) for edge in (low, high))
            shift = exponent - self.exponent
            first, end = min(first, self.first >> shift), max(end, last >> shift)
            if end - first < BINS:
                break
            exponent += 1
        if (exponent, first, end) == (self.exponent, self.first, last):
            return
        counts = np.zeros(end - first + 1)
        np.add.at(counts, ((self.first + np.arange(len(self.counts))) >> shift) - first, self.counts)
        self.exponent, self.first, self.counts = exponent, first, counts
