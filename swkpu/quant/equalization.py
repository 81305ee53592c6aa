"""Factors between layers that even out the ranges of their channels.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.1: where the
outputs of a layer reach the next through positively homogeneous functions, channel c can be divided by any s_c > 0 at
the one and multiplied by it at the other. With r1_c and r2_c the largest weights that channel c has at the two,
s_c = sqrt(r1_c / r2_c) makes them equal. What all factors have in common means nothing to a quantized tensor, whose
scale takes it up; here their geometric mean is 1, which keeps values near what they were and lets chains settle soon.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp, UnitAttr

Array = np.ndarray[Any, np.dtype[Any]]

SETTLED = 0.02
"""No factor changes by more than this part in the last round."""
ROUNDS = 50
"""More than a chain of layers takes to settle."""


EQUALIZED = "nn.equalized"
"""The attribute of a module that was equalized."""


def is_equalized(module: ModuleOp) -> bool:
    return EQUALIZED in module.attributes


def mark_equalized(module: ModuleOp) -> None:
    module.attributes[EQUALIZED] = UnitAttr()


def equalizing_factors(magnitudes: Sequence[Array], links: Sequence[tuple[int, int]]) -> list[Array]:
    """The s of each link, in f64.

    magnitudes  by layer, the largest |weight| between channels: [groups, outputs per group, inputs per group]
    links       pairs of layers, whose channels are the outputs of the first and the inputs of the second. A layer is at
                most once a first and once a second

    Layers in a chain are equalized in turn until nothing changes. A channel that either layer does not use keeps 1.
    """
    into, out_of = {b: n for n, (_, b) in enumerate(links)}, {a: n for n, (a, _) in enumerate(links)}
    factors = [np.ones(magnitudes[a].shape[0] * magnitudes[a].shape[1]) for a, _ in links]

    def outputs(layer: int) -> Array:
        """The largest weight of each output channel, before its own factor divides it."""
        weight = magnitudes[layer]
        if layer in into:
            weight = weight * factors[into[layer]].astype(weight.dtype).reshape(len(weight), 1, -1)
        return weight.max(2, initial=0).astype(np.float64).reshape(-1)

    def inputs(layer: int) -> Array:
        """The largest weight of each input channel, before its own factor multiplies it."""
        weight = magnitudes[layer]
        if layer in out_of:
            weight = weight / factors[out_of[layer]].astype(weight.dtype).reshape(len(weight), -1, 1)
        return weight.max(1, initial=0).astype(np.float64).reshape(-1)

    for _ in range(ROUNDS):
        change = 0.0
        for n, (first, second) in enumerate(links):
            written, read = outputs(first), inputs(second)
            used = (written > 0) & (read > 0)
            best = np.ones(len(used))
            best[used] = np.sqrt(written[used] / read[used])
            best[used] /= np.exp(np.log(best[used]).mean()) if used.any() else 1.0
            change = max(change, float(np.abs(np.log(best / factors[n])).max(initial=0)))
            factors[n] = best
        if change < SETTLED:
            break
    return factors
