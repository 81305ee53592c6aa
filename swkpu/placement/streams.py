"""What a layer does with its own buffers: which are loaded, from what, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.ir import Operation, SSAValue

from swkpu.dialects import kpu
from swkpu.dialects.kpu import AllocOp, ForOp, aligned, buffer_type, storage
from swkpu.program.model import Space


def is_ready(value: SSAValue) -> bool:
    """Are a buffer's contents there when the program starts?"""
    return isinstance(storage(value).owner, kpu.ConstantOp | kpu.InputOp)


def epochs_of(alloc: AllocOp) -> int:
    """How many contents a buffer has in turn: the iterations of the loops that it stands in."""
    return prod(loop.trips for loop in loops_around(alloc))


def loops_around(op: Operation) -> Iterator[ForOp]:
    """The innermost first."""
    parent = op.parent_op()
    while parent is not None:
        if isinstance(parent, ForOp):
            yield parent
        parent = parent.parent_op()


def writers_of(alloc: AllocOp) -> list[Operation]:
    """The transfers that fill a buffer, directly: a layer does not look at its own buffers through views."""
    return [
        use.operation
        for use in alloc.result.uses
        if isinstance(use.operation, kpu.TransferOp | kpu.GatherOp) and use.operation.dst is alloc.result
    ]


def is_ready_load(op: Operation) -> bool:
    """A load that needs to wait for nothing but its memory."""
    match op:
        case kpu.LoadOp():
            return is_ready(op.src)
        case kpu.GatherOp():
            return is_ready(op.src) and is_ready(op.index)
        case _:
            return False


def holds_constants(alloc: AllocOp) -> bool:
    """Is a layer's buffer filled with what is in DRAM from the beginning, and with nothing else?"""
    writers = writers_of(alloc)
    return bool(writers) and all(is_ready_load(op) or is_constant_push(op) for op in writers)


def is_constant_push(op: Operation) -> bool:
    """A push of what a ready load of the same layer has brought to L2."""
    if not isinstance(op, kpu.PushOp):
        return False
    owner = storage(op.src).owner
    return isinstance(owner, AllocOp) and not isinstance(owner.parent_op(), kpu.ProgramOp) and holds_constants(owner)


def is_stored(alloc: AllocOp) -> bool:
    return any(isinstance(use.operation, kpu.StoreOp) for use in alloc.result.uses)


@dataclass(frozen=True)
class Block:
    """Buffers of one layer that lie side by side, each with `copies` copies, and `epochs` contents in turn."""

    allocs: tuple[AllocOp, ...]
    copies: int
    epochs: int
    constant: bool

    @property
    def copy_bytes(self) -> int:
        return sum(aligned(buffer_type(a.result).bytes) for a in self.allocs)

    @property
    def bytes(self) -> int:
        return self.copies * self.copy_bytes


def streams_of(layer: kpu.LayerOp) -> list[AllocOp]:
    """The layer's own buffers in L2."""
    return [o for o in layer.walk() if isinstance(o, AllocOp) and buffer_type(o.result).memory is Space.L2]


def blocks_of(allocs: Sequence[AllocOp]) -> list[Block]:
    """Constants of one loop together, so that they are there together; every other buffer alone. Largest first."""
    together: dict[tuple[int, int], list[AllocOp]] = {}
    blocks: list[Block] = []
    for alloc in allocs:
        copies, epochs = alloc.buffer_count, epochs_of(alloc)
        if holds_constants(alloc):
            together.setdefault((copies, epochs), []).append(alloc)
        else:
            blocks.append(Block((alloc,), copies, epochs, False))
    blocks += [Block(tuple(group), copies, epochs, True) for (copies, epochs), group in together.items()]
    return sorted(blocks, key=lambda b: -b.bytes)
