"""Softmax, norms and attention: sums are of integers, and so the same in any order; the rest is elementwise f32."""

from __future__ import annotations

from math import ceil, log2, prod
from typing import Any

import numpy as np
from xdsl.dialects.builtin import f32
from xdsl.ir import Operation, SSAValue

from swkpu.dialects import nn
from swkpu.dialects.nn import QuantizedType, shape_of
from swkpu.integers.emitter import Emitter
from swkpu.integers.forms import Affine, Array, Form
from swkpu.integers.table import Result, integer_rule
from swkpu.types import i32

POWER = QuantizedType.of(1 / 255, -128)
"""Powers of attention, 0 to 1: the largest of a row is 1, so that all 8 bits are used whatever its sum."""
LARGEST = float(np.finfo(np.float32).max)


class Floats:
    """f32 arithmetic on tensors, as ops."""

    def __init__(self, e: Emitter):
        self.e = e

    def __call__(self, operation: Any, *arguments: SSAValue | float | Array) -> SSAValue:
        values = [a if isinstance(a, SSAValue) else self.number(a) for a in arguments]
        return self.e.emit(operation(*values))

    def number(self, value: float | Array) -> SSAValue:
        return self.e.constant(np.asarray(value, np.float32))

    def of(self, integers: SSAValue) -> SSAValue:
        return self.e.emit(nn.CastOp(integers, f32))


# ---- softmax and attention -----------------------------------------------------------------------------------------


@integer_rule(nn.SoftmaxOp, always=True)
def softmax(e: Emitter, op: nn.SoftmaxOp, forms: list[Form | None]) -> Result:
    """Powers of e below the row's maximum, in steps fine enough that their sum just fits 31 bits."""
    f, form = Floats(e), forms[0]
    x, dim = op.input if form is None else e.real(form), op.along
    powers = f(nn.ExpOp, f(nn.SubOp, x, e.emit(nn.MaxOp(x, (dim,), True))))
    bits = min(23, 30 - ceil(log2(shape_of(x)[dim])))
    steps = e.emit(nn.QuantizeOp(powers, QuantizedType.of(2.0**-bits, 0, 32)))
    total = e.emit(nn.SumOp(steps, (dim,), True))
    return f(nn.DivOp, f.of(e.rescaled(steps, np.asarray(1.0))), f.of(total))


@integer_rule(nn.SdpaOp)
def attention(e: Emitter, op: nn.SdpaOp, forms: list[Form | None]) -> Result:
    """p = exp(scores - max) as 8-bit integers, Σ p v / Σ p: divided by the sum of what was multiplied."""
    q, k, v = forms[:3]
    if not all(isinstance(x, Affine) and x.is_stored and not x.offset.any() for x in (q, k, v)):
        return None
    assert isinstance(q, Affine) and isinstance(k, Affine) and isinstance(v, Affine)
    f, rank = Floats(e), len(shape_of(op.key))
    turned = e.emit(nn.PermuteOp(k.value, (*range(rank - 2), rank - 1, rank - 2)))
    product = e.emit(nn.MatmulOp(q.value, turned))
    scores = f(nn.MulOp, f.of(product), q.scale * k.scale * op.scale.value.data)
    if op.mask is not None:
        scores = f(nn.AddOp, scores, op.mask)
    if op.is_causal:
        hidden = np.triu(np.full(shape_of(scores)[-2:], -np.inf, np.float32), 1)
        scores = f(nn.AddOp, scores, hidden)
    dim = len(shape_of(scores)) - 1
    largest = f(nn.MaximumOp, e.emit(nn.MaxOp(scores, (dim,), True)), -LARGEST)
    powers = e.emit(nn.QuantizeOp(f(nn.ExpOp, f(nn.SubOp, scores, largest)), POWER))
    keys = shape_of(scores)[dim]
    total = e.emit(nn.AddOp(e.emit(nn.SumOp(powers, (dim,), True)), e.integers(np.asarray([128 * keys]))))
    columns = e.emit(nn.SumOp(v.value, (rank - 2,), True))
    weighted = e.emit(nn.MatmulOp(powers, v.value))
    weighted = e.emit(nn.AddOp(weighted, e.emit(nn.MulOp(columns, e.integers(np.asarray([128]))))))
    scaled = f(nn.MulOp, f.of(weighted), v.scale)
    return f(nn.DivOp, scaled, f.of(e.emit(nn.MaximumOp(total, e.integers(np.asarray([1]))))))


# ---- norms ---------------------------------------------------------------------------------------------------------


@integer_rule(nn.LayerNormOp, nn.RmsNormOp)
def trailing_norm(e: Emitter, op: nn.TrailingNormOp, forms: list[Form | None]) -> Result:
    rank, count = len(shape_of(op.input)), op.dims.value.data
    dims = tuple(range(rank - count, rank))
    normalized = _normalized(e, forms[0], dims, op.eps.value.data, isinstance(op, nn.LayerNormOp))
    return None if normalized is None else _with_parameters(e, op, normalized, op.weight, op.bias)


@integer_rule(nn.GroupNormOp)
def group_norm(e: Emitter, op: nn.GroupNormOp, forms: list[Form | None]) -> Result:
    form = e.affine(forms[0])
    if form is None:
        return None
    form, shape, groups = e.uniform(form), shape_of(op.input), op.groups.value.data
    rows = e.emit(nn.ReshapeOp(form.value, (shape[0], groups, prod(shape[1:]) // groups)))
    normalized = _normalized(e, Affine(rows, form.scale, form.offset, form.limit), (2,), op.eps.value.data, True)
    if normalized is None:
        return None
    whole = e.emit(nn.ReshapeOp(normalized, shape))
    column = (shape[1], *(1,) * (len(shape) - 2))
    weight, bias = (None if v is None else e.emit(nn.ReshapeOp(v, column)) for v in (op.weight, op.bias))
    return _with_parameters(e, op, whole, weight, bias)


def _with_parameters(
    e: Emitter, op: Operation, value: SSAValue, weight: SSAValue | None, bias: SSAValue | None
) -> SSAValue:
    if weight is not None:
        value = e.emit(nn.MulOp(value, weight))
    return value if bias is None else e.emit(nn.AddOp(value, bias))


def _normalized(e: Emitter, form: Form | None, dims: tuple[int, ...], eps: float, centre: bool) -> SSAValue | None:
    """(x - mean) / sqrt(variance + eps), or without the mean.

    With x = s v, m the integer nearest to the mean of v and c = v - m: the variance is s² (Σc²/n - (mean - m)²), where
    both sums are of integers. Squares are cut to as many bits as the sum has room for.
    """
    affine = e.affine(form)
    if affine is None:
        return None
    affine, f = e.uniform(affine), Floats(e)
    count = prod(affine.shape[d] for d in dims)
    if float(affine.limit.max()) * max(2, count) >= 2.0**31:
        affine = e.narrowed(affine, 30 - log2(max(2, count)))
    values = e.centred(affine)
    rest: SSAValue | None = None
    if centre:
        total = e.emit(nn.SumOp(values, dims, True))
        mean = e.emit(nn.CastOp(f(nn.RoundOp, f(nn.MulOp, f.of(total), 1 / count)), i32))
        left = e.emit(nn.SubOp(total, e.emit(nn.MulOp(mean, e.integers(np.asarray([count]))))))
        rest = f(nn.MulOp, f.of(left), 1 / count)
        values = e.emit(nn.SubOp(values, mean))
    largest = float(affine.limit.max()) * (2 if centre else 1)
    cut = max(0, ceil(log2(max(largest, 1)) - 15.5))  # so that one square fits
    cut = max(cut, ceil((2 * log2(max(largest, 1)) + log2(count) - 30.9) / 2))
    narrow = values if cut == 0 else e.rescaled(values, np.asarray(2.0**-cut))
    squares = e.emit(nn.SumOp(e.emit(nn.MulOp(narrow, narrow)), dims, True))
    variance = f(nn.MulOp, f.of(squares), 4.0**cut / count)
    if rest is not None:
        variance = f(nn.SubOp, variance, f(nn.MulOp, rest, rest))
    scale = affine.scale.item()
    deviation = f(nn.SqrtOp, f(nn.AddOp, f(nn.MulOp, variance, scale * scale), eps))
    factor = f(nn.DivOp, scale, deviation)
    numerator = f.of(values) if rest is None else f(nn.SubOp, f.of(values), rest)
    return f(nn.MulOp, numerator, factor)
