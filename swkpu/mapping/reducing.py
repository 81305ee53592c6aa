"""What a reduction that is split over tiles costs besides its execs: for searches, over many candidates at once.

The execs of a split reduction end raw: `cost.exec_cost(..., raw_out=1)` on the sizes of one tile's piece times them.
What comes on top, once per block of results, is here, with the formulas that the simulator uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from swkpu.mapping.blocks import aligned_size
from swkpu.program.model import DType, FabricProgram
from swkpu.target import cost
from swkpu.target.cost import Count
from swkpu.target.machine import Machine, TileGroup


@dataclass(frozen=True)
class SplitCost:
    """One block of results of every group of tiles; all 0 where there is one tile per group.

    cycles      of the fabric stream: the `reduce` and the exec that finishes
    noc_bytes   what crosses the network
    l1_bytes    of accumulators in a tile: its own, and the sums of its slice
    """

    cycles: Count
    noc_bytes: Count
    l1_bytes: Count


def split_cost(
    machine: Machine,
    group: TileGroup,
    fabric: FabricProgram,
    dtypes: Sequence[DType],
    *,
    piece: Sequence[Count],
    slices: Sequence[Count],
    members: Count,
    receivers: Count,
    groups: Count,
) -> SplitCost:
    """What `members` tiles per group cost, of which `receivers` finish a slice each, in each of `groups` groups.

    dtypes  storage types: inputs, epilogue operands, result
    piece   points per parallel dim of a tile's block of results
    slices  the same of what one tile finishes: `piece` with one dim cut (see `slice_of`), or all of it
    """
    points: Any = cost.product(slices)
    size = fabric.acc_dtype.bytes
    reduce = cost.reduce_cost(
        machine, group, points=points, members=members, receivers=receivers, groups=groups, element_bytes=size
    )
    finish = cost.finish_cost(group, fabric, dtypes[fabric.inputs :], slices)
    split: Any = members > 1
    own: Any = cost.product(piece)
    return SplitCost(
        split * (reduce.own + finish.cycles),
        split * reduce.noc_bytes,
        split * (aligned_size(own * size) + aligned_size(points * size)),
    )


def slice_sizes(size: Count, members: Count) -> Count:
    """`slice_of`, for many candidates."""
    most = int(np.max(members))
    if isinstance(size, int):
        return _slices(size, most)[members]
    table = np.zeros((int(size.max()) + 1, most + 1), dtype=np.int64)
    for n in np.nonzero(np.bincount(size))[0]:
        table[n] = _slices(int(n), most)
    return table[size, members]


@cache
def _slices(size: int, most: int) -> npt.NDArray[np.int64]:
    """`slice_of` a dim for 0 to `most` members."""
    divisors = np.array([n for n in range(1, size + 1) if size % n == 0], dtype=np.int64)
    receivers = divisors[np.maximum(np.searchsorted(divisors, np.arange(most + 1), side="right") - 1, 0)]
    return size // receivers


def slice_dim(piece: Sequence[Count], members: Count) -> Count:
    """The dim of each candidate's piece that is best cut into slices: that with the most."""
    receivers = [np.asarray(size) // slice_sizes(size, members) for size in piece]
    return np.argmax(np.stack(np.broadcast_arrays(*receivers)), axis=0)


def slice_of(size: int, members: int) -> int:
    """The points of a dim of `size` that each tile of a group finishes, as few as possible: slices are equal, and no
    more than there are members.
    """
    return int(_slices(size, members)[members])
