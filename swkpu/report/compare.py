"""How far outputs are from a reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from swkpu.report.report import Check

Array = np.ndarray[Any, np.dtype[Any]]


def compare(outputs: Sequence[Array], references: Sequence[Array]) -> Check:
    """Largest difference, absolute and over the largest reference value; SQNR in dB over all outputs; top-1 of the
    first.

    SQNR is `10 log10(sum(ref²) / sum((out - ref)²))`. A NaN on one side only counts as an infinite difference.
    """
    out = [np.asarray(o, dtype=np.float64) for o in outputs]
    ref = [np.asarray(r, dtype=np.float64) for r in references]
    worst = signal = noise = largest = 0.0
    for o, r in zip(out, ref, strict=True):
        both = np.isnan(o) & np.isnan(r)
        diff = np.where(both, 0.0, np.abs(o - r))
        diff = np.where(np.isnan(diff), np.inf, diff)
        worst = max(worst, float(diff.max(initial=0.0)))
        largest = max(largest, float(np.abs(np.where(np.isnan(r), 0.0, r)).max(initial=0.0)))
        signal += float((np.where(np.isnan(r), 0.0, r) ** 2).sum())
        noise += float((diff**2).sum())
    sqnr = float(10 * np.log10(signal / noise)) if noise > 0 and signal > 0 else None
    top1 = None
    if ref and ref[0].ndim == 2 and ref[0].shape[1] > 1:
        top1 = bool((out[0].argmax(1) == ref[0].argmax(1)).all())
    return Check(worst, worst / largest if largest else worst, sqnr, top1)
