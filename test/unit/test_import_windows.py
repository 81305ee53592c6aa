"""Import of convolutions, pools, resizing and padding: every form of their arguments gives torch's values."""

from collections.abc import Callable
from math import prod

import pytest
import torch
import torch.nn.functional as F
from imports import check, module_of

from swkpu.errors import UnsupportedOpError

SEED = torch.Generator().manual_seed(1)
ROW = torch.randn(2, 4, 11, generator=SEED)
IMAGE = torch.randn(2, 4, 9, 8, generator=SEED)
VOLUME = torch.randn(2, 4, 5, 6, 7, generator=SEED)
BIAS = torch.randn(6, generator=SEED)


def weight(*shape: int) -> torch.Tensor:
    return torch.arange(float(prod(shape))).mul(7).sin().reshape(shape)


Case = tuple[Callable[..., object], torch.Tensor, list[str]]

CONVOLUTIONS: dict[str, Case] = {
    "conv1d": (
        lambda x: F.conv1d(x, weight(6, 2, 3), BIAS, 2, 1, 2, 2),
        ROW,
        ["nn.reshape", "nn.reshape", "nn.conv2d", "nn.reshape", "nn.add", "nn.reshape"],
    ),
    "conv1d_same": (
        lambda x: F.conv1d(x, weight(6, 4, 4), None, 1, "same"),
        ROW,
        ["nn.reshape", "nn.reshape", "nn.conv2d", "nn.reshape"],
    ),
    "conv1d_unbatched": (
        lambda x: F.conv1d(x[0], weight(6, 4, 3)),
        ROW,
        ["nn.slice", "nn.reshape", "nn.reshape", "nn.reshape", "nn.conv2d", "nn.reshape"],
    ),
    "conv3d": (lambda x: F.conv3d(x, weight(6, 4, 2, 3, 1), None, (1, 2, 1), (0, 1, 2)), VOLUME, ["nn.conv3d"]),
    "conv3d_same": (lambda x: F.conv3d(x, weight(6, 4, 2, 3, 1), None, 1, "same"), VOLUME, ["nn.conv3d"]),
    "conv_transpose1d": (
        lambda x: F.conv_transpose1d(x, weight(4, 3, 3), None, 2, 1, 1, 2),
        ROW,
        ["nn.reshape", "nn.reshape", "nn.conv_transpose2d", "nn.reshape"],
    ),
    "conv_transpose2d": (
        lambda x: F.conv_transpose2d(x, weight(4, 6, 3, 2), BIAS, (2, 3), 1, (1, 2), 1, (2, 1)),
        IMAGE,
        ["nn.conv_transpose2d", "nn.reshape", "nn.add"],
    ),
    "conv_transpose2d_unbatched": (
        lambda x: F.conv_transpose2d(x, weight(4, 6, 3, 2)),
        IMAGE[0],
        ["nn.reshape", "nn.conv_transpose2d", "nn.reshape"],
    ),
    "conv_transpose3d": (
        lambda x: F.conv_transpose3d(x, weight(4, 3, 2, 2, 2), None, 2, (1, 0, 1), 1),
        VOLUME,
        ["nn.conv_transpose3d"],
    ),
    "convolution": (
        lambda x: torch.convolution(x, weight(4, 3, 3, 3), None, [2, 2], [1, 0], [1, 1], True, [1, 1], 1),
        IMAGE,
        ["nn.conv_transpose2d"],
    ),
}

POOLS: dict[str, Case] = {
    "max_pool1d": (lambda x: F.max_pool1d(x, 3, 2, 1, 1, True), ROW, ["nn.reshape", "nn.max_pool2d", "nn.reshape"]),
    "max_pool3d": (lambda x: F.max_pool3d(x, (2, 3, 2), 2, 1, 1, True), VOLUME, ["nn.max_pool3d"]),
    "max_pool3d_unbatched": (
        lambda x: F.max_pool3d(x, 2),
        VOLUME[0],
        ["nn.reshape", "nn.max_pool3d", "nn.reshape"],
    ),
    "max_pool2d_integers": (lambda x: F.max_pool2d((x * 9).long(), 2), IMAGE, ["nn.mul", "nn.cast", "nn.max_pool2d"]),
    "avg_pool1d": (
        lambda x: F.avg_pool1d(x, 3, 2, 1, True, False),
        ROW,
        ["nn.reshape", "nn.avg_pool2d", "nn.reshape"],
    ),
    "avg_pool3d": (lambda x: F.avg_pool3d(x, (2, 3, 2), 2, 1, True, False), VOLUME, ["nn.avg_pool3d"]),
    "avg_pool3d_divisor": (lambda x: F.avg_pool3d(x, 2, divisor_override=5), VOLUME, ["nn.avg_pool3d"]),
    "adaptive_avg_apart": (lambda x: F.adaptive_avg_pool2d(x, (5, 3)), IMAGE, ["nn.adaptive_avg_pool2d"]),
    "adaptive_avg_overlapping_alike": (lambda x: F.adaptive_avg_pool2d(x, (2, 4)), IMAGE, ["nn.avg_pool2d"]),
    "adaptive_avg_larger": (lambda x: F.adaptive_avg_pool2d(x, (18, 5)), IMAGE, ["nn.adaptive_avg_pool2d"]),
    "adaptive_avg_none": (lambda x: F.adaptive_avg_pool2d(x, (None, 1)), IMAGE, ["nn.avg_pool2d"]),
    "adaptive_avg_1d": (
        lambda x: F.adaptive_avg_pool1d(x, 4),
        ROW,
        ["nn.reshape", "nn.adaptive_avg_pool2d", "nn.reshape"],
    ),
    "adaptive_avg_3d": (lambda x: F.adaptive_avg_pool3d(x, (3, 2, 7)), VOLUME, ["nn.adaptive_avg_pool3d"]),
    "adaptive_avg_3d_one": (lambda x: F.adaptive_avg_pool3d(x, 1), VOLUME, ["nn.mean"]),
    "adaptive_max": (lambda x: F.adaptive_max_pool2d(x, (5, 3)), IMAGE, ["nn.adaptive_max_pool2d"]),
    "adaptive_max_one": (lambda x: F.adaptive_max_pool2d(x, 1), IMAGE, ["nn.max"]),
    "adaptive_max_3d": (lambda x: F.adaptive_max_pool3d(x, (3, 2, 7)), VOLUME, ["nn.adaptive_max_pool3d"]),
    "area": (lambda x: F.interpolate(x, (5, 3), mode="area"), IMAGE, ["nn.adaptive_avg_pool2d"]),
}

RESIZES: dict[str, Case] = {
    "nearest1d": (lambda x: F.interpolate(x, 22), ROW, ["nn.resize"]),
    "nearest2d": (lambda x: F.interpolate(x, scale_factor=2), IMAGE, ["nn.resize"]),
    "nearest3d": (lambda x: F.interpolate(x, (3, 9, 7)), VOLUME, ["nn.resize"]),
    "nearest_exact": (lambda x: F.interpolate(x, (5, 13), mode="nearest-exact"), IMAGE, ["nn.resize"]),
    "linear1d": (lambda x: F.interpolate(x, scale_factor=1.7, mode="linear"), ROW, ["nn.resize"]),
    "bilinear": (lambda x: F.interpolate(x, (18, 5), mode="bilinear"), IMAGE, ["nn.resize"]),
    "bilinear_corners": (
        lambda x: F.interpolate(x, scale_factor=(2, 0.6), mode="bilinear", align_corners=True),
        IMAGE,
        ["nn.resize"],
    ),
    "recomputed_scale": (
        lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear", recompute_scale_factor=True),
        IMAGE,
        ["nn.resize"],
    ),
    "trilinear": (lambda x: F.interpolate(x, scale_factor=(1.3, 2, 0.5), mode="trilinear"), VOLUME, ["nn.resize"]),
    "bicubic": (lambda x: F.interpolate(x, scale_factor=1.7, mode="bicubic"), IMAGE, ["nn.resize"]),
    "antialiased": (
        lambda x: F.interpolate(x, (4, 5), mode="bicubic", antialias=True),
        IMAGE,
        ["nn.matmul", "nn.matmul"],
    ),
    "same_size": (lambda x: F.interpolate(x, (9, 8), mode="bilinear") + 1, IMAGE, ["nn.add"]),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), IMAGE, ["nn.reshape", "nn.permute", "nn.reshape"]),
}

PADS: dict[str, Case] = {
    "constant": (lambda x: F.pad(x, (1, 0, 2, 3), value=5.0), IMAGE, ["nn.pad"]),
    "constant_negative": (lambda x: F.pad(x, (-1, 2, 0, -3)), IMAGE, ["nn.slice", "nn.pad"]),
    "crop": (lambda x: F.pad(x, (-1, -2)), IMAGE, ["nn.slice"]),
    "infinity": (lambda x: F.pad(x, (1, 1), value=float("-inf")), IMAGE, ["nn.pad"]),
    "integers": (lambda x: F.pad((x > 0).long(), (1, 1), value=3), IMAGE, ["nn.gt", "nn.cast", "nn.pad"]),
    "reflect": (lambda x: F.pad(x, (1, 2, 3, 0), mode="reflect"), IMAGE, ["nn.take", "nn.take"]),
    "replicate": (lambda x: F.pad(x, (1, 2, 3, 0), mode="replicate"), IMAGE, ["nn.take", "nn.take"]),
    "circular": (lambda x: F.pad(x, (1, 2), mode="circular"), ROW, ["nn.slice", "nn.slice", "nn.concat"]),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(case: str) -> None:
    function, x, ops = CONVOLUTIONS[case]
    check(function, x, ops=ops, tolerance=1e-4)


@pytest.mark.parametrize("case", POOLS)
def test_pool(case: str) -> None:
    function, x, ops = POOLS[case]
    check(function, x, ops=ops)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
        lambda x: F.max_pool2d(x, 2, ceil_mode=True, dilation=2, return_indices=True),
        lambda x: F.adaptive_max_pool2d(x, (4, 3), return_indices=True),
        lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    ],
)
def test_pool_indices(function: Callable[..., object]) -> None:
    check(function, IMAGE)


@pytest.mark.parametrize("case", RESIZES)
def test_resize(case: str) -> None:
    function, x, ops = RESIZES[case]
    check(function, x, ops=ops)


@pytest.mark.parametrize("case", PADS)
def test_pad(case: str) -> None:
    function, x, ops = PADS[case]
    if case == "circular":
        check(function, x)
    else:
        check(function, x, ops=ops)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half(dtype: torch.dtype) -> None:
    x = IMAGE.to(dtype)
    check(lambda x: F.conv_transpose2d(x, weight(4, 3, 2, 2).to(dtype), stride=2), x, tolerance=2e-2)
    check(lambda x: F.adaptive_avg_pool2d(x, (5, 3)), x, tolerance=1e-2)
    check(lambda x: F.max_pool2d(x, 2), x, tolerance=0)
    check(lambda x: F.interpolate(x, (18, 16), mode="bilinear"), x, tolerance=1e-2)


@pytest.mark.parametrize(("mode", "padding"), [("bilinear", "zeros"), ("nearest", "border"), ("bicubic", "reflection")])
def test_grid_sample(mode: str, padding: str) -> None:
    grid = torch.rand(2, 5, 6, 2, generator=torch.Generator().manual_seed(3)) * 2.4 - 1.2
    check(lambda x, g: F.grid_sample(x, g, mode, padding, False), IMAGE, grid, tolerance=1e-4)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_grid_sample_of_volumes(mode: str) -> None:
    grid = torch.rand(2, 3, 4, 5, 3, generator=torch.Generator().manual_seed(3)) * 2.4 - 1.2
    check(lambda x, g: F.grid_sample(x, g, mode, "reflection", True), VOLUME, grid, tolerance=1e-4)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.conv2d(x.long(), torch.ones(1, 4, 1, 1, dtype=torch.int64)),
        lambda x: F.avg_pool2d(x.long(), 2),
        lambda x: F.fractional_max_pool2d(x, 2, 3),
    ],
)
def test_refused(function: Callable[..., object]) -> None:
    with pytest.raises(UnsupportedOpError):
        module_of(function, IMAGE)
