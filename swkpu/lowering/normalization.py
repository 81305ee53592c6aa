"""Softmax and norms: statistics over some dims, then a formula of the element and the statistics.

Everything is computed in f32. What a combiner takes in must be a tensor, so exponentials and squares are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Operation, SSAValue

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import shape_of, type_of
from swkpu.lowering.arithmetic import Arithmetic, Formula, as_it_is, epilogue, pointwise
from swkpu.lowering.reduction import reduced_type, reduction
from swkpu.lowering.structure import affine, dims, names_for, region
from swkpu.lowering.table import lowering

Tensor = TensorType[Any]


def _exp_below(a: Arithmetic, x: SSAValue, largest: SSAValue) -> SSAValue:
    return a(math.ExpOp, a(arith.SubfOp, x, largest))


@lowering(nn.SoftmaxOp)
def lower_softmax(op: nn.SoftmaxOp) -> list[Operation]:
    x, axes = type_of(op.input), [op.along]
    largest = reduction(op.input, axes, "max", reduced_type(x, axes, x.element_type))
    powers = pointwise([op.input, largest.result], type_of(op.result), _exp_below)
    power = powers[-1].results[0]
    total = reduction(power, axes, "add", reduced_type(x, axes, f32))
    divided = pointwise([power, total.result], type_of(op.result), lambda a, e, s: a(arith.DivfOp, e, s))
    return [largest, *powers, total, *divided]


@lowering(nn.LogSoftmaxOp)
def lower_log_softmax(op: nn.LogSoftmaxOp) -> list[Operation]:
    x, axes = type_of(op.input), [op.along]
    largest = reduction(op.input, axes, "max", reduced_type(x, axes, x.element_type))
    powers = pointwise([op.input, largest.result], type_of(op.result), _exp_below)
    statistic = reduced_type(x, axes, f32)
    log = reduction(powers[-1].results[0], axes, "add", statistic, lambda a, s: a(math.LogOp, s))

    def shifted(a: Arithmetic, x: SSAValue, largest: SSAValue, log: SSAValue) -> SSAValue:
        return a(arith.SubfOp, a(arith.SubfOp, x, largest), log)

    return [largest, *powers, log, *pointwise([op.input, largest.result, log.result], type_of(op.result), shifted)]


# ---- norms over trailing dims --------------------------------------------------------------------------------------


def _mean(count: int) -> Formula:
    return lambda a, total: a(arith.MulfOp, total, a.number(1.0 / count, total))


def _inverse_root_of_mean(count: int, eps: float) -> Formula:
    """1 / sqrt(total / count + eps)"""

    def formula(a: Arithmetic, total: SSAValue) -> SSAValue:
        return a(math.RsqrtOp, a(arith.AddfOp, _mean(count)(a, total), a.number(eps, total)))

    return formula


def _squared_distance(a: Arithmetic, x: SSAValue, mean: SSAValue) -> SSAValue:
    distance = a(arith.SubfOp, x, mean)
    return a(arith.MulfOp, distance, distance)


def _scaled(a: Arithmetic, x: SSAValue, parameters: Sequence[SSAValue], op: nn.NormOp) -> SSAValue:
    """x * weight + bias, of those that the op has."""
    rest = iter(parameters)
    if op.weight is not None:
        x = a(arith.MulfOp, x, next(rest))
    return x if op.bias is None else a(arith.AddfOp, x, next(rest))


@lowering(nn.LayerNormOp)
def lower_layer_norm(op: nn.LayerNormOp) -> list[Operation]:
    x, axes, count = _trailing(op)
    statistic = reduced_type(x, axes, f32)
    mean = reduction(op.input, axes, "add", statistic, _mean(count))
    squares = pointwise([op.input, mean.result], type_of(op.result), _squared_distance)
    inverse = reduction(squares[-1].results[0], axes, "add", statistic, _inverse_root_of_mean(count, op.eps.value.data))

    def normalized(a: Arithmetic, x: SSAValue, mean: SSAValue, inverse: SSAValue, *parameters: SSAValue) -> SSAValue:
        return _scaled(a, a(arith.MulfOp, a(arith.SubfOp, x, mean), inverse), parameters, op)

    operands = [op.input, mean.result, inverse.result, *op.operands[1:]]
    return [mean, *squares, inverse, *pointwise(operands, type_of(op.result), normalized)]


@lowering(nn.RmsNormOp)
def lower_rms_norm(op: nn.RmsNormOp) -> list[Operation]:
    x, axes, count = _trailing(op)
    squares = pointwise([op.input], type_of(op.result), lambda a, x: a(arith.MulfOp, x, x))
    inverse = reduction(
        squares[-1].results[0],
        axes,
        "add",
        reduced_type(x, axes, f32),
        _inverse_root_of_mean(count, op.eps.value.data),
    )

    def normalized(a: Arithmetic, x: SSAValue, inverse: SSAValue, *parameters: SSAValue) -> SSAValue:
        return _scaled(a, a(arith.MulfOp, x, inverse), parameters, op)

    operands = [op.input, inverse.result, *op.operands[1:]]
    return [*squares, inverse, *pointwise(operands, type_of(op.result), normalized)]


def _trailing(op: nn.TrailingNormOp) -> tuple[Tensor, list[int], int]:
    """The input's type, the axes that statistics are over, and how many elements that is."""
    x = type_of(op.input)
    rank = len(x.get_shape())
    axes = list(range(rank - op.dims.value.data, rank))
    return x, axes, prod(x.get_shape()[a] for a in axes)


# ---- group norm ----------------------------------------------------------------------------------------------------


@lowering(nn.GroupNormOp)
def lower_group_norm(op: nn.GroupNormOp) -> list[Operation]:
    """Statistics per group, as a scale and a shift per channel, so that the pass over all elements is elementwise."""
    groups = _Groups(op)
    mean = groups.statistic(op.input, _mean(groups.count))
    mean_of_channel = groups.per_channel([(mean.result, "group")], as_it_is)
    squares = pointwise([op.input, mean_of_channel.result], type_of(op.result), _squared_distance)
    inverse = groups.statistic(squares[-1].results[0], _inverse_root_of_mean(groups.count, op.eps.value.data))
    weight, bias = ([] if value is None else [(value, "parameter")] for value in (op.weight, op.bias))

    def times_weight(a: Arithmetic, inverse: SSAValue, *weight: SSAValue) -> SSAValue:
        return a(arith.MulfOp, inverse, *weight) if weight else inverse

    def bias_minus(a: Arithmetic, mean: SSAValue, scale: SSAValue, *bias: SSAValue) -> SSAValue:
        moved = a(arith.MulfOp, mean, scale)
        return a(arith.SubfOp, *bias, moved) if bias else a(arith.NegfOp, moved)

    def normalized(a: Arithmetic, x: SSAValue, scale: SSAValue, shift: SSAValue) -> SSAValue:
        return a(arith.AddfOp, a(arith.MulfOp, x, scale), shift)

    scale = groups.per_channel([(inverse.result, "group"), *weight], times_weight)
    shift = groups.per_channel([(mean.result, "group"), (scale.result, "channel"), *bias], bias_minus)
    result = pointwise([op.input, scale.result, shift.result], type_of(op.result), normalized)
    return [mean, mean_of_channel, *squares, inverse, scale, shift, *result]


class _Groups:
    """Recurrences over batch, group and channel in the group: channel `group * each + channel` of [N, C, ...]."""

    def __init__(self, op: nn.GroupNormOp):
        self.shape = shape_of(op.input)
        self.batch, channels, *self.spatial = self.shape
        self.groups = op.groups.value.data
        self.each = channels // self.groups
        self.count = self.each * prod(self.spatial)

    def statistic(self, x: SSAValue, formula: Formula) -> df.RecurrenceOp:
        """A formula of each group's sum: [N, groups]."""
        names, order = names_for(self.shape)
        spatial = [(name, axis) for name, axis in zip(names, order) if axis > 1]
        extents = (self.batch, self.groups, *(self.shape[axis] for _, axis in spatial), self.each)
        domain = Domain(("batch", "group", *(name for name, _ in spatial), "channel"), extents, 2)
        n, g, *s, c = dims(domain.rank)
        at = {0: n, 1: g * self.each + c, **{axis: e for (_, axis), e in zip(spatial, s)}}
        read = affine(domain.rank, [at[axis] for axis in range(len(self.shape))])
        body = region([f32], epilogue(formula, f32))
        result = TensorType(f32, (self.batch, self.groups))
        return df.RecurrenceOp(domain, "add", [(x, read)], [], affine(domain.rank, [n, g]), body, result)

    def per_channel(self, operands: Sequence[tuple[SSAValue, str]], formula: Formula) -> df.RecurrenceOp:
        """A formula per channel, [N, C, 1, ...], of values that are per "group", "channel" or "parameter" (of [C])."""
        units = tuple(f"unit{i}" for i in range(len(self.spatial)))
        extents = (self.batch, self.groups, self.each, *(1 for _ in units))
        domain = Domain(("batch", "group", "channel", *units), extents, len(extents))
        n, g, c, *ones = dims(domain.rank)
        channel = g * self.each + c
        maps = {"group": [n, g], "channel": [n, channel, *ones], "parameter": [channel]}
        extras = [(value, affine(domain.rank, maps[of])) for value, of in operands]
        body = region([type_of(value).element_type for value, _ in operands], epilogue(formula, f32))
        result = TensorType(f32, (self.batch, self.groups * self.each, *(1 for _ in units)))
        return df.RecurrenceOp(domain, "none", [], extras, affine(domain.rank, maps["channel"]), body, result)
