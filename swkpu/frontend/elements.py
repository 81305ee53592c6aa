"""Element types of torch tensors in the IR."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from xdsl.dialects.builtin import bf16, f16, f32
from xdsl.ir import Attribute, SSAValue

from swkpu.dialects import nn
from swkpu.frontend.table import Unsupported
from swkpu.signature import COMPUTED_AS
from swkpu.types import i1, i8, i32, i64

if TYPE_CHECKING:
    from swkpu.frontend.builder import NodeBuilder

_STORED: dict[torch.dtype, Attribute] = {
    torch.float32: f32,
    torch.float16: f16,
    torch.bfloat16: bf16,
    torch.int64: i64,
    torch.int32: i32,
    torch.int8: i8,
    torch.bool: i1,
}
ELEMENTS: dict[torch.dtype, Attribute] = _STORED | {
    getattr(torch, theirs): _STORED[getattr(torch, ours)] for theirs, ours in COMPUTED_AS.items()
}
COMPUTING = (nn.UnaryOp, nn.BinaryOp, nn.CastOp, nn.ReduceOp, nn.CumulativeOp)
"""Ops that may make an integer that their operands' type does not hold."""


def element_of(dtype: torch.dtype) -> Attribute:
    """The IR's element type. Raises Unsupported where the KPU has none."""
    if dtype not in ELEMENTS:
        raise Unsupported(f"on {short(dtype)} tensors")
    return ELEMENTS[dtype]


def within_range(b: NodeBuilder, value: SSAValue, dtype: torch.dtype) -> SSAValue:
    """A value computed as i32 wrapped to the bits of the narrower integer type that torch has."""
    if not isinstance(value.owner, COMPUTING):
        return value
    if dtype in (torch.uint8, torch.uint16):
        return b.op(nn.BitwiseAndOp, value, 0xFF if dtype == torch.uint8 else 0xFFFF)
    if dtype == torch.int16:
        return b.op(nn.ShiftRightOp, b.op(nn.ShiftLeftOp, value, 16), 16)
    return value


def short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def accepted() -> str:
    return ", ".join(short(dtype) for dtype in ELEMENTS)
