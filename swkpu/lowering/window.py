"""Pools to reductions over a window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineMap

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import shape_of, type_of
from swkpu.lowering.structure import (
    Emit,
    affine,
    constant,
    dims,
    inline_constant,
    region,
    yield_accumulator,
)
from swkpu.lowering.table import lowering


def _pool(
    op: nn.MaxPool2dOp | nn.AvgPool2dOp,
    combiner: str,
    extras: Sequence[tuple[SSAValue, AffineMap]],
    emit: Emit,
    pad: float,
) -> df.RecurrenceOp:
    (kh, kw), (sh, sw), (top, _, left, _), (dh, dw), _ = op.window
    n, c, oh, ow = shape_of(op.result)
    domain = Domain(("n", "oh", "ow", "c", "kh", "kw"), (n, oh, ow, c, kh, kw), 4)
    dn, dh_, dw_, dc, dkh, dkw = dims(6)
    x = affine(6, [dn, dc, dh_ * sh + dkh * dh - top, dw_ * sw + dkw * dw - left])
    types = [type_of(op.result).element_type, *(type_of(v).element_type for v, _ in extras)]
    inputs = [(op.input, x)]
    return df.RecurrenceOp(
        domain, combiner, inputs, extras, affine(6, [dn, dc, dh_, dw_]), region(types, emit), type_of(op.result), [pad]
    )


@lowering(nn.MaxPool2dOp)
def lower_max_pool2d(op: nn.MaxPool2dOp) -> list[Operation]:
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


@lowering(nn.AvgPool2dOp)
def lower_avg_pool2d(op: nn.AvgPool2dOp) -> list[Operation]:
    (kh, kw), (sh, sw), (top, bottom, left, right), _, _ = op.window
    _, _, h, w = shape_of(op.input)
    _, _, oh, ow = shape_of(op.result)
    include = bool(op.count_include_pad.value.data)
    rows = _window_counts(h, oh, kh, sh, top, bottom, include)
    cols = _window_counts(w, ow, kw, sw, left, right, include)
    counts = rows[:, None] * cols[None, :]
    if op.divisor is not None:
        counts = np.full_like(counts, op.divisor.value.data)

    if (counts == counts.flat[0]).all():
        factor = 1.0 / float(counts.flat[0])
        return [_pool(op, "add", [], lambda b, a: b.insert(arith.MulfOp(a[0], constant(b, factor))).result, 0.0)]
    reciprocal = inline_constant((1.0 / counts).astype(np.float32), TensorType(f32, counts.shape))
    _, dh_, dw_, _, _, _ = dims(6)
    extras = [(reciprocal.result, affine(6, [dh_, dw_]))]
    out: list[Operation] = [reciprocal]
    return [*out, _pool(op, "add", extras, lambda b, a: b.insert(arith.MulfOp(a[0], a[1])).result, 0.0)]
