"""Factors between layers that even out the ranges of their channels.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.1: where the
outputs of a layer reach the next through positively homogeneous functions, channel c can be divided by any s_c > 0 at
the one and multiplied by it at the other. With r1_c and r2_c the largest weights that channel c has at the two,
s_c = sqrt(r1_c / r2_c) makes them equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

SETTLED = 1e-3
"""No factor changes by more than this part in the last round."""
ROUNDS = 100
"""Chains settle in fewer."""


def equalizing_factors(magnitudes: Sequence[Array], links: Sequence[tuple[int, int]]) -> list[Array]:
    """The s of each link, in f64.

    magnitudes  by layer, the largest |weight| between channels: [groups, outputs per group, inputs per group]
    links       pairs of layers, whose channels are the outputs of the first and the inputs of the second. A layer is at
                most once a first and once a second

    Layers in a chain are equalized in turn until nothing changes. A channel that either layer does not use keeps 1.
    """
    into, out_of = {b: n for n, (_, b) in enumerate(links)}, {a: n for n, (a, _) in enumerate(links)}
    factors = [np.ones(magnitudes[a].shape[0] * magnitudes[a].shape[1]) for a, _ in links]

    def scaled(layer: int) -> Array:
        weight = magnitudes[layer]
        groups, outputs, inputs = weight.shape
        if layer in into:
            weight = weight * factors[into[layer]].reshape(groups, 1, inputs)
        if layer in out_of:
            weight = weight / factors[out_of[layer]].reshape(groups, outputs, 1)
        return weight

    for _ in range(ROUNDS):
        change = 0.0
        for n, (first, second) in enumerate(links):
            outputs, inputs = scaled(first).max(2, initial=0).reshape(-1), scaled(second).max(1, initial=0).reshape(-1)
            used = (outputs > 0) & (inputs > 0)
            step = np.sqrt(np.where(used, outputs, 1.0) / np.where(used, inputs, 1.0))
            factors[n] = factors[n] * step
            change = max(change, float(np.abs(np.log(step)).max(initial=0)))
        if change < SETTLED:
            break
    return factors
