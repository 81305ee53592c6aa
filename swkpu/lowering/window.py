"""Pools to reductions over a window."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce as fold
from typing import Any

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import shape_of, type_of
from swkpu.lowering.contraction import KERNEL_NAMES, OUTPUT_NAMES
from swkpu.lowering.movement import taken
from swkpu.lowering.resize import applied
from swkpu.lowering.structure import Emit, affine, constant, inline_constant, region, yield_accumulator, zero_of
from swkpu.lowering.table import lowering


def _pool(
    op: nn.PoolOp, combiner: str, extras: Sequence[tuple[SSAValue, AffineMap]], emit: Emit, pad: float
) -> df.RecurrenceOp:
    kernel, stride, padding, dilation, _ = op.window
    n, c, *out = shape_of(op.result)
    outputs, taps = OUTPUT_NAMES[len(out)], KERNEL_NAMES[len(out)]
    domain = Domain(("n", *outputs, "c", *taps), (n, *out, c, *kernel), 2 + len(out))
    d = {name: AffineExpr.dimension(i) for i, name in enumerate(domain.names)}
    at = [d[o] * s + d[k] * step - b for o, k, s, step, b in zip(outputs, taps, stride, dilation, padding[::2])]
    x = affine(domain.rank, [d["n"], d["c"], *at])
    y = affine(domain.rank, [d["n"], d["c"], *(d[o] for o in outputs)])
    types = [type_of(op.result).element_type, *(type_of(v).element_type for v, _ in extras)]
    return df.RecurrenceOp(domain, combiner, [(op.input, x)], extras, y, region(types, emit), type_of(op.result), [pad])


@lowering(nn.MaxPool2dOp, nn.MaxPool3dOp)
def lower_max_pool(op: nn.MaxPoolOp) -> list[Operation]:
    return [_pool(op, "max", [], yield_accumulator, -np.inf)]


def _window_counts(
    size: int, out: int, kernel: int, stride: int, before: int, after: int, include_pad: bool
) -> np.ndarray[Any, Any]:
    """How many elements of each window count in an average: those in the input, or in the padded input."""
    start = np.arange(out) * stride - before
    end = np.minimum(start + kernel, size + after)
    if not include_pad:
        start, end = np.maximum(start, 0), np.minimum(end, size)
    return end - start


def window_counts(op: nn.AvgPoolOp) -> np.ndarray[Any, Any]:
    """By what the sum of each window is divided: an array over the result's spatial dims."""
    kernel, stride, padding, _, _ = op.window
    sizes, out = shape_of(op.input)[2:], shape_of(op.result)[2:]
    include = bool(op.count_include_pad.value.data)
    each = [
        _window_counts(s, o, k, step, before, after, include)
        for s, o, k, step, before, after in zip(sizes, out, kernel, stride, padding[::2], padding[1::2])
    ]
    counts = fold(np.multiply.outer, each)
    return counts if op.divisor is None else np.full_like(counts, op.divisor.value.data)


@lowering(nn.AvgPool2dOp, nn.AvgPool3dOp)
def lower_avg_pool(op: nn.AvgPoolOp) -> list[Operation]:
    counts = window_counts(op)
    if (counts == counts.flat[0]).all():
        factor = 1.0 / float(counts.flat[0])
        if factor == 1.0:
            return [_pool(op, "add", [], yield_accumulator, zero_of(op.input))]
        return [_pool(op, "add", [], lambda b, a: b.insert(arith.MulfOp(a[0], constant(b, factor))).result, 0.0)]
    reciprocal = inline_constant((1.0 / counts).astype(np.float32), TensorType(f32, counts.shape))
    spatial = counts.ndim
    places = [AffineExpr.dimension(1 + i) for i in range(spatial)]
    extras = [(reciprocal.result, affine(2 + 2 * spatial, places))]
    return [reciprocal, _pool(op, "add", extras, lambda b, a: b.insert(arith.MulfOp(a[0], a[1])).result, 0.0)]


@lowering(nn.AdaptiveAvgPool2dOp, nn.AdaptiveAvgPool3dOp)
def lower_adaptive_avg_pool(op: nn.AdaptivePoolOp) -> list[Operation]:
    """A mean over windows of unequal size is a matrix along each dim."""
    matrices: list[np.ndarray[Any, Any]] = []
    for size, windows in zip(shape_of(op.input)[2:], op.windows):
        matrix = np.zeros((len(windows), size), np.float32)
        for i, (start, end) in enumerate(windows):
            matrix[i, start:end] = 1.0 / (end - start)
        matrices.append(matrix)
    return applied(op.input, matrices)


@lowering(nn.AdaptiveMaxPool2dOp, nn.AdaptiveMaxPool3dOp)
def lower_adaptive_max_pool(op: nn.AdaptivePoolOp) -> list[Operation]:
    """Along each dim the elements of every window side by side (the last repeated where one is shorter), then the
    maximum over them.
    """
    ops: list[Operation] = []
    value = op.input
    for dim, windows in enumerate(op.windows, start=2):
        longest = max(end - start for start, end in windows)
        index = np.array([[min(start + j, end - 1) for j in range(longest)] for start, end in windows], np.int32)
        ops += taken(value, dim, index)
        ops.append(_max_over(ops[-1].results[0], dim + 1))
        value = ops[-1].results[0]
    return ops


def _max_over(value: SSAValue, dim: int) -> df.RecurrenceOp:
    shape, element = shape_of(value), type_of(value).element_type
    kept = [d for d in range(len(shape)) if d != dim]
    domain = Domain((*(f"d{d}" for d in kept), "k"), (*(shape[d] for d in kept), shape[dim]), len(kept))
    at = {d: AffineExpr.dimension(i) for i, d in enumerate((*kept, dim))}
    read = affine(domain.rank, [at[d] for d in range(len(shape))])
    written = affine(domain.rank, [at[d] for d in kept])
    result = TensorType(element, [shape[d] for d in kept])
    body = region([element], yield_accumulator)
    return df.RecurrenceOp(domain, "max", [(value, read)], [], written, body, result)
