"""Which copies one block transfer can carry out."""

from __future__ import annotations

from dataclasses import dataclass

from swkpu.affine import linear_map
from swkpu.dialects import df
from swkpu.dialects.nn import shape_of


@dataclass(frozen=True)
class Walk:
    """For each dim of a copy's domain the axis of the source that it walks, and in what step."""

    axes: tuple[int, ...]
    steps: tuple[int, ...]


def walk_of(op: df.CopyOp) -> Walk | None:
    """How one transfer reads a copy's source, or None where it cannot: a dim is on no axis, or two dims are on one."""
    rank = op.domain.rank
    if len(shape_of(op.input)) != rank or op.destination is not None:
        return None
    axes: list[int] = [-1] * rank
    steps = [1] * rank
    for axis, expr in enumerate(linear_map(op.map.data)):
        moving = [(d, c) for d, c in expr.terms if op.domain.extents[d] > 1]
        if len(moving) > 1 or any(c < 1 or axes[d] >= 0 for d, c in moving):
            return None
        for d, c in moving:
            axes[d], steps[d] = axis, c
    rest = [a for a in range(rank) if a not in axes]
    if any(op.domain.extents[d] > 1 for d in range(rank) if axes[d] < 0):
        return None
    return Walk(tuple(a if a >= 0 else rest.pop(0) for a in axes), tuple(steps))
