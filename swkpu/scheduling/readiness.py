"""Pushes of activations in pieces, where pieces are ready one after the other.

A push of all that a tile needs of an activation waits for the last of those who make it, and then takes its time. Cut
along a dim in which they make it one after the other (the iterations of a loop, or the shares of tile groups that are
not done at the same time), most of it is there already when the last piece comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from xdsl.ir import Operation, SSAValue

from swkpu.dialects import kpu
from swkpu.dialects.kpu import ForOp, buffer_type, storage
from swkpu.scheduling.engines import Engine, engine_of
from swkpu.scheduling.needs import FINEST
from swkpu.scheduling.pieces import cut_transfer
from swkpu.scheduling.regions import Region, reach_of, regions, regions_of
from swkpu.target import Machine
from swkpu.types import dtype_of

PIECES = 4
"""The most pieces of a push: each takes its own turn at the ports that tile groups share."""
EARLY = 0.75
"""Pieces are worth it where, on average, they are ready when this share of what the writing engines do is done."""


def split_pushes(layers: Sequence[kpu.LayerOp], machine: Machine) -> None:
    """Cut the pushes that stand outside all loops, and are longer than their latency, where that makes them ready
    earlier.
    """
    made: dict[SSAValue, list[tuple[kpu.PullOp, Operation]]] = {}
    latency = machine.l2.latency_cycles + machine.noc.latency_cycles
    least_bytes = machine.l2.read_bytes_per_cycle * latency
    for layer in layers:
        new: dict[SSAValue, list[tuple[kpu.PullOp, Operation]]] = {}
        for top in list(layer.body.block.ops):
            if isinstance(top, kpu.PushOp) and storage(top.src) in made:
                _split(top, made[storage(top.src)], least_bytes)
            for op in top.walk():
                if isinstance(op, kpu.PullOp):
                    new.setdefault(storage(op.dst), []).append((op, top))
        made |= new


def _split(push: kpu.PushOp, pulls: Sequence[tuple[kpu.PullOp, Operation]], least_bytes: int) -> None:
    value = storage(push.src)
    reach = reach_of(push, value)
    parts = _parts(value, pulls)
    if reach is None or parts is None or not _is_long(push, value, least_bytes):
        return
    best: tuple[float, int, int] | None = None
    axes = push.src_axes.data if push.src_axes is not None else tuple(range(len(push.box.data)))
    for dim, count in enumerate(push.box.data):
        if count == 1:
            continue
        size = -(-count // PIECES)
        step = push.steps.data[dim] if push.steps is not None else 1
        pieces = regions_of(reach.cut(axes[dim], size * step), push, -(-count // size))
        # Pieces are pushed in order: one that is late holds up those behind it.
        late = sum(accumulate((_lateness(piece, parts) for piece in pieces), max)) / len(pieces)
        best = min(best, (late, dim, size)) if best is not None else (late, dim, size)
    if best is not None and best[0] < EARLY:
        cut_transfer(push, best[1], best[2])


def _is_long(push: kpu.PushOp, value: SSAValue, least_bytes: int) -> bool:
    found = regions(push, value, 1)
    whole = found[0] if found is not None else None
    return whole is not None and dtype_of(buffer_type(value).element).bytes_of(whole.high - whole.low) > least_bytes


def _parts(value: SSAValue, pulls: Sequence[tuple[kpu.PullOp, Operation]]) -> list[list[Region | None]] | None:
    """What every engine has written of a buffer, in its order."""
    engines: dict[Engine, list[Region | None]] = {}
    for pull, top in pulls:
        trips = top.trips if isinstance(top, ForOp) else 1
        found = regions(pull, value, trips) if trips <= FINEST else None
        if found is None:
            return None
        engines.setdefault(engine_of(pull), []).extend(found)
    return list(engines.values())


def _lateness(piece: Region | None, parts: Sequence[Sequence[Region | None]]) -> float:
    """Of the engines that make a piece, on average, how much they have done when they are done with it."""
    if piece is None:
        return 0.0
    total = 0.0
    for made in parts:
        total += max((n + 1 for n, part in enumerate(made) if part is not None and part.meets(piece)), default=0) / len(
            made
        )
    return total / len(parts)
