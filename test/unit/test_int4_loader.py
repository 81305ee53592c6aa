"""What the loader says of an i4 in the wrong place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from int4_cases import program_of
from programs import access

from swkpu.errors import ProgramError
from swkpu.program.check import check
from swkpu.program.check_stream import check_weights
from swkpu.program.dtypes import DType
from swkpu.program.model import Combiner, Dataflow, FabricProgram, Program, Push, Space, TensorMap
from swkpu.target import load_target


def matmul(combiner: Combiner = Combiner.MAC, inputs: int = 2) -> FabricProgram:
    accesses = (access(0, 2), access(1, 2), access(0, 1), access(0, 1))
    return FabricProgram(
        "matmul", ("m", "n", "k"), 2, inputs, accesses, combiner, DType.I32, (), 0, (0,), (1,), Dataflow.OS
    )


@pytest.mark.parametrize(
    ("fabric", "dtypes", "number"),
    [
        (matmul(), (DType.I4, DType.I8, DType.I32, DType.I32), 0),
        (matmul(), (DType.I4, DType.I4, DType.I32, DType.I32), 0),
        (matmul(), (DType.BF16, DType.I4, DType.I32, DType.I32), 1),
        (matmul(), (DType.I8, DType.I4, DType.I4, DType.I32), 2),
        (matmul(), (DType.I8, DType.I8, DType.I32, DType.I4), 3),
        (matmul(Combiner.ADD, 1), (DType.I8, DType.I4, DType.I32, DType.I32), 1),
    ],
)
def test_i4_is_only_a_weight(fabric: FabricProgram, dtypes: tuple[DType, ...], number: int) -> None:
    with pytest.raises(ProgramError, match=f"operand {number} is i4; only the second input of a mac"):
        check_weights(fabric, dtypes)
    check_weights(matmul(), (DType.I8, DType.I4, DType.I32, DType.I32))


def with_map(program: Program, space: Space, change: Callable[[TensorMap], TensorMap]) -> Program:
    index = next(i for i, m in enumerate(program.maps) if m.dtype is DType.I4 and m.space is space)
    maps = list(program.maps)
    maps[index] = change(maps[index])
    return replace(program, maps=tuple(maps))


@pytest.mark.parametrize(
    ("space", "change", "message"),
    [
        (Space.DRAM, lambda m: replace(m, pad=8.0), "pad value 8.0 is no i4"),
        (Space.L1, lambda m: replace(m, base=2 * 2**18), r"of L1, which has 262144"),
        (Space.L1, lambda m: replace(m, base=2 * 2**18 - 1), r"bytes 262143 to"),
        (Space.L2, lambda m: replace(m, dtype=DType.I8), "a transfer converts nothing"),
    ],
)
def test_loader(space: Space, change: Callable[[TensorMap], TensorMap], message: str) -> None:
    machine = load_target("kpu-t64")
    program = program_of("linear", "kpu-t64")
    assert any(isinstance(c, Push) for s in program.streams for c in s.commands)
    with pytest.raises(ProgramError, match=message):
        check(with_map(program, space, change), machine)
