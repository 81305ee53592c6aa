"""Memory of i4: two elements to a byte, in blocks that start and end at any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import tensor_map

from swkpu.nibbles import array_of, memory_of, pack, unpack
from swkpu.program.accesses import Access, Boxes
from swkpu.program.dtypes import DType
from swkpu.program.model import Coord, Space, TensorMap, TileRange
from swkpu.sim.blocks import Window


@given(st.lists(st.integers(-8, 7), max_size=33))
def test_packing(values: list[int]) -> None:
    array = np.array(values, np.int8)
    packed = pack(array.view(np.uint8))
    assert len(packed) == (len(values) + 1) // 2
    assert unpack(packed).view(np.int8)[: len(values)].tolist() == values
    as_int4 = array.astype(ml_dtypes.int4)
    assert memory_of(as_int4, DType.I4).tobytes() == packed.tobytes()
    assert array_of(packed, DType.I4, (len(values),)).astype(np.int8).tolist() == values


def test_order_in_a_byte() -> None:
    assert memory_of(np.array([1, -8, 7], ml_dtypes.int4), DType.I4).tolist() == [0x81, 0x07]


def test_sizes() -> None:
    assert [DType.I4.bytes_of(n) for n in (0, 1, 2, 7)] == [0, 1, 1, 4]
    assert DType.F32.bytes_of(3) == 12
    with pytest.raises(ValueError, match="half a byte"):
        _ = DType.I4.bytes
    m = tensor_map(Space.L1, 3, DType.I4, (5, 3))
    assert (m.strides, m.begin, m.end) == ((3, 1), 1, 9)


@st.composite
def windows(draw: st.DrawFn) -> tuple[Window, list[int]]:
    """A window on a map of i4, and where it starts."""
    rank = draw(st.integers(1, 3))
    extents = tuple(draw(st.integers(1, 9)) for _ in range(rank))
    wraps = draw(st.booleans())
    moduli = tuple(draw(st.integers(1, e)) if wraps else e for e in extents)
    dense = tensor_map(
        Space.L2, draw(st.integers(0, 9)), DType.I4, extents, moduli=moduli, pad=draw(st.integers(-8, 7))
    )
    m = replace(dense, strides=tuple(s + draw(st.integers(0, 1)) for s in dense.strides[:-1]) + dense.strides[-1:])
    axes = tuple(draw(st.permutations(range(rank))))
    box = tuple(draw(st.integers(1, moduli[a])) for a in axes)
    steps = tuple(draw(st.sampled_from([1, 1, 2])) for _ in axes)
    start = tuple(Coord(tiles=(draw(st.integers(0, 2)), 0)) for _ in range(rank))
    origin = [draw(st.integers(-2, e)) for e in extents]
    return Window(m, start, axes, steps, box, draw(st.integers(1, 2)), 1), origin


@given(windows(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=300)
def test_blocks_of_i4_are_those_of_i8(case: tuple[Window, list[int]], seed: int) -> None:
    """The same map over bytes that hold an element each reads and writes the same."""
    window, origin = case
    m = window.map
    wide = replace(window, map=replace(m, dtype=DType.I8))
    rng = np.random.default_rng(seed)
    elements = rng.integers(-8, 8, 2 * m.end + 32).astype(np.int8)
    memory = pack(elements.view(np.uint8))
    words = wide.read(elements.view(np.uint8), origin)
    assert np.array_equal(window.read(memory, origin), words)
    touched = np.unique(_addresses(wide, origin) // 32)
    assert np.array_equal(window.granules(origin, True), touched)
    data = rng.integers(-8, 8, words.shape).astype(np.int8).view(np.uint8)
    data[...] = data[:1, :1] if words.shape[0] > 1 else data
    window.write(memory, origin, data)
    wide.write(elements.view(np.uint8), origin, data)
    assert np.array_equal(unpack(memory).view(np.int8)[: len(elements)], elements)


def _addresses(window: Window, origin: Sequence[int]) -> np.ndarray:
    index, inside = window.addresses([window.coordinates(origin, d) for d in range(window.map.rank)])
    return index[inside]


def _whole(map: TensorMap) -> Boxes:
    """All of a map, by one instance."""
    start = tuple(Coord() for _ in map.extents)
    reach = tuple((0, n - 1) for n in map.extents)
    return Access(map, start, reach, TileRange(0, 0, 1, 1), writes=True).boxes(())


def _apart(one: TensorMap, other: TensorMap) -> bool:
    first = np.zeros(1, np.int64)
    return bool(_whole(one).apart(_whole(other), first, first)[0])


def test_races_are_told_apart_by_half_bytes() -> None:
    odd, even = (replace(tensor_map(Space.L2, first, DType.I4, (4,)), strides=(2,)) for first in (0, 1))
    bytes_ = tensor_map(Space.L2, 3, DType.I8, (4,))
    for map in (odd, even):
        assert [int(a[0]) for a in _whole(map).addresses] == [0, 4]
    assert _apart(odd, even)
    assert not _apart(odd, odd)
    assert not _apart(odd, bytes_)
    assert _apart(odd, tensor_map(Space.L2, 4, DType.I8, (4,)))
    # The same base and strides are other addresses where they count other units.
    assert _apart(tensor_map(Space.L2, 8, DType.I4, (8,)), tensor_map(Space.L2, 8, DType.I8, (8,)))
