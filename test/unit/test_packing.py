"""Packing: placements never overlap, fit, and reach the bound on easy cases."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swkpu.mapping.packing import Placed, Request, gaps, pack, peak, place

requests = st.lists(
    st.builds(
        lambda size, start, length: Request(size, start, start + length),
        st.integers(1, 50),
        st.integers(0, 9),
        st.integers(0, 4),
    ),
    max_size=12,
)


@given(requests)
def test_no_two_live_buffers_overlap(items: list[Request]) -> None:
    capacity = sum(r.size for r in items)
    offsets = pack(items, capacity)
    assert offsets is not None
    for i, (a, x) in enumerate(zip(items, offsets)):
        assert x >= 0 and x + a.size <= capacity
        for b, y in list(zip(items, offsets))[:i]:
            assert not a.meets(b) or x + a.size <= y or y + b.size <= x


@given(requests)
def test_nothing_is_packed_below_the_peak(items: list[Request]) -> None:
    bound = peak(items)
    if bound > 0:
        assert pack(items, bound - 1) is None


def test_lifetimes_that_do_not_meet_share_memory() -> None:
    items = [Request(10, 0, 0), Request(10, 1, 1), Request(10, 2, 2)]
    assert pack(items, 10) == [0, 0, 0]
    assert peak(items) == 10


def test_gaps_and_the_tightest_fit() -> None:
    placed = [Placed(Request(4, 0, 9), 2), Placed(Request(4, 0, 9), 8), Placed(Request(4, 5, 9), 14)]
    request = Request(2, 0, 1)
    assert gaps(request, placed, 20) == [(0, 2), (6, 2), (12, 8)]
    assert place(request, placed, 20) == 0
    assert place(Request(5, 0, 1), placed, 20) == 12
    assert place(Request(5, 0, 1), placed, 20, top=True) == 15
    assert place(Request(9, 0, 1), placed, 20) is None
