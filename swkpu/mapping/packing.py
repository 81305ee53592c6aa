"""Packing buffers with lifetimes into one memory: first fit by decreasing size.

The problem is dynamic storage allocation, NP-hard; greedy-by-size is what TensorFlow Lite uses (Pisarchyk & Lee,
"Efficient Memory Management for Deep Neural Net Inference", 2020) and is within a few percent of the lower bound on
networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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


def pack(requests: Sequence[Request], capacity: int) -> list[int] | None:
    """Offsets for all requests, or None where greedy-by-size does not fit them."""
    order = sorted(range(len(requests)), key=lambda i: (-requests[i].size, requests[i].start, i))
    placed: list[Placed] = []
    offsets = [0] * len(requests)
    for i in order:
        offset = place(requests[i], placed, capacity)
        if offset is None:
            return None
        placed.append(Placed(requests[i], offset))
        offsets[i] = offset
    return offsets


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
    steps = {r.start for r in requests}
    return max((sum(r.size for r in requests if r.start <= s <= r.end) for s in steps), default=0)
