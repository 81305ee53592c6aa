"""What bounds every layer of a simulated program, how it is mapped, and where its cycles go."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from swkpu.report.agreement import MIN_SHARE, Agreement, Spread, agreement
from swkpu.report.attribution import ProgramGap, attribute
from swkpu.report.categories import Lost

if TYPE_CHECKING:
    from swkpu.program.model import Program
    from swkpu.report.report import LayerReport, Report
    from swkpu.sim.timing import Timing
    from swkpu.target.machine import Machine


@dataclass(frozen=True)
class LayerExplanation:
    """A layer. `cycles - bound_cycles = sum(lost.values())`; `slots` is the layer's part of the program's `lost`.
    `bound_by` is the resource that was busiest in the layer's time, whoever used it.

    `own_cycles` is what the estimate is compared with, with and without the waits for weights in it. `alternatives` are
    the mapper's next best mappings, each as `tiling` with its estimated `cycles`.
    """

    name: str
    op: str
    source: str
    cycles: int
    bound_cycles: int
    compute_bound_cycles: int
    dram_bound_cycles: int
    bound_by: str
    utilization: dict[str, float]
    lost: dict[str, int]
    slots: dict[str, int]
    estimated_cycles: int
    own_cycles: int
    estimate_difference: float | None
    difference_with_weights_there: float | None
    compared: bool
    tiling: dict[str, Any]
    alternatives: tuple[dict[str, Any], ...]

    @property
    def lost_cycles(self) -> int:
        return self.cycles - self.bound_cycles

    @property
    def limited_by(self) -> tuple[str, int]:
        """What has most of the layer's slots, and how many: "compute", what the bound counts of it, or a category."""
        shares = {"compute": self.compute_bound_cycles, **self.slots}
        return max(shares.items(), key=lambda item: item[1])


@dataclass(frozen=True)
class Differences:
    """Of the layers' estimates from the simulation, absolute values."""

    median: float
    largest: float
    layer: str | None


@dataclass(frozen=True)
class Estimate:
    """How the estimates of the `layers` that are compared agree with the simulation: as it is, and without the waits
    for weights."""

    cycles: int
    layers: int
    min_share: float
    covered: float
    differences: Differences
    with_weights_there: Differences


@dataclass(frozen=True)
class Explanation:
    """A program: `cycles - bound_cycles = sum(lost.values())`, and layer by layer."""

    model: str
    target: str
    profile: str
    clock_mhz: float
    precision: str
    batch: int
    cycles: int
    bound_cycles: int
    compute_bound_cycles: int
    dram_bound_cycles: int
    lost: dict[str, int]
    estimate: Estimate
    layers: tuple[LayerExplanation, ...]

    @property
    def lost_cycles(self) -> int:
        return self.cycles - self.bound_cycles

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers."""
        data = asdict(self)
        for layer, values in zip(data["layers"], self.layers, strict=True):
            layer["alternatives"] = list(layer["alternatives"])
            layer["limited_by"] = values.limited_by[0]
        data["layers"] = list(data["layers"])
        return data


def explain(program: Program, machine: Machine, timing: Timing, report: Report) -> Explanation:
    """Explain a cycle-mode simulation, of which `report` is the report."""
    gap = attribute(program, machine, timing)
    agreed = agreement(program, timing, [layer.slots.get(Lost.WEIGHTS, 0) for layer in gap.layers])
    return Explanation(
        model=report.model,
        target=report.target,
        profile=report.profile,
        clock_mhz=report.clock_mhz,
        precision=report.precision,
        batch=report.batch,
        cycles=gap.cycles,
        bound_cycles=gap.bound,
        compute_bound_cycles=report.compute_bound_cycles,
        dram_bound_cycles=report.dram_bound_cycles,
        lost=_named(gap.lost),
        estimate=_estimate(program, agreed),
        layers=tuple(_layer(program, n, gap, agreed, layer) for n, layer in enumerate(report.layers)),
    )


def _layer(program: Program, number: int, gap: ProgramGap, agreed: Agreement, report: LayerReport) -> LayerExplanation:
    this, estimate = gap.layers[number], agreed.layers[number]
    return LayerExplanation(
        name=report.name,
        op=report.op,
        source=report.source,
        cycles=this.cycles,
        bound_cycles=this.bound,
        compute_bound_cycles=this.compute_bound,
        dram_bound_cycles=this.dram_bound,
        bound_by=report.bound_by,
        utilization=report.utilization,
        lost=_named(this.lost),
        slots=_named(this.slots),
        estimated_cycles=estimate.estimated_cycles,
        own_cycles=estimate.own_cycles,
        estimate_difference=estimate.difference,
        difference_with_weights_there=estimate.with_weights_there,
        compared=estimate.compared,
        tiling=report.tiling,
        alternatives=program.layers[number].alternatives,
    )


def _estimate(program: Program, agreed: Agreement) -> Estimate:
    def named(spread: Spread) -> Differences:
        layer = None if spread.layer is None else program.layers[spread.layer].name
        return Differences(spread.median, spread.largest, layer)

    return Estimate(
        cycles=program.metadata.estimated_cycles,
        layers=agreed.count,
        min_share=float(MIN_SHARE),
        covered=agreed.covered,
        differences=named(agreed.all),
        with_weights_there=named(agreed.with_weights_there),
    )


def _named(lost: dict[Lost, int]) -> dict[str, int]:
    return {category.value: cycles for category, cycles in lost.items()}
