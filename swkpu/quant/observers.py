"""Observers see a tensor's values batch by batch, keep a few numbers, and choose the range to quantize."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING

from swkpu.errors import CalibrationError
from swkpu.quant.histogram import Histogram

if TYPE_CHECKING:
    import torch

Range = tuple[float, float]
MakeObserver = Callable[[], "Observer"]


class Observer(ABC):
    """Keeps the extremes. `values` are never kept."""

    sampled = False
    """Whether `observe` needs `values`, a sample of the batch's; else it looks at the extremes only."""
    symmetric = False
    """Whether the range is for a zero point of 0."""

    def __init__(self) -> None:
        self.low, self.high = float("inf"), float("-inf")

    def observe(self, values: torch.Tensor, low: float, high: float) -> None:
        """See a batch. `values` are f32 of one dim, `low` and `high` the extremes of the whole batch; all finite."""
        self.low, self.high = min(self.low, low), max(self.high, high)

    @abstractmethod
    def range(self) -> Range:
        """The range to represent, within what was observed."""


class MinMax(Observer):
    """From the lowest value seen to the highest."""

    def range(self) -> Range:
        return self.low, self.high


class MovingAverage(Observer):
    """The averages of the batches' extremes, in which each new batch has the weight `momentum`.

    `low += momentum * (batch_low - low)`, from the first batch's on, and `high` alike. Jacob et al., Quantization and
    Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, CVPR 2018, section 3.1.
    """

    def __init__(self, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.average: Range | None = None

    def observe(self, values: torch.Tensor, low: float, high: float) -> None:
        super().observe(values, low, high)
        before_low, before_high = self.average or (low, high)
        self.average = (
            before_low + self.momentum * (low - before_low),
            before_high + self.momentum * (high - before_high),
        )

    def range(self) -> Range:
        return self.average or (self.low, self.high)


class HistogramObserver(Observer):
    """Keeps a histogram too."""

    sampled = True

    def __init__(self) -> None:
        super().__init__()
        self.histogram = Histogram()

    def observe(self, values: torch.Tensor, low: float, high: float) -> None:
        super().observe(values, low, high)
        self.histogram.add(values, low, high)

    def range(self) -> Range:
        if self.low == self.high:
            return self.low, self.high
        low, high = self.search()
        low = min(max(low, self.low), self.high)
        return low, max(low, min(high, self.high))

    @abstractmethod
    def search(self) -> Range:
        """The range chosen by the histogram, which is not empty."""


class Percentile(HistogramObserver):
    """The range that holds `percentile` % of the values; half of what is left lies on either side."""

    def __init__(self, percentile: float = 99.99) -> None:
        super().__init__()
        self.percentile = percentile

    def search(self) -> Range:
        from swkpu.quant.range_search import quantile

        outside = (1 - self.percentile / 100) / 2
        return quantile(self.histogram, outside), quantile(self.histogram, 1 - outside)


class Entropy(HistogramObserver):
    """The clipped range whose stored values tell most about the original ones: least Kullback-Leibler divergence.

    Migacz, 8-bit Inference with TensorRT, GTC 2017.
    """

    def search(self) -> Range:
        from swkpu.quant.range_search import least_divergence

        return least_divergence(self.histogram, self.low, self.high)


class MeanSquaredError(HistogramObserver):
    """The range with the least squared error of rounding inside it and clipping outside, relative to the mean square.

    The mean square is that of each run, so that a sample of large values does not decide for those of small ones.
    """

    def observe(self, values: torch.Tensor, low: float, high: float) -> None:
        import torch

        self.low, self.high = min(self.low, low), max(self.high, high)
        mean_square = torch.linalg.vector_norm(values, dtype=torch.float64).item() ** 2 / max(len(values), 1)
        if mean_square > 0:
            self.histogram.add(values, low, high, 1 / mean_square)

    def search(self) -> Range:
        from swkpu.quant.range_search import least_squared_error

        return least_squared_error(self.histogram, self.low, self.high, self.symmetric)


OBSERVERS: dict[str, MakeObserver] = {
    "min-max": MinMax,
    "moving-average": MovingAverage,
    "percentile": Percentile,
    "entropy": Entropy,
    "mse": MeanSquaredError,
}
"""By the names that users type."""
DEFAULT_OBSERVER = "mse"
PARAMETERS: dict[str, tuple[Callable[[float], Observer], float, float]] = {
    "moving-average": (MovingAverage, 0.0, 1.0),
    "percentile": (Percentile, 50.0, 100.0),
}
"""Observers that take a number after a colon (`percentile:99.9`), and between what it lies."""


def observer_factory(text: str) -> MakeObserver:
    """What makes the observer of a name, such as `mse` or `percentile:99.9`. Raises CalibrationError."""
    name, colon, number = text.partition(":")
    if name not in OBSERVERS:
        close = get_close_matches(name, OBSERVERS, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise CalibrationError(f'unknown observer "{name}"; {hint}expected one of {", ".join(OBSERVERS)}')
    if not colon:
        return OBSERVERS[name]
    if name not in PARAMETERS:
        raise CalibrationError(f"observer {name} takes no number; {' and '.join(PARAMETERS)} do")
    make, low, high = PARAMETERS[name]
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not low < value <= high:
        raise CalibrationError(f'observer {name}: expected a number above {low:g}, up to {high:g}, found "{number}"')
    return partial(make, value)
