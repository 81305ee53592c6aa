"""The race checker: correct programs pass; dropping any wait is found, whatever the values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from programs import linear_program

from swkpu.errors import ProgramError
from swkpu.program.model import Program
from swkpu.program.races import check_races
from swkpu.target import load_target

PROGRAM = linear_program(load_target("kpu-t64"))


def without_each_wait(program: Program) -> Iterator[tuple[str, Program]]:
    """The program with one acquire removed, its tokens given to nobody."""
    for s, stream in enumerate(program.streams):
        for i, command in enumerate(stream.commands):
            for k, wait in enumerate(command.acquire):
                acquire = command.acquire[:k] + command.acquire[k + 1 :]
                commands = list(stream.commands)
                commands[i] = replace(command, acquire=acquire)
                streams = list(program.streams)
                streams[s] = replace(stream, commands=tuple(commands))
                name = f"{stream.engine.name.lower()}-{i}-{command.mnemonic}-s{wait.semaphore}"
                yield name, replace(program, streams=tuple(streams))


def test_a_correct_program_has_none() -> None:
    check_races(PROGRAM)


IMPLIED = "fabric-0-loop-s1"
"""The first block of x, which the array waits for too, is pushed after weight and bias by the same engine."""
MUTANTS = [(name, p) for name, p in without_each_wait(PROGRAM) if name != IMPLIED]


def test_an_implied_wait_can_go() -> None:
    check_races(dict(without_each_wait(PROGRAM))[IMPLIED])


@pytest.mark.parametrize("program", [p for _, p in MUTANTS], ids=[n for n, _ in MUTANTS])
def test_every_dropped_wait_is_a_race(program: Program) -> None:
    with pytest.raises(ProgramError, match=r"race in (L1|L2|DRAM): .* no semaphore orders them"):
        check_races(program)


def test_a_deadlock_names_the_streams() -> None:
    streams = list(PROGRAM.streams)
    streams[0] = replace(streams[0], commands=tuple(replace(c, release=()) for c in streams[0].commands))
    with pytest.raises(ProgramError, match=r"the program deadlocks: .*waits for semaphore"):
        check_races(replace(PROGRAM, streams=tuple(streams)))
