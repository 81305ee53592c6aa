"""What quantized weights add to a layer's mean output, and its removal.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.2: a layer with
weights W + ε gives E[ε x] more than one with W, in the mean. It is linear, so that this is ε E[x].
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.dialects import nn
from swkpu.dialects.nn import shape_of
from swkpu.dialects.value_range import range_of, set_range
from swkpu.interp.constants import constant
from swkpu.passes.op_precision import INTEGERS, precisions
from swkpu.quant.input_means import INPUT_MEAN, channel_dim, input_mean
from swkpu.quant.layer_weights import LayerWeight, layer_weight
from swkpu.quant.weights import WeightCache, dequantize_weight

Array = np.ndarray[Any, np.dtype[Any]]


def correct_biases(
    function: FuncOp, precision: str, group: int | None = None, cache: WeightCache | None = None
) -> None:
    """Subtract from each layer's result what the rounding of its weights adds in the mean, and drop the means.

    Layers are those that will have integer weights and whose `nn.input_mean` is known. The correction is one constant
    by output channel, which becomes part of the integer bias.
    """
    cache = cache or WeightCache()
    for op, chosen in precisions(function, precision).items():
        mean = input_mean(op) if INPUT_MEAN in op.attributes else None
        op.attributes.pop(INPUT_MEAN, None)
        if mean is None or chosen not in INTEGERS:
            continue
        weight = layer_weight(op, 4 if chosen == "int4" else 8, group)
        if weight is not None:
            _subtract(op, mean_error(op, weight, np.asarray(mean), cache))


def mean_error(op: Operation, weight: LayerWeight, mean: Array, cache: WeightCache) -> Array:
    """By output channel, the mean of the op's results on inputs of these means and the weights' rounding errors.

    A tap of a window counts as often as it meets an element, not padding.
    """
    stored, scales = cache.quantized(weight.array, weight.bits, weight.axis, weight.group)
    error = dequantize_weight(stored, scales, weight.axis, weight.group).astype(np.float64) - weight.array
    if isinstance(op, nn.LinearOp):
        return error @ mean
    if not isinstance(op, nn.ConvolutionOp):
        return (mean @ error).reshape(-1, error.shape[-1]).mean(0)
    for dim, share in reversed(list(enumerate(_tap_shares(op), start=2))):
        error = (error * share).sum(dim)
    groups = op.window[3]
    by_group = mean.reshape(groups, -1)
    if isinstance(op, nn.ConvTransposeOp):
        return np.einsum("gc,gco->go", by_group, error.reshape(groups, by_group.shape[1], -1)).reshape(-1)
    return np.einsum("gc,goc->go", by_group, error.reshape(groups, -1, by_group.shape[1])).reshape(-1)


def _tap_shares(op: nn.ConvolutionOp) -> Iterator[Array]:
    """By spatial dim, the share of results to which each tap of the window brings an element of the input."""
    stride, padding, dilation, _ = op.window
    sizes, outs = shape_of(op.input)[2:], shape_of(op.result)[2:]
    for d, taps in enumerate(shape_of(op.weight)[2:]):
        steps, within = (sizes[d], outs[d]) if isinstance(op, nn.ConvTransposeOp) else (outs[d], sizes[d])
        place = np.arange(steps)[:, None] * stride[d] + np.arange(taps) * dilation[d] - padding[2 * d]
        yield ((place >= 0) & (place < within)).sum(0) / outs[d]


def _subtract(op: Operation, error: Array) -> None:
    """Everything that reads the op's result reads the difference, which takes over its range."""
    result = op.results[0]
    behind = len(shape_of(result)) - 1 - channel_dim(op, result)
    correction = constant((-error).astype(np.float32).reshape(-1, *(1,) * behind))
    add = nn.AddOp(result, correction.result)
    result.replace_all_uses_with(add.result)
    add.operands[0] = result
    correction.location = add.location = op.location
    add.result.name_hint = result.name_hint
    correction.result.name_hint = None if result.name_hint is None else f"{result.name_hint}_correction"
    set_range(add.result, range_of(result))
    set_range(result, None)
    Rewriter.insert_op([correction, add], InsertPoint.after(op))
