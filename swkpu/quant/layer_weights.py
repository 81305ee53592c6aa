"""How the constant weight of a layer is stored as integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.ir import Operation

from swkpu.dialects import nn
from swkpu.dialects.nn import shape_of
from swkpu.interp.constants import constant_array

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class LayerWeight:
    """A layer's weight in f32, its output channels' dim, and how it is stored: by channel, or by group of that many."""

    array: Array
    axis: int
    bits: int
    group: int | None


def layer_weight(op: Operation, bits: int, group: int | None) -> LayerWeight | None:
    """What is multiplied by in a convolution, linear layer or matrix product, where it is constant.

    At 4 bits depthwise convolutions have 8: they have few weights, each of which matters. Only linear layers have
    groups, where these divide k.
    """
    if not isinstance(op, nn.ConvolutionOp | nn.LinearOp | nn.MatmulOp):
        return None
    array = constant_array(op.operands[1])
    if array is None or array.dtype != np.float32:
        return None
    axis = 1 if isinstance(op, nn.ConvTransposeOp) else array.ndim - 1 if isinstance(op, nn.MatmulOp) else 0
    if isinstance(op, nn.ConvolutionOp) and shape_of(op.operands[1])[1] == 1:
        bits = 8
    if bits == 8 or not isinstance(op, nn.LinearOp) or (group is not None and array.shape[1] % group):
        group = None
    return LayerWeight(array, axis, bits, group)
