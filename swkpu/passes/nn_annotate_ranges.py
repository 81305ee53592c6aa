"""Write what calibration found on the values of a module."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from swkpu.quant.calibration import Calibration


@dataclass(frozen=True)
class NnAnnotateRangesPass(ModulePass):
    """Give values the ranges that a calibration file has for them, as `nn.range` attributes.

    With `means`, layers also get the means of their input channels, as `nn.input_mean`, which nn-correct-bias reads.

    `file` is what `swkpu calibrate` wrote. It names values by their SSA names (`layer1_0_relu_1`), or their ops' where
    they have none. A name that no value has is an error; values that the file does not have are left as they are.
    """

    name = "nn-annotate-ranges"

    file: str
    means: bool = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        Calibration.load(self.file).annotate(op, self.means)
