"""Which buffer lies where another one was before."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from xdsl.ir import SSAValue

from swkpu.dialects.kpu import AllocOp, buffer_type
from swkpu.errors import IRError
from swkpu.program.model import Space
from swkpu.scheduling.engines import Access


@dataclass(frozen=True)
class _Held:
    """Bytes of a memory and the last buffer that was there, used up to layer `end`."""

    low: int
    high: int
    end: int
    value: SSAValue


def reuses(accesses: Mapping[SSAValue, Sequence[Access]]) -> Iterator[tuple[SSAValue, SSAValue]]:
    """(earlier, later): the later buffer is the next after the earlier one in some of its bytes.

    Whoever was there before the earlier one is not named: it was waited for when the earlier one was written.
    """
    memories: dict[tuple[Space, str], list[tuple[int, int, int, int, SSAValue]]] = {}
    for value, uses in accesses.items():
        owner = value.owner
        if not isinstance(owner, AllocOp):
            continue
        if owner.address is None:
            raise IRError("a buffer has no address; run kpu-assign-memory first")
        low = owner.address.value.data
        memory = (buffer_type(value).memory, owner.group.data if owner.group is not None else "")
        layers = [u.layer for u in uses]
        memories.setdefault(memory, []).append((min(layers), max(layers), low, low + owner.total_bytes, value))
    for items in memories.values():
        items.sort(key=lambda item: item[:3])
        yield from _sweep(items)


def _sweep(items: Sequence[tuple[int, int, int, int, SSAValue]]) -> Iterator[tuple[SSAValue, SSAValue]]:
    held: list[_Held] = []  # disjoint, by address
    lows: list[int] = []
    for start, end, low, high, value in items:
        first = bisect_left(lows, low)
        if first and held[first - 1].high > low:
            first -= 1
        last = bisect_left(lows, high)
        over = held[first:last]
        seen: set[SSAValue] = set()
        for h in over:
            if h.end < start and h.value not in seen:
                seen.add(h.value)
                yield h.value, value
        pieces = [_Held(low, high, end, value)]
        if over and over[0].low < low:
            pieces.insert(0, _Held(over[0].low, low, over[0].end, over[0].value))
        if over and over[-1].high > high:
            pieces.append(_Held(high, over[-1].high, over[-1].end, over[-1].value))
        held[first:last] = pieces
        lows[first:last] = [p.low for p in pieces]
