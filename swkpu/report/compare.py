"""How far outputs are from a reference."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log10
from typing import Any

import numpy as np

from swkpu.errors import InputError
from swkpu.report.report import Check

Array = np.ndarray[Any, np.dtype[Any]]


def compare(outputs: Sequence[Array], references: Sequence[Array]) -> Check:
    """Largest difference, absolute and over the largest reference; SQNR in dB over all outputs; top-1 of the first.

    SQNR is `10 log10(sum(ref²) / sum((out - ref)²))`. Equal infinities, and NaNs on both sides, do not differ; any
    other one counts as an infinite difference. Raises InputError for other numbers or shapes of outputs.
    """
    out = [np.asarray(o, dtype=np.float64) for o in outputs]
    ref = [np.asarray(r, dtype=np.float64) for r in references]
    if [o.shape for o in out] != [r.shape for r in ref]:
        raise InputError(f"outputs of shapes {[o.shape for o in out]} compared with {[r.shape for r in ref]}")
    worst = signal = noise = largest = 0.0
    for o, r in zip(out, ref):
        diff, finite = _difference(o, r), np.where(np.isfinite(r), r, 0.0)
        worst = max(worst, float(diff.max(initial=0.0)))
        largest = max(largest, float(np.abs(finite).max(initial=0.0)))
        signal += float((finite**2).sum())
        noise += float((diff**2).sum())
    relative = worst / largest if largest else worst
    return Check(worst, relative, _decibels(signal, noise), _top1(out[0], ref[0]) if out else None)


def _difference(out: Array, ref: Array) -> Array:
    with np.errstate(invalid="ignore"):
        diff = np.where((out == ref) | (np.isnan(out) & np.isnan(ref)), 0.0, np.abs(out - ref))
    return np.where(np.isnan(diff), inf, diff)


def _decibels(signal: float, noise: float) -> float | None:
    if noise == 0:
        return None
    return 10 * log10(signal / noise) if signal / noise > 0 else -inf


def _top1(out: Array, ref: Array) -> bool | None:
    """Whether rows have their largest values at the same place, where there are classes."""
    if ref.ndim != 2 or ref.shape[1] < 2:
        return None
    return bool((out.argmax(1) == ref.argmax(1)).all())
