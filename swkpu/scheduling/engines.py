"""Which engine carries out a command, and which buffers it touches. The rest of the scheduler knows no more of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.ir import Operation, SSAValue

from swkpu.dialects import kpu
from swkpu.dialects.kpu import storage
from swkpu.program.model import Stage

Engine = tuple[str, str]
"""(kind, tile group); the DMA engines have no group."""

KINDS: dict[type[Operation], str] = {
    kpu.LoadOp: "dma_in",
    kpu.GatherOp: "dma_in",
    kpu.PushOp: "bm_in",
    kpu.ExecOp: "fabric",
    kpu.ReduceOp: "fabric",
    kpu.PullOp: "bm_out",
    kpu.StoreOp: "dma_out",
}
PIPELINE = tuple(dict.fromkeys(KINDS.values()))
"""Engines in the order in which a layer's data passes through them."""

RELAY: Engine = ("dma_out", "")
"""The engine that passes tokens on where there are not semaphores enough: it seldom has anything to do."""


def engine_of(op: Operation) -> Engine:
    tiles = op.properties.get("tiles")
    return KINDS[type(op)], tiles.group.data if isinstance(tiles, kpu.TilesAttr) else ""


def is_command(op: Operation) -> bool:
    return type(op) in KINDS


def commands_in(op: Operation) -> Iterator[Operation]:
    return (o for o in op.walk() if is_command(o))


def accesses_of(command: Operation) -> Iterator[tuple[SSAValue, bool]]:
    """(buffer, is written) for every buffer a command touches."""
    if isinstance(command, kpu.ExecOp):
        for value in command.sources:
            yield storage(value), False
        if command.result is not None:
            yield storage(command.result), True
        if command.accumulator is not None:
            yield storage(command.accumulator), command.stage is not Stage.FINISH
        return
    assert isinstance(command, kpu.TransferOp | kpu.GatherOp | kpu.ReduceOp)
    yield storage(command.src), False
    if isinstance(command, kpu.GatherOp):
        yield storage(command.index), False
    yield storage(command.dst), True


@dataclass(frozen=True)
class Access:
    """A command's use of a buffer. `top` is the statement of the layer's body that is, or contains, the command."""

    command: Operation
    engine: Engine
    writes: bool
    layer: int
    top: Operation
