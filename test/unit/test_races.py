"""The race checker: correct programs pass; dropping any wait is found, whatever the values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import linear_program
from race_reference import find_race
from test_timing_reference import programs

from swkpu.errors import ProgramError
from swkpu.program import races
from swkpu.program.accesses import accesses
from swkpu.program.model import Block, Command, Exec, Program, Store
from swkpu.program.races import CHUNK, check_races
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


PITCH = 1 << 16
"""More bytes than any map of a random program has."""


@st.composite
def spread_programs(draw: st.DrawFn) -> Program:
    """Random programs whose commands use their maps at one of several places each: at one place nearly all race."""
    program, _ = draw(programs())
    places = draw(st.sampled_from([3, 20, 400]))
    maps = tuple(replace(m, base=m.base + place * PITCH) for place in range(places) for m in program.maps)
    count = len(program.maps)
    place = st.integers(0, places - 1)

    def moved(command: Command) -> Command:
        if isinstance(command, Exec):
            operands = tuple(replace(o, map=o.map + count * draw(place)) for o in command.operands)
            return replace(command, operands=operands)
        blocks = {k: v for k, v in vars(command).items() if isinstance(v, Block)}
        return replace(command, **{k: replace(b, map=b.map + count * draw(place)) for k, b in blocks.items()})

    streams = tuple(replace(s, commands=tuple(moved(c) for c in s.commands)) for s in program.streams)
    return replace(program, maps=maps, streams=streams)


def said(program: Program) -> str | None:
    try:
        check_races(program)
    except ProgramError as error:
        text = str(error)
        return "the program deadlocks" if text.startswith("the program deadlocks") else text.partition(": ")[2]
    return None


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(spread_programs(), st.sampled_from([1, 7, CHUNK]))
def test_random_programs(program: Program, chunk: int) -> None:
    """The checker says what brute force finds first, however many pairs it looks at together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(races, "CHUNK", chunk)
        assert said(program) == find_race(program)


def test_a_box_that_walks_a_dim_twice() -> None:
    """Rows 2i + j are touched, not those of the last walk only."""
    machine = load_target("kpu-t64")
    program = linear_program(machine)
    store = next(c for s in program.streams for c in s.commands if isinstance(c, Store))
    twice = replace(store, src=replace(store.src, axes=(0, 0), steps=(2, 1)), box=(3, 2))
    source, _ = accesses(program, twice)
    assert [after - before for before, after in source.reach] == [5, 0]
