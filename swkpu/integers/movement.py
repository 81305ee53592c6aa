"""Operators that only pick or move elements: the same on integers, where all of them have one scale."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, i64
from xdsl.ir import Operation

from swkpu.dialects import nn
from swkpu.dialects.nn import QuantizedType, quantized_type_of, type_of
from swkpu.integers.emitter import Emitter
from swkpu.integers.forms import Affine, Form, Lookup, stored
from swkpu.integers.table import Result, integer_rule

_OF_ONE = (
    *(nn.MaxPool2dOp, nn.MaxPool3dOp, nn.AdaptiveMaxPool2dOp, nn.AdaptiveMaxPool3dOp),
    *(nn.MaxOp, nn.MinOp, nn.CumMaxOp, nn.CumMinOp),
    *(nn.ReshapeOp, nn.PermuteOp, nn.SliceOp, nn.ExpandOp, nn.FlipOp, nn.TakeOp, nn.GatherOp),
)


@integer_rule(*_OF_ONE)
def move(e: Emitter, op: Operation, forms: list[Form | None]) -> Result:
    form = e.affine(forms[0])
    if form is None:
        return None
    form = e.uniform(form)
    value = e.like(op, [form.value, *op.operands[1:]], type_of(form.value).element_type)
    return replace(form, value=value)


@integer_rule(nn.PadOp)
def pad(e: Emitter, op: nn.PadOp, forms: list[Form | None]) -> Result:
    form = e.affine(forms[0])
    if form is None:
        return None
    form = e.uniform(form)
    element = quantized_type_of(form.value)
    limits = (-(2**31), 2**31 - 1) if element is None else element.limits
    steps = np.clip(np.rint(op.value.value.data / form.scale.item() - form.offset.item()), *limits)
    padding = nn.PadOp(form.value, op.low.data, op.high.data, 0)
    padding.properties["value"] = IntegerAttr(int(steps), i64)
    return replace(form, value=e.emit(padding))


@integer_rule(nn.ConcatOp, nn.InsertSliceOp)
def join(e: Emitter, op: nn.ConcatOp | nn.InsertSliceOp, forms: list[Form | None]) -> Result:
    """Each part is brought to one quantized type first: the result's, where it is quantized, or the coarsest part's."""
    parts = [f for f in forms if isinstance(f, Affine | Lookup)]
    if len(parts) < len(forms):
        return None
    element = _next_type(op) or _coarsest(parts)
    if element is None:
        return None
    limit = max((_limit(part, element) for part in parts), default=inf)
    values = [e.quantized(part, element) for part in parts]
    return stored(e.like(op, values, element)).bounded(limit)


def _limit(part: Affine | Lookup, element: QuantizedType) -> float:
    """The largest magnitude of a part in steps of a type, around its zero point."""
    reach = float(part.reach.max()) if isinstance(part, Affine) else float(np.abs(part.reals).max())
    low, high = element.limits
    return min(reach / element.scale + 1, max(high - element.zero_point, element.zero_point - low))


def _next_type(op: Operation) -> QuantizedType | None:
    """The type to which all users quantize the result, after a clamp perhaps."""
    users = [use.operation for use in op.results[0].uses]
    clamped = [u.operation for c in users if isinstance(c, nn.ClampOp) for u in c.result.uses]
    users = [u for u in users if not isinstance(u, nn.ClampOp)] + clamped
    types = {quantized_type_of(u.results[0]) if isinstance(u, nn.QuantizeOp) else None for u in users}
    return types.pop() if len(types) == 1 else None


def _coarsest(parts: list[Affine | Lookup]) -> QuantizedType | None:
    if not all(isinstance(p, Affine) and p.is_stored and p.is_dequantized for p in parts):
        return None
    types = [t for p in parts if (t := quantized_type_of(p.value)) is not None]
    return max(types, key=lambda t: (t.scale, t.zero_point))
