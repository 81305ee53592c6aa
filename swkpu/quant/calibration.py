"""Calibration: run a module on samples, observe its values, and choose the range that each is quantized to."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp, StringAttr, TensorType, f32
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from swkpu.errors import CalibrationError, CalibrationWarning
from swkpu.passes.quantization_points import Point, quantization_points
from swkpu.quant.equalization import is_equalized
from swkpu.quant.names import entry_of, value_names
from swkpu.quant.observers import DEFAULT_OBSERVER, MakeObserver, MinMax, Observer, observer_factory

if TYPE_CHECKING:
    import torch

FEW_SAMPLES = 100
SAMPLED_ELEMENTS = 1 << 14
"""A histogram takes about this many elements of a value from each run; extremes are always of all."""

Points = Callable[[FuncOp], Mapping[SSAValue, Point]]
Progress = Callable[[int], None]


@dataclass(frozen=True)
class ValueRange:
    """What was seen of a value, and the range to quantize."""

    op: str
    min: float
    max: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """The ranges of a module's values, by the names of `value_names`."""

    model: str
    observer: str
    samples: int
    values: Mapping[str, ValueRange] = field(default_factory=dict[str, ValueRange])
    precisions: Mapping[str, str] = field(default_factory=dict[str, str])
    """For mixed precision: that of each layer, by the name of its value."""
    input_means: Mapping[str, tuple[float, ...]] = field(default_factory=dict[str, "tuple[float, ...]"])
    """The mean of each input channel of layers with constant weights, by the name of the layer's value."""
    equalized: bool = False
    """Whether the module was equalized."""

    def annotate(self, module: ModuleOp, means: bool = True) -> None:
        """Write the ranges on the module's values, and precisions and, with `means`, input means on its layers.

        Raises CalibrationError for names that the module lacks, and where just one of the two is equalized.
        """
        from swkpu.quant.input_means import set_input_means
        from swkpu.quant.ranges import annotate, annotate_precisions, check_equalized

        check_equalized(module, self.equalized)
        annotate(module, {name: (value.low, value.high) for name, value in self.values.items()})
        annotate_precisions(module, self.precisions)
        set_input_means(module, self.input_means if means else {})

    def to_json(self) -> str:
        from swkpu.quant.calibration_file import to_json

        return to_json(self)

    @staticmethod
    def from_json(text: str, source: str = "calibration") -> Calibration:
        """Raises CalibrationError, whose message begins with the source."""
        from swkpu.quant.calibration_file import from_json

        return from_json(text, source)

    def save(self, path: str) -> None:
        """Write a JSON file, whole or not at all. Raises CalibrationError."""
        from swkpu.files import write_whole

        write_whole(path, [self.to_json().encode()], CalibrationError)

    @staticmethod
    def load(path: str) -> Calibration:
        """Raises CalibrationError."""
        from swkpu.quant.calibration_file import load

        return load(path)


def calibrate(
    module: ModuleOp,
    samples: Iterable[Any],
    observer: str | MakeObserver = DEFAULT_OBSERVER,
    *,
    points: Points = quantization_points,
    progress: Progress | None = None,
) -> Calibration:
    """Run a folded module of f32 on samples, each once, and choose the ranges of its values.

    samples   arrays or tensors, tuples of them for several inputs, or dicts by name; the first dim counts samples. An
              array or dict by itself is all of them at once
    observer  a name, such as `mse` or `percentile:99.9`, or what makes an Observer
    points    the values to observe, of a function; by default those that nn-quantize stores as integers
    progress  is called with the number of samples done

    Raises CalibrationError for no samples, samples that do not fit, and for a NaN or an infinity in them or in an
    observed value. Warns (CalibrationWarning) of fewer than 100 samples.
    """
    import torch

    from swkpu.interp.prepared import PreparedFunction
    from swkpu.quant.input_means import InputMeans
    from swkpu.quant.samples import batch_of, inputs_of, items_of, runs

    function = entry_of(module)
    make = observer_factory(observer) if isinstance(observer, str) else observer
    names = value_names(function)
    watched = {value: _Watched(names[value], _observer(make, point)) for value, point in points(function).items()}
    means = InputMeans(function)
    prepared = PreparedFunction(module, function)
    inputs = inputs_of(module)
    batch = batch_of(inputs) or 1

    done = 0
    with torch.no_grad():
        for run in runs(items_of(samples), inputs):

            def observe(value: SSAValue, tensor: torch.Tensor, first: int = run.first_sample) -> None:
                if value in watched:
                    watched[value].see(tensor, first, batch)
                means.observe(value, tensor)

            prepared.run(run.tensors, observe)
            done = run.first_sample + batch
            if progress is not None:
                progress(done)
    check_count(done)
    return Calibration(
        _text(module, "nn.model"),
        observer if isinstance(observer, str) else type(make()).__name__,
        done,
        {watch.name: watch.result(_op_of(value)) for value, watch in watched.items()},
        input_means=means.results(names, done // batch),
        equalized=is_equalized(module),
    )


def check_count(samples: int) -> None:
    """Raise CalibrationError for no samples; warn of few."""
    if samples == 0:
        raise CalibrationError(
            f"there are no samples to calibrate with: expected at least one, better {FEW_SAMPLES} or more"
        )
    if samples < FEW_SAMPLES:
        warnings.warn(
            f"calibrated on {samples} sample{'s' * (samples > 1)}: the ranges may miss values that others have; "
            f"{FEW_SAMPLES} or more are better",
            CalibrationWarning,
            stacklevel=3,
        )


def all_values(function: FuncOp) -> dict[SSAValue, Point]:
    """Every f32 value that is not constant, for a calibration that shows them all."""
    named = value_names(function)
    return {v: Point() for v in named if isinstance(v.type, TensorType) and v.type.element_type == f32}


def _observer(make: MakeObserver, point: Point) -> Observer:
    """What observes a value. One that is stored in many more than 8 bits has room for its extremes."""
    observer = MinMax() if point.wide else make()
    observer.symmetric = point.symmetric
    return observer


class _Watched:
    """A value under observation."""

    def __init__(self, name: str, observer: Observer):
        self.name, self.observer = name, observer
        self.low, self.high = float("inf"), float("-inf")
        self.runs = 0

    def see(self, tensor: torch.Tensor, first_sample: int, batch: int) -> None:
        """Raises CalibrationError for NaN and infinity."""
        import torch

        if tensor.numel() == 0:
            return
        least, most = torch.aminmax(tensor)
        low, high = least.item(), most.item()
        if not -np.inf < low <= high < np.inf:
            found = "NaN" if low != low else "infinity"
            raise CalibrationError(f"{_sample_text(first_sample, batch)}: the value {self.name} has {found}")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.observer.observe(self.sample(tensor) if self.observer.sampled else tensor, low, high)
        self.runs += 1

    def sample(self, tensor: torch.Tensor) -> torch.Tensor:
        """Every n-th element, beginning one later in each run. n has no factor in common with the tensor's size, so
        that over the tensor's rows and channels all positions are taken alike."""
        size = tensor.numel()
        stride = max(1, size // SAMPLED_ELEMENTS)
        while gcd(stride, size) > 1:
            stride += 1
        return tensor.reshape(-1)[self.runs % stride :: stride]

    def result(self, op: str) -> ValueRange:
        if self.runs == 0:
            return ValueRange(op, 0.0, 0.0, 0.0, 0.0)
        low, high = self.observer.range()
        return ValueRange(op, *map(_short, (self.low, self.high, low, high)))


def _short(value: float) -> float:
    """The nearest f32, as its shortest text reads."""
    return float(str(np.float32(value)))


def _sample_text(first: int, batch: int) -> str:
    return f"sample {first}" if batch == 1 else f"samples {first} to {first + batch - 1}"


def _op_of(value: SSAValue) -> str:
    return value.owner.name.rpartition(".")[2] if isinstance(value.owner, Operation) else "input"


def _text(module: ModuleOp, key: str) -> str:
    attribute = module.attributes.get(key)
    return attribute.data if isinstance(attribute, StringAttr) else ""
