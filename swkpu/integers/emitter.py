"""Builds integer ops for one op of floats, in its place and with its location."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor, log2
from typing import Any, TypeVar

import numpy as np
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.dialects import nn
from swkpu.dialects.location import source_of
from swkpu.dialects.nn import QuantizedType, quantized_type_of, shape_of
from swkpu.dialects.weights import WeightAttr
from swkpu.errors import IRError
from swkpu.integers.fixed_point import multiplier_and_shift
from swkpu.integers.forms import Affine, Array, Form, Lookup, Weight, lookup, scalar
from swkpu.types import dtype_of, i32, numpy_dtype

SUM_BITS = 28
"""Sums of tensors of other scales are of integers below 2^28: exact to that many bits, with room for the addition."""
FINE_LIMIT = 2.0**12
"""Integers that reach this are finer steps than any stored result's: constants next to them may be rounded to steps."""
FACTOR_BITS = 15
"""A table that enters integer arithmetic has entries below 2^15."""
I32_LIMIT = 2.0**31
OFFSET_ERROR = 2.0**-10
"""By how much of a stored step the rounding of a constant may move a result: one in a thousand may then differ."""

Inserted = TypeVar("Inserted", bound=Operation)


@dataclass
class Emitter:
    """Inserts ops before `op`."""

    op: Operation

    def insert(self, new: Inserted) -> Inserted:
        new.location = self.op.location
        Rewriter.insert_op(new, InsertPoint.before(self.op))
        return new

    def emit(self, new: Operation) -> SSAValue:
        return self.insert(new).results[0]

    def constant(self, array: Array) -> SSAValue:
        from swkpu.interp.constants import constant

        return self.emit(constant(np.ascontiguousarray(array)))

    def integers(self, array: Array) -> SSAValue:
        """An i32 constant of whole numbers."""
        if (np.abs(array) >= I32_LIMIT).any():
            raise self.error(f"an integer constant of {np.abs(array).max():g} is beyond 32 bits")
        return self.constant(np.asarray(array).astype(np.int32))

    def error(self, message: str) -> IRError:
        where = source_of(self.op)
        return IRError(f"{self.op.name}{f' ({where})' if where else ''}: {message}")

    # ---- integer tensors -------------------------------------------------------------------------------------------

    def rescaled(self, value: SSAValue, ratio: Array, element: Attribute = i32) -> SSAValue:
        """A tensor times a factor; its own zero point is subtracted first, the result's is added."""
        multiplier, shift = multiplier_and_shift(ratio)
        return self.emit(nn.RescaleOp(value, self.constant(multiplier), self.constant(shift), element))

    def centred(self, form: Affine) -> SSAValue:
        """value + offset as i32. The clamp is not applied."""
        value = form.value if quantized_type_of(form.value) is None else self.rescaled(form.value, scalar(1.0))
        excess = np.rint(form.excess)
        return self.emit(nn.AddOp(value, self.integers(excess))) if excess.any() else value

    def settled(self, form: Affine) -> Affine:
        """The same float as a plain i32 tensor without offset or clamp."""
        if quantized_type_of(form.value) is None and form.is_bare:
            return form
        bounds = [(form.low, nn.MaximumOp)] * bool((form.low > -form.reach).any())
        bounds += [(form.high, nn.MinimumOp)] * bool((form.high < form.reach).any())
        beyond = max(form.low, -form.high)  # where all elements may be: then it has to fit 32 bits
        if not self.are_steps(form, form.excess * form.scale, *(b for b, _ in bounds)):
            form = self.fine(form, max(beyond, 0.0))
        elif (beyond / form.scale >= I32_LIMIT).any():
            form = self.fine(form, beyond)
        value, limit = self.centred(form), form.limit
        for bound, operation in bounds:
            steps = np.clip(np.rint(bound / form.scale), 1 - I32_LIMIT, I32_LIMIT - 1)
            value = self.emit(operation(value, self.integers(steps)))
        if beyond > 0:
            limit = np.maximum(limit, np.ceil(beyond / form.scale))
        return Affine(value, form.scale, scalar(0), limit)

    def at_scale(self, form: Affine, scale: Array) -> Affine:
        """The float as i32 in steps of `scale`, rounded once."""
        if (form.scale == scale).all() and quantized_type_of(form.value) is None:
            return self.settled(form)
        later = self._is_finer(form, scale)  # then what is added is nearer to whole steps there
        if not form.is_bare and not later:
            form = self.settled(form)
        ratio = form.scale / scale
        if not form.limit.all():  # where all is 0, however far the scales are apart
            ratio = np.where(form.limit > 0, ratio, 0.0)
        value, limit = self.rescaled(form.value, ratio), np.ceil(form.limit * form.scale / scale) + 1
        if later and not form.is_bare:
            return self.settled(Affine(value, scale, form.excess * ratio, limit))
        return Affine(value, scale, scalar(0), limit)

    def _is_finer(self, form: Affine, scale: Array) -> bool:
        """Whether a form without clamp can be brought to a finer scale before its offset is added, without overflow."""
        reach = (form.limit + np.abs(form.excess)) * form.scale
        return not form.is_clamped and bool((scale <= form.scale).all() and (reach / scale < I32_LIMIT / 2).all())

    def sharpened(self, form: Affine, step: float) -> Affine:
        """The same float in such fine steps that rounding its offset moves no result by more than a part of `step`."""
        error = float((np.abs(form.excess - np.rint(form.excess)) * form.scale).max()) / step
        room = I32_LIMIT / 2 / float((form.limit + np.abs(form.excess)).max() + 1)
        bits = min(ceil(log2(max(error / OFFSET_ERROR, 1.0))), floor(log2(max(room, 1.0))))
        if bits == 0:
            return form
        more = 2.0**bits
        if quantized_type_of(form.value) is None:
            value = self.emit(nn.MulOp(form.value, self.integers(np.asarray([more]))))
        else:
            value = self.rescaled(form.value, scalar(more))
        return replace(form, value=value, scale=form.scale / more, offset=form.excess * more, limit=form.limit * more)

    def fine(self, form: Affine, beyond: float = 0.0) -> Affine:
        """The same float in steps so fine that constants, of up to `beyond`, are nearly whole numbers of them."""
        bare = replace(form, low=-np.inf, high=np.inf)
        reach = bare.reach + beyond
        wide = self.at_scale(bare, np.where(reach > 0, reach / 2**SUM_BITS, bare.scale))
        return replace(wide, low=form.low, high=form.high)

    def are_steps(self, form: Affine, *constants: float | Array) -> bool:
        """Whether constants may be rounded to whole steps of a form."""
        if float(form.limit.max()) >= FINE_LIMIT:
            return True
        steps = [np.asarray(c) / form.scale for c in constants]
        return all((np.abs(s - np.rint(s)) <= 2.0**-12).all() for s in steps)

    def uniform(self, form: Affine) -> Affine:
        """One scale, offset and limit for all elements; the stored tensor itself where it has one."""
        if not form.is_uniform:
            largest = float(form.reach.max()) or 1.0
            form = self.at_scale(form, scalar(largest / 2**SUM_BITS))
        elif form.is_clamped:
            form = self.settled(form)
        return form.bounded(float(form.limit.max()))

    def narrowed(self, form: Affine, bits: float) -> Affine:
        """A plain i32 tensor whose elements are below 2^bits."""
        if form.is_clamped:
            form = self.settled(form)
        if float(form.limit.max()) < 2.0**bits:
            return self.settled(form)
        reach = form.reach if form.scale.size > 1 else scalar(float(form.reach.max()))
        scale = np.maximum(form.scale, reach / (2.0**bits - 2))
        return self.at_scale(form, scale)

    # ---- from and to floats ----------------------------------------------------------------------------------------

    def affine(self, form: Form | None) -> Affine | None:
        """A form that integer arithmetic takes: a table becomes a tensor of its entries in fixed point."""
        if isinstance(form, Lookup):
            largest = float(np.abs(form.reals).max()) or 1.0
            scale = largest / (2**FACTOR_BITS - 1)
            entries = np.rint(form.reals / scale).astype(np.int32)
            value = self.emit(nn.TableOp(form.value, WeightAttr.from_array(entries), i32))
            return Affine(value, scalar(scale), scalar(0), scalar(2.0**FACTOR_BITS))
        return form if isinstance(form, Affine) else None

    def quantized(self, form: Affine | Lookup, element: QuantizedType) -> SSAValue:
        """The stored values nearest to the float, by one rounding."""
        if isinstance(form, Affine) and form.is_dequantized and quantized_type_of(form.value) == element:
            return form.value
        table = lookup(form) if isinstance(form, Lookup) or not form.is_bare else None
        if table is not None:
            steps = np.rint(table.reals / element.scale) + element.zero_point
            entries = np.clip(steps, *element.limits).astype(numpy_dtype(dtype_of(element.storage)))
            return self.emit(nn.TableOp(table.value, WeightAttr.from_array(entries), element))
        assert isinstance(form, Affine)
        low, high = element.limits
        if element.zero_point + np.rint(form.low / element.scale) <= low:
            form = replace(form, low=-np.inf)  # the storage type clamps there
        if element.zero_point + np.rint(form.high / element.scale) >= high:
            form = replace(form, high=np.inf)
        if not form.is_bare:
            form = self.settled(self.sharpened(form, element.scale))
        return self.rescaled(form.value, form.scale / element.scale, element)

    def real(self, form: Form) -> SSAValue:
        """The float itself."""
        if isinstance(form, Weight):
            raise AssertionError("a weight is a constant, folded where it is used as a float")
        if isinstance(form, Lookup):
            return self.emit(nn.TableOp(form.value, WeightAttr.from_array(form.reals.astype(np.float32)), f32))
        if form.is_dequantized:
            return self.emit(nn.DequantizeOp(form.value))
        settled = self.settled(form)
        value = self.emit(nn.CastOp(settled.value, f32))
        return self.emit(nn.MulOp(value, self.constant(settled.scale.astype(np.float32))))

    def like(self, op: Operation, operands: list[SSAValue], element: Attribute) -> SSAValue:
        """The op on other operands, with a result of another element type."""
        new: Any = type(op).create(
            operands=operands,
            properties=dict(op.properties),
            result_types=[TensorType(element, shape_of(op.results[0]))],
        )
        return self.emit(new)


def checked(emitter: Emitter, form: Affine) -> Affine:
    """A form whose integers fit 32 bits. Raises IRError where a sum could wrap."""
    largest = float(np.max(form.limit))
    if largest >= I32_LIMIT:
        raise emitter.error(f"a sum could reach {largest:g}, beyond 32 bits; use a float precision for this layer")
    return form


def constant_of(value: SSAValue) -> Array | None:
    """A constant operand as f64; None for any other."""
    from swkpu.interp.constants import constant_array

    array = constant_array(value)
    return None if array is None else array.astype(np.float64)
