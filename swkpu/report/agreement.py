"""Does the mapper's estimate agree with the simulation? docs/explain.md says what is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swkpu.program.model import Program
    from swkpu.sim.timing import Timing

MIN_SHARE = Fraction(1, 200)
"""A layer with less of the program's cycles than this is not compared."""


@dataclass(frozen=True)
class Spread:
    """Of the absolute differences of some layers; the layer is None where there are none."""

    median: float
    largest: float
    layer: int | None


@dataclass(frozen=True)
class LayerAgreement:
    """Differences are estimate over simulated cycles, less 1: over the layer's own cycles, and over these without the
    waits for weights. None where the mapper estimated nothing, or nothing is left."""

    layer: int
    estimated_cycles: int
    own_cycles: int
    difference: float | None
    with_weights_there: float | None
    compared: bool


@dataclass(frozen=True)
class Agreement:
    """`covered` is the share of the program's cycles of the layers that are compared."""

    layers: tuple[LayerAgreement, ...]
    all: Spread
    with_weights_there: Spread
    covered: float

    @property
    def count(self) -> int:
        return sum(layer.compared for layer in self.layers)


def agreement(program: Program, timing: Timing, waits: Sequence[int]) -> Agreement:
    """The estimate of each layer beside its own cycles, of which it spent `waits` waiting for weights."""
    layers: list[LayerAgreement] = []
    for number, (own, waited) in enumerate(zip(own_cycles(timing), waits, strict=True)):
        estimated = program.layers[number].estimated_cycles
        difference, rest = _difference(estimated, own), _difference(estimated, own - waited)
        compared = difference is not None and own >= MIN_SHARE * timing.cycles
        layers.append(LayerAgreement(number, estimated, own, difference, rest, compared))
    compared = [x for x in layers if x.compared]
    return Agreement(
        layers=tuple(layers),
        all=_spread({x.layer: x.difference for x in compared}),
        with_weights_there=_spread({x.layer: x.with_weights_there for x in compared}),
        covered=sum(x.own_cycles for x in compared) / timing.cycles if timing.cycles else 0.0,
    )


def _difference(estimated: int, simulated: int) -> float | None:
    return estimated / simulated - 1 if estimated and simulated > 0 else None


def _spread(differences: Mapping[int, float | None]) -> Spread:
    sizes = {layer: abs(d) for layer, d in differences.items() if d is not None}
    if not sizes:
        return Spread(0.0, 0.0, None)
    worst = max(sizes, key=lambda layer: sizes[layer])
    return Spread(median(sizes.values()), sizes[worst], worst)


def own_cycles(timing: Timing) -> list[int]:
    """Per layer, from the last completion of the layer that was complete before it to its own last completion."""
    own = [0] * len(timing.layers)
    before = 0
    for end, number in sorted((max(span.end, 0), n) for n, span in enumerate(timing.layers)):
        own[number], before = end - before, end
    return own
