"""Function: a hand-made program computes what it should, and illegal ones are caught with both commands named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from programs import K, M, linear_program, linear_reference

from swkpu.errors import InputError, SimulationError
from swkpu.program.model import Command, Engine, Load, Program, Push
from swkpu.sim.functional import run_program
from swkpu.target import load_target

MACHINE = load_target("kpu-t64")
X = ((np.arange(M * K).reshape(M, K) % 11) - 5).astype(ml_dtypes.bfloat16)


def run(program: Program, x: np.ndarray = X) -> np.ndarray:
    return run_program(program, MACHINE, {program.inputs[0].name: x})[program.outputs[0].name]


def edited(program: Program, engine: Engine, edit: Callable[[list[Command]], list[Command]]) -> Program:
    """The program with one stream's commands replaced."""
    streams = tuple(
        replace(s, commands=tuple(edit(list(s.commands)))) if s.engine is engine else s for s in program.streams
    )
    return replace(program, streams=streams)


def test_computes_the_reference() -> None:
    expected = linear_reference(X.astype(np.float32)).astype(ml_dtypes.bfloat16)
    assert np.array_equal(run(linear_program(MACHINE)), expected)


def test_order_of_streams_does_not_matter() -> None:
    program = linear_program(MACHINE)
    backwards = replace(program, streams=tuple(reversed(program.streams)))
    assert np.array_equal(run(backwards), run(program))


def test_floats_are_rounded_to_the_input_type() -> None:
    exact = X.astype(np.float32)
    assert np.array_equal(run(linear_program(MACHINE), exact * (1 + 2.0**-12)), run(linear_program(MACHINE)))


def test_reading_l1_that_nobody_wrote() -> None:
    program = linear_program(MACHINE)

    def drop_first(commands: list[Command]) -> list[Command]:
        first = next(i for i, c in enumerate(commands) if isinstance(c, Push))
        following = next(c for c in commands[first + 1 :] if isinstance(c, Push))
        moved = replace(following, release=following.release + commands[first].release)
        out = [moved if c is following else c for c in commands]
        return out[:first] + out[first + 1 :]

    with pytest.raises(SimulationError, match=r"fabric\[1\] command \d+ \(exec.*was never written"):
        run(edited(program, Engine.BM_IN, drop_first))


def test_reading_l2_that_another_buffer_overwrote() -> None:
    program = linear_program(MACHINE)
    maps = list(program.maps)
    weights = next(i for i, m in enumerate(maps) if m.space == 1 and m.base == 1024)
    stream = next(i for i, m in enumerate(maps) if m.space == 1 and m.base == 0)
    maps[stream] = replace(maps[stream], base=maps[weights].base)
    with pytest.raises(
        SimulationError, match=r"reads L2 address 0x400, which now holds what dma_in command \d+ \(load"
    ):
        run(replace(program, maps=tuple(maps)))


def test_reading_dram_that_nobody_wrote() -> None:
    program = linear_program(MACHINE)
    with pytest.raises(SimulationError, match="reads DRAM address 0x500, which was never written"):
        run(replace(program, segments=program.segments[:1]))


def test_deadlock_names_every_stream() -> None:
    program = linear_program(MACHINE)
    stuck = edited(
        program, Engine.DMA_IN, lambda cs: [replace(c, release=()) if isinstance(c, Load) else c for c in cs]
    )
    with pytest.raises(SimulationError, match=r"deadlock: .*bm_in\[1\] command \d+ \(push\) waits for 1 of semaphore"):
        run(stuck)


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({}, "no input named"),
        ({"x": X[:1]}, r"Input shape mismatch: expected \(32, 16\), got \(1, 16\)"),
        ({"x": X.astype(np.int32)}, "Input dtype mismatch"),
    ],
)
def test_inputs_that_do_not_fit(inputs: dict[str, np.ndarray], message: str) -> None:
    program = linear_program(MACHINE)
    inputs = {program.inputs[0].name if k == "x" else k: v for k, v in inputs.items()}
    with pytest.raises(InputError, match=message):
        run_program(program, MACHINE, inputs)
