"""Sums, means and average pools of quantized tensors: integer sums, with the divisor in the scale."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.dialects.nn import shape_of
from swkpu.integers.emitter import Emitter, checked
from swkpu.integers.forms import Affine, Array, Form, scalar
from swkpu.integers.table import Result, integer_rule
from swkpu.lowering.window import window_counts


def summable(e: Emitter, form: Form | None, terms: int) -> Affine | None:
    """A form with one scale, whose integers can be added `terms` at a time."""
    affine = e.affine(form)
    if affine is None:
        return None
    affine = e.uniform(affine)
    if float(affine.limit.max()) * terms >= 2.0**31:
        affine = e.narrowed(affine, 30 - np.log2(terms))
    return affine


def summed(form: Affine, value: SSAValue, terms: int, divisor: float | Array = 1.0) -> Affine:
    """The form of a sum of that many elements, divided."""
    whole = replace(form, value=value, offset=form.offset * terms, limit=scalar(float(form.limit.max()) * terms))
    return replace(whole, scale=form.scale / np.asarray(divisor, np.float64))


@integer_rule(nn.SumOp, nn.MeanOp)
def reduce(e: Emitter, op: nn.SumOp | nn.MeanOp, forms: list[Form | None]) -> Result:
    dims, keepdim = op.reduced
    terms = prod(shape_of(op.input)[d] for d in dims)
    form = summable(e, forms[0], terms)
    if form is None or terms == 0:
        return None
    value = e.emit(nn.SumOp(form.value, dims, keepdim))
    return checked(e, summed(form, value, terms, terms if isinstance(op, nn.MeanOp) else 1))


@integer_rule(nn.AvgPool2dOp, nn.AvgPool3dOp)
def average(e: Emitter, op: nn.AvgPoolOp, forms: list[Form | None]) -> Result:
    """The sum of each window; padding is stored as the zero point, so that every window has as many terms."""
    kernel, stride, padding, _, ceil = op.window
    terms = prod(kernel)
    form = summable(e, forms[0], terms)
    if form is None:
        return None
    if not form.is_stored:
        form = e.settled(form)
    include = bool(op.count_include_pad.value.data)
    pool = type(op)(form.value, kernel, stride, padding, ceil, include, 1)
    counts: Array = window_counts(op).astype(np.float64)
    if (counts == counts.flat[0]).all():
        counts = scalar(counts.flat[0])
    return checked(e, summed(form, e.emit(pool), terms, counts))
