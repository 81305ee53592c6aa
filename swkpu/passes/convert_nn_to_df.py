"""`convert-nn-to-df`: each nn op becomes recurrences, one lowering function per kind of op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.builder import Builder
from xdsl.context import Context
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import (
    BFloat16Type,
    DenseIntOrFPElementsAttr,
    Float16Type,
    Float32Type,
    FloatAttr,
    ModuleOp,
    StringAttr,
    TensorType,
    f32,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, PatternRewriteWalker, RewritePattern
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import shape_of, type_of
from swkpu.dialects.weights import WeightAttr
from swkpu.errors import IRError
from swkpu.types import dtype_of, is_float, numpy_dtype

Emit = Callable[[Builder, list[SSAValue]], SSAValue]
"""Builds an epilogue: takes a builder and the block's arguments, returns the value to yield."""


# ---- building blocks -----------------------------------------------------------------------------------------------


def dims(count: int) -> list[AffineExpr]:
    return [AffineExpr.dimension(i) for i in range(count)]


def affine(rank: int, exprs: Sequence[AffineExpr | int]) -> AffineMap:
    return AffineMap(rank, 0, tuple(AffineExpr.constant(e) if isinstance(e, int) else e for e in exprs))


def region(argument_types: Sequence[Attribute], emit: Emit) -> Region:
    block = Block(arg_types=list(argument_types))
    builder = Builder(InsertPoint.at_end(block))
    builder.insert(df.YieldOp(emit(builder, list(block.args))))
    return Region(block)


def constant(builder: Builder, value: float, type: Attribute = f32) -> SSAValue:
    assert isinstance(type, Float16Type | BFloat16Type | Float32Type)
    return builder.insert(arith.ConstantOp(FloatAttr(value, type))).result


def names_for(shape: Sequence[int]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names of the dims of an elementwise domain, and for each the tensor dim it is. 4-D tensors are NCHW and iterate
    n, h, w, c.
    """
    match len(shape):
        case 1:
            return ("c",), (0,)
        case 2:
            return ("n", "c"), (0, 1)
        case 3:
            return ("b", "t", "c"), (0, 1, 2)
        case 4:
            return ("n", "h", "w", "c"), (0, 2, 3, 1)
        case rank:
            return tuple(f"d{i}" for i in range(rank)), tuple(range(rank))


def elementwise(operands: Sequence[SSAValue], result: TensorType[Any], emit: Emit) -> list[Operation]:
    """A recurrence that combines nothing; operands broadcast to the result's shape as in PyTorch.

    A broadcast constant (a bias of shape [1, C, 1, 1]) is stored without its unit dims.
    """
    shape = result.get_shape()
    names, order = names_for(shape)
    rank = len(shape)
    of_axis = {axis: AffineExpr.dimension(i) for i, axis in enumerate(order)}
    extras: list[tuple[SSAValue, AffineMap]] = []
    constants: list[Operation] = []
    for value in operands:
        own = shape_of(value)
        lead = rank - len(own)
        exprs = [0 if size == 1 and shape[lead + d] != 1 else of_axis[lead + d] for d, size in enumerate(own)]
        if isinstance(value.owner, df.ConstantOp) and (1 in own or not own):
            kept = [d for d, size in enumerate(own) if size != 1]
            exprs = [exprs[d] for d in kept] or [0]
            squeezed = value.owner.array().reshape([own[d] for d in kept] or [1])
            constant = inline_constant(squeezed, TensorType(type_of(value).element_type, squeezed.shape))
            constants.append(constant)
            value = constant.result
        extras.append((value, affine(rank, exprs)))
    domain = Domain(names, tuple(shape[a] for a in order), rank)
    result_map = affine(rank, [of_axis[a] for a in range(rank)])
    types = [type_of(v).element_type for v in operands]
    return [*constants, df.RecurrenceOp(domain, "none", [], extras, result_map, region(types, emit), result)]


def inline_constant(array: np.ndarray[Any, Any], type: TensorType[Any]) -> df.ConstantOp:
    return df.ConstantOp(WeightAttr.from_array(array), type)


# ---- elementwise ---------------------------------------------------------------------------------------------------


def _sigmoid(b: Builder, a: list[SSAValue]) -> SSAValue:
    exp = b.insert(math.ExpOp(b.insert(arith.NegfOp(a[0])).result)).result
    one = constant(b, 1.0, a[0].type)
    return b.insert(arith.DivfOp(one, b.insert(arith.AddfOp(exp, one)).result)).result


def _relu(b: Builder, a: list[SSAValue]) -> SSAValue:
    return b.insert(arith.MaximumfOp(a[0], constant(b, 0.0, a[0].type))).result


def _simple(op: Callable[..., Operation]) -> Emit:
    return lambda b, a: b.insert(op(*a)).results[0]


ELEMENTWISE: dict[type[Operation], Emit] = {
    nn.ReluOp: _relu,
    nn.SigmoidOp: _sigmoid,
    nn.NegOp: _simple(arith.NegfOp),
    nn.AbsOp: _simple(math.AbsFOp),
    nn.ExpOp: _simple(math.ExpOp),
    nn.LogOp: _simple(math.LogOp),
    nn.SqrtOp: _simple(math.SqrtOp),
    nn.RsqrtOp: _simple(math.RsqrtOp),
    nn.TanhOp: _simple(math.TanhOp),
    nn.ErfOp: _simple(math.ErfOp),
    nn.FloorOp: _simple(math.FloorOp),
    nn.CeilOp: _simple(math.CeilOp),
    nn.AddOp: _simple(arith.AddfOp),
    nn.SubOp: _simple(arith.SubfOp),
    nn.MulOp: _simple(arith.MulfOp),
    nn.DivOp: _simple(arith.DivfOp),
    nn.MaximumOp: _simple(arith.MaximumfOp),
    nn.MinimumOp: _simple(arith.MinimumfOp),
}


def lower_elementwise(op: Operation) -> list[Operation]:
    for value in op.operands:
        if not is_float(type_of(value).element_type):
            raise IRError(f"{op.name} on {type_of(value).element_type} has no lowering to df; floating types have one")
    return elementwise(op.operands, type_of(op.results[0]), ELEMENTWISE[type(op)])


def lower_clamp(op: nn.ClampOp) -> list[Operation]:
    def emit(b: Builder, a: list[SSAValue]) -> SSAValue:
        value = a[0]
        if op.min is not None:
            value = b.insert(arith.MaximumfOp(value, constant(b, op.min.value.data, value.type))).result
        if op.max is not None:
            value = b.insert(arith.MinimumfOp(value, constant(b, op.max.value.data, value.type))).result
        return value

    return elementwise([op.input], type_of(op.result), emit)


def lower_cast(op: nn.CastOp) -> list[Operation]:
    source, target = type_of(op.input).element_type, type_of(op.result).element_type
    if not (is_float(source) and is_float(target)):
        raise IRError(f"nn.cast from {source} to {target} has no lowering to df; casts between floating types have one")
    wide, narrow = dtype_of(source).bits, dtype_of(target).bits

    def emit(b: Builder, a: list[SSAValue]) -> SSAValue:
        if source == target:
            return a[0]
        value = a[0]
        if wide <= narrow and source != f32:
            value = b.insert(arith.ExtFOp(value, f32)).results[0]  # pyright: ignore[reportArgumentType]
        if target != f32:
            value = b.insert(arith.TruncFOp(value, target)).results[0]  # pyright: ignore[reportArgumentType]
        return value

    return elementwise([op.input], type_of(op.result), emit)


def lower_batch_norm(op: nn.BatchNormOp) -> list[Operation]:
    x = type_of(op.input)
    names, order = names_for(x.get_shape())
    rank = len(order)
    of_axis = {axis: AffineExpr.dimension(i) for i, axis in enumerate(order)}
    whole, channel = affine(rank, [of_axis[a] for a in range(rank)]), affine(rank, [of_axis[1]])

    def emit(b: Builder, a: list[SSAValue]) -> SSAValue:
        value, weight, bias, mean, variance = a
        eps = constant(b, op.eps.value.data)
        inverse = b.insert(math.RsqrtOp(b.insert(arith.AddfOp(variance, eps)).result)).result
        scale = b.insert(arith.MulfOp(inverse, weight)).result
        centred = b.insert(arith.SubfOp(value, mean)).result
        return b.insert(arith.AddfOp(b.insert(arith.MulfOp(centred, scale)).result, bias)).result

    domain = Domain(names, tuple(x.get_shape()[a] for a in order), rank)
    extras = [(op.input, whole), *((v, channel) for v in (op.weight, op.bias, op.mean, op.variance))]
    types = [type_of(v).element_type for v, _ in extras]
    return [df.RecurrenceOp(domain, "none", [], extras, whole, region(types, emit), x)]


# ---- contractions --------------------------------------------------------------------------------------------------


def _yield_accumulator(b: Builder, a: list[SSAValue]) -> SSAValue:
    return a[0]


def contraction(
    domain: Domain,
    x: tuple[SSAValue, AffineMap],
    w: tuple[SSAValue, AffineMap],
    result_map: AffineMap,
    result: TensorType[Any],
) -> df.RecurrenceOp:
    body = region([result.element_type], _yield_accumulator)
    return df.RecurrenceOp(domain, "mac", [x, w], [], result_map, body, result)


def lower_conv2d(op: nn.Conv2dOp) -> list[Operation]:
    (sh, sw), (top, _, left, _), (dh, dw), groups = op.window
    n, channels, _, _ = shape_of(op.input)
    outputs, per_group, kh, kw = shape_of(op.weight)
    _, _, oh, ow = shape_of(op.result)
    result = type_of(op.result)
    if groups == 1:
        domain = Domain(("n", "oh", "ow", "oc", "kh", "kw", "ic"), (n, oh, ow, outputs, kh, kw, channels), 4)
        dn, dh_, dw_, do, dkh, dkw, di = dims(7)
        x = affine(7, [dn, di, dh_ * sh + dkh * dh - top, dw_ * sw + dkw * dw - left])
        w = affine(7, [do, di, dkh, dkw])
        return [contraction(domain, (op.input, x), (op.weight, w), affine(7, [dn, do, dh_, dw_]), result)]
    if per_group == 1 and outputs == groups:
        domain = Domain(("n", "oh", "ow", "c", "kh", "kw"), (n, oh, ow, groups, kh, kw), 4)
        dn, dh_, dw_, dc, dkh, dkw = dims(6)
        x = affine(6, [dn, dc, dh_ * sh + dkh * dh - top, dw_ * sw + dkw * dw - left])
        w = affine(6, [dc, 0, dkh, dkw])
        return [contraction(domain, (op.input, x), (op.weight, w), affine(6, [dn, dc, dh_, dw_]), result)]
    each = outputs // groups
    extents = (n, oh, ow, groups, each, kh, kw, per_group)
    domain = Domain(("n", "oh", "ow", "g", "oc", "kh", "kw", "ic"), extents, 5)
    dn, dh_, dw_, dg, do, dkh, dkw, di = dims(8)
    x = affine(8, [dn, dg * per_group + di, dh_ * sh + dkh * dh - top, dw_ * sw + dkw * dw - left])
    w = affine(8, [dg * each + do, di, dkh, dkw])
    grouped = TensorType(result.element_type, (n, groups, each, oh, ow))
    product = contraction(domain, (op.input, x), (op.weight, w), affine(8, [dn, dg, do, dh_, dw_]), grouped)
    return [product, df.ReshapeOp(product.result, result.get_shape())]


def lower_linear(op: nn.LinearOp) -> list[Operation]:
    lead = shape_of(op.input)[:-1]
    outputs, inputs = shape_of(op.weight)
    names = {0: (), 1: ("n",), 2: ("b", "t")}.get(len(lead), tuple(f"d{i}" for i in range(len(lead))))
    rank = len(lead) + 2
    domain = Domain((*names, "o", "i"), (*lead, outputs, inputs), rank - 1)
    d = dims(rank)
    x, w = affine(rank, [*d[:-2], d[-1]]), affine(rank, [d[-2], d[-1]])
    return [contraction(domain, (op.input, x), (op.weight, w), affine(rank, d[:-1]), type_of(op.result))]


def lower_matmul(op: nn.MatmulOp) -> list[Operation]:
    a, b, out = shape_of(op.lhs), shape_of(op.rhs), shape_of(op.result)
    batch = len(out) - 2
    rank = batch + 3
    domain = Domain((*(f"b{i}" for i in range(batch)), "m", "n", "k"), (*out, a[-1]), rank - 1)
    d = dims(rank)
    m, n, k = d[batch], d[batch + 1], d[batch + 2]

    def operand(shape: Sequence[int], tail: list[AffineExpr]) -> AffineMap:
        own = len(shape) - 2
        lead = [0 if shape[i] == 1 and out[batch - own + i] != 1 else d[batch - own + i] for i in range(own)]
        return affine(rank, [*lead, *tail])

    x, w = operand(a, [m, k]), operand(b, [k, n])
    return [contraction(domain, (op.lhs, x), (op.rhs, w), affine(rank, d[:-1]), type_of(op.result))]


# ---- pools and reductions ------------------------------------------------------------------------------------------


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


def lower_max_pool2d(op: nn.MaxPool2dOp) -> list[Operation]:
    return [_pool(op, "max", [], _yield_accumulator, -np.inf)]


def _window_counts(
    size: int, out: int, kernel: int, stride: int, before: int, after: int, include_pad: bool
) -> np.ndarray[Any, Any]:
    """How many elements of each window count in an average: those in the input, or in the padded input."""
    start = np.arange(out) * stride - before
    end = np.minimum(start + kernel, size + after)
    if not include_pad:
        start, end = np.maximum(start, 0), np.minimum(end, size)
    return end - start


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


def _lower_reduce(op: nn.ReduceOp, combiner: str, emit: Emit) -> list[Operation]:
    axes, keepdim = op.reduced
    shape = shape_of(op.input)
    kept = [d for d in range(len(shape)) if d not in axes]
    names, order = names_for(shape)
    name_of = dict(zip(order, names))
    walked = [a for a in order if a in kept] + [a for a in order if a in axes]
    units = list(axes) if keepdim else []  # a kept dim of extent 1 is a parallel dim of extent 1
    domain = Domain(
        (*(name_of[a] for a in kept), *(f"{name_of[a]}1" for a in units), *(name_of[a] for a in axes)),
        (*(shape[a] for a in kept), *(1 for _ in units), *(shape[a] for a in axes)),
        len(kept) + len(units),
    )
    rank = domain.rank
    of_axis = {a: AffineExpr.dimension(domain.index(name_of[a])) for a in walked}
    unit_of = {a: AffineExpr.dimension(domain.index(f"{name_of[a]}1")) for a in units}
    element = type_of(op.result).element_type
    read = affine(rank, [of_axis[a] for a in range(len(shape))])
    written = affine(rank, [unit_of.get(a, of_axis[a]) for a in range(len(shape)) if keepdim or a in kept])
    body = region([element], emit)
    return [df.RecurrenceOp(domain, combiner, [(op.input, read)], [], written, body, type_of(op.result))]


def lower_mean(op: nn.MeanOp) -> list[Operation]:
    count = 1
    for d in op.reduced[0]:
        count *= shape_of(op.input)[d]
    return _lower_reduce(op, "add", lambda b, a: b.insert(arith.MulfOp(a[0], constant(b, 1.0 / count))).result)


# ---- movement and constants ----------------------------------------------------------------------------------------


def lower_constant(op: nn.ConstantOp) -> list[Operation]:
    value = op.value
    if isinstance(value, DenseIntOrFPElementsAttr):
        type_ = type_of(op.result)
        array = np.array(value.get_values(), dtype=numpy_dtype(dtype_of(type_.element_type)))
        if value.is_splat():
            array = np.broadcast_to(array.reshape(-1)[0], type_.get_shape())
        value = WeightAttr.from_array(array.reshape(type_.get_shape()))
    return [df.ConstantOp(value, op.result.type)]


def lower_permute(op: nn.PermuteOp) -> list[Operation]:
    shape = shape_of(op.result)
    rank = len(shape)
    exprs: list[AffineExpr | int] = [0] * rank
    for i, axis in enumerate(op.order):
        exprs[axis] = AffineExpr.dimension(i)
    return [df.CopyOp(op.input, Domain(tuple(f"d{i}" for i in range(rank)), shape, rank), affine(rank, exprs))]


LOWERINGS: dict[type[Operation], Callable[[Any], list[Operation]]] = {
    **dict.fromkeys(ELEMENTWISE, lower_elementwise),
    nn.ClampOp: lower_clamp,
    nn.CastOp: lower_cast,
    nn.BatchNormOp: lower_batch_norm,
    nn.Conv2dOp: lower_conv2d,
    nn.LinearOp: lower_linear,
    nn.MatmulOp: lower_matmul,
    nn.MaxPool2dOp: lower_max_pool2d,
    nn.AvgPool2dOp: lower_avg_pool2d,
    nn.MeanOp: lower_mean,
    nn.SumOp: lambda op: _lower_reduce(op, "add", _yield_accumulator),
    nn.MaxOp: lambda op: _lower_reduce(op, "max", _yield_accumulator),
    nn.ConstantOp: lower_constant,
    nn.ReshapeOp: lambda op: [df.ReshapeOp(op.input, shape_of(op.result))],
    nn.PermuteOp: lower_permute,
}


class _Lower(RewritePattern):
    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        lower = LOWERINGS.get(type(op))
        if lower is None:
            if op.name.startswith("nn."):
                raise IRError(f"{op.name} has no lowering to df")
            return
        new = lower(op)
        for n in new:
            n.location = op.location
            if isinstance(n, df.RecurrenceOp):
                n.attributes["op"] = StringAttr(op.name.removeprefix("nn."))
        new[-1].results[0].name_hint = op.results[0].name_hint
        rewriter.replace(op, new)


@dataclass(frozen=True)
class ConvertNnToDfPass(ModulePass):
    """Lower every nn op to recurrences, copies and reshapes."""

    name = "convert-nn-to-df"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        PatternRewriteWalker(_Lower(), apply_recursively=False).rewrite_module(op)
        erase_unused_constants(op)


def erase_unused_constants(module: ModuleOp) -> None:
    for op in [o for o in module.walk() if isinstance(o, df.ConstantOp) and not o.result.has_one_use()]:
        if not any(True for _ in op.result.uses):
            Rewriter.erase_op(op)
