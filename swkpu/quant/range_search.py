"""Ranges chosen by a histogram: by a quantile, by relative entropy, by squared error."""

from __future__ import annotations

from typing import Any

import numpy as np

from swkpu.quant.histogram import Histogram
from swkpu.quant.scales import represented_range, scales_and_zero_points

Array = np.ndarray[Any, np.dtype[Any]]
Range = tuple[float, float]

LEVELS = 256
"""Values that an int8 has."""
CANDIDATES = 128
"""How many ranges the search by entropy tries."""
EMPTY = 1e-4
"""What the search by entropy counts in a bin that quantization would leave empty."""
FRACTIONS = np.arange(1, 33) / 32
"""The shares of the whole range that the search by squared error tries first."""
COARSE = 4
"""Bins that the search by squared error takes together, as long as they are within a quarter of a step."""
REFINEMENTS = np.linspace(-1, 1, 17) / 32
"""What it then tries around the best: each end moved by these shares of its extreme."""


def quantile(histogram: Histogram, share: float) -> float:
    """The value below which this share of the values lies, taking each bin's as spread evenly."""
    upto = np.cumsum(histogram.counts)
    wanted = share * upto[-1]
    at = int(np.searchsorted(upto, wanted)) if wanted > 0 else int(np.flatnonzero(histogram.counts)[0])
    at = min(at, len(upto) - 1)
    count = histogram.counts[at]
    inside = (wanted - (upto[at] - count)) / count if count else 0.0
    return float((histogram.first + at + inside) * histogram.width)


# ---- relative entropy ----------------------------------------------------------------------------------------------


def least_divergence(histogram: Histogram, low: float, high: float) -> Range:
    """The range [max(low, -t), min(high, t)] of the least divergence, over thresholds t of at least 256 bins.

    For each, the reference P has what lies outside counted in its outermost bins, and Q is P's inside merged to 256
    levels, each spread evenly over those of its bins that are not empty. For values of one sign this is TensorRT's
    method; for others the range keeps whichever end the threshold does not reach.
    """
    counts = histogram.counts.astype(np.float64)
    below, above = max(-histogram.first, 0), max(len(counts) + histogram.first, 0)
    counts = _without_spike(counts, below)
    widest = max(below, above)
    narrowest = next((t for t in range(1, widest + 1) if min(t, below) + min(t, above) >= LEVELS), widest)
    thresholds = np.unique(np.linspace(narrowest, widest, CANDIDATES).astype(int))
    divergences = [_divergence(counts, below - min(t, below), below + min(t, above)) for t in thresholds]
    t = thresholds[int(np.argmin(divergences))] * histogram.width
    return max(low, -float(t)), min(high, float(t))


def _without_spike(counts: Array, zero: int) -> Array:
    """With no more in the bin of 0 than its neighbours have: zeros are stored exactly whatever the range, and a relu
    makes so many that they would decide alone."""
    sides = [counts[i] for i in (zero - 1, zero + 1) if 0 <= i < len(counts)]
    if zero < len(counts) and sides:
        counts = counts.copy()
        counts[zero] = min(counts[zero], max(sides))
    return counts


def _divergence(counts: Array, start: int, end: int) -> float:
    """The Kullback-Leibler divergence KL(P || Q) of keeping the bins from `start` to `end`."""
    inside = counts[start:end]
    reference = inside.copy()
    reference[0] += counts[:start].sum()
    reference[-1] += counts[end:].sum()
    occupied = reference > 0
    begins = np.unique(np.arange(LEVELS) * len(inside) // LEVELS)
    sums, members = np.add.reduceat(inside, begins), np.add.reduceat(occupied.astype(np.float64), begins)
    level = sums / np.maximum(members, 1.0)
    sizes = np.diff(begins, append=len(inside))
    p = reference[occupied]
    q = np.maximum(np.repeat(level, sizes)[occupied], EMPTY)
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


# ---- squared error -------------------------------------------------------------------------------------------------


def least_squared_error(histogram: Histogram, low: float, high: float, symmetric: bool = False) -> Range:
    """The range within [low, high] of the least expected squared error, a bin's values being spread evenly.

    First both ends shrink together; then each is moved around the best, twice. An empty histogram says nothing: the
    range is the whole.
    """
    if not histogram.counts.any():
        return low, high
    best = _least(Spread(histogram, COARSE, symmetric), low * FRACTIONS, high * FRACTIONS)
    step = float(scales_and_zero_points(*best, symmetric=symmetric)[0])
    spread = Spread(histogram, max(1, min(COARSE, int(step / histogram.width / 4))), symmetric)
    for ends in ((1, 0), (0, 1)) * 2:
        lows = np.clip(best[0] + REFINEMENTS * ends[0] * low, min(low, 0.0), max(low, 0.0))
        highs = np.clip(best[1] + REFINEMENTS * ends[1] * high, min(high, 0.0), max(high, 0.0))
        best = _least(spread, lows, highs)
    return best


def _least(spread: Spread, lows: Array, highs: Array) -> Range:
    at = int(np.argmin(spread.squared_errors(lows, highs)))
    return float(lows[at]), float(highs[at])


class Spread:
    """The density of a histogram, whose bins are merged by `merged`: equal inside a bin."""

    def __init__(self, histogram: Histogram, merged: int, symmetric: bool) -> None:
        self.symmetric = symmetric
        counts = np.add.reduceat(histogram.counts, np.arange(0, len(histogram.counts), merged))
        self.edges = histogram.edges[0] + np.arange(len(counts) + 1) * (merged * histogram.width)
        self.density = counts / (merged * histogram.width)

    def squared_errors(self, lows: Array, highs: Array) -> Array:
        """The sum of squared errors for each range, quantized as `scale_and_zero_point` says.

        The integral of the error is exact: rounding to steps s has the antiderivative n s^3 / 12 + f^3 / 3 at
        x = n s + f with |f| <= s / 2, and clipping at c has (x - c)^3 / 3.
        """
        scale, zero_point = scales_and_zero_points(lows, highs, symmetric=self.symmetric)
        least, most = represented_range(scale, zero_point)
        scale = scale[:, None]
        inside = np.clip(self.edges, least[:, None], most[:, None])
        steps = np.rint(inside / scale)
        rest, outside = inside - steps * scale, self.edges - inside
        integral = steps * (scale * scale * scale / 12) + (rest * rest * rest + outside * outside * outside) / 3
        return np.diff(integral) @ self.density
