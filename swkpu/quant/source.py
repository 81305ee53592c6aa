"""Where a compilation's ranges come from: samples of any form, or a calibration made before."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from swkpu.errors import CalibrationError, CalibrationWarning
from swkpu.quant.calibration import Calibration, Progress, calibrate
from swkpu.quant.data import ACCEPTED, open_samples
from swkpu.quant.observers import DEFAULT_OBSERVER, observer_factory
from swkpu.quant.ranges import has_ranges
from swkpu.quant.samples import inputs_of, items_of, runs

if TYPE_CHECKING:
    import torch

    from swkpu.quant.mixed import MixedChoice
    from swkpu.target import Machine

Inputs = tuple["torch.Tensor", ...]
Assess = Callable[[ModuleOp, Sequence[Inputs]], "MixedChoice"]

QUANTIZED_PRECISIONS = ("int8", "int4", "mixed")
"""Precisions that need the ranges of values."""
_QUANTIZED_OPS = ("nn.quantize", "nn.dequantize", "nn.dequantize_weight")


KEPT_SAMPLES = 16
"""Runs of a calibration that are kept, to measure errors on."""


@dataclass(frozen=True)
class Source:
    """Samples as `calibrate` takes them, a Calibration, or the text or path that names either; with the observer to use
    on samples, and the name of a zoo model, whose samples can be made up.
    """

    data: Any
    observer: str = DEFAULT_OBSERVER
    zoo_name: str | None = None
    correct_bias: bool = True
    """Whether to write the means of layers' inputs on the module too, by which nn-correct-bias corrects them."""

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

    def calibration(
        self, module: ModuleOp, progress: Progress | None = None, kept: list[Inputs] | None = None
    ) -> Calibration:
        """For a folded module. The first inputs go to `kept` as well. Raises CalibrationError."""
        if isinstance(self.data, Calibration):
            return self.data
        path = self.path
        if path is not None and path.endswith(".json"):
            return Calibration.load(path)
        samples = self.data if path is None else open_samples(path, inputs_of(module), self.zoo_name)
        first: list[Any] = []
        calibration = calibrate(module, _watched(items_of(samples), first), self.observer, progress=progress)
        if kept is not None:
            kept += [tuple(run.tensors) for run in islice(runs(first, inputs_of(module)), KEPT_SAMPLES)]
        return calibration


def _watched(items: Iterable[Any], first: list[Any]) -> Iterator[Any]:
    """The same items, the first of which are remembered."""
    for item in items:
        if len(first) < KEPT_SAMPLES:
            first.append(item)
        yield item


@dataclass(frozen=True)
class CalibratePass(ModulePass):
    """Find the ranges of a folded module's values, and write them on it. It has no text form: its data are objects."""

    name = "nn-calibrate"

    source: Source
    assess: Assess | None = None
    """Looks at the module with its ranges and some samples, and may write precisions on its layers."""
    found: list[MixedChoice] = field(default_factory=list["MixedChoice"], compare=False)
    """What that found."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kept: list[Inputs] = []
        calibration = self.source.calibration(op, kept=kept)
        calibration.annotate(op, means=self.source.correct_bias)
        if self.assess is not None and not (calibration.precisions and not kept):
            self.found.append(self.assess(op, kept))


def ranges_pass(
    source: Source | None, precision: str, machine: Machine, max_error: float | None = None, layers: bool = False
) -> CalibratePass | None:
    """What the pipeline does before it quantizes: find ranges, and for mixed precision what each layer is computed in.

    `layers` asks for the signal-to-noise ratio of each layer at another precision, too. Warns (CalibrationWarning) of
    data that a float precision ignores. Raises CalibrationError for what can be seen to be wrong without the model.
    """
    from swkpu.quant.mixed import DEFAULT_ERROR, assess_precision, choose_precisions

    if max_error is not None and precision != "mixed":
        raise CalibrationError(f"an error target (max_error, --max-error) is for precision mixed, not for {precision}")
    if max_error is not None and not 0 < max_error < inf:
        raise CalibrationError(f"an error target of {max_error:g}: expected a positive number, such as 0.01")
    if source is None:
        return None
    if precision not in QUANTIZED_PRECISIONS:
        warnings.warn(f"{precision} needs no calibration: it is ignored", CalibrationWarning, stacklevel=3)
        return None
    if precision == "mixed":
        target = DEFAULT_ERROR if max_error is None else max_error
        return CalibratePass(source.check(), lambda module, kept: choose_precisions(module, kept, machine, target))
    if layers:
        return CalibratePass(source.check(), lambda module, kept: assess_precision(module, kept, machine, precision))
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
