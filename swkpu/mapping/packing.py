"""Packing buffers with lifetimes into one memory: greedy placement in several orders, the best one kept.

The problem is dynamic storage allocation, NP-hard; greedy-by-size is what TensorFlow Lite uses (Pisarchyk & Lee,
"Efficient Memory Management for Deep Neural Net Inference", 2020) and is within a few percent of the lower bound on
networks. Where it is not at the bound, another order may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Request:
    """`size` bytes that are live from step `start` to step `end`, both included."""

    size: int
    start: int
    end: int

    def meets(self, other: Request) -> bool:
        return self.start <= other.end and other.start <= self.end


@dataclass(frozen=True)
class Placed:
    request: Request
    offset: int

    @property
    def limit(self) -> int:
        return self.offset + self.request.size


def gaps(request: Request, placed: Sequence[Placed], capacity: int) -> list[tuple[int, int]]:
    """Free (offset, size) ranges over the whole life of a request, in address order."""
    taken = sorted((p.offset, p.limit) for p in placed if p.request.meets(request) and p.request.size)
    out: list[tuple[int, int]] = []
    at = 0
    for low, high in taken:
        if low > at:
            out.append((at, low - at))
        at = max(at, high)
    if at < capacity:
        out.append((at, capacity - at))
    return out


def place(request: Request, placed: Sequence[Placed], capacity: int, top: bool = False) -> int | None:
    """The offset of the tightest gap (from the top of the gap with `top`), or None where none is large enough."""
    fitting = [(size, offset) for offset, size in gaps(request, placed, capacity) if size >= request.size]
    if not fitting:
        return None
    size, offset = min(fitting)
    return offset + size - request.size if top else offset


Packing = Callable[[Sequence[Request], int], list[int] | None]
"""Offsets for all requests within a capacity, or None where the algorithm does not fit them."""


def pack(requests: Sequence[Request], capacity: int) -> list[int] | None:
    """The packing of least extent among those that greedy placement finds in several orders."""
    bound = peak(requests)
    if bound > capacity:
        return None
    best: list[int] | None = None
    least = capacity + 1
    for order in _orders(requests):
        offsets = _in_order(requests, order, least - 1)
        if offsets is not None:
            best, least = offsets, extent(requests, offsets)
            if least == bound:
                break
    return best


def _orders(requests: Sequence[Request]) -> Iterator[list[int]]:
    """By size (Pisarchyk & Lee), by area (bytes times steps), by the step's live bytes ("breadth"), by start."""

    def by(key: Callable[[Request], tuple[int, ...]]) -> list[int]:
        return sorted(range(len(requests)), key=lambda i: (*key(requests[i]), i))

    yield by(lambda r: (-r.size, r.start))
    yield by(lambda r: (-r.size * (r.end - r.start + 1), r.start))
    live = live_bytes(requests)
    yield by(lambda r: (-max(live[r.start : r.end + 1]), -r.size, r.start))
    yield by(lambda r: (r.start - r.end, -r.size, r.start))
    yield by(lambda r: (r.start, -r.size))


def _in_order(requests: Sequence[Request], order: Sequence[int], capacity: int) -> list[int] | None:
    placed: list[Placed] = []
    offsets = [0] * len(requests)
    for i in order:
        offset = place(requests[i], placed, capacity)
        if offset is None:
            return None
        placed.append(Placed(requests[i], offset))
        offsets[i] = offset
    return offsets


def extent(requests: Sequence[Request], offsets: Sequence[int]) -> int:
    """The memory that a packing takes: one past the last byte."""
    return max((o + r.size for r, o in zip(requests, offsets)), default=0)


def live_bytes(requests: Sequence[Request]) -> list[int]:
    """Bytes live at every step."""
    change = [0] * (max((r.end for r in requests), default=-1) + 2)
    for r in requests:
        change[r.start] += r.size
        change[r.end + 1] -= r.size
    return list(accumulate(change))[:-1]


def stack(requests: Sequence[Request]) -> list[int]:
    """Offsets for requests in the order given, each as low as those before it that are live with it let it be."""
    placed: list[Placed] = []
    for request in requests:
        offset = place(request, placed, sum(r.size for r in requests))
        assert offset is not None
        placed.append(Placed(request, offset))
    return [p.offset for p in placed]


def peak(requests: Sequence[Request]) -> int:
    """The most bytes live at one step: a lower bound for any packing."""
    return max(live_bytes(requests), default=0)
