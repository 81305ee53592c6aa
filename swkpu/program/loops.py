"""The loop structure of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from swkpu.errors import ProgramError
from swkpu.program.model import Command, End, Engine, Halt, Loop, Stream

Array: TypeAlias = npt.NDArray[np.int64]


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


@dataclass(frozen=True)
class Site:
    """Where a static command runs: its enclosing loops' trip counts, and how far apart its instances are."""

    index: int
    trips: tuple[int, ...]
    offset: int
    pitches: tuple[int, ...]

    def positions(self) -> Array:
        """Where its instances are in the sequence of items, in order."""
        result = np.full((), self.offset, dtype=np.int64)
        for trips, pitch in zip(self.trips, self.pitches, strict=True):
            result = np.add.outer(result, np.arange(trips, dtype=np.int64) * pitch)
        return result.reshape(-1)

    @property
    def last(self) -> int:
        """The position of the last instance."""
        return self.offset + sum((n - 1) * pitch for n, pitch in zip(self.trips, self.pitches))


def sites(stream: Stream) -> tuple[list[Site], int]:
    """The sites of all commands that become items, and the number of items.

    An item is a dynamic command, or a `loop` (on entry) or `end` (on exit) that carries semaphores. Every iteration of
    a loop runs the same number of items, so an instance's position is affine in the counters.
    """
    commands = stream.commands
    lengths = _loop_lengths(stream)
    found: list[Site] = []
    trips: list[int] = []
    pitches: list[int] = []
    starts: list[int] = []
    position = 0
    for index, command in enumerate(commands):
        match command:
            case Halt():
                pass
            case Loop():
                if command.acquire:
                    found.append(Site(index, tuple(trips), position, tuple(pitches)))
                    position += 1
                starts.append(position)
                trips.append(command.count)
                pitches.append(lengths[index])
            case End():
                position = starts.pop() + trips.pop() * pitches.pop()
                if command.release:
                    found.append(Site(index, tuple(trips), position, tuple(pitches)))
                    position += 1
            case _:
                found.append(Site(index, tuple(trips), position, tuple(pitches)))
                position += 1
    return found, position


def _loop_lengths(stream: Stream) -> dict[int, int]:
    """Items of one iteration of each loop, by the index of its `loop`."""
    lengths: dict[int, int] = {}
    open_loops: list[tuple[int, int]] = []
    items = 0
    for index, command in enumerate(stream.commands):
        match command:
            case Halt():
                pass
            case Loop():
                items += bool(command.acquire)
                open_loops.append((index, items))
                items = 0
            case End():
                start, before = open_loops.pop()
                lengths[start] = items
                loop = stream.commands[start]
                trips = loop.count if isinstance(loop, Loop) else 1
                items = before + trips * items + bool(command.release)
            case _:
                items += 1
    return lengths


def stream_name(stream: Stream) -> str:
    """`dma_in`, or with the tile group's index `fabric[0]`."""
    name = stream.engine.name.lower()
    return name if stream.engine in (Engine.DMA_IN, Engine.DMA_OUT) else f"{name}[{stream.group}]"
