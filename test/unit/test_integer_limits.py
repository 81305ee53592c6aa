"""Quantized networks at their limits: channels of zeros, far biases, sums that wrap, scales far apart, odd inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quantized_nets import Array, Net, at_nn, converted, entry, run_levels
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.dialects.value_range import RangeAttr, set_range
from swkpu.errors import IRError
from swkpu.interp import run_module
from swkpu.passes.quantization_points import quantization_points

RNG = np.random.default_rng(0)


def linear(net: Net, x: SSAValue, weight: Array, bias: Array) -> SSAValue:
    return net(nn.AddOp(net(nn.LinearOp(x, net.constant(weight))), net.constant(bias)))


def ranged(module: ModuleOp, ranges: list[tuple[float, float]]) -> ModuleOp:
    """With ranges on the values that calibration would look at."""
    for value, (low, high) in zip(quantization_points(entry(module)), ranges, strict=True):
        set_range(value, RangeAttr.of(low, high))
    return module


def two_layers(weights: list[Array], biases: list[Array]) -> ModuleOp:
    net = Net((4, weights[0].shape[1]))
    x = net.inputs[0]
    for weight, bias in zip(weights, biases):
        x = linear(net, x, weight, bias)
    return net.module(x)


def floats(module: ModuleOp, x: Array) -> Array:
    return run_module(module, [torch.from_numpy(x)])[0].numpy()


def test_a_channel_of_zeros_has_an_exact_bias() -> None:
    weight, bias = RNG.normal(size=(3, 8)).astype(np.float32), np.array([0.3, 0.7, -0.2], np.float32)
    weight[1] = 0
    weight[2] *= np.float32(1e-4)
    net = Net((4, 8))
    module = ranged(net.module(linear(net, net.inputs[0], weight, bias)), [(-2, 2)])
    x = RNG.uniform(-2, 2, (4, 8)).astype(np.float32)
    expected = floats(module, x)
    found = run_levels(module, [x], "kpu-t64")
    found.check_equal()
    np.testing.assert_allclose(found.nn[0][:, 1], 0.7, rtol=1e-6)
    np.testing.assert_allclose(found.nn[0], expected, atol=0.15)


@pytest.mark.parametrize("bias", [1e4, -1e9, 3e20])
def test_far_biases_saturate(bias: float) -> None:
    x, w = np.zeros((2, 5), np.float32), RNG.integers(-128, 128, (3, 5))
    net = Net((2, 5))
    product = net(nn.LinearOp(net.stored(net.inputs[0], 1e-4, 9), net.weight(w, np.full(3, 1e-4))))
    y = net(nn.AddOp(product, net.constant(np.full(3, bias, np.float32))))
    levels = run_levels(net.module(net.quantize(y, 0.01, 0)), [x], "kpu-t64")
    levels.check_equal()
    assert (levels.nn[0] == (127 if bias > 0 else -128)).all()


def test_all_weights_zero() -> None:
    net = Net((2, 5))
    product = net(nn.LinearOp(net.stored(net.inputs[0], 0.1, 9), net.weight(np.zeros((3, 5)), np.ones(3))))
    x = RNG.normal(size=(2, 5)).astype(np.float32)
    levels = run_levels(net.module(net.quantize(product, 0.01, 4)), [x], "kpu-t64")
    levels.check_equal()
    assert (levels.nn[0] == 4).all()


@pytest.mark.parametrize("zero", [-128, 127])
def test_extremes_do_not_wrap(zero: int) -> None:
    """All products of one sign, as many as 32 bits hold."""
    k = 2**31 // (255 * 128) - 1
    x = np.full((1, k), 1e3 if zero == -128 else -1e3, np.float32)
    net = Net((1, k))
    product = net(nn.LinearOp(net.stored(net.inputs[0], 1.0, zero), net.weight(np.full((2, k), -128), np.ones(2))))
    levels = run_levels(net.module(net.quantize(product, 2.0**24, 0)), [x], "kpu-t64")
    levels.check_equal()
    assert (levels.nn[0] == (-128 if zero == -128 else 127)).all()


def test_a_sum_that_could_wrap_is_refused() -> None:
    k = 2**31 // (255 * 128) + 1
    net = Net((1, k))
    product = net(nn.LinearOp(net.stored(net.inputs[0], 1.0, -128), net.weight(np.full((2, k), -128), np.ones(2))))
    with pytest.raises(IRError, match=r"nn.linear: a sum could reach 2.147\d*e\+09, beyond 32 bits"):
        converted(net.module(net.quantize(product, 1.0, 0)))


def test_scales_too_far_apart_are_refused() -> None:
    net = Net((1, 4), (1, 4))
    a, b = (net.stored(x, 1.0, 0) for x in net.inputs)
    product = net(nn.MulOp(a, b))
    with pytest.raises(IRError, match=r"scale overflow: a rescale by 1e\+12 is beyond 2\^29"):
        converted(net.module(net.quantize(product, 1e-12, 0)))


def test_weights_that_are_not_finite_are_refused() -> None:
    module = two_layers([np.array([[1.0, np.nan]], np.float32)], [np.zeros(1, np.float32)])
    with pytest.raises(IRError, match="a weight has elements that are NaN or infinite"):
        converted(ranged(module, [(-1, 1)]))


def test_a_value_without_a_range_is_named() -> None:
    module = two_layers([np.ones((3, 5), np.float32), np.ones((2, 3), np.float32)], [np.ones(3), np.ones(2)])
    function = entry(module)
    set_range(function.args[0], RangeAttr.of(-1, 1))
    with pytest.raises(IRError, match=r"nn-quantize: value add has no range; calibrate the model"):
        converted(module)


@pytest.mark.parametrize("factor", [10.0, 1e6, np.inf])
def test_inputs_beyond_their_range_saturate(factor: float) -> None:
    """As if they had been clipped to the range that calibration saw."""
    weights = [RNG.normal(size=(6, 8)).astype(np.float32), RNG.normal(size=(3, 6)).astype(np.float32)]
    biases = [RNG.normal(size=6).astype(np.float32), RNG.normal(size=3).astype(np.float32)]
    x = RNG.choice([-1.0, 0.5, 1.0], (4, 8)).astype(np.float32)

    def run(inputs: Array) -> Array:
        levels = run_levels(ranged(two_layers(weights, biases), [(-0.5, 0.5), (-2, 2)]), [inputs], "kpu-t64")
        levels.check_equal()
        return levels.nn[0]

    far = (x * np.float32(factor)).astype(np.float32)
    np.testing.assert_array_equal(run(far), run(np.clip(far, -1, 1)))


def test_nan_on_the_host_is_zero() -> None:
    x = RNG.normal(size=(2, 6)).astype(np.float32)
    x[0, 1] = np.nan

    def run(inputs: Array) -> Array:
        net = Net((2, 6))
        w = net.weight(np.arange(18).reshape(3, 6) - 9, np.full(3, 0.01))
        y = net.quantize(net(nn.LinearOp(net.stored(net.inputs[0], 0.02, -30), w)), 0.01, 3)
        module = net.module(y)
        return run_levels(module, [inputs], "kpu-t64").binary[0]

    np.testing.assert_array_equal(run(x), run(np.nan_to_num(x)))


def test_a_factor_per_channel_before_a_convolution_stays_float() -> None:
    """Integers have one scale for all channels that a product adds up."""
    x = RNG.normal(size=(1, 3, 5, 5)).astype(np.float32)
    net = Net((1, 3, 5, 5))
    start = net.stored(net.inputs[0], 0.02, 4)
    scaled = net(nn.MulOp(start, net.constant(np.array([0.1, 1, 10], np.float32).reshape(3, 1, 1))))
    w = net.weight(RNG.integers(-128, 128, (4, 3, 3, 3)), np.full(4, 0.01))
    module = net.module(net.quantize(net(nn.Conv2dOp(scaled, w)), 0.3, 0))
    expected = at_nn(module, [x])[0]
    found = at_nn(converted(module), [x])[0]
    assert np.abs(found.astype(int) - expected).max() <= 1
