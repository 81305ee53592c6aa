"""Element types of torch tensors in the IR."""

from __future__ import annotations

import torch
from xdsl.dialects.builtin import bf16, f16, f32
from xdsl.ir import Attribute

from swkpu.frontend.table import Unsupported
from swkpu.types import i1, i8, i32, i64

ELEMENTS: dict[torch.dtype, Attribute] = {
    torch.float32: f32,
    torch.float16: f16,
    torch.bfloat16: bf16,
    torch.int64: i64,
    torch.int32: i32,
    torch.int8: i8,
    torch.bool: i1,
}


def element_of(dtype: torch.dtype) -> Attribute:
    """The IR's element type. Raises Unsupported where the KPU has none."""
    if dtype not in ELEMENTS:
        raise Unsupported(f"on {short(dtype)} tensors")
    return ELEMENTS[dtype]


def short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def accepted() -> str:
    return ", ".join(short(dtype) for dtype in ELEMENTS)
