"""The mean of each channel that a layer reads: seen in calibration, and written on the layer for bias correction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, ModuleOp, f32
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from swkpu.dialects import nn
from swkpu.dialects.nn import shape_of
from swkpu.errors import CalibrationError, IRError
from swkpu.quant.layer_weights import layer_weight
from swkpu.quant.names import entry_of, value_names

if TYPE_CHECKING:
    import torch

INPUT_MEAN = "nn.input_mean"
"""The attribute of a layer, an array of f32."""


def channel_dim(layer: Operation, value: SSAValue) -> int:
    """The dim of channels in a layer's input or result."""
    return 1 if isinstance(layer, nn.ConvolutionOp) else len(shape_of(value)) - 1


def input_mean(layer: Operation) -> tuple[float, ...] | None:
    """The mean of each input channel, where it is known. Raises IRError for means of other channels."""
    found = layer.attributes.get(INPUT_MEAN)
    if found is None:
        return None
    channels = shape_of(layer.operands[0])[channel_dim(layer, layer.operands[0])]
    if not isinstance(found, DenseArrayBase) or found.elt_type != f32 or len(found) != channels:
        raise IRError(f"{layer.name}: {INPUT_MEAN} is not an array of {channels} f32, one by input channel")
    return tuple(float(v) for v in found.get_values())


def set_input_means(module: ModuleOp, means: Mapping[str, tuple[float, ...]]) -> None:
    """Write means on layers, which are named by their results. Raises CalibrationError for a name that none has."""
    layers = {name: value.owner for value, name in value_names(entry_of(module)).items()}
    for name, mean in means.items():
        layer = layers.get(name)
        if not isinstance(layer, Operation) or layer_weight(layer, 8, None) is None:
            raise CalibrationError(f'the calibration has input means of "{name}", which is no layer of the module')
        layer.attributes[INPUT_MEAN] = DenseArrayBase.from_list(f32, list(mean))


class InputMeans:
    """Means over all elements of a channel and over all runs, of what layers with constant weights read."""

    def __init__(self, function: FuncOp):
        self.layers = [op for op in function.body.block.ops if layer_weight(op, 8, None) is not None]
        self.dims = {(op.operands[0], channel_dim(op, op.operands[0])) for op in self.layers}
        self.values = {value for value, _ in self.dims}
        self.sums: dict[tuple[SSAValue, int], torch.Tensor] = {}
        self.runs = 0

    def observe(self, value: SSAValue, tensor: torch.Tensor) -> None:
        if value not in self.values:
            return
        for dim in range(tensor.dim()):
            if (key := (value, dim)) in self.dims:
                others = [d for d in range(tensor.dim()) if d != dim]
                mean = (tensor.mean(others) if others else tensor).double()
                self.sums[key] = self.sums[key] + mean if key in self.sums else mean

    def results(self, names: Mapping[SSAValue, str], runs: int) -> dict[str, tuple[float, ...]]:
        """By the names of the layers' results."""
        out: dict[str, tuple[float, ...]] = {}
        for layer in self.layers:
            total = self.sums.get((layer.operands[0], channel_dim(layer, layer.operands[0])))
            if total is not None:
                out[names[layer.results[0]]] = tuple(float(str(np.float32(v))) for v in (total / runs).tolist())
        return out
