"""Make up for what rounded weights add to a layer's mean output."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from swkpu.passes.nn_fold_constants import fold_constants
from swkpu.passes.nn_quantize import MIXED
from swkpu.passes.op_precision import check_group
from swkpu.quant.bias_correction import correct_biases


@dataclass(frozen=True)
class NnCorrectBiasPass(ModulePass):
    """Add to each layer the mean error of its quantized weights, negated: bias correction.

    A layer whose weights W are stored as W + ε gives ε E[x] too much in the mean (Nagel et al., 2019, "Data-Free
    Quantization Through Weight Equalization and Bias Correction"). E[x], the mean of each input channel, is the
    attribute `nn.input_mean` that calibration leaves on a convolution, linear layer or matrix product with constant
    weights; the pass drops it. Layers without it stay as they are, and so do those of a float precision.

    `precision` and `group` are those that `nn-quantize` is given next. Constants are folded first.
    """

    name = "nn-correct-bias"

    precision: str
    group: int | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        check_group(self.group)
        fold_constants(op)
        for function in list(op.walk()):
            if isinstance(function, FuncOp) and function.body.blocks:
                correct_biases(function, "int8" if self.precision == MIXED else self.precision, self.group)
