"""Borders. torch turns reflected, replicated and circular ones into indices and slices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, Scalar
from swkpu.frontend.table import rule

aten = torch.ops.aten


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
