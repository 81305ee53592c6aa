"""Every micro-operation, from its `arith` or `math` op to its value."""

from __future__ import annotations

import math as m

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import Block, Region

from swkpu.dialects import df
from swkpu.dialects.epilogue import MICRO_OPS, machine_form
from swkpu.errors import IRError, ProgramError
from swkpu.program.check_fabric import check_types
from swkpu.program.dtypes import DType
from swkpu.program.micro_ops import MicroOpcode, signature
from swkpu.program.model import Access, Combiner, Dataflow, FabricProgram, MicroOp
from swkpu.sim.epilogue import FUNCTIONS, run_epilogue
from swkpu.types import f32, i1, i32, i64, torch_dtype

INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
EDGES = st.sampled_from([0, 1, -1, -(1 << 31), (1 << 31) - 1, 31, 32])
NUMBERS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.5, 2.5])


def run(opcode: MicroOpcode, dtype: DType, *values: float, of: DType = DType.F32) -> float:
    """One micro-operation on registers of type `of` (the condition of a select: i1)."""
    types = [of] * len(values)
    if opcode is MicroOpcode.SELECT:
        types[0] = DType.I1
    registers = [torch.tensor(v, dtype=torch_dtype(t)).reshape(1, 1, 1) for v, t in zip(values, types)]
    result = run_epilogue([MicroOp(opcode, dtype, tuple(range(len(values))))], len(values), registers)
    assert result.dtype == torch_dtype(dtype)
    return result.item()


def wrap(value: int) -> int:
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def test_every_opcode_has_a_signature_and_a_meaning() -> None:
    conversions = {"FPTOSI", "SITOFP", "UITOFP", "EXTF", "TRUNCF", "EXTSI", "EXTUI", "TRUNCI"}
    with_immediates = {"CONSTANT", "RESCALE", "TABLE"}
    assert {o.name for o in MicroOpcode} == {o.name for o in FUNCTIONS} | conversions | with_immediates
    for opcode in MicroOpcode:
        assert signature(opcode).result[0] in "fibtlqe"
    reached = set(MICRO_OPS.values())
    assert {o for o in MicroOpcode if not o.name.startswith("CMP")} - reached == {MicroOpcode.CONSTANT}


def test_signatures_accept_what_arith_accepts() -> None:
    f, h, i, b, c = DType.F32, DType.BF16, DType.I32, DType.I1, DType.I8
    accepted = [
        (MicroOpcode.ADDF, (f, f), f), (MicroOpcode.ADDF, (h, h), h), (MicroOpcode.EXTF, (h,), f),
        (MicroOpcode.TRUNCF, (f,), h), (MicroOpcode.SELECT, (b, i, i), i), (MicroOpcode.SELECT, (b, b, b), b),
        (MicroOpcode.CMPF_OLT, (h, h), b), (MicroOpcode.CMPI_EQ, (b, b), b), (MicroOpcode.ANDI, (b, b), b),
        (MicroOpcode.FPTOSI, (h,), DType.I8), (MicroOpcode.EXTUI, (b,), DType.I8), (MicroOpcode.CONSTANT, (), b),
        (MicroOpcode.RESCALE, (i, i, i), i), (MicroOpcode.RESCALE, (i, i, i), c), (MicroOpcode.RESCALE, (c, i, i), i),
        (MicroOpcode.TABLE, (c,), c), (MicroOpcode.TABLE, (c,), i), (MicroOpcode.TABLE, (c,), f),
    ]  # fmt: skip
    refused = [
        (MicroOpcode.ADDF, (f, h), f), (MicroOpcode.ADDF, (i, i), i), (MicroOpcode.EXTF, (f,), h),
        (MicroOpcode.SELECT, (i, i, i), i), (MicroOpcode.SELECT, (b, i, f), i), (MicroOpcode.CMPI_SLT, (b, b), b),
        (MicroOpcode.ADDI, (b, b), b), (MicroOpcode.SITOFP, (b,), f), (MicroOpcode.CMPF_OLT, (f, f), f),
        (MicroOpcode.ADDI, (i,), i), (MicroOpcode.TRUNCI, (i,), i),
        (MicroOpcode.RESCALE, (i, c, i), i), (MicroOpcode.RESCALE, (f, i, i), c), (MicroOpcode.RESCALE, (c, i, i), f),
        (MicroOpcode.TABLE, (i,), c), (MicroOpcode.TABLE, (c,), h),
    ]  # fmt: skip
    for opcode, arguments, result in accepted:
        assert signature(opcode).accepts(arguments, result), opcode.name
    for opcode, arguments, result in refused:
        assert not signature(opcode).accepts(arguments, result), opcode.name


@given(INT32 | EDGES, INT32 | EDGES)
def test_integers_wrap_and_never_trap(a: int, b: int) -> None:
    def on(opcode: MicroOpcode) -> float:
        return run(opcode, DType.I32, a, b, of=DType.I32)

    assert on(MicroOpcode.ADDI) == wrap(a + b)
    assert on(MicroOpcode.SUBI) == wrap(a - b)
    assert on(MicroOpcode.MULI) == wrap(a * b)
    quotient = wrap(int(abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1)) if b else -1
    assert on(MicroOpcode.DIVSI) == quotient
    assert on(MicroOpcode.FLOORDIVSI) == (wrap(a // b) if b else -1)
    assert on(MicroOpcode.REMSI) == (wrap(a - quotient * b) if b else a)
    assert on(MicroOpcode.SHLI) == (wrap(a << b) if 0 <= b < 32 else 0)
    assert on(MicroOpcode.SHRSI) == (a >> b if 0 <= b < 32 else -(a < 0))
    assert on(MicroOpcode.ANDI) == a & b
    assert on(MicroOpcode.ORI) == a | b
    assert on(MicroOpcode.XORI) == a ^ b
    assert on(MicroOpcode.MAXSI) == max(a, b)
    assert on(MicroOpcode.MINSI) == min(a, b)
    assert run(MicroOpcode.ABSI, DType.I32, a, of=DType.I32) == wrap(abs(a))


@given(INT32 | EDGES, INT32 | EDGES)
def test_integer_comparisons(a: int, b: int) -> None:
    expected = {"EQ": a == b, "NE": a != b, "SLT": a < b, "SLE": a <= b, "SGT": a > b, "SGE": a >= b}
    for predicate, value in expected.items():
        assert run(MicroOpcode[f"CMPI_{predicate}"], DType.I1, a, b, of=DType.I32) == value


@given(NUMBERS, NUMBERS)
def test_float_comparisons(a: float, b: float) -> None:
    unordered = m.isnan(a) or m.isnan(b)
    tests = {"EQ": a == b, "GT": a > b, "GE": a >= b, "LT": a < b, "LE": a <= b, "NE": a < b or a > b}
    for predicate, value in tests.items():
        assert run(MicroOpcode[f"CMPF_O{predicate}"], DType.I1, a, b) == value
        assert run(MicroOpcode[f"CMPF_U{predicate}"], DType.I1, a, b) == (value or unordered)
    assert run(MicroOpcode.CMPF_UNO, DType.I1, a, b) == unordered
    assert run(MicroOpcode.CMPF_ORD, DType.I1, a, b) != unordered


@given(NUMBERS)
def test_conversion_to_integers_saturates(x: float) -> None:
    for dtype in (DType.I8, DType.I32, DType.I64):
        low, high = dtype.integer_range
        expected = 0 if m.isnan(x) else int(min(max(x, low), high)) if abs(x) < 2.0**70 else low if x < 0 else high
        assert run(MicroOpcode.FPTOSI, dtype, x) == min(max(expected, low), high)


@given(NUMBERS)
def test_roundings(x: float) -> None:
    if not m.isfinite(x):
        return
    assert run(MicroOpcode.ROUNDEVEN, DType.F32, x) == round(x)
    away = m.copysign(m.floor(abs(x)) + (abs(x) - m.floor(abs(x)) >= 0.5), x)
    assert run(MicroOpcode.ROUND, DType.F32, x) == away
    assert run(MicroOpcode.TRUNC, DType.F32, x) == m.trunc(x)


@pytest.mark.parametrize("opcode", [o for o in FUNCTIONS if signature(o).uses_floats], ids=lambda o: o.name.lower())
def test_a_values_place_does_not_matter(opcode: MicroOpcode) -> None:
    """Vectors, their remainders, strided and single elements give the same bits: so levels and tilings do."""
    torch.manual_seed(0)
    arguments = [torch.randn(1, 1, 37, 29) * 3 for _ in range(signature(opcode).arity)]
    whole = FUNCTIONS[opcode](*arguments)
    views = [
        lambda t: t[..., :7, 3:10], lambda t: t[..., ::3, ::2], lambda t: t.transpose(2, 3), lambda t: t[..., 5:6, 7:8],
    ]  # fmt: skip
    for view in views:
        part = FUNCTIONS[opcode](*(view(a) for a in arguments))
        assert torch.equal(part.nan_to_num(9.0), view(whole).nan_to_num(9.0))


def fabric(*ops: MicroOp) -> FabricProgram:
    access = Access(())
    return FabricProgram(
        "f", ("a",), 1, 0, (access, access), Combiner.NONE, DType.F32, ops, len(ops), (), (), Dataflow.OS
    )


def test_types_are_checked_by_signature() -> None:
    check_types(fabric(MicroOp(MicroOpcode.CMPF_OLT, DType.I1, (0, 0))), (DType.F32, DType.I1))
    with pytest.raises(ProgramError, match=r"no addf from i32, i32 to i32; its types are f f -> f"):
        check_types(fabric(MicroOp(MicroOpcode.ADDF, DType.I32, (0, 0))), (DType.I32, DType.I32))
    with pytest.raises(ProgramError, match=r"300.0 is no i8"):
        check_types(fabric(MicroOp(MicroOpcode.CONSTANT, DType.I8, (), 300.0)), (DType.F32, DType.I8))


def epilogue(*ops: object) -> Region:
    block = Block(list(ops), arg_types=[])  # pyright: ignore[reportArgumentType]
    block.add_op(df.YieldOp(block.last_op.results[0]))  # pyright: ignore[reportOptionalMemberAccess]
    return Region(block)


def test_regions_become_micro_ops() -> None:
    one = arith.ConstantOp(IntegerAttr(1, i1))
    truth = machine_form(epilogue(one))
    assert truth.micro_ops == (MicroOp(MicroOpcode.CONSTANT, DType.I1, (), 1.0),) and truth.result == 0
    x, y = arith.ConstantOp(FloatAttr(2.0, f32)), arith.ConstantOp(FloatAttr(3.0, f32))
    ops = machine_form(epilogue(x, y, less := arith.CmpfOp(x, y, "ult"), arith.SelectOp(less, x, y))).micro_ops
    assert [o.opcode for o in ops[2:]] == [MicroOpcode.CMPF_ULT, MicroOpcode.SELECT]
    a = arith.ConstantOp(IntegerAttr(2, i32))
    with pytest.raises(IRError, match=r"no arith\.cmpi with predicate 'ult'"):
        machine_form(epilogue(a, arith.CmpiOp(a, a, "ult")))
    z = arith.ConstantOp(FloatAttr(2.0, f32))
    with pytest.raises(IRError, match=r"no operation for math\.cbrt"):
        machine_form(epilogue(z, math.CbrtOp(z)))
    with pytest.raises(IRError, match="kept as a double"):
        machine_form(epilogue(arith.ConstantOp(IntegerAttr((1 << 62) + 1, i64))))


def test_registers_are_let_go_after_their_last_use() -> None:
    """But the result stays, whoever reads it; and what is read twice by one op is let go once."""
    ops = [
        MicroOp(MicroOpcode.ADDF, DType.F32, (0, 1)),
        MicroOp(MicroOpcode.MULF, DType.F32, (2, 2)),
        MicroOp(MicroOpcode.CONSTANT, DType.F32, (), 2.0),
        MicroOp(MicroOpcode.ADDF, DType.F32, (3, 4)),
    ]

    def registers() -> list[torch.Tensor]:
        return [torch.full((1, 1, 3), 3.0), torch.full((1, 1, 1), 4.0)]

    for result, value in enumerate([3.0, 4.0, 7.0, 49.0, 2.0, 51.0]):
        given = registers()
        assert run_epilogue(ops, result, given).flatten()[0].item() == value
        assert [r.numel() > 0 for r in given] == [i in (result, 5) for i in range(6)]
