"""Where a compilation's ranges come from: samples of any form, or a calibration made before."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from swkpu.errors import CalibrationError, CalibrationWarning
from swkpu.quant.calibration import Calibration, Progress, calibrate
from swkpu.quant.data import ACCEPTED, open_samples
from swkpu.quant.observers import DEFAULT_OBSERVER, observer_factory
from swkpu.quant.ranges import has_ranges
from swkpu.quant.samples import inputs_of

QUANTIZED_PRECISIONS = ("int8", "int4", "mixed")
"""Precisions that need the ranges of values."""
_QUANTIZED_OPS = ("nn.quantize", "nn.dequantize", "nn.dequantize_weight")


@dataclass(frozen=True)
class Source:
    """Samples as `calibrate` takes them, a Calibration, or the text or path that names either; with the observer to use
    on samples, and the name of a zoo model, whose samples can be made up.
    """

    data: Any
    observer: str = DEFAULT_OBSERVER
    zoo_name: str | None = None

    def check(self) -> Source:
        """Raise CalibrationError for what can be seen to be wrong without the model."""
        observer_factory(self.observer)
        path = self.path
        if path is not None and not path.startswith("synthetic"):
            if not Path(path).exists():
                raise CalibrationError(f"there is no calibration data {path}; {ACCEPTED}")
            if path.endswith(".json"):
                Calibration.load(path)
        return self

    @property
    def path(self) -> str | None:
        return str(self.data) if isinstance(self.data, str | Path) else None

    def calibration(self, module: ModuleOp, progress: Progress | None = None) -> Calibration:
        """For a folded module. Raises CalibrationError."""
        if isinstance(self.data, Calibration):
            return self.data
        path = self.path
        if path is None:
            return calibrate(module, self.data, self.observer, progress=progress)
        if path.endswith(".json"):
            return Calibration.load(path)
        samples = open_samples(path, inputs_of(module), self.zoo_name)
        return calibrate(module, samples, self.observer, progress=progress)


@dataclass(frozen=True)
class CalibratePass(ModulePass):
    """Find the ranges of a folded module's values, and write them on it. It has no text form: its data are objects."""

    name = "nn-calibrate"

    source: Source

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        self.source.calibration(op).annotate(op)


def ranges_pass(source: Source | None, precision: str) -> ModulePass | None:
    """What the pipeline does before it quantizes. Warns (CalibrationWarning) of data that a float precision ignores.

    Raises CalibrationError for what can be seen to be wrong without the model.
    """
    if source is None:
        return None
    if precision not in QUANTIZED_PRECISIONS:
        warnings.warn(f"{precision} needs no calibration: it is ignored", CalibrationWarning, stacklevel=3)
        return None
    return CalibratePass(source.check())


def check_ranges(module: ModuleOp, precision: str) -> None:
    """Raise CalibrationError where a module would be quantized of which no ranges are known.

    A module that quantizes and dequantizes itself has its own, and one may have `nn.range` attributes already.
    """
    if precision not in QUANTIZED_PRECISIONS or is_quantized(module) or has_ranges(module):
        return
    raise CalibrationError(
        f"{precision} needs calibration data, to find the ranges of the model's values (--calibration, or in Python "
        f"calibration=); {ACCEPTED}, or in Python arrays"
    )


def is_quantized(module: ModuleOp) -> bool:
    """Whether the model came quantized."""
    return any(op.name in _QUANTIZED_OPS for op in module.walk())
