"""Fold batch norms into the convolution or linear layer before them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import LocationAttr, ModuleOp
from xdsl.ir import Operation, OpResult, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, PatternRewriteWalker, RewritePattern, op_type_rewrite_pattern

from swkpu.dialects.nn import AddOp, BatchNormOp, ConstantOp, Conv2dOp, LinearOp, MulOp, shape_of
from swkpu.dialects.weights import Array
from swkpu.passes.nn_fold_constants import erase_unused, fold_constants


@dataclass(frozen=True)
class Affine:
    """A batch norm as `scale * x + shift` per channel, in f64."""

    scale: Array
    shift: Array


@dataclass(frozen=True)
class Layer:
    """What a batch norm folds into: a contraction, and the per-channel bias added to it (0 where there is none)."""

    op: Conv2dOp | LinearOp
    weight: Array
    bias: Array


@dataclass(frozen=True)
class NnFoldBatchNormPass(ModulePass):
    """Scale the weights of the layer before a batch norm and add one bias; elsewhere, multiply and add.

    A layer qualifies when its weight is constant and the batch norm (perhaps after a constant bias) is its only use.
    The new weights are computed in f64 and rounded once. A batch norm whose statistics are not constant stays.
    Constants are folded first.
    """

    name = "nn-fold-batch-norm"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        fold_constants(op)
        PatternRewriteWalker(FoldBatchNorm(), apply_recursively=False).rewrite_module(op)


class FoldBatchNorm(RewritePattern):
    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: BatchNormOp, rewriter: PatternRewriter) -> None:
        norm = affine(op)
        if norm is None:
            return
        layer = layer_before(op)
        dropped = list(op.operands)
        if layer is None:
            rewriter.replace(op, multiply_add(op, norm))
        else:
            rewriter.replace(op, scaled_layer(layer, norm))
        erase_unused(dropped)


def affine(op: BatchNormOp) -> Affine | None:
    """scale = weight / sqrt(var + eps), shift = bias - mean * scale; None unless all are constant."""
    arrays = [f64(v) for v in (op.weight, op.bias, op.mean, op.variance)]
    weight, bias, mean, variance = arrays
    if weight is None or bias is None or mean is None or variance is None:
        return None
    scale = weight / np.sqrt(variance + op.eps.value.data)
    return Affine(scale, bias - mean * scale)


def layer_before(op: BatchNormOp) -> Layer | None:
    """The layer that the batch norm folds into."""
    value, bias = op.input, np.zeros(shape_of(op.weight))
    if isinstance(value.owner, AddOp) and value.has_one_use():
        add = value.owner
        constant = (
            per_channel(add.rhs, shape_of(value)) if f64(add.lhs) is None else per_channel(add.lhs, shape_of(value))
        )
        if constant is None:
            return None
        value, bias = (add.lhs if f64(add.lhs) is None else add.rhs), constant
    layer = value.owner
    if not isinstance(layer, Conv2dOp | LinearOp) or not value.has_one_use():
        return None
    if shape_of(value) != shape_of(op.input) or (isinstance(layer, LinearOp) and len(shape_of(value)) != 2):
        return None
    weight = f64(layer.weight)
    return None if weight is None else Layer(layer, weight, bias)


def per_channel(value: SSAValue, shape: tuple[int, ...]) -> Array | None:
    """A constant operand that varies along dim 1 of `shape` only, as one number per channel."""
    array = f64(value)
    if array is None or array.ndim > len(shape):
        return None
    array = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    if array.size != array.shape[1]:
        return None
    return np.broadcast_to(array.reshape(-1), (shape[1],))


def scaled_layer(layer: Layer, norm: Affine) -> list[Operation]:
    """The layer with scaled output channels (dim 0 of the weight), then one add. All take the layer's location."""
    old = layer.op
    channels_first = (-1,) + (1,) * (layer.weight.ndim - 1)
    weight = constant(layer.weight * norm.scale.reshape(channels_first), old.location, old.weight.name_hint)
    if isinstance(old, Conv2dOp):
        stride, padding, dilation, groups = old.window
        new: Conv2dOp | LinearOp = Conv2dOp(old.input, weight.result, stride, padding, dilation, groups)
    else:
        new = LinearOp(old.input, weight.result)
    shift = along_channels(layer.bias * norm.scale + norm.shift, len(shape_of(new.result)))
    bias = constant(shift, old.location, hinted(old.result, "bias"))
    add = AddOp(new.result, bias.result)
    new.location = add.location = old.location
    new.result.name_hint = old.result.name_hint
    return [weight, new, bias, add]


def multiply_add(op: BatchNormOp, norm: Affine) -> list[Operation]:
    """The batch norm alone."""
    rank = len(shape_of(op.input))
    scale = constant(along_channels(norm.scale, rank), op.location, hinted(op.result, "scale"))
    shift = constant(along_channels(norm.shift, rank), op.location, hinted(op.result, "shift"))
    multiply = MulOp(op.input, scale.result)
    add = AddOp(multiply.result, shift.result)
    multiply.location = add.location = op.location
    return [scale, multiply, shift, add]


def along_channels(values: Array, rank: int) -> Array:
    """[1, C, 1, ...] of the given rank."""
    return values.reshape((1, -1) + (1,) * (rank - 2))


def constant(array: Array, location: LocationAttr, name: str | None) -> ConstantOp:
    from swkpu.interp.constants import constant as make

    op = make(array.astype(np.float32))
    op.location = location
    op.result.name_hint = name
    return op


def hinted(value: OpResult, suffix: str) -> str | None:
    return None if value.name_hint is None else f"{value.name_hint}_{suffix}"


def f64(value: SSAValue) -> Array | None:
    """A constant f32 value as f64; None for any other."""
    from swkpu.interp.constants import constant_array

    array = constant_array(value)
    return array.astype(np.float64) if array is not None and array.dtype == np.float32 else None
