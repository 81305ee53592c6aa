"""Blocks that run-time indices choose: the meaning of `gather`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from swkpu.errors import SimulationError
from swkpu.sim.blocks import Window, Words


@dataclass(frozen=True)
class Gathered:
    """Where every element of a box comes from: its word index in the source, and whether there is one at all."""

    src: Window
    word: np.ndarray[Any, np.dtype[np.int64]]
    inside: np.ndarray[Any, np.dtype[np.bool_]]

    def read(self, memory: np.ndarray[Any, np.dtype[np.uint8]]) -> Words:
        """The elements, [1, 1, *box]; the source's pad value where there is none."""
        return self.src.read_at(memory, self.word, self.inside)

    def granules(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Those that are read."""
        return self.src.granules_of(self.word[self.inside])


def gathered(
    src: Window,
    index: Window,
    dst: Window,
    origins: Sequence[Sequence[int]],
    dim: int,
    indices: Words,
    who: str,
) -> Gathered:
    """`origins` are those of src, index and dst; `indices` the words that `index` reads.

    Raises SimulationError where an index leads outside dim `dim` of the source.
    """
    src_origin, index_origin, dst_origin = origins
    wanted = _inside(index, index_origin) & _inside(dst, dst_origin)
    extent = src.map.extents[dim]
    coordinates = [src.coordinates(src_origin, d) for d in range(src.map.rank)]
    values = indices.view(np.int32).astype(np.int64)
    coordinates[dim] = coordinates[dim] + values
    wrong = wanted & ((coordinates[dim] < 0) | (coordinates[dim] >= extent))
    if wrong.any():
        raise SimulationError(f"{who}: index {int(values[wrong][0])} is outside dim {dim} of extent {extent}")
    word, inside = src.addresses(coordinates)
    return Gathered(src, word, inside & wanted)


def _inside(window: Window, origin: Sequence[int]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return window.addresses([window.coordinates(origin, d) for d in range(window.map.rank)])[1]
