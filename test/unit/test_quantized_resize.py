"""Interpolation and uneven pools of stored integers: what the rounding loses, and that all levels agree."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from quantized_nets import Array, Net, at_nn, converted, run_levels

from swkpu.dialects import nn
from swkpu.integers.resizing import FINE_UNIT, MOST, whole_weights
from swkpu.lowering.resize import weights_of

SCALE = 1 / 32


def quantized_net(shape: tuple[int, ...], zero_point: int, make, out_scale: float = SCALE):
    """x, stored, through an op, stored again."""
    net = Net(shape)
    x = net.stored(net.inputs[0], SCALE, zero_point)
    return net.module(net.quantize(net(make(x)), out_scale, zero_point))


def reals(shape: tuple[int, ...], zero_point: int, seed: int = 0) -> Array:
    """Floats that stored integers stand for, among them the extremes."""
    steps = np.random.default_rng(seed).integers(-128, 128, shape)
    steps.flat[:4] = (-128, 127, 127, -128)
    return (SCALE * (steps - zero_point)).astype(np.float32)


def steps_off(found: Array, expected: torch.Tensor, zero_point: int) -> int:
    stored = np.clip(np.rint(expected.numpy() / SCALE) + zero_point, -128, 127)
    return int(np.abs(found.astype(int) - stored).max())


@settings(deadline=None, max_examples=30)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    out=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    corners=st.booleans(),
    zero_point=st.sampled_from([-128, -7, 0, 127]),
)
def test_bilinear_is_within_a_step(size, out, corners, zero_point) -> None:
    shape = (1, 3, *size)
    module = converted(quantized_net(shape, zero_point, lambda x: nn.ResizeOp(x, "linear", out, corners)))
    assert not any(isinstance(op, nn.ResizeOp | nn.DequantizeOp) for op in module.walk())
    x = reals(shape, zero_point)
    expected = F.interpolate(torch.from_numpy(x), out, mode="bilinear", align_corners=corners)
    assert steps_off(at_nn(module, [x])[0], expected, zero_point) <= 1


@pytest.mark.parametrize(("size", "out"), [((5,), (13,)), ((3, 4, 5), (6, 5, 5)), ((2, 3, 4), (2, 3, 7))])
def test_other_ranks(size, out) -> None:
    shape = (2, 2, *size)
    module = converted(quantized_net(shape, 3, lambda x: nn.ResizeOp(x, "linear", out)))
    x = reals(shape, 3)
    mode = "linear" if len(size) == 1 else "trilinear"
    assert steps_off(at_nn(module, [x])[0], F.interpolate(torch.from_numpy(x), out, mode=mode), 3) <= len(size) - 1


@settings(deadline=None, max_examples=20)
@given(size=st.tuples(st.integers(1, 12), st.integers(1, 12)), out=st.tuples(st.integers(1, 7), st.integers(1, 7)))
def test_uneven_average_is_within_a_step(size, out) -> None:
    shape = (1, 3, *size)
    module = converted(quantized_net(shape, -9, lambda x: nn.AdaptiveAvgPool2dOp(x, out)))
    assert not any(isinstance(op, nn.AdaptiveAvgPool2dOp | nn.DequantizeOp) for op in module.walk())
    x = reals(shape, -9)
    assert steps_off(at_nn(module, [x])[0], F.adaptive_avg_pool2d(torch.from_numpy(x), out), -9) <= 1


def test_by_hand() -> None:
    """Twice the size: quarters. -128 and 127 give -128, (3 * -128 + 127) / 4, (-128 + 3 * 127) / 4 and 127."""
    module = converted(quantized_net((1, 1, 1, 2), 0, lambda x: nn.ResizeOp(x, "linear", (1, 4))))
    x = np.array([-128, 127], np.float32).reshape(1, 1, 1, 2) * np.float32(SCALE)
    assert at_nn(module, [x])[0].reshape(-1).tolist() == [-128, -64, 63, 127]


@settings(deadline=None, max_examples=50)
@given(size=st.integers(1, 60), out=st.integers(1, 300), corners=st.booleans())
def test_weights_are_whole_and_keep_constants(size: int, out: int, corners: bool) -> None:
    real = weights_of("linear", size, out, corners, None)
    whole = whole_weights(real)
    unit = int(whole[0].sum())
    assert (whole.sum(1) == unit).all() and whole.min() >= 0
    assert unit <= MOST or unit == FINE_UNIT
    assert np.abs(whole / unit - real).max() <= (1e-3 / unit if unit <= MOST else 1 / unit)


@pytest.mark.parametrize(("factor", "unit"), [(2, 4), (4, 8), (8, 16), (32, 64)])
def test_usual_scales_have_small_units(factor: int, unit: int) -> None:
    whole = whole_weights(weights_of("linear", 7, 7 * factor, False, None))
    assert (whole.sum(1) == unit).all()


CASES: dict[str, tuple[tuple[int, ...], object]] = {
    "twice": ((1, 5, 4, 6), lambda x: nn.ResizeOp(x, "linear", (8, 12))),
    "eight times": ((1, 3, 4, 4), lambda x: nn.ResizeOp(x, "linear", (32, 32))),
    "from a pixel": ((1, 8, 1, 1), lambda x: nn.ResizeOp(x, "linear", (5, 7))),
    "two digits": ((2, 3, 7, 5), lambda x: nn.ResizeOp(x, "linear", (131, 139), True)),
    "volume": ((1, 2, 3, 4, 5), lambda x: nn.ResizeOp(x, "linear", (6, 4, 7))),
    "uneven pool": ((1, 6, 7, 10), lambda x: nn.AdaptiveAvgPool2dOp(x, (3, 4))),
}


@pytest.mark.parametrize(("case", "target"), [*((case, "kpu-t64") for case in CASES), ("twice", "swkpu-v1")])
def test_levels_agree(case: str, target: str) -> None:
    shape, make = CASES[case]
    module = quantized_net(shape, -5, make, SCALE * 0.9)
    run_levels(module, [reals(shape, -5)], target).check_equal()


def test_cubic_stays_a_float() -> None:
    module = converted(quantized_net((1, 1, 4, 4), 0, lambda x: nn.ResizeOp(x, "cubic", (8, 8))))
    assert any(isinstance(op, nn.ResizeOp) for op in module.walk())
