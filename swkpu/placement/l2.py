"""Addresses in L2: tensors between layers, then every layer's streams, as early as there is room.

A stream buffer is needed in its layer. It is *had* from an earlier step on where its memory is free from there: then
its loads need not wait for the layers in between. Loads are carried out in program order, so earlier layers choose
first. The first round gives every stream a place in its layer and, where it can, the one before; the second gives
constants what is left: as many copies as L2 has room for (all of the pieces, at most: then nothing waits for a free
one), from as early a step as possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xdsl.dialects.builtin import IntegerAttr, i64
from xdsl.ir import Operation, SSAValue

from swkpu.dialects import kpu
from swkpu.dialects.kpu import GRANULE, AllocOp, buffer_type, storage
from swkpu.errors import MemoryError
from swkpu.mapping.packing import Packing, Placed, Request, peak
from swkpu.placement.occupancy import Occupancy, Place, placed_at
from swkpu.placement.streams import Block, blocks_of, is_stored, streams_of
from swkpu.program.model import Space


def set_address(op: Operation, address: int) -> None:
    op.properties["address"] = IntegerAttr(address, i64)


@dataclass(frozen=True)
class L2Use:
    """The most bytes live at one step, the bytes from 0 to the highest address, and the same of what stays in L2
    between layers.
    """

    peak: int
    extent: int
    resident_peak: int
    resident_extent: int


@dataclass
class _Life:
    alloc: AllocOp
    start: int
    end: int


def lifetimes(program: kpu.ProgramOp, layers: Sequence[kpu.LayerOp]) -> list[_Life]:
    """First and last layer that touches each buffer of the program's own scope."""
    lives: dict[SSAValue, _Life] = {}
    for i, layer in enumerate(layers):
        for op in layer.walk():
            for value in op.operands:
                owner = storage(value).owner
                if isinstance(owner, AllocOp) and owner.parent is program.body.block:
                    life = lives.setdefault(owner.result, _Life(owner, i, i))
                    life.end = i
    return list(lives.values())


class L2Assignment:
    def __init__(self, program: kpu.ProgramOp, layers: Sequence[kpu.LayerOp], capacity: int, packing: Packing):
        self.layers, self.capacity = layers, capacity // GRANULE * GRANULE
        lives = [v for v in lifetimes(program, layers) if buffer_type(v.alloc.result).memory is Space.L2]
        requests = [Request(v.alloc.total_bytes, v.start, v.end) for v in lives]
        offsets = packing(requests, self.capacity)
        if offsets is None:
            total = sum(r.size for r in requests)
            raise MemoryError("L2", total, self.capacity, "the tensors that stay in L2 between layers")
        for life, offset in zip(lives, offsets):
            set_address(life.alloc, offset)
        self.residents = [Placed(r, o) for r, o in zip(requests, offsets)]
        self.occupancy = Occupancy(self.capacity, self.residents)
        self.placed: dict[int, list[tuple[Block, Placed]]] = {}

    def run(self) -> L2Use:
        for i in range(len(self.layers)):
            self._place(i)
        least = 0
        for i in range(len(self.layers)):
            least = self._prefetch(i, least)
        for blocks in self.placed.values():
            for block, placed in blocks:
                _write(block, placed)
        requests = [p.request for p in self.residents]
        everything = self.residents + [p for blocks in self.placed.values() for _, p in blocks]
        return L2Use(
            peak([p.request for p in everything]),
            max((p.limit for p in everything), default=0),
            peak(requests),
            max((p.limit for p in self.residents), default=0),
        )

    # -- first round --

    def _place(self, i: int) -> None:
        """A place for all of a layer's streams, from the layer before on where possible."""
        allocs = streams_of(self.layers[i])
        blocks = blocks_of(allocs)
        self.placed[i] = []
        for block in blocks:
            place = self.occupancy.earliest(block.bytes, i, i, max(i - 1, 0), top=i % 2 == 1)
            if place is None:
                break
            self._put(i, block, place)
        else:
            return
        # Scattered, they do not fit: side by side, in this layer only.
        for _, placed in self.placed[i]:
            self.occupancy.remove(placed)
        self.placed[i] = []
        place = self.occupancy.earliest(sum(b.bytes for b in blocks), i, i, i)
        if place is None:
            largest = max(a.total_bytes for a in allocs)
            raise MemoryError("L2", largest, self.capacity, f"a stream of layer '{self.layers[i].sym_name.data}'")
        for block in blocks:
            self._put(i, block, place)
            place = replace(place, offset=place.offset + block.bytes)

    def _put(self, i: int, block: Block, place: Place, end: int | None = None) -> None:
        placed = placed_at(place, block.bytes, i if end is None else end)
        self.occupancy.add(placed)
        self.placed[i].append((block, placed))

    # -- second round --

    def _prefetch(self, i: int, least: int) -> int:
        """More copies and earlier steps for a layer's constants. Returns the step from which its last one is had.

        What no load of an earlier layer could have reached, none of this layer can: loads are in order.
        """
        reached = least
        for block, placed in list(self.placed[i]):
            self.placed[i].remove((block, placed))
            self.occupancy.remove(placed)
            if block.constant:
                block, place = self._ahead(i, block, least)
                if place is not None:
                    reached = max(reached, place.start)
                    self._put(i, block, place)
                    continue
            elif block.allocs and is_stored(block.allocs[0]) and i + 1 < len(self.layers):
                # Stores may be late: the next layer need not wait for them.
                place = self.occupancy.earliest(block.bytes, placed.request.start, i + 1, placed.request.start)
                if place is not None:
                    self._put(i, block, place, i + 1)
                    continue
            self.occupancy.add(placed)
            self.placed[i].append((block, placed))
        return reached

    def _ahead(self, i: int, block: Block, least: int) -> tuple[Block, Place | None]:
        copies = block.copies
        if copies < block.epochs and copies > 1:
            room = self.occupancy.largest_gap(max(i - 1, 0), i)
            copies = max(copies, min(block.epochs, room // block.copy_bytes))
        more = replace(block, copies=copies)
        top = i % 2 == 1
        place = self.occupancy.earliest(more.bytes, i, i, min(least, i), top)
        return more, place


def _write(block: Block, placed: Placed) -> None:
    at = placed.offset
    for alloc in block.allocs:
        if block.copies > 1:
            alloc.properties["buffers"] = IntegerAttr(block.copies, i64)
        set_address(alloc, at)
        at += alloc.total_bytes
