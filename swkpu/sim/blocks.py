"""Reading and writing blocks of a memory through tensor maps, for all tiles of a range at once.

A block is the box of one side of a transfer, one per tile: an array [T0, T1, *box] of raw storage words, where T0 or
T1 is 1 when the start does not depend on that tile coordinate (a multicast is a view, not copies). Boxes inside the
map's extents are strided views of memory; boxes that reach outside go through a padded copy of the region they touch.
The word of an i4 is that of the same i8: the region of memory that a box touches is unpacked, and packed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from swkpu.nibbles import pack, unpack
from swkpu.program.model import Coord, DType, TensorMap
from swkpu.types import numpy_dtype

Words = np.ndarray[Any, Any]
GRANULE = 16
"""Bytes per writer tag."""

_WORDS = {4: np.uint8, 8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}


def word_type(dtype: DType) -> np.dtype[Any]:
    """The unsigned type that moves elements of a storage type without looking at them."""
    return np.dtype(_WORDS[dtype.bits])


def pad_word(map: TensorMap) -> int:
    """The pad value's bits."""
    with np.errstate(over="ignore"):
        dtype = np.dtype(np.int8) if map.dtype is DType.I4 else numpy_dtype(map.dtype)
        return int(np.array([map.pad], dtype=np.float64).astype(dtype).view(word_type(map.dtype))[0])


@dataclass(frozen=True)
class Window:
    """One side of a transfer as it stands in a command: `start` per map dim; box dim k walks map dim `axes[k]`."""

    map: TensorMap
    start: tuple[Coord, ...]
    axes: tuple[int, ...]
    steps: tuple[int, ...]
    box: tuple[int, ...]
    n0: int
    n1: int

    @cached_property
    def tiles(self) -> tuple[int, int]:
        """Distinct blocks along each tile coordinate: 1 where all tiles share one."""
        c0, c1 = (any(c.tiles[i] for c in self.start) for i in (0, 1))
        return (self.n0 if c0 else 1, self.n1 if c1 else 1)

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        """Per map dim, least and largest coordinate over all tiles and the box, relative to the start of tile (0,
        0).
        """
        size = dict.fromkeys(range(self.map.rank), 0)
        for axis, step, extent in zip(self.axes, self.steps, self.box):
            size[axis] = step * (extent - 1)
        out: list[tuple[int, int]] = []
        for d, c in enumerate(self.start):
            reach = [c.tiles[0] * (self.n0 - 1), c.tiles[1] * (self.n1 - 1)]
            out.append((sum(min(0, r) for r in reach), sum(max(0, r) for r in reach) + size[d]))
        return out

    @cached_property
    def pad_word(self) -> Any:
        """The pad value's bits, as a word."""
        return word_type(self.map.dtype).type(pad_word(self.map))

    @cached_property
    def dense(self) -> bool:
        """Do the blocks of all tiles together cover their bounding region without holes?"""
        for d, c in enumerate(self.start):
            size = next((b for a, b in zip(self.axes, self.box) if a == d), 1)
            step = next((s for a, s in zip(self.axes, self.steps) if a == d), 1)
            moving = [(abs(t), n) for t, n in zip(c.tiles, (self.n0, self.n1)) if t and n > 1]
            if (step > 1 and size > 1) or len(moving) > 1 or any(t > size for t, _ in moving):
                return False
        return True

    def origin(self, counters: Sequence[int]) -> list[int]:
        """Start of tile (0, 0) at the given loop counters."""
        return [c.const + sum(coef * counters[d] for d, coef in c.loops) for c in self.start]

    def _wraps(self, d: int) -> bool:
        return self.map.moduli[d] < self.map.extents[d]

    def _region(self, origin: Sequence[int]) -> tuple[list[int], list[int], list[int]] | None:
        """(first storage coordinate, low, high) per dim of the touched region, or None where a dim wraps within it."""
        base, lows, highs = list(origin), [], []
        for d, (low, high) in enumerate(self._spans):
            if self._wraps(d):
                modulus = self.map.moduli[d]
                base[d] = origin[d] % modulus
                if base[d] + low < 0 or base[d] + high >= modulus:
                    return None
            lows.append(base[d] + low)
            highs.append(base[d] + high)
        return base, lows, highs

    def _limit(self, d: int) -> int:
        return min(self.map.extents[d], self.map.moduli[d])

    # -- the elements of memory as words --

    def _words(
        self, memory: np.ndarray[Any, np.dtype[np.uint8]], ranges: Sequence[tuple[int, int]]
    ) -> tuple[Words, int]:
        """Words that hold at least the elements in these ranges of storage coordinates, and the address of the first.

        All of memory, as it is, or a copy of part of it where a word is no part of memory: see `_put_back`.
        """
        if self.map.dtype is not DType.I4:
            return memory.view(word_type(self.map.dtype)), 0
        low, high = (self.map.base + sum(r[i] * s for r, s in zip(ranges, self.map.strides)) for i in (0, 1))
        return unpack(memory[low // 2 : high // 2 + 1]), low // 2 * 2

    def _put_back(self, memory: np.ndarray[Any, np.dtype[np.uint8]], words: Words, first: int) -> None:
        """Store the words of `_words` that have been changed."""
        if self.map.dtype is DType.I4:
            memory[first // 2 : (first + len(words)) // 2] = pack(words)

    def _whole(self) -> list[tuple[int, int]]:
        """The ranges of all storage coordinates."""
        return [(0, self._limit(d) - 1) for d in range(self.map.rank)]

    def _view(self, words: Words, offset_bytes: int, strides: Sequence[int], base: Sequence[int]) -> Words:
        """The blocks as a strided view of an array whose dim d has `strides[d]` bytes and starts at coordinate 0."""
        at = offset_bytes + sum(b * s for b, s in zip(base, strides))
        t0, t1 = self.tiles
        tile_strides = [sum(c.tiles[i] * s for c, s in zip(self.start, strides)) for i in (0, 1)]
        box_strides = [strides[a] * st for a, st in zip(self.axes, self.steps)]
        return np.ndarray((t0, t1, *self.box), words.dtype, words, at, (*tile_strides, *box_strides))

    def read(self, memory: np.ndarray[Any, np.dtype[np.uint8]], origin: Sequence[int]) -> Words:
        """A copy of the blocks, [T0, T1, *box]; elements outside the extents are the pad value."""
        region = self._region(origin)
        if region is None:
            return self._gather(memory, origin)
        base, lows, highs = region
        if all(lo >= 0 and hi < self._limit(d) for d, (lo, hi) in enumerate(zip(lows, highs))):
            words, first = self._words(memory, list(zip(lows, highs)))
            return self._view(words, self.map.base - first, self.map.strides, base).copy()
        shape = [hi - lo + 1 for lo, hi in zip(lows, highs)]
        padded = np.full(shape, self.pad_word, word_type(self.map.dtype))
        inside = [(max(lo, 0), min(hi, self._limit(d) - 1)) for d, (lo, hi) in enumerate(zip(lows, highs))]
        if all(lo <= hi for lo, hi in inside):
            target = tuple(slice(lo - first, hi - first + 1) for (lo, hi), first in zip(inside, lows))
            words, first = self._words(memory, inside)
            padded[target] = self._rectangle(words, first, inside)
        return self._view(padded, 0, padded.strides, [b - lo for b, lo in zip(base, lows)]).copy()

    def _rectangle(self, words: Words, first: int, ranges: Sequence[tuple[int, int]]) -> Words:
        at = self.map.base - first + sum(lo * s for (lo, _), s in zip(ranges, self.map.strides))
        return np.ndarray([hi - lo + 1 for lo, hi in ranges], words.dtype, words, at, self.map.strides)

    def write(self, memory: np.ndarray[Any, np.dtype[np.uint8]], origin: Sequence[int], data: Words) -> None:
        """Store blocks [T0, T1, *box]; elements outside the extents are dropped."""
        region = self._region(origin)
        if region is None:
            self._scatter(memory, origin, data)
            return
        base, lows, highs = region
        if all(lo >= 0 and hi < self._limit(d) for d, (lo, hi) in enumerate(zip(lows, highs))):
            words, first = self._words(memory, list(zip(lows, highs)))
            self._view(words, self.map.base - first, self.map.strides, base)[...] = data
            self._put_back(memory, words, first)
            return
        inside = [(max(lo, 0), min(hi, self._limit(d) - 1)) for d, (lo, hi) in enumerate(zip(lows, highs))]
        if any(lo > hi for lo, hi in inside):
            return
        shape = [hi - lo + 1 for lo, hi in zip(lows, highs)]
        padded = np.zeros(shape, word_type(self.map.dtype))
        target = tuple(slice(lo - first, hi - first + 1) for (lo, hi), first in zip(inside, lows))
        words, first = self._words(memory, inside)
        rectangle = self._rectangle(words, first, inside)
        padded[target] = rectangle
        self._view(padded, 0, padded.strides, [b - lo for b, lo in zip(base, lows)])[...] = data
        rectangle[...] = padded[target]
        self._put_back(memory, words, first)

    # -- regions that wrap around in storage: element by element, as one indexed operation --

    def _addresses(self, origin: Sequence[int]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """(word index, inside the extents) of every element, [T0, T1, *box]."""
        return self.addresses([self.coordinates(origin, d) for d in range(self.map.rank)])

    def coordinates(self, origin: Sequence[int], d: int) -> np.ndarray[Any, Any]:
        """Coordinate along map dim d of every element; of size 1 in the dims of [T0, T1, *box] it does not vary in."""
        rank = 2 + len(self.box)
        t0, t1 = self.tiles
        c = self.start[d]
        at = np.asarray(origin[d], dtype=np.int64).reshape((1,) * rank)
        at = at + c.tiles[0] * np.arange(t0).reshape((-1,) + (1,) * (rank - 1))
        at = at + c.tiles[1] * np.arange(t1).reshape((1, -1) + (1,) * (rank - 2))
        if d in self.axes:
            k = self.axes.index(d)
            shape = [1] * rank
            shape[2 + k] = -1
            at = at + self.steps[k] * np.arange(self.box[k]).reshape(shape)
        return at

    def addresses(
        self, coordinates: Sequence[np.ndarray[Any, Any]]
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """(word index, inside the extents), [T0, T1, *box], of the elements at these coordinates, one per map dim."""
        rank = 2 + len(self.box)
        size = self.map.dtype.step
        index: Any = np.zeros((1,) * rank, dtype=np.int64) + self.map.base // size
        inside: Any = np.ones((1,) * rank, dtype=bool)
        for d, at in enumerate(coordinates):
            inside = inside & (at >= 0) & (at < self.map.extents[d])
            index = index + (at % self.map.moduli[d]) * (self.map.strides[d] // size)
        full = (*self.tiles, *self.box)
        return np.broadcast_to(index, full), np.broadcast_to(inside, full)

    def _gather(self, memory: np.ndarray[Any, np.dtype[np.uint8]], origin: Sequence[int]) -> Words:
        index, inside = self._addresses(origin)
        return self.read_at(memory, index, inside)

    def read_at(
        self, memory: np.ndarray[Any, np.dtype[np.uint8]], index: np.ndarray[Any, Any], inside: np.ndarray[Any, Any]
    ) -> Words:
        """The words of these indices where they are inside, elsewhere the pad value."""
        words, first = self._words(memory, self._whole())
        return np.where(inside, words[np.where(inside, index - first, 0)], self.pad_word)

    def _scatter(self, memory: np.ndarray[Any, np.dtype[np.uint8]], origin: Sequence[int], data: Words) -> None:
        index, inside = self._addresses(origin)
        words, first = self._words(memory, self._whole())
        words[index[inside] - first] = data[inside]
        self._put_back(memory, words, first)

    # -- granules, for writer tags --

    def granules_of(self, index: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The granules of the elements at these word indices."""
        return np.unique(index * self.map.dtype.step // self._granule)

    @property
    def _granule(self) -> int:
        """Addresses of a granule."""
        return GRANULE * self.map.dtype.addresses_per_byte

    def granules(self, origin: Sequence[int], exact: bool) -> slice | np.ndarray[Any, np.dtype[np.int64]]:
        """The granules of the elements inside the extents; of their bounding region where not `exact`."""
        region = None if exact else self._region(origin)
        if region is None:
            index, inside = self._addresses(origin)
            return self.granules_of(index[inside])
        _, lows, highs = region
        inside = [(max(lo, 0), min(hi, self._limit(d) - 1)) for d, (lo, hi) in enumerate(zip(lows, highs))]
        if any(lo > hi for lo, hi in inside):
            return slice(0, 0)
        run, starts = self.map.dtype.step, np.asarray([self.map.base], dtype=np.int64)
        granule = self._granule
        contiguous = True
        for (lo, hi), stride in reversed(list(zip(inside, self.map.strides))):
            count = hi - lo + 1 if stride else 1
            starts = starts + lo * stride
            if contiguous and (stride == run or count == 1):
                run += (count - 1) * stride
            else:
                contiguous = False
                starts = (starts[:, None] + np.arange(count) * stride).reshape(-1)
        if len(starts) == 1:
            return slice(int(starts[0]) // granule, (int(starts[0]) + run - 1) // granule + 1)
        first, last = starts // granule, (starts + run - 1) // granule
        most = int((last - first).max()) + 1
        return np.minimum(first[:, None] + np.arange(most), last[:, None])
