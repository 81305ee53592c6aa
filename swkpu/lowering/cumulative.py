"""Running sums, products, maxima and minima."""

from __future__ import annotations

from math import ceil, log
from typing import Any

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineExpr

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import shape_of, type_of
from swkpu.lowering.arithmetic import as_it_is, epilogue
from swkpu.lowering.reduction import accumulator_of
from swkpu.lowering.structure import affine, names_for, region
from swkpu.lowering.table import lowering

COMBINERS: dict[type[nn.CumulativeOp], str] = {
    nn.CumSumOp: "add",
    nn.CumProdOp: "mul",
    nn.CumMaxOp: "max",
    nn.CumMinOp: "min",
}
WINDOW = 32
"""The longest window that one recurrence combines."""


@lowering(*COMBINERS)
def lower_cumulative(op: nn.CumulativeOp) -> list[Operation]:
    """Windows of windows that end at each element (Hillis and Steele, "Data Parallel Algorithms", 1986): n elements in
    `ceil(log n / log WINDOW)` recurrences, each combining a window of the last one's results.
    """
    size = shape_of(op.input)[op.along]
    levels = max(1, ceil(log(size, WINDOW) - 1e-9))
    radix = max(2, ceil(size ** (1 / levels) - 1e-9))
    out: list[Operation] = []
    x, step = op.input, 1
    while not out or step < size:
        out.append(_windows(x, op.along, COMBINERS[type(op)], min(radix, ceil(size / step)), step, type_of(op.result)))
        x, step = out[-1].results[0], step * radix
    return out


def _windows(x: SSAValue, axis: int, combiner: str, count: int, step: int, result: TensorType[Any]) -> df.RecurrenceOp:
    """Combine `count` elements `step` apart, the last at each place; there is nothing to combine before the first."""
    shape = shape_of(x)
    names, order = names_for(shape)
    extents = (*(shape[a] for a in order), count)
    domain = Domain((*names, "window"), extents, len(order))
    at = {a: AffineExpr.dimension(d) for d, a in enumerate(order)}
    window = AffineExpr.dimension(len(order))
    written = [at[a] for a in range(len(shape))]
    read = [e if a != axis else e + window * step - step * (count - 1) for a, e in enumerate(written)]
    rank = domain.rank
    body = region([accumulator_of(combiner, type_of(x))], epilogue(as_it_is, result.element_type))
    return df.RecurrenceOp(
        domain, combiner, [(x, affine(rank, read))], [], affine(rank, written), body, result, [df.NEUTRAL[combiner]]
    )
