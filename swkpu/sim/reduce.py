"""What a `reduce` computes: the partial accumulators of a group of tiles, combined in ascending order."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from swkpu.program.model import Combiner, Coord
from swkpu.sim.recurrence import combine


def reduced(
    partials: torch.Tensor,
    start: Sequence[Coord],
    origin: Sequence[int],
    axes: Sequence[int],
    steps: Sequence[int],
    box: Sequence[int],
    receivers: int,
    combiner: Combiner,
) -> torch.Tensor:
    """[receivers, T1, *box] from the blocks [T0, T1, *dims] of a tile range.

    `start` are the coordinates in the block, `origin` their values for tile (0, 0); box dim k walks dim `axes[k]` of
    the block in steps of `steps[k]`.
    """
    columns = partials.shape[1]
    # Groups that differ only in their values are combined together.
    apart = columns if any(c.tiles[1] for c in start) else 1
    out = partials.new_empty((receivers, columns, *box))
    for receiver in range(receivers):
        for column in range(apart):
            at = [o + c.tiles[0] * receiver + c.tiles[1] * column for o, c in zip(origin, start)]
            these = slice(column, column + 1) if apart > 1 else slice(None)
            out[receiver, these] = _slice(partials[:, these], at, axes, steps, box, combiner)
    return out


def _slice(
    partials: torch.Tensor,
    at: Sequence[int],
    axes: Sequence[int],
    steps: Sequence[int],
    box: Sequence[int],
    combiner: Combiner,
) -> torch.Tensor:
    """What the receivers of one t0 get, [T1, *box]."""
    index: list[slice] = [slice(a, a + 1) for a in at]
    for axis, step, size in zip(axes, steps, box):
        index[axis] = slice(at[axis], at[axis] + step * (size - 1) + 1, step)
    picked = partials[(slice(None), slice(None), *index)]
    rest = [d for d in range(len(at)) if d not in axes]
    picked = picked.permute(0, 1, *(2 + a for a in axes), *(2 + d for d in rest))
    terms = picked.reshape(*partials.shape[:2], *box)
    value = terms[0]
    for term in terms[1:]:
        value = combine(combiner)(value, term)
    return value
