"""TABLE from the df op down."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from xdsl.dialects.builtin import f32
from xdsl.ir import Block, Operation, Region
from xdsl.utils.exceptions import VerifyException

from swkpu.dialects import df
from swkpu.dialects.epilogue import machine_form
from swkpu.dialects.weights import WeightAttr, WeightRef
from swkpu.errors import IRError, ProgramError
from swkpu.program.assembly import fields_text
from swkpu.program.check_fabric import check_fabric, check_types
from swkpu.program.codec import decode, encode
from swkpu.program.dtypes import DType
from swkpu.program.micro_ops import MicroOpcode
from swkpu.program.model import Access, Combiner, Dataflow, FabricProgram, MicroOp
from swkpu.sim.epilogue import run_epilogue
from swkpu.types import i8, i32, numpy_dtype

TYPES = {DType.I8: i8, DType.I32: i32, DType.F32: f32}


def entries(dtype: DType) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(1)
    if dtype.is_float:
        return generator.standard_normal(256).astype(np.float32)
    low, high = dtype.integer_range
    return generator.integers(low, high, 256, endpoint=True).astype(numpy_dtype(dtype))


def look_ups(*tables: tuple[np.ndarray[Any, Any], DType]) -> Region:
    """An epilogue that looks an i8 up in each table and yields the last result."""
    block = Block(arg_types=[i8])
    op: Operation | None = None
    for array, dtype in tables:
        block.add_op(op := df.TableOp(block.args[0], WeightAttr.from_array(array), TYPES[dtype]))
    assert op is not None
    block.add_op(df.YieldOp(op))
    return Region(block)


@pytest.mark.parametrize("dtype", TYPES)
def test_every_entry(dtype: DType) -> None:
    table = entries(dtype)
    form = machine_form(look_ups((table, dtype)))
    assert form.micro_ops == (MicroOp(MicroOpcode.TABLE, dtype, (0,), integers=(0,)),)
    x = torch.arange(-128, 128, dtype=torch.int8).reshape(1, 2, 16, 8)
    result = run_epilogue(form.micro_ops, form.result, [x], form.tables)
    np.testing.assert_array_equal(result.numpy(), table.reshape(1, 2, 16, 8))
    # A view: every third value, in another order.
    part = x.transpose(2, 3)[..., ::3]
    result = run_epilogue(form.micro_ops, form.result, [part], form.tables)
    np.testing.assert_array_equal(result.numpy(), table[part.numpy().astype(int) + 128])


def test_equal_tables_are_stored_once() -> None:
    a, b = entries(DType.I8), entries(DType.I32)
    form = machine_form(look_ups((a, DType.I8), (b, DType.I32), (a.copy(), DType.I8)))
    assert form.tables == (a.tobytes(), b.astype("<i4").tobytes())
    assert [op.integers for op in form.micro_ops] == [(0,), (1,), (0,)]


def test_a_table_that_is_missing_or_another() -> None:
    block = Block(arg_types=[i8])
    block.add_ops([op := df.TableOp(block.args[0], WeightAttr(WeightRef("net", "gelu")), i8), df.YieldOp(op)])
    with pytest.raises(IRError, match='weight "gelu" of "net" is not available'):
        machine_form(Region(block))
    short = look_ups((np.zeros(255, np.int8), DType.I8))
    with pytest.raises(IRError, match=r"int8 of shape \(255,\), but the IR declares int8 of shape \(256,\)"):
        machine_form(short)
    with pytest.raises(VerifyException, match=re.escape("a table to i32 is int32 of shape (256,), got int8 of")):
        look_ups((entries(DType.I8), DType.I32)).block.first_op.verify()  # pyright: ignore[reportOptionalMemberAccess]


# ---- what a file may say --------------------------------------------------------------------------------------------

ACCESS = Access(())
GOOD = FabricProgram(
    "f", ("a",), 1, 0, (ACCESS, ACCESS), Combiner.NONE, DType.I8,
    (MicroOp(MicroOpcode.TABLE, DType.I8, (0,), integers=(0,)),), 1, (), (), Dataflow.OS, (bytes(range(256)),),
)  # fmt: skip


def checked(fabric: FabricProgram) -> None:
    check_fabric(fabric, "fabric program 0")
    check_types(fabric, (DType.I8, fabric.micro_ops[0].dtype))


def test_what_the_loader_refuses() -> None:
    checked(GOOD)
    [op] = GOOD.micro_ops
    for number in (-1, 1):
        with pytest.raises(ProgramError, match=rf"micro-op 0 \(table\): table {number}, and there are 1"):
            checked(replace(GOOD, micro_ops=(replace(op, integers=(number,)),)))
    with pytest.raises(ProgramError, match="0 integers, expected table"):
        checked(replace(GOOD, micro_ops=(replace(op, integers=()),)))
    with pytest.raises(ProgramError, match="table 0 has 255 bytes, expected 256: 256 of i8"):
        checked(replace(GOOD, tables=(bytes(255),)))
    with pytest.raises(ProgramError, match="table 0 has 256 bytes, expected 1024: 256 of f32"):
        checked(replace(GOOD, micro_ops=(replace(op, dtype=DType.F32),)))
    with pytest.raises(ProgramError, match="no table from i8 to bf16"):
        checked(replace(GOOD, micro_ops=(replace(op, dtype=DType.BF16),), tables=(bytes(512),)))


def test_tables_in_the_binary_and_in_the_text() -> None:
    data = encode(GOOD, FabricProgram)
    assert decode(data, FabricProgram) == GOOD and bytes(range(256)) in data
    assert f'tables=[x"{bytes(range(256)).hex()}"]' in fields_text(GOOD)
    without = replace(GOOD, tables=(), micro_ops=(), result=0)
    assert "tables" not in fields_text(without)
