"""Even out the channels between layers, so that one scale fits them all."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.dialects import nn
from swkpu.dialects.nn import shape_of
from swkpu.errors import IRError
from swkpu.interp.constants import constant, constant_array
from swkpu.passes.nn_fold_constants import erase_unused, fold_constants
from swkpu.quant.equalization import equalizing_factors, mark_equalized
from swkpu.quant.ranges import has_ranges

Array = np.ndarray[Any, np.dtype[Any]]
Layer: TypeAlias = "nn.Conv2dOp | nn.LinearOp"
_BY_PIXEL = (nn.MaxPool2dOp, nn.AvgPool2dOp, nn.AdaptiveMaxPool2dOp, nn.AdaptiveAvgPool2dOp)


@dataclass(frozen=True)
class NnEqualizePass(ModulePass):
    """Divide a layer's output channels by factors and multiply the next one's inputs by them: cross-layer equalization.

    The factors make the largest weights of a channel equal at both layers (Nagel et al., 2019, "Data-Free Quantization
    Through Weight Equalization and Bias Correction"), over chains of layers until nothing changes. What the function
    computes stays the same but for rounding. It changes the ranges of values: it comes before calibration, and a module
    that has ranges is an error.

    Layers are 2-D convolutions, also depthwise, and linear layers, of constant f32 weights. Between the two only what
    keeps channels apart and commutes with a factor may come, each value read once: added constants, relu, pools, means,
    padding with 0 and flattening. A relu6 does not commute, and ends a chain: it bounds the range of its channels
    itself. Constants are folded first.
    """

    name = "nn-equalize"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if has_ranges(op):
            raise IRError("nn-equalize: the module has ranges already, which equalization changes; calibrate after it")
        fold_constants(op)
        for function in op.walk():
            if isinstance(function, FuncOp) and function.body.blocks:
                equalize(function)
        mark_equalized(op)


@dataclass(frozen=True)
class Bias:
    """A constant, operand `index` of an addition to a value whose channels are `run` elements each in dim `dim`."""

    add: nn.AddOp
    index: int
    dim: int
    run: int


@dataclass(frozen=True)
class Link:
    """Two layers, of which the second reads channel c in elements `run * c` to `run * (c + 1) - 1` of its inputs."""

    first: Layer
    second: Layer
    biases: tuple[Bias, ...]
    run: int


def equalize(function: FuncOp) -> None:
    """The pass, on one function whose constants are folded."""
    links = [link for op in function.body.block.ops if (link := link_from(op)) is not None]
    layers = list(dict.fromkeys(layer for link in links for layer in (link.first, link.second)))
    runs = {link.second: link.run for link in links}
    magnitudes = [_magnitudes(layer, runs.get(layer, 1)) for layer in layers]
    numbers = {layer: n for n, layer in enumerate(layers)}
    factors = equalizing_factors(magnitudes, [(numbers[link.first], numbers[link.second]) for link in links])
    divisors = {link.first: s for link, s in zip(links, factors)}
    multipliers = {link.second: np.repeat(s, link.run) for link, s in zip(links, factors)}
    for layer in layers:
        _replace_constant(layer, 1, _scaled_weight(layer, multipliers.get(layer), divisors.get(layer)))
    for link, s in zip(links, factors):
        for bias in link.biases:
            _scale_bias(bias, s)


# ---- what is linked ------------------------------------------------------------------------------------------------


def link_from(op: Operation) -> Link | None:
    """The link from a layer to the next, where there is one."""
    if not _is_layer(op):
        return None
    value, dim, run = op.results[0], _channel_dim(op), 1
    biases: list[Bias] = []
    while (use := value.get_user_of_unique_use()) is not None:
        if _is_layer(use) and use.operands[0] is value:
            fits = dim == len(shape_of(value)) - 1 if isinstance(use, nn.LinearOp) else dim == run == 1
            return Link(op, use, tuple(biases), run) if fits else None
        if isinstance(use, nn.AddOp) and _is_by_channel(use, index := int(use.lhs is value), dim):
            biases.append(Bias(use, index, dim, run))
        elif isinstance(use, nn.MeanOp) and dim not in use.reduced[0] and run == 1:
            dim -= 0 if use.reduced[1] else sum(d < dim for d in use.reduced[0])
        elif isinstance(use, nn.ReshapeOp) and run == 1 and _flattens(use, dim):
            run = prod(shape_of(value)[dim + 1 :])
        elif not (
            isinstance(use, nn.ReluOp)
            or (isinstance(use, _BY_PIXEL) and dim == 1)
            or (isinstance(use, nn.PadOp) and use.value.value.data == 0 and not _pads(use, dim))
        ):
            return None
        value = use.results[0]
    return None


def _is_layer(op: Operation) -> TypeGuard[Layer]:
    if not isinstance(op, nn.Conv2dOp | nn.LinearOp):
        return False
    weight = constant_array(op.weight)
    return weight is not None and weight.dtype == np.float32


def _channel_dim(layer: Operation) -> int:
    return 1 if isinstance(layer, nn.Conv2dOp) else len(shape_of(layer.results[0])) - 1


def _is_by_channel(op: nn.AddOp, index: int, dim: int) -> bool:
    """Whether an operand is a constant that varies along `dim` alone, and the other has the result's shape."""
    added, other = op.operands[index], op.operands[1 - index]
    if not isinstance(added.owner, nn.ConstantOp) or shape_of(op.result) != shape_of(other):
        return False
    full = (1,) * (len(shape_of(other)) - len(shape_of(added))) + shape_of(added)
    return all(size == 1 for d, size in enumerate(full) if d != dim)


def _flattens(op: nn.ReshapeOp, dim: int) -> bool:
    """Whether the channels' dim and all behind it become one."""
    before, after = shape_of(op.operands[0]), shape_of(op.results[0])
    return after == (*before[:dim], prod(before[dim:]))


def _pads(op: nn.PadOp, dim: int) -> bool:
    return bool(op.low.data[dim] or op.high.data[dim])


# ---- weights -------------------------------------------------------------------------------------------------------


def _groups(layer: Layer) -> int:
    return layer.window[3] if isinstance(layer, nn.Conv2dOp) else 1


def _magnitudes(layer: Layer, run: int) -> Array:
    """The largest |weight| between channels: [groups, outputs per group, inputs per group]."""
    weight, groups = constant_array(layer.weight), _groups(layer)
    assert weight is not None
    outputs, inputs = weight.shape[0], weight.shape[1] // run
    return np.abs(weight).reshape(groups, outputs // groups, inputs, -1).max(3, initial=0)


def _scaled_weight(layer: Layer, multiplier: Array | None, divisor: Array | None) -> Array:
    weight, groups = constant_array(layer.weight), _groups(layer)
    assert weight is not None
    outputs, inputs = weight.shape[:2]
    by_channel = weight.reshape(groups, outputs // groups, inputs, -1)
    if multiplier is not None:
        by_channel = by_channel * multiplier.astype(np.float32).reshape(groups, 1, inputs, 1)
    if divisor is not None:
        by_channel = by_channel / divisor.astype(np.float32).reshape(groups, -1, 1, 1)
    return by_channel.reshape(weight.shape)


def _scale_bias(bias: Bias, factors: Array) -> None:
    old = constant_array(bias.add.operands[bias.index])
    assert old is not None
    behind = len(shape_of(bias.add.result)) - 1 - bias.dim
    _replace_constant(bias.add, bias.index, old / np.repeat(factors, bias.run).reshape(-1, *(1,) * behind))


def _replace_constant(op: Operation, index: int, array: Array) -> None:
    old = op.operands[index]
    new = constant(np.ascontiguousarray(array.astype(np.float32)))
    new.location, new.result.name_hint = op.location, old.name_hint
    Rewriter.insert_op(new, InsertPoint.before(op))
    op.operands[index] = new.result
    erase_unused([old])
