"""Which item's tokens each acquiring item takes.

A semaphore has one releasing and one acquiring stream, so the n-th token taken is the n-th given, whenever that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swkpu.program.loops import Array
from swkpu.program.model import Program, SemOp, Stream


@dataclass(frozen=True)
class Taken:
    """The items of stream `taker` that wait for tokens of a semaphore, and of each the item of stream `giver` that
    gives the last of them (NEVER: no item does). What was there from the start is not waited for."""

    semaphore: int
    taker: int
    items: Array
    giver: int
    given_by: Array


NEVER = np.iinfo(np.int64).max


def taken_tokens(program: Program, commands: Sequence[Array]) -> list[Taken]:
    """For streams whose items are instances of these static commands."""
    given: dict[int, tuple[int, Array, Array]] = {}
    for number, (stream, command) in enumerate(zip(program.streams, commands, strict=True)):
        for semaphore, per_command in _counts(stream, "release").items():
            counts = per_command[command]
            items = np.flatnonzero(counts)
            given[semaphore] = number, items, np.cumsum(counts[items])
    found: list[Taken] = []
    for number, (stream, command) in enumerate(zip(program.streams, commands, strict=True)):
        for semaphore, per_command in _counts(stream, "acquire").items():
            counts = per_command[command]
            items = np.flatnonzero(counts)
            wanted = np.cumsum(counts[items]) - program.semaphores[semaphore]
            items, wanted = items[wanted > 0], wanted[wanted > 0]
            if not len(items):
                continue
            giver, gifts, totals = given.get(semaphore, (number, items[:0], items[:0]))
            by = np.append(gifts, NEVER)[np.searchsorted(totals, wanted)]
            found.append(Taken(semaphore, number, items, giver, by))
    return found


def _counts(stream: Stream, kind: str) -> dict[int, Array]:
    """Per semaphore that the stream's commands acquire or release: how many tokens, by command."""
    counts: dict[int, Array] = {}
    for index, command in enumerate(stream.commands):
        ops: Sequence[SemOp] = getattr(command, kind)
        for op in ops:
            if op.semaphore not in counts:
                counts[op.semaphore] = np.zeros(len(stream.commands), dtype=np.int64)
            counts[op.semaphore][index] += op.count
    return counts
