"""Our quantization of a model, run at the nn level: integer results are the same bit for bit at every level below.

So whole data sets are evaluated without the simulator, and `on_binary` checks some samples on the compiled program.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from benchmarks.quantization.pytorch import Tensors
from swkpu.compiler import compile_module, program_of
from swkpu.dialects.nn import quantized_type_of, type_of
from swkpu.errors import CalibrationWarning
from swkpu.executable import Executable
from swkpu.frontend import import_model
from swkpu.interp.nn_quantized import quantized as quantized_values
from swkpu.interp.prepared import PreparedFunction
from swkpu.passes.pipeline import Level, Quantization, folding_pipeline
from swkpu.quant.calibration import Calibration, calibrate
from swkpu.quant.names import entry_of
from swkpu.quant.source import Source, ranges_pass
from swkpu.target import load_target
from swkpu.types import dtype_of, torch_dtype

TARGET = "kpu-t64"


class Quantized:
    """A model compiled at a precision, as far as the nn level."""

    def __init__(
        self, model: nn.Module, example: Tensors, precision: str, calibration: Calibration | None, target: str = TARGET
    ):
        self.example, self.precision, self.calibration, self.target = example, precision, calibration, target
        self.imported = import_model(model, example, type(model).__name__)
        self.module = self._compiled("nn")
        self.function = PreparedFunction(self.module, entry_of(self.module))

    def __call__(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        """The outputs, flat, for inputs of the example's shapes."""
        stored = [_stored(x, a) for x, a in zip(inputs, self.function.function.args, strict=True)]
        return [y.float() for y in self.function.run(stored)]

    def on_binary(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        """The same from the compiled program on the simulator."""
        machine = load_target(self.target)
        executable = Executable(program_of(self._compiled("kpu"), machine), machine)
        return [y.float() for y in pytree.tree_leaves(executable(*inputs))]

    def _compiled(self, until: Level) -> ModuleOp:
        module, machine = self.imported.clone(), load_target(self.target)
        source = None if self.calibration is None else Source(self.calibration)
        ranges = ranges_pass(source, self.precision, machine)
        compile_module(module, machine, self.target, self.precision, until=until, quantization=Quantization(ranges))
        return module


def _stored(x: torch.Tensor, argument: Any) -> torch.Tensor:
    """An input as the function takes it, which the host quantizes."""
    element = quantized_type_of(argument)
    return (
        x.to(torch_dtype(dtype_of(type_of(argument).element_type))) if element is None else quantized_values(x, element)
    )


def calibrated(model: nn.Module, batches: Sequence[Tensors], observer: str = "mse") -> Calibration:
    """The ranges of a model's values on batches of one shape."""
    module = import_model(model, batches[0], type(model).__name__)
    for step in folding_pipeline():
        step.apply(Context(), module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        return calibrate(module, batches, observer)
