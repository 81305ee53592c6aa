"""The loop structure of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from swkpu.errors import ProgramError
from swkpu.program.model import Command, End, Engine, Loop, Stream


@dataclass(frozen=True)
class Placed:
    """A command and where it stands. `loops` are the trip counts of the loops around it, the outermost first.

    A `loop` and its `end` stand outside the loop that they delimit, as their semaphores do.
    """

    index: int
    command: Command
    loops: tuple[int, ...]

    @property
    def runs(self) -> int:
        """How many times the command runs."""
        return prod(self.loops)


def placed(stream: Stream) -> Iterator[Placed]:
    """The commands of a stream with the loops around them. Raises ProgramError when loops are not balanced."""
    loops: list[int] = []
    opened: list[int] = []
    for index, command in enumerate(stream.commands):
        if isinstance(command, End):
            if not loops:
                raise ProgramError(f"stream {stream_name(stream)}, command {index}: `end` without a `loop`")
            loops.pop()
            opened.pop()
        yield Placed(index, command, tuple(loops))
        if isinstance(command, Loop):
            loops.append(command.count)
            opened.append(index)
    if opened:
        raise ProgramError(f"stream {stream_name(stream)}, command {opened[-1]}: this `loop` has no `end`")


def steps(stream: Stream) -> Iterator[tuple[int, Command, list[int]]]:
    """(index, command, counters of the loops around it) in execution order; the counters are reused, not copied.

    A `loop` comes once, on entry, and its `end` once, on exit.
    """
    counters: list[int] = []
    starts: list[int] = []
    commands, at = stream.commands, 0
    while at < len(commands):
        command = commands[at]
        if isinstance(command, End):
            loop = commands[starts[-1]]
            assert isinstance(loop, Loop)
            counters[-1] += 1
            if counters[-1] < loop.count:
                at = starts[-1] + 1
                continue
            counters.pop()
            starts.pop()
        yield at, command, counters
        if isinstance(command, Loop):
            counters.append(0)
            starts.append(at)
        at += 1


def stream_name(stream: Stream) -> str:
    """`dma_in`, or with the tile group's index `fabric[0]`."""
    name = stream.engine.name.lower()
    return name if stream.engine in (Engine.DMA_IN, Engine.DMA_OUT) else f"{name}[{stream.group}]"
