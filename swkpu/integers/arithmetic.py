"""Sums, differences, products, clamps and choices of quantized tensors, at a scale that both operands share."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isqrt
from typing import Any

import numpy as np

from swkpu.dialects import nn
from swkpu.integers.emitter import FACTOR_BITS, SUM_BITS, Emitter, checked, constant_of
from swkpu.integers.forms import Affine, Array, Form, scalar
from swkpu.integers.functions import tabulated
from swkpu.integers.table import Result, integer_rule

OFFSET_LIMIT = 2.0**30
"""Integer constants that are added stay below this; farther ones (a mask's) saturate."""
MASK = -1e6
"""A constant below this only says that nothing above it may win: it saturates."""


# ---- by a constant -------------------------------------------------------------------------------------------------


def shifted(e: Emitter, form: Affine, constant: Array) -> Affine | None:
    """The float plus a constant."""
    if form.is_clamped:
        form = e.settled(form)
    if constant.size > form.offset.size and constant.size > form.scale.size and form.scale.size > 1:
        form = e.uniform(form)
    if (np.nan_to_num(constant, nan=inf) > -MASK).any():
        return None
    if (constant < MASK).any():
        form = e.narrowed(form, FACTOR_BITS + 8)
    elif (np.abs(constant) > OFFSET_LIMIT / 4 * form.scale).any():
        form = e.at_scale(form, np.maximum(form.scale, np.abs(constant) / (OFFSET_LIMIT / 8)))
    steps = np.clip(constant / form.scale, -OFFSET_LIMIT, OFFSET_LIMIT)
    offset, limit = form.offset + steps, form.limit + np.abs(steps)
    return checked(e, replace(form, offset=_smallest(offset), limit=_smallest(limit)))


def scaled(e: Emitter, form: Affine, factor: Array) -> Affine | None:
    """The float times a constant. A negative factor turns the integers round; 0 makes them 0."""
    if not np.isfinite(factor).all():
        return None
    if (factor > 0).all():
        if form.is_clamped and factor.size > 1:
            form = e.settled(form)
        ends = (form.low * factor.item(), form.high * factor.item()) if form.is_clamped else (-inf, inf)
        return replace(form, scale=_smallest(form.scale * factor), low=ends[0], high=ends[1])
    form = e.settled(form)
    value = e.emit(nn.MulOp(form.value, e.integers(np.sign(factor))))
    size = np.where(factor == 0, 1.0, np.abs(factor))
    return replace(form, value=value, scale=_smallest(form.scale * size))


def _smallest(array: Array) -> Array:
    """The array with dims of extent 1 at the front dropped, as they broadcast anyway."""
    while array.ndim and array.shape[0] == 1:
        array = array[0]
    return np.asarray(array)


# ---- two tensors ---------------------------------------------------------------------------------------------------


def at_one_scale(e: Emitter, a: Affine, b: Affine) -> tuple[Affine, Affine]:
    """Both as i32 in steps that hold the largest sum."""
    scale = scalar(float(a.reach.max() + b.reach.max()) / 2**SUM_BITS)
    return e.at_scale(a, scale), e.at_scale(b, scale)


@integer_rule(nn.AddOp)
def add(e: Emitter, op: nn.AddOp, forms: list[Form | None]) -> Result:
    return tabulated(op, forms, wide=False) or _sum(e, op, forms, 1)


@integer_rule(nn.SubOp)
def subtract(e: Emitter, op: nn.SubOp, forms: list[Form | None]) -> Result:
    return tabulated(op, forms, wide=False) or _sum(e, op, forms, -1)


def _sum(e: Emitter, op: nn.AddOp | nn.SubOp, forms: list[Form | None], sign: int) -> Affine | None:
    left, right = (constant_of(v) for v in op.operands)
    a, b = (e.affine(f) for f in forms)
    if a is not None and right is not None:
        return _fits(op, right) and shifted(e, a, sign * right)
    if b is not None and left is not None:
        turned = scaled(e, b, scalar(sign))
        return _fits(op, left) and turned and shifted(e, turned, left)
    if a is None or b is None:
        return None
    a, b = at_one_scale(e, a, b)
    return checked(e, replace(a, value=e.emit(type(op)(a.value, b.value)), limit=_limits(a, b)))


def _fits(op: Any, constant: Array) -> Any:
    """Whether the tensor operand has the result's shape: True, or None where it is the one that broadcasts."""
    result = nn.shape_of(op.result)
    return True if any(nn.shape_of(v) == result and constant_of(v) is None for v in op.operands) else None


def _limits(a: Affine, b: Affine) -> Array:
    return scalar(float(a.limit.max() + b.limit.max()))


@integer_rule(nn.MulOp)
def multiply(e: Emitter, op: nn.MulOp, forms: list[Form | None]) -> Result:
    if (table := tabulated(op, forms, wide=False)) is not None:
        return table
    left, right = (constant_of(v) for v in op.operands)
    a, b = (e.affine(f) for f in forms)
    for form, constant in ((a, right), (b, left)):
        if form is not None and constant is not None:
            return _fits(op, constant) and scaled(e, form, constant)
    if a is None or b is None:
        return None
    a, b = (e.settled(f) if f.is_clamped or float(f.limit.max()) < 2**FACTOR_BITS else f for f in (a, b))
    room = isqrt(2**30)
    if float(a.limit.max()) * float(b.limit.max()) >= 2.0**30:
        small, large = sorted((a, b), key=lambda f: float(f.limit.max()))
        bits = np.log2(2.0**30 / min(float(small.limit.max()), room)) - 0.01
        small, large = e.narrowed(small, 15), e.narrowed(large, bits)
        a, b = (small, large) if a.limit.max() <= b.limit.max() else (large, small)
    else:
        a, b = e.settled(a), e.settled(b)
    value = e.emit(nn.MulOp(a.value, b.value))
    return checked(e, Affine(value, a.scale * b.scale, scalar(0), a.limit * b.limit))


@integer_rule(nn.DivOp)
def divide(e: Emitter, op: nn.DivOp, forms: list[Form | None]) -> Result:
    if (table := tabulated(op, forms, wide=False)) is not None:
        return table
    divisor, a = constant_of(op.rhs), e.affine(forms[0])
    if divisor is None or a is None or (divisor == 0).any():
        return None
    return _fits(op, divisor) and scaled(e, a, 1.0 / divisor)


@integer_rule(nn.NegOp)
def negate(e: Emitter, op: nn.NegOp, forms: list[Form | None]) -> Result:
    if (table := tabulated(op, forms)) is not None:
        return table
    form = e.affine(forms[0])
    return None if form is None else scaled(e, form, scalar(-1))


@integer_rule(nn.MaximumOp, nn.MinimumOp)
def select(e: Emitter, op: nn.MaximumOp | nn.MinimumOp, forms: list[Form | None]) -> Result:
    if (table := tabulated(op, forms)) is not None:
        return table
    a, b = (e.affine(f) for f in forms)
    for form, value in ((a, op.rhs), (b, op.lhs)):
        constant = constant_of(value)
        if form is not None and constant is not None and constant.size == 1 and _fits(op, constant):
            bound = constant.item()
            return form.clamped(bound, inf) if isinstance(op, nn.MaximumOp) else form.clamped(-inf, bound)
    if a is None or b is None:
        return None
    a, b = at_one_scale(e, a, b)
    return replace(a, value=e.emit(type(op)(a.value, b.value)), limit=_limits(a, b))


# ---- clamps --------------------------------------------------------------------------------------------------------


@integer_rule(nn.ReluOp)
def relu(e: Emitter, op: nn.ReluOp, forms: list[Form | None]) -> Result:
    form = forms[0]
    return form.clamped(0.0, inf) if isinstance(form, Affine) else tabulated(op, forms)


@integer_rule(nn.ClampOp)
def clamp(e: Emitter, op: nn.ClampOp, forms: list[Form | None]) -> Result:
    form = forms[0]
    if not isinstance(form, Affine):
        return tabulated(op, forms)
    low, high = (None if bound is None else bound.value.data for bound in (op.min, op.max))
    return form.clamped(-inf if low is None else low, inf if high is None else high)


@integer_rule(nn.BatchNormOp)
def batch_norm(e: Emitter, op: nn.BatchNormOp, forms: list[Form | None]) -> Result:
    """A batch norm that did not fold is a factor and an addend per channel."""
    weight, bias, mean, variance = (constant_of(v) for v in op.operands[1:])
    form = e.affine(forms[0])
    if form is None or weight is None or bias is None or mean is None or variance is None:
        return None
    shape = (-1, *(1,) * (len(form.shape) - 2))
    factor = weight / np.sqrt(variance + op.eps.value.data)
    turned = scaled(e, form, factor.reshape(shape))
    return turned and shifted(e, turned, (bias - mean * factor).reshape(shape))
