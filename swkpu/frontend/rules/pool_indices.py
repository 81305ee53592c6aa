"""Where in the image a max pool found its elements: the largest of each window's elements, by number."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod

import numpy as np
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder
from swkpu.types import dtype_of, is_float, numpy_dtype

Windows = Sequence[Sequence[int]]
"""The elements of each window along one dim."""


def pool_windows(op: nn.MaxPoolOp) -> list[Windows]:
    kernel, stride, padding, dilation, _ = op.window
    out: list[Windows] = []
    for i, (size, count) in enumerate(zip(nn.shape_of(op.input)[2:], nn.shape_of(op.result)[2:])):
        starts = [n * stride[i] - padding[2 * i] for n in range(count)]
        places = [[s + k * dilation[i] for k in range(kernel[i])] for s in starts]
        out.append([[p for p in window if 0 <= p < size] for window in places])
    return out


def adaptive_windows(size: Sequence[int], out: Sequence[int]) -> list[Windows]:
    return [[range(i * s // o, -(-(i + 1) * s // o)) for i in range(o)] for s, o in zip(size, out)]


def indices_of_max(b: NodeBuilder, x: SSAValue, windows: Sequence[Windows]) -> SSAValue:
    """The flat number of the largest element of each window of an N, C, spatial... input."""
    n, c, *sizes = nn.shape_of(x)
    table = _table(windows, sizes)
    outs = [len(w) for w in windows]
    element = nn.type_of(x).element_type
    least = -inf if is_float(element) else np.iinfo(numpy_dtype(dtype_of(element))).min
    taken = b.emit(nn.TakeOp(b.reshape(x, (n, c, prod(sizes))), b.constant(np.maximum(table, 0)), 2))
    if (table < 0).any():
        taken = b.emit(nn.WhereOp(b.constant(table >= 0), taken, b.scalar(least, element)))
    largest = b.emit(nn.ArgMaxOp(taken, 3, True))
    places = b.expand(b.constant(table), (n, c, *table.shape))
    return b.reshape(b.emit(nn.GatherOp(places, largest, 3)), (n, c, *outs))


def _table(windows: Sequence[Windows], sizes: Sequence[int]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """The elements of each window as flat numbers, one row per window, filled up with -1."""
    rows = np.zeros((1, 1), dtype=np.int64)
    for dim, size in zip(windows, sizes):
        wide = max(len(w) for w in dim)
        own = np.array([[*w, *[-1] * (wide - len(w))] for w in dim], dtype=np.int64)
        joined = rows[:, None, :, None] * size + own[None, :, None, :]
        joined[np.broadcast_to((rows < 0)[:, None, :, None] | (own < 0)[None, :, None, :], joined.shape)] = -1
        rows = joined.reshape(len(rows) * len(own), rows.shape[1] * wide)
    return rows
