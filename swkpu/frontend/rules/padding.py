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
        if low or high:
            x = _circular(b, x, dim, low, high) if mode == "circular" else _mirrored(b, x, dim, low, high, mode)
    return x


def _circular(b: NodeBuilder, x: SSAValue, dim: int, low: int, high: int) -> SSAValue:
    size = nn.shape_of(x)[dim]
    kept = (max(0, -low), size - max(0, -low) - max(0, -high))
    parts = [(kept[0] + kept[1] - max(0, low), max(0, low)), kept, (kept[0], max(0, high))]
    return b.concat([b.slice(x, dim, start, count) for start, count in parts if count], dim)


def _mirrored(b: NodeBuilder, x: SSAValue, dim: int, low: int, high: int, mode: str) -> SSAValue:
    """Elements chosen by where they are beyond the ends: the end itself, or as far before it."""
    last = nn.shape_of(x)[dim] - 1
    places = np.arange(-low, last + 1 + high)
    places = np.clip(places, 0, last) if mode == "replicate" else last - np.abs(last - np.abs(places))
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
