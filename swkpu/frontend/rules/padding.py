"""Borders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, Scalar
from swkpu.frontend.rules.indexing import take
from swkpu.frontend.table import rule

aten = torch.ops.aten

_NUMPY = {"reflect": "reflect", "replicate": "edge"}
"""numpy's names of torch's modes."""


@rule(aten.pad.default)
def pad(
    b: NodeBuilder, x: SSAValue, padding: Sequence[int], mode: str = "constant", value: Scalar | None = None
) -> SSAValue:
    """nn.pad; nn.take of each dim for reflect and replicate; nn.slice and nn.concat for circular"""
    if mode == "constant":
        return constant_pad(b, x, padding, value or 0)
    rank = len(nn.shape_of(x))
    for i, (low, high) in enumerate(zip(padding[::2], padding[1::2])):
        dim = rank - 1 - i
        size = nn.shape_of(x)[dim]
        if low < 0 or high < 0:
            low_cut, high_cut = max(0, -low), max(0, -high)
            x = b.slice(x, dim, low_cut, size - low_cut - high_cut)
            low, high, size = max(0, low), max(0, high), nn.shape_of(x)[dim]
        x = _border(b, x, dim, size, low, high, mode) if low or high else x
    return x


def _border(b: NodeBuilder, x: SSAValue, dim: int, size: int, low: int, high: int, mode: str) -> SSAValue:
    if mode == "circular":
        parts = [(size - low, low), (0, size), (0, high)]
        return b.concat([b.slice(x, dim, start, count) for start, count in parts if count], dim)
    places = np.pad(np.arange(size), (low, high), mode=_NUMPY[mode])  # pyright: ignore[reportCallIssue, reportArgumentType]
    return take(b, x, b.constant(places), dim)


@rule(aten.constant_pad_nd.default)
def constant_pad(b: NodeBuilder, x: SSAValue, padding: Sequence[int], value: Scalar = 0) -> SSAValue:
    """nn.pad; nn.slice where the padding is negative"""
    rank = len(nn.shape_of(x))
    low, high = [0] * rank, [0] * rank
    for i, (before, after) in enumerate(zip(padding[::2], padding[1::2])):
        low[rank - 1 - i], high[rank - 1 - i] = before, after
    starts, ends = [max(0, -p) for p in low], [max(0, -p) for p in high]
    if any(starts) or any(ends):
        sizes = [s - a - e for s, a, e in zip(nn.shape_of(x), starts, ends)]
        low, high = [max(0, p) for p in low], [max(0, p) for p in high]
        if min(sizes) < 1:  # the whole input is cut off
            return b.filled(b.shape, value, b.element)
        x = b.emit(nn.SliceOp(x, starts, sizes, [1] * rank))
    return b.emit(nn.PadOp(x, low, high, value)) if any(low) or any(high) else x
