"""Boxes of memory meet exactly when the sets of their bytes do."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from swkpu.program.footprint import Footprint

Box = tuple[int, list[tuple[int, int]], int]

boxes: st.SearchStrategy[Box] = st.tuples(
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(0, 24), st.integers(1, 4)), max_size=3),
    st.integers(1, 4),
)


def _bytes(box: Box) -> set[int]:
    start, dims, size = box
    points = product(*(range(n) for _, n in dims))
    return {start + sum(s * i for (s, _), i in zip(dims, p)) + b for p in points for b in range(size)}


def _footprint(box: Box) -> Footprint:
    start, dims, size = box
    return Footprint.of(start, [s for s, _ in dims], [n for _, n in dims], size)


@given(boxes, boxes)
def test_boxes_meet_where_their_bytes_do(a: Box, b: Box) -> None:
    assert _footprint(a).meets(_footprint(b)) == bool(_bytes(a) & _bytes(b))


def test_interleaved_channels_are_apart() -> None:
    """Two slices of the innermost dim of a large tensor, decided in few steps."""
    shape, strides = (56, 56, 64), (56 * 128 * 2, 128 * 2, 2)
    left = Footprint.of(0, strides, shape, 2)
    right = Footprint.of(64 * 2, strides, shape, 2)
    assert not left.meets(right)
    assert left.meets(Footprint.of(63 * 2, strides, shape, 2))
