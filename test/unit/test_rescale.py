"""RESCALE from the df op down: its formula bit by bit, and what of it a program may say."""

from __future__ import annotations

import random
from dataclasses import replace
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Block, Region

from swkpu.dialects import df
from swkpu.dialects.epilogue import machine_form
from swkpu.errors import ProgramError
from swkpu.program.check_fabric import check_fabric, check_types
from swkpu.program.dtypes import DType
from swkpu.program.micro_ops import MicroOpcode
from swkpu.program.model import Access, Combiner, Dataflow, FabricProgram, MicroOp
from swkpu.sim.epilogue import run_epilogue
from swkpu.types import i8, i32, torch_dtype

LEAST, LARGEST = -(1 << 31), (1 << 31) - 1


def formula(x: int, multiplier: int, shift: int, zero_in: int, zero_out: int, dtype: DType) -> int:
    """TOSA 1.0, RESCALE with scale32 and without double rounding, in Python's integers."""
    scaled = ((x - zero_in) * multiplier + (1 << (shift - 1))) >> shift
    low, high = dtype.integer_range
    return min(max(scaled + zero_out, low), high)


def rescaled(x: int, multiplier: int, shift: int, zeros: tuple[int, int], of: DType, to: DType) -> int:
    registers = [
        torch.tensor(value, dtype=torch_dtype(dtype)).reshape(1, 1, 1)
        for value, dtype in ((x, of), (multiplier, DType.I32), (shift, DType.I32))
    ]
    result = run_epilogue([MicroOp(MicroOpcode.RESCALE, to, (0, 1, 2), integers=zeros)], 3, registers)
    assert result.dtype is torch_dtype(to)
    return int(result.item())


def values(dtype: DType) -> st.SearchStrategy[int]:
    low, high = dtype.integer_range
    return st.integers(low, high) | st.sampled_from([low, low + 1, -1, 0, 1, high - 1, high])


MULTIPLIERS = st.integers(0, LARGEST) | st.sampled_from([0, 1, 1 << 30, (1 << 30) + 1, LARGEST])
TYPES = st.sampled_from([DType.I8, DType.I32])


@settings(deadline=None)
@given(st.data(), MULTIPLIERS, st.integers(2, 62), TYPES, TYPES)
def test_the_formula(data: st.DataObject, multiplier: int, shift: int, of: DType, to: DType) -> None:
    x, zero_in, zero_out = (data.draw(values(d)) for d in (of, of, to))
    expected = formula(x, multiplier, shift, zero_in, zero_out, to)
    assert rescaled(x, multiplier, shift, (zero_in, zero_out), of, to) == expected


@pytest.mark.parametrize("shift", range(2, 63))
@pytest.mark.parametrize("multiplier", [1, 1 << 30, LARGEST])
def test_extremes_at_every_shift(shift: int, multiplier: int) -> None:
    for x in (LEAST, -1, 0, LARGEST):
        for zeros in ((0, 0), (LEAST, LEAST), (LARGEST, LARGEST)):
            expected = formula(x, multiplier, shift, *zeros, DType.I32)
            assert rescaled(x, multiplier, shift, zeros, DType.I32, DType.I32) == expected


@pytest.mark.parametrize(("x", "half"), [(1, 1), (3, 2), (-1, 0), (-3, -1), (-5, -2), (253, 127), (-257, -128)])
def test_a_half_rounds_up(x: int, half: int) -> None:
    """x / 2, as 2**30 / 2**31 and as 1 / 2."""
    assert rescaled(x, 1 << 30, 31, (0, 0), DType.I32, DType.I8) == half
    assert rescaled(x, 2, 2, (0, 0), DType.I32, DType.I8) == half


@pytest.mark.parametrize("shift", range(31, 50))
def test_products_next_to_a_half(shift: int) -> None:
    """The largest product below a half, and the half itself: what arithmetic in floating point would mistake."""
    generator = random.Random(shift)
    pairs: list[tuple[int, int]] = []
    for _ in range(3000):
        multiplier = generator.randrange(1 << 30, 1 << 31) | 1
        for remainder in ((1 << (shift - 1)) - 1, 1 << (shift - 1), (1 << (shift - 1)) + 1):
            # x * multiplier = remainder modulo 2**shift
            x = remainder * pow(multiplier, -1, 1 << shift) % (1 << shift)
            for value in (x, x - (1 << shift)):
                if LEAST <= value <= LARGEST and len(pairs) < 3000:
                    pairs.append((value, multiplier))
    assert pairs or shift > 41
    x, multiplier = (torch.tensor(side, dtype=torch.int32).reshape(1, 1, -1) for side in zip(*(pairs or [(1, 1)])))
    for zero in (0, -128, 127):
        op = MicroOp(MicroOpcode.RESCALE, DType.I8, (0, 1, 2), integers=(0, zero))
        shifts = torch.full_like(x, shift)
        result = run_epilogue([op], 3, [x, multiplier, shifts]).flatten().tolist()
        assert result == [formula(x, m, shift, 0, zero, DType.I8) for x, m in pairs or [(1, 1)]]


@pytest.mark.parametrize("zero", [0, 1 << 12, 1 << 30, LARGEST, LEAST])
def test_just_below_a_half_beside_a_large_zero_point(zero: int) -> None:
    for x, multiplier, shift in ((1, LARGEST, 32), (-1, LARGEST, 32), (127, LARGEST, 38), (-128, LARGEST, 39)):
        expected = formula(x, multiplier, shift, 0, zero, DType.I32)
        assert rescaled(x, multiplier, shift, (0, zero), DType.I8, DType.I32) == expected


def test_blocks_in_parts() -> None:
    """Larger than what is rescaled at a time, in every dim, and with nothing in it."""
    op = MicroOp(MicroOpcode.RESCALE, DType.I8, (0, 1, 2), integers=(1, -3))
    for shape in ((1, 1, 3, 70_000), (2, 3, 50, 7, 40), (1, 1, 200_000, 1), (1, 1, 70_000, 3), (1, 1, 0, 5)):
        x = torch.arange(prod(shape), dtype=torch.int32).reshape(shape) - 1000
        multiplier = torch.arange(shape[-1], dtype=torch.int32).reshape(1, 1, *[1] * (len(shape) - 3), -1) + (1 << 30)
        shift = torch.full([1] * len(shape), 40, dtype=torch.int32)
        result = run_epilogue([op], 3, [x, multiplier, shift])
        expected = ((x.long() - 1) * multiplier + (1 << 39) >> 40) - 3
        assert torch.equal(result.long(), expected.clamp(-128, 127))


def test_scale_and_shift_by_channel() -> None:
    x = torch.tensor([100, -100, 7], dtype=torch.int32).reshape(1, 1, 3, 1)
    multiplier = torch.tensor([1 << 30, LARGEST], dtype=torch.int32).reshape(1, 1, 1, 2)
    shift = torch.tensor([31, 30], dtype=torch.int32).reshape(1, 1, 1, 2)
    op = MicroOp(MicroOpcode.RESCALE, DType.I8, (0, 1, 2), integers=(0, -3))
    result = run_epilogue([op], 3, [x, multiplier, shift])
    assert result.flatten().tolist() == [47, 127, -53, -128, 1, 11]
    # One value, many scales.
    result = run_epilogue([op], 3, [x[:, :, :1], multiplier, shift.expand(1, 1, 3, 2)])
    assert result.shape == (1, 1, 3, 2) and result[0, 0, 2].tolist() == [47, 127]


@settings(deadline=None)
@given(st.integers(LEAST, LARGEST), st.integers(LEAST, LARGEST), st.integers(LEAST, LARGEST))
def test_scales_out_of_range_have_a_meaning(x: int, multiplier: int, shift: int) -> None:
    """A shift acts as the nearest good one; a negative multiplier multiplies."""
    for zero in (0, LEAST, LARGEST):
        expected = formula(x, multiplier, min(max(shift, 2), 62), zero, 0, DType.I32)
        assert rescaled(x, multiplier, shift, (zero, 0), DType.I32, DType.I32) == expected


def test_the_df_op_becomes_the_micro_op() -> None:
    block = Block(arg_types=[i32, i32])
    shift = arith.ConstantOp(IntegerAttr(31, i32))
    block.add_ops([shift, op := df.RescaleOp(block.args[0], block.args[1], shift, 5, -128, i8), df.YieldOp(op)])
    form = machine_form(Region(block))
    assert form.micro_ops == (
        MicroOp(MicroOpcode.CONSTANT, DType.I32, (), 31.0),
        MicroOp(MicroOpcode.RESCALE, DType.I8, (0, 1, 2), integers=(5, -128)),
    )
    assert (form.result, form.tables) == (3, ())


# ---- what a file may say --------------------------------------------------------------------------------------------


def program(*ops: MicroOp) -> FabricProgram:
    access = Access(())
    return FabricProgram(
        "f", ("a",), 1, 0, (access, access), Combiner.NONE, DType.I32, ops, len(ops), (), (), Dataflow.OS
    )


GOOD = program(
    MicroOp(MicroOpcode.CONSTANT, DType.I32, (), float(LARGEST)),
    MicroOp(MicroOpcode.CONSTANT, DType.I32, (), 62.0),
    MicroOp(MicroOpcode.RESCALE, DType.I8, (0, 1, 2), integers=(LEAST, 127)),
)


def refused(index: int, op: MicroOp, message: str) -> None:
    ops = list(GOOD.micro_ops)
    ops[index] = op
    with pytest.raises(ProgramError, match=message):
        checked(replace(GOOD, micro_ops=tuple(ops)))


def checked(fabric: FabricProgram) -> None:
    check_fabric(fabric, "fabric program 0")
    check_types(fabric, (DType.I32, DType.I8))


def test_what_the_loader_refuses() -> None:
    checked(GOOD)
    rescale, constant = GOOD.micro_ops[2], GOOD.micro_ops[0]
    refused(2, replace(rescale, integers=(0,)), r"micro-op 2 \(rescale\): 1 integers, expected input zero")
    refused(2, replace(rescale, integers=(0, 128)), "zero point 128 is no i8")
    refused(2, replace(rescale, integers=(LEAST - 1, 0)), f"zero point {LEAST - 1} is no i32")
    refused(2, replace(rescale, integers=(1 << 62, 0)), "is no i32")
    refused(2, replace(rescale, dtype=DType.BF16), "no rescale from i32, i32, i32 to bf16")
    refused(0, replace(constant, immediate=-1.0), "multiplier -1.0, expected 0 to 2147483647")
    for shift in (1.0, 63.0, float("nan")):
        refused(1, replace(constant, immediate=shift), f"shift {shift}, expected 2 to 62")
    refused(1, replace(constant, integers=(1,)), r"micro-op 1 \(constant\): 1 integers, expected none")
