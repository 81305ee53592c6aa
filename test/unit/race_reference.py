"""Races and deadlocks by brute force: every command against every earlier one, every byte that it may touch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from swkpu.program.accesses import Access, accesses
from swkpu.program.loops import steps, stream_name
from swkpu.program.model import Command, End, Loop, Program

Touch = tuple[object, range, bool, int, int]
"""A memory, tiles, whether it is written, the first half byte, and those from there as the bits of a number."""


def touches(access: Access, counters: list[int]) -> Touch | None:
    """The bytes in the box, per map dim, around all that the command uses at these counters."""
    dims: list[list[int]] = []
    for c, (before, after), extent, modulus in zip(
        access.start, access.reach, access.map.extents, access.map.moduli, strict=True
    ):
        at = c.const + sum(coef * counters[d] for d, coef in c.loops)
        low, high = max(at + before, 0), min(at + after, extent - 1)
        if low > high:
            return None
        inside = sorted({i % modulus for i in range(low, high + 1)})
        dims.append(list(range(inside[0], inside[-1] + 1)))
    unit = 2 // access.map.dtype.addresses_per_byte
    element = (1 << unit * access.map.dtype.step) - 1
    first, bits = unit * access.map.base, 0
    for point in product(*dims):
        bits |= element << unit * sum(i * s for i, s in zip(point, access.map.strides, strict=True))
    tiles = range(access.tiles.first, access.tiles.first + access.tiles.count)
    return access.memory, tiles, access.writes, first, bits


def find_race(program: Program) -> str | None:
    """What the checker should say, None where there is nothing to say."""
    streams = range(len(program.streams))
    walks = [steps(s) for s in program.streams]
    current = [next(w, None) for w in walks]
    clocks = [[0] * len(program.streams) for _ in streams]
    given: list[list[list[int]]] = [[] for _ in program.semaphores]
    taken = [0] * len(program.semaphores)
    history: list[tuple[int, int, Touch, int]] = []
    found: str | None = None
    while any(c is not None for c in current):
        before = list(current)
        for s in streams:
            while (step := current[s]) is not None:
                index, command, counters = step
                if any(taken[a.semaphore] + a.count > _there(program, given, a.semaphore) for a in command.acquire):
                    break
                for a in command.acquire:
                    taken[a.semaphore] += a.count
                    last = taken[a.semaphore] - program.semaphores[a.semaphore]
                    if last > 0:
                        clocks[s] = [max(p) for p in zip(clocks[s], given[a.semaphore][last - 1], strict=True)]
                if not isinstance(command, Loop | End):
                    clocks[s][s] += 1
                    for touch in _touches(program, command, counters):
                        for other, at, earlier, i in history:
                            if other != s and at > clocks[s][other] and found is None and _meet(touch, earlier):
                                found = _message(program, (s, index, touch), (other, i))
                        history.append((s, clocks[s][s], touch, index))
                for r in command.release:
                    given[r.semaphore] += [list(clocks[s])] * r.count
                current[s] = next(walks[s], None)
        if before == current and all(b is c for b, c in zip(before, current, strict=True)):
            return "the program deadlocks"
    return found


def _there(program: Program, given: list[list[list[int]]], semaphore: int) -> int:
    return program.semaphores[semaphore] + len(given[semaphore])


def _touches(program: Program, command: Command, counters: list[int]) -> Iterator[Touch]:
    for access in accesses(program, command):
        touch = touches(access, counters)
        if touch is not None:
            yield touch


def _meet(a: Touch, b: Touch) -> bool:
    shared = range(max(a[1].start, b[1].start), min(a[1].stop, b[1].stop))
    if a[0] != b[0] or not len(shared) or not (a[2] or b[2]):
        return False
    low = min(a[3], b[3])
    if max(a[3] + a[4].bit_length(), b[3] + b[4].bit_length()) - low >= a[4].bit_length() + b[4].bit_length():
        return False
    return (a[4] << a[3] - low) & (b[4] << b[3] - low) != 0


def _message(program: Program, later: tuple[int, int, Touch], earlier: tuple[int, int]) -> str:
    def name(stream: int, index: int) -> str:
        command = program.streams[stream].commands[index]
        layer = program.layers[command.layer].name
        return f"{stream_name(program.streams[stream])} command {index} ({command.mnemonic}, layer '{layer}')"

    verb = "writes" if later[2][2] else "reads"
    return f"{name(later[0], later[1])} {verb} memory that {name(*earlier)} uses, and no semaphore orders them"
