"""A module as it would be quantized, run in floats: Q/DQ form, whose values can be compared with the module's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isnan
from typing import TYPE_CHECKING

import numpy as np
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from swkpu.integers.placement import place
from swkpu.interp.prepared import PreparedFunction
from swkpu.passes.elementwise import absorbed_producer, is_elementwise
from swkpu.passes.float_storage import MixedStorage, store_floats
from swkpu.passes.op_precision import is_layer, set_precision
from swkpu.passes.quantization_points import PointAnalysis
from swkpu.quant.bias_correction import correct_biases
from swkpu.quant.names import entry_of, value_names
from swkpu.quant.weights import WeightCache
from swkpu.types import dtype_of, torch_dtype

if TYPE_CHECKING:
    import torch

Inputs = tuple["torch.Tensor", ...]


def layers_of(function: FuncOp) -> list[Operation]:
    """The ops that have a precision of their own, in order."""
    return [op for op in function.body.block.ops if is_layer(op)]


def stored_value(layer: Operation) -> SSAValue:
    """The value that a layer stores: behind the elementwise ops that are computed together with it."""
    value: SSAValue = layer.results[0]
    while (use := next(iter(value.uses), None)) is not None:
        user = use.operation
        if not is_elementwise(user) or absorbed_producer(user) is not value:
            break
        value = user.results[0]
    return value


@dataclass
class Trials:
    """Runs of one folded module with ranges on the same samples, at any choice of precisions."""

    module: ModuleOp
    samples: list[Inputs]
    weights: WeightCache = field(default_factory=WeightCache)

    def __post_init__(self) -> None:
        self.references = [self.prepared(None).run(inputs) for inputs in self.samples]

    def prepared(self, precisions: Sequence[str] | None) -> PreparedFunction:
        """The module in Q/DQ form with a precision for each layer; None leaves it as it is."""
        return self._quantized(precisions)[0]

    def _quantized(self, precisions: Sequence[str] | None) -> tuple[PreparedFunction, dict[SSAValue, str]]:
        module = self.module.clone()
        function = entry_of(module)
        names = {name: value for value, name in value_names(function).items()}
        layers = {name: layer for name, value in names.items() if is_layer(layer := _owner(value))}
        if precisions is not None:
            for layer, precision in zip(layers_of(function), precisions, strict=True):
                set_precision(layer, precision)
            correct_biases(function, "int8", cache=self.weights)
        followed = {stored_value(layer): name for name, layer in layers.items()}
        if precisions is not None:
            analysis = PointAnalysis(function)
            storage = MixedStorage(analysis)
            place(function, analysis, cache=self.weights)
            store_floats(function, storage)
        return PreparedFunction(module, function), followed

    def outputs(self, precisions: Sequence[str], count: int | None = None) -> list[list[torch.Tensor]]:
        """The results for each sample, or the first `count`."""
        prepared = self.prepared(precisions)
        return [prepared.run(_as_taken(prepared.function, inputs)) for inputs in self.samples[:count]]

    def error(self, precisions: Sequence[str], enough: float = inf) -> float:
        """The largest difference from the module's own results, over the largest absolute value of the result.

        Beyond `enough` it is not looked further. The sample with the largest error goes first from then on.
        """
        prepared = self.prepared(precisions)
        worst, hardest = 0.0, 0
        for index, (reference, inputs) in enumerate(zip(self.references, self.samples)):
            found = relative_error(reference, prepared.run(_as_taken(prepared.function, inputs)))
            if found > worst:
                worst, hardest = found, index
            if worst > enough:
                break
        self.samples.insert(0, self.samples.pop(hardest))
        self.references.insert(0, self.references.pop(hardest))
        return worst

    def noise(self, precisions: Sequence[str], count: int) -> float:
        """The energy of the difference over that of the results, of the first `count` samples."""
        differences = energies = 0.0
        for reference, result in zip(self.references[:count], self.outputs(precisions, count)):
            for r, x in zip(reference, result):
                differences += float(((x.double() - r.double()) ** 2).sum())
                energies += float((r.double() ** 2).sum())
        return differences / max(energies, 1e-300)

    def sqnr_by_layer(self, precisions: Sequence[str]) -> dict[str, float]:
        """Signal to quantization noise, in dB, of what each layer stores, on the first sample."""
        exact: dict[str, torch.Tensor] = {}
        plain, followed = self._quantized(None)
        plain.run(self.samples[0], _keep(followed, exact))
        quantized, followed = self._quantized(precisions)
        found: dict[str, torch.Tensor] = {}
        quantized.run(_as_taken(quantized.function, self.samples[0]), _keep(followed, found))
        return {name: sqnr_db(exact[name], found[name]) for name in exact if name in found}


def _keep(followed: Mapping[SSAValue, str], kept: dict[str, torch.Tensor]) -> Callable[[SSAValue, torch.Tensor], None]:
    def observe(value: SSAValue, tensor: torch.Tensor) -> None:
        if value in followed:
            kept[followed[value]] = tensor.clone()

    return observe


def _owner(value: SSAValue) -> Operation:
    return value.owner if isinstance(value.owner, Operation) else value.owner.parent_op()  # pyright: ignore


def _as_taken(function: FuncOp, inputs: Inputs) -> Inputs:
    """Inputs in the types of the arguments, which may be stored floats."""
    types = [argument.type for argument in function.args]
    return tuple(
        x.to(torch_dtype(dtype_of(t.element_type))) if isinstance(t, TensorType) else x for x, t in zip(inputs, types)
    )


def relative_error(reference: Sequence[torch.Tensor], result: Sequence[torch.Tensor]) -> float:
    """The largest absolute difference over the largest absolute value, of the worst output; infinite for a NaN."""
    worst = 0.0
    for r, x in zip(reference, result):
        if r.numel():
            error = float((x.double() - r.double()).abs().max()) / max(float(r.double().abs().max()), 1e-300)
            worst = inf if isnan(error) else max(worst, error)
    return worst


def sqnr_db(reference: torch.Tensor, value: torch.Tensor) -> float:
    """10 log10 of the energy of a signal over that of the difference from it; infinite where there is none."""
    energy = float((reference.double() ** 2).sum())
    difference = float(((value.double() - reference.double()) ** 2).sum())
    return float("inf") if difference == 0 else 10 * float(np.log10(max(energy, 1e-300) / difference))
