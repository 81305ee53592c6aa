"""How a recurrence may lie on the array of a tile: which dims on rows and columns, and what stays in it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from swkpu.mapping.problem import Problem
from swkpu.program.model import Dataflow, FabricProgram


@dataclass(frozen=True)
class Orientation:
    """Dims on rows and on columns, and the dataflow."""

    rows: tuple[int, ...]
    cols: tuple[int, ...]
    dataflow: Dataflow

    def of(self, fabric: FabricProgram) -> FabricProgram:
        """A fabric program laid out like this: the same object each time, which remembers what it costs."""
        laid: dict[Orientation, FabricProgram] = fabric.__dict__.setdefault("_laid", {})
        if self not in laid:
            laid[self] = dataclasses.replace(fabric, rows=self.rows, cols=self.cols, dataflow=self.dataflow)
        return laid[self]


def orientations(problem: Problem, on_lanes: bool = False) -> list[Orientation]:
    """The ways to lay a recurrence on the array that are worth costing; `on_lanes` where no array multiplies it.

    For a contraction, rows x columns are (dims of the first input only) x (dims of the second only), or the reverse. A
    depthwise convolution has its channels on rows.
    """
    if not problem.is_contraction:
        return [Orientation((), (), Dataflow.OS)]
    if on_lanes:
        return [Orientation((), (), Dataflow.VECTOR)]
    x, w = (problem.dims_of(o) for o in problem.operands[:2])
    parallel = range(problem.domain.parallel)
    in_x = tuple(d for d in parallel if d not in w)
    in_w = tuple(d for d in parallel if d in w and d not in x)
    if not in_w:
        shared = tuple(d for d in parallel if d in w)
        return [Orientation(shared, in_x, Dataflow.OS)]
    return [
        Orientation(in_x, in_w, Dataflow.OS),
        Orientation(in_w, in_x, Dataflow.OS),
        Orientation(in_x, in_w, Dataflow.WS),
        Orientation(in_w, in_x, Dataflow.IS),
    ]
