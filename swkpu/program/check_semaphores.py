"""Checks of the semaphores: who uses them, and that tokens can suffice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swkpu.program.check_stream import describe
from swkpu.program.limits import MAX_VALUE, expect
from swkpu.program.loops import placed, stream_name
from swkpu.program.model import Program, Stream

if TYPE_CHECKING:
    from swkpu.target.machine import Machine


@dataclass
class Side:
    """All acquiring, or all releasing, of one semaphore: per stream the index of the first command that does it."""

    tokens: int = 0
    first: dict[int, int] = field(default_factory=dict[int, int])

    def streams(self, streams: tuple[Stream, ...]) -> str:
        return " and ".join(stream_name(streams[s]) for s in self.first) or "none"


def check_semaphores(program: Program, machine: Machine) -> None:
    """One stream acquires a semaphore and one releases it; over the whole run no more is acquired than there is.

    That is necessary for the program to end, not sufficient: tokens may come too late.
    """
    count = len(program.semaphores)
    limit = machine.queues.semaphores
    expect(count <= limit, f"{count} semaphores, and {machine.name} has {limit}")
    acquired = [Side() for _ in range(count)]
    released = [Side() for _ in range(count)]
    for number, stream in enumerate(program.streams):
        for place in placed(stream):
            for sides, ops in ((acquired, place.command.acquire), (released, place.command.release)):
                for op in ops:
                    side = sides[op.semaphore]
                    side.tokens += op.count * place.runs
                    side.first.setdefault(number, place.index)
    for s, initial in enumerate(program.semaphores):
        _check_semaphore(program, s, initial, acquired[s], released[s])


def _check_semaphore(program: Program, number: int, initial: int, acquired: Side, released: Side) -> None:
    where = f"semaphore {number}"
    expect(0 <= initial <= MAX_VALUE, f"{where}: {initial} initial tokens, expected at least 0")
    for what, side in (("acquire", acquired), ("release", released)):
        expect(
            len(side.first) == 1, f"{where}: expected one stream to {what} it, found {side.streams(program.streams)}"
        )
    [(stream, command)] = acquired.first.items()
    expect(
        acquired.tokens <= initial + released.tokens,
        f"{describe(program, program.streams[stream], command)}: {where}: the stream acquires {acquired.tokens} tokens "
        f"in all, and there are {initial} at first and {released.tokens} released",
    )
