"""Observers and what they are made of: histograms, searches for a range, scales and zero points, scales of weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swkpu.errors import CalibrationError, IRError
from swkpu.quant.histogram import BINS, Histogram
from swkpu.quant.observers import (
    OBSERVERS,
    Entropy,
    MeanSquaredError,
    MinMax,
    MovingAverage,
    Observer,
    Percentile,
    observer_factory,
)
from swkpu.quant.scales import LARGEST_SCALE, SMALLEST_SCALE, scale_and_zero_point
from swkpu.quant.weights import dequantize_weight, quantize_weight, weight_scales

Array = np.ndarray[Any, np.dtype[Any]]

FLOATS = st.floats(-(2.0**127), 2.0**127, width=32, allow_subnormal=False)
ORDINARY = st.floats(-(2.0**40), 2.0**40, width=32).map(lambda x: x if abs(x) > 2**-40 else 0.0)
"""Floats of which none is so small beside the others that it underflows as a multiple of a bin's width."""
BATCHES = st.lists(st.lists(ORDINARY, min_size=1, max_size=30), min_size=1, max_size=6)


def see(observer: Observer, values: Array) -> Observer:
    tensor = torch.from_numpy(np.asarray(values, np.float32))
    observer.observe(tensor, tensor.min().item(), tensor.max().item())
    return observer


def histogram_of(batches: list[list[float]]) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.add(torch.tensor(batch), min(batch), max(batch))
    return histogram


def squared_error(values: Array, low: float, high: float, symmetric: bool = False) -> float:
    """Of quantizing the values themselves."""
    scale, zero_point = scale_and_zero_point(low, high, symmetric=symmetric)
    stored = np.clip(np.rint(values.astype(np.float64) / scale) + zero_point, -128, 127)
    return float(np.square((stored - zero_point) * scale - values).mean())


# ---- histogram -----------------------------------------------------------------------------------------------------


@given(BATCHES)
@settings(max_examples=50)
def test_a_histogram_counts_every_value_in_its_bin(batches: list[list[float]]) -> None:
    histogram, values = histogram_of(batches), np.array([v for b in batches for v in b])
    assert histogram.total == len(values)
    assert len(histogram.counts) <= BINS
    assert histogram.edges[0] <= min(values.min(), 0) and histogram.edges[-1] > max(values.max(), 0)
    bins = np.floor(values / histogram.width).astype(int) - histogram.first
    assert (np.bincount(bins, minlength=len(histogram.counts)) == histogram.counts).all()


@given(BATCHES, st.randoms())
@settings(max_examples=50)
def test_a_histogram_does_not_depend_on_batches_or_their_order(batches: list[list[float]], random: Any) -> None:
    first = histogram_of(batches)
    values = [v for batch in batches for v in batch]
    random.shuffle(values)
    for second in (histogram_of([values]), histogram_of([[v] for v in values])):
        assert (first.exponent, first.first) == (second.exponent, second.first)
        assert (first.counts == second.counts).all()


def test_a_histogram_uses_at_least_half_of_its_bins() -> None:
    for spread in (1e-30, 1.0, 3.7, 1e30):
        assert len(histogram_of([[-spread, spread * 0.3]]).counts) > BINS / 2


# ---- observers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OBSERVERS)
@given(batches=BATCHES)
@settings(max_examples=25)
def test_a_range_lies_within_what_was_seen(name: str, batches: list[list[float]]) -> None:
    observer = OBSERVERS[name]()
    for batch in batches:
        see(observer, np.array(batch))
    low, high = observer.range()
    slack = 1e-6 * max(abs(observer.low), abs(observer.high))
    assert observer.low - slack <= low <= high <= observer.high + slack


@given(BATCHES)
def test_min_max_of_batches_is_that_of_all(batches: list[list[float]]) -> None:
    observer = MinMax()
    for batch in batches:
        see(observer, np.array(batch))
    values = np.array([v for b in batches for v in b], np.float32)
    assert observer.range() == (values.min(), values.max())


def test_a_moving_average_follows_the_extremes() -> None:
    observer = MovingAverage(momentum=0.5)
    for low, high in ((-1, 1), (-3, 1), (-1, 5)):
        see(observer, np.array([low, high]))
    assert observer.range() == (-1.5, 3.0)
    assert (observer.low, observer.high) == (-3, 5)


@pytest.mark.parametrize("percentile", [90.0, 99.0, 99.9])
@pytest.mark.parametrize("sample", ["normal", "lognormal", "uniform"])
def test_a_percentile_is_numpys_within_a_bin(percentile: float, sample: str) -> None:
    values = getattr(np.random.default_rng(0), sample)(size=50_000).astype(np.float32)
    observer = Percentile(percentile)
    for batch in np.array_split(values, 7):
        see(observer, batch)
    outside, width, rank = (100 - percentile) / 200, observer.histogram.width, 1 / len(values)
    for share, found in zip((outside, 1 - outside), observer.range()):
        below = np.quantile(values, share - rank, method="lower") - width
        above = np.quantile(values, share + rank, method="higher") + width
        assert below <= found <= above


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("sample", ["normal", "laplace", "relu", "outlier", "student", "uniform", "positive"])
def test_mse_is_no_worse_than_min_max_and_near_the_best(sample: str, symmetric: bool) -> None:
    values = distribution(sample)
    observer = MeanSquaredError()
    observer.symmetric = symmetric
    for batch in np.array_split(values, 5):
        see(observer, batch)
    chosen = squared_error(values, *observer.range(), symmetric)
    extremes = squared_error(values, values.min(), values.max(), symmetric)
    low, high = min(values.min(), 0), max(values.max(), 0)
    best = min(squared_error(values, low * a, high * b, symmetric) for a in SHARES for b in SHARES)
    assert chosen <= extremes * 1.001
    assert chosen <= best * 1.03
    if sample in ("outlier", "student"):
        assert chosen < extremes * 0.97


def test_mse_is_relative_to_each_run() -> None:
    values = np.random.default_rng(0).standard_normal(20_000)
    observer, pooled = MeanSquaredError(), MeanSquaredError()
    for _ in range(9):
        see(observer, values)
    see(observer, 20 * values)
    see(pooled, np.concatenate([values] * 9 + [20 * values]))
    assert observer.range()[1] < pooled.range()[1] / 1.5


def test_mse_keeps_extremes_that_were_not_sampled() -> None:
    observer = MeanSquaredError()
    observer.observe(torch.zeros(100), -1.0, 3.0)
    assert observer.range() == (-1.0, 3.0)


SHARES = np.linspace(0.025, 1, 40)


def distribution(name: str) -> Array:
    rng = np.random.default_rng(1)
    normal = rng.standard_normal(20_000)
    made: dict[str, Array] = {
        "normal": normal,
        "laplace": rng.laplace(size=20_000),
        "relu": np.maximum(normal, 0),
        "outlier": np.append(normal, [40.0]),
        "student": rng.standard_t(2.5, 20_000),
        "uniform": rng.uniform(-1, 3, 20_000),
        "positive": normal + 10,
    }
    return made[name].astype(np.float32)


@pytest.mark.parametrize("zeros", [0, 200_000])
def test_entropy_keeps_the_bulk_of_a_normal_distribution(zeros: int) -> None:
    values = np.random.default_rng(0).standard_normal(200_000)
    low, high = see(Entropy(), values).range()
    assert -values.min() >= -low > 2.5 and values.max() >= high > 2.5
    assert max(-low, high) < max(-values.min(), values.max())
    low, high = see(Entropy(), np.append(np.maximum(values, 0), np.zeros(zeros))).range()
    assert low == 0 and 2.5 < high < values.max()


def test_entropy_keeps_a_uniform_distribution_and_drops_outliers() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, 200_000)
    low, high = see(Entropy(), values).range()
    assert min(-low, high) > 0.98
    low, high = see(Entropy(), np.append(values, [8.0])).range()
    assert low < -0.98 and 0.98 < high < 2


@pytest.mark.parametrize("name", OBSERVERS)
@pytest.mark.parametrize("value", [0.0, 3.5, -2.0])
def test_a_constant_is_its_own_range(name: str, value: float) -> None:
    assert see(OBSERVERS[name](), np.full(100, value)).range() == (value, value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("mes", r'unknown observer "mes"; did you mean mse\? expected one of min-max, moving-average'),
        ("mse:3", "observer mse takes no number; moving-average and percentile do"),
        ("percentile:101", 'percentile: expected a number above 50, up to 100, found "101"'),
        ("percentile:x", 'expected a number above 50, up to 100, found "x"'),
        ("moving-average:0", "expected a number above 0, up to 1"),
    ],
)
def test_a_wrong_observer_is_an_error(text: str, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        observer_factory(text)


def test_an_observer_takes_its_number() -> None:
    observer = observer_factory("percentile:99.5")()
    assert isinstance(observer, Percentile) and observer.percentile == 99.5


# ---- scales and zero points ----------------------------------------------------------------------------------------


@given(FLOATS, FLOATS, st.booleans())
def test_zero_is_exact_and_the_range_is_covered(a: float, b: float, symmetric: bool) -> None:
    low, high = min(a, b), max(a, b)
    scale, zero_point = scale_and_zero_point(low, high, symmetric=symmetric)
    least, most = (-127, 127) if symmetric else (-128, 127)
    assert least <= zero_point <= most and np.isfinite(np.float32(scale)) and scale >= SMALLEST_SCALE
    assert (zero_point == 0) or not symmetric
    half = scale / 2 * (1 + 1e-9)  # the zero point is rounded, which moves the ends by up to half a step
    assert scale * (least - zero_point) <= min(low, 0) + half and scale * (most - zero_point) >= max(high, 0) - half


def test_ranges_as_stored() -> None:
    assert scale_and_zero_point(0, 2.55) == (pytest.approx(0.01), -128)
    assert scale_and_zero_point(-1.28, 1.27) == (pytest.approx(0.01), 0)
    assert scale_and_zero_point(1.0, 2.55) == (pytest.approx(0.01), -128)
    assert scale_and_zero_point(-2.0, 1.27, symmetric=True) == (pytest.approx(2 / 127), 0)
    assert scale_and_zero_point(-7, 3, bits=4, symmetric=True) == (1.0, 0)
    assert scale_and_zero_point(0, 0) == (1.0, -128)
    assert scale_and_zero_point(0, 0, symmetric=True) == (1.0, 0)
    assert scale_and_zero_point(0, 1e-45)[0] == SMALLEST_SCALE


def test_a_scale_that_f32_cannot_hold_is_an_error() -> None:
    with pytest.raises(CalibrationError, match="scale overflow: values from 0 to 1e\\+40 need a scale of"):
        scale_and_zero_point(0, 1e40)
    assert scale_and_zero_point(-3.4e38, 3.4e38)[0] < LARGEST_SCALE
    for low, high in ((1.0, -1.0), (0.0, float("inf")), (float("nan"), 1.0)):
        with pytest.raises(CalibrationError, match="is not a range"):
            scale_and_zero_point(low, high)


# ---- weights -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits, most", [(8, 127), (4, 7)])
@pytest.mark.parametrize("axis", [0, 1])
def test_each_channel_has_the_scale_of_its_largest_magnitude(bits: int, most: int, axis: int) -> None:
    weight = np.random.default_rng(0).standard_normal((6, 5, 3, 3)).astype(np.float32)
    scales = weight_scales(weight, bits, axis)
    others = tuple(d for d in range(4) if d != axis)
    assert scales.dtype == np.float32
    np.testing.assert_allclose(scales, np.abs(weight).max(others) / most, rtol=1e-6)
    stored = quantize_weight(weight, scales, bits, axis)
    assert stored.shape == weight.shape and (np.abs(stored).max(others) == most).all()
    shape = [1] * 4
    shape[axis] = -1
    error = np.abs(dequantize_weight(stored, scales, axis) - weight)
    assert (error <= scales.reshape(shape) * 0.5001).all()


@pytest.mark.parametrize("group", [32, 64, 128])
def test_a_group_has_its_own_scale(group: int) -> None:
    weight = np.random.default_rng(0).standard_normal((4, 256)).astype(np.float32)
    scales = weight_scales(weight, 4, group=group)
    assert scales.shape == (4, 256 // group)
    np.testing.assert_allclose(scales, np.abs(weight.reshape(4, -1, group)).max(-1) / 7, rtol=1e-6)
    error = np.abs(dequantize_weight(quantize_weight(weight, scales, 4, group=group), scales, group=group) - weight)
    assert (error.reshape(4, -1, group) <= scales[..., None] * 0.5001).all()


def test_searched_scales_have_less_error() -> None:
    weight = np.random.default_rng(0).standard_normal((8, 512)).astype(np.float32)
    plain, searched = weight_scales(weight, 4), weight_scales(weight, 4, search=True)
    errors = [
        np.square(dequantize_weight(quantize_weight(weight, s, 4, full=full), s) - weight).sum(1)
        for s, full in ((plain, False), (searched, True))
    ]
    assert (errors[1] < errors[0]).all()


@pytest.mark.parametrize("group", [None, 32])
@pytest.mark.parametrize("search", [False, True])
def test_a_channel_of_zeros_has_scale_1(group: int | None, search: bool) -> None:
    weight = np.zeros((2, 64), np.float32)
    weight[1] = 0.5
    scales = weight_scales(weight, 8, group=group, search=search)
    assert (scales[0] == 1).all() and np.isfinite(scales).all() and (scales > 0).all()
    assert (quantize_weight(weight, scales, 8, group=group)[0] == 0).all()
    tiny = weight_scales(np.full((1, 32), 1e-45, np.float32), 8, search=search)
    assert tiny[0] == np.float32(SMALLEST_SCALE)


def test_weights_that_cannot_be_quantized() -> None:
    with pytest.raises(IRError, match="groups of 48 do not divide the 64 elements per channel"):
        weight_scales(np.ones((2, 64), np.float32), 4, group=48)
    with pytest.raises(IRError, match="NaN or infinite"):
        weight_scales(np.array([[1.0, np.nan]], np.float32))
