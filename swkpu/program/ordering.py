"""Which commands are known to be complete when another one starts: happens-before over a program's semaphores.

The program is run abstractly: streams advance through their items, semaphores count, and every stream carries a vector
clock (Mattern, "Virtual Time and Global States of Distributed Systems", 1989) of the commands of other streams that are
known to be complete. Whoever takes a token knows what its giver knew when it gave it. The order in which the streams
are advanced does not matter: tokens decide, and they are the same in every order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from swkpu.errors import ProgramError
from swkpu.program.loops import Array, Site, sites, stream_name
from swkpu.program.model import End, Loop, Program
from swkpu.program.tokens import NEVER, taken_tokens

Wait = tuple[int, int, int, int]
"""A semaphore, the stream that gives its token, the item there, and how many of that stream's items wait up to it."""


class Ordering:
    """The clocks of all items. Raises ProgramError when the streams come to wait for each other."""

    def __init__(self, program: Program):
        self.program = program
        self.sites: list[list[Site]] = []
        self.commands: list[Array] = []
        self.sequence: list[Array] = []
        for stream in program.streams:
            places, length = sites(stream)
            command = np.zeros(length, dtype=np.int64)
            counts = np.zeros(length, dtype=np.int64)
            for site in places:
                at = site.positions()
                command[at] = site.index
                counts[at] = not isinstance(stream.commands[site.index], Loop | End)
            self.sites.append(places)
            self.commands.append(command)
            self.sequence.append(np.cumsum(counts))
        self.waiting, waits = self._waits()
        self._executed: list[tuple[list[int], list[int]]] = [([], []) for _ in program.streams]
        rows = self._run(waits)
        self._rows: list[Array] = [np.array(r, dtype=np.int64) for r in rows]

    def own(self, stream: int, items: Array) -> Array:
        """How many commands of the stream are complete when the items are."""
        return self.sequence[stream][items]

    def known(self, stream: int, items: Array, of: int | None = None) -> Array:
        """How many commands of stream `of` (of each stream) are known to be complete when items of a stream start."""
        rows = np.searchsorted(self.waiting[stream], items, side="right")
        return self._rows[stream][rows] if of is None else self._rows[stream][rows, of]

    def executed(self, stream: int, item: int) -> int:
        """The position of an item in one order of execution, the abstract run's."""
        starts, ranks = self._executed[stream]
        at = bisect_right(starts, item) - 1
        return ranks[at] + item - starts[at]

    def _waits(self) -> tuple[list[Array], list[list[list[Wait]]]]:
        """Per stream the items that wait for tokens, and whose."""
        taken = taken_tokens(self.program, self.commands)
        waiting: list[Array] = []
        for number in range(len(self.commands)):
            items = [t.items for t in taken if t.taker == number]
            waiting.append(np.unique(np.concatenate(items)) if items else np.zeros(0, dtype=np.int64))
        waits: list[list[list[Wait]]] = [[[] for _ in items] for items in waiting]
        for t in taken:
            at = np.searchsorted(waiting[t.taker], t.items)
            before = np.searchsorted(waiting[t.giver], t.given_by, side="right")
            for index, by, count in zip(at.tolist(), t.given_by.tolist(), before.tolist(), strict=True):
                waits[t.taker][index].append((t.semaphore, t.giver, by, count))
        return waiting, waits

    def _run(self, waits: list[list[list[Wait]]]) -> list[list[list[int]]]:
        """Per stream the clock at first and at each item that waits, without the stream's own entry."""
        streams = range(len(self.commands))
        lengths = [len(c) for c in self.commands]
        waiting = [w.tolist() for w in self.waiting]
        own = [s.tolist() for s in self.sequence]
        rows: list[list[list[int]]] = [[[0] * len(lengths)] for _ in streams]
        done = [-1] * len(lengths)
        rank = 0
        progress = True
        while progress:
            progress = False
            for stream in streams:
                if done[stream] == lengths[stream]:
                    continue
                before, begun = done[stream], max(done[stream], 0)
                clocks = rows[stream]
                now = lengths[stream]
                for index in range(len(clocks) - 1, len(waiting[stream])):
                    clock = clocks[-1]
                    done[stream] = waiting[stream][index]
                    for _, giver, by, count in waits[stream][index]:
                        if by >= done[giver]:
                            break
                        known = rows[giver][count]
                        clock = [a if a > b else b for a, b in zip(clock, known)]
                        if clock[giver] < own[giver][by]:
                            clock[giver] = own[giver][by]
                    else:
                        clocks.append(clock)
                        continue
                    now = done[stream]
                    break
                if now > before:
                    self._executed[stream][0].append(begun)
                    self._executed[stream][1].append(rank)
                    rank += now - begun
                    done[stream] = now
                    progress = True
        blocked = [self._blocked(s, done[s], done, waits) for s in streams if done[s] < lengths[s]]
        if blocked:
            raise ProgramError("the program deadlocks: " + "; ".join(blocked))
        return rows

    def _blocked(self, stream: int, item: int, done: Sequence[int], waits: list[list[list[Wait]]]) -> str:
        index = int(self.commands[stream][item])
        command = self.program.streams[stream].commands[index]
        gifts = waits[stream][int(np.searchsorted(self.waiting[stream], item))]
        missing = {s for s, giver, by, _ in gifts if by == NEVER or by >= done[giver]}
        first = next(a.semaphore for a in command.acquire if a.semaphore in missing)
        name = stream_name(self.program.streams[stream])
        return f"{name} command {index} ({command.mnemonic}) waits for semaphore {first}"
