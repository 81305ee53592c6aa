"""Does the mapper's estimate agree with the simulation? docs/explain.md says what is compared."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from swkpu.sim.unroll import DRAM

if TYPE_CHECKING:
    from swkpu.program.model import Program
    from swkpu.sim.timing import Timing

MIN_SHARE = Fraction(1, 200)
"""A layer with less of the program's cycles than this is not compared."""


@dataclass(frozen=True)
class LayerAgreement:
    """`difference` is estimate over simulated cycles, less 1; None where the mapper estimated nothing. The simulated
    cycles are the layer's own, or the DRAM time of its transfers where that is longer."""

    layer: int
    estimated_cycles: int
    own_cycles: int
    dram_cycles: int
    difference: float | None
    compared: bool


@dataclass(frozen=True)
class Agreement:
    """Over the layers that are compared, absolute values. `covered` is their share of the program's cycles."""

    layers: tuple[LayerAgreement, ...]
    median: float
    largest: float
    largest_layer: int | None
    covered: float

    @property
    def count(self) -> int:
        return sum(layer.compared for layer in self.layers)


def agreement(program: Program, timing: Timing) -> Agreement:
    """The estimate of each layer beside its simulated cycles."""
    layers: list[LayerAgreement] = []
    for number, (own, dram) in enumerate(zip(own_cycles(timing), dram_cycles(program, timing), strict=True)):
        estimated, simulated = program.layers[number].estimated_cycles, max(own, dram)
        difference = estimated / simulated - 1 if estimated and simulated else None
        compared = difference is not None and simulated >= MIN_SHARE * timing.cycles
        layers.append(LayerAgreement(number, estimated, own, dram, difference, compared))
    differences = {x.layer: abs(x.difference) for x in layers if x.compared and x.difference is not None}
    worst = max(differences, key=lambda n: differences[n]) if differences else None
    return Agreement(
        layers=tuple(layers),
        median=median(differences.values()) if differences else 0.0,
        largest=differences[worst] if worst is not None else 0.0,
        largest_layer=worst,
        covered=sum(x.own_cycles for x in layers if x.compared) / timing.cycles if timing.cycles else 0.0,
    )


def own_cycles(timing: Timing) -> list[int]:
    """Per layer, from the last completion of the layer that was complete before it to its own last completion."""
    own = [0] * len(timing.layers)
    before = 0
    for end, number in sorted((max(span.end, 0), n) for n, span in enumerate(timing.layers)):
        own[number], before = end - before, end
    return own


def dram_cycles(program: Program, timing: Timing) -> list[int]:
    """Per layer, how long the DRAM serves its transfers, whenever that is."""
    served = np.zeros(len(program.layers), dtype=np.int64)
    for stream, unrolled in zip(program.streams, timing.streams, strict=True):
        if DRAM in unrolled.resources:
            layer = np.array([c.layer for c in stream.commands], dtype=np.int64)[unrolled.command]
            np.add.at(served, layer, unrolled.shared[unrolled.resources.index(DRAM)])
    return served.tolist()
