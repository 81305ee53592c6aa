"""Convolutions, pools and resizing at the nn level, against torch."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from nn_ops import FLOATS, rand, run
from xdsl.dialects.builtin import f32
from xdsl.utils.exceptions import VerifyException

from swkpu.dialects import nn
from swkpu.types import i1, i8, i32

IMAGE, VOLUME = rand(2, 4, 9, 7), rand(2, 4, 5, 6, 7)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 1, 3)])
def test_conv3d(stride: tuple[int, ...], groups: int) -> None:
    w = rand(6, 4 // groups, 2, 3, 2, seed=1)
    y = run(nn.Conv3dOp, VOLUME, w, stride=stride, padding=(1, 1, 0, 0, 2, 2), dilation=(1, 2, 1), groups=groups)
    torch.testing.assert_close(y, F.conv3d(VOLUME, w, None, stride, (1, 0, 2), (1, 2, 1), groups))


def test_conv3d_asymmetric_padding() -> None:
    w = rand(3, 4, 2, 2, 2, seed=1)
    y = run(nn.Conv3dOp, VOLUME, w, padding=(0, 1, 2, 0, 0, 3))
    torch.testing.assert_close(y, F.conv3d(F.pad(VOLUME, (0, 3, 2, 0, 0, 1)), w))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("stride", "dilation", "more"), [(1, 1, 0), (3, 1, 2), (2, 3, 1), (1, 2, 1)])
def test_conv_transpose2d(stride: int, dilation: int, more: int, groups: int) -> None:
    w = rand(4, 3, 3, 2, seed=1)
    y = run(
        nn.ConvTranspose2dOp,
        IMAGE,
        w,
        stride=(stride, stride),
        padding=(1, 1, 0, 0),
        output_padding=(more, 0),
        dilation=(dilation, dilation),
        groups=groups,
    )
    expected = F.conv_transpose2d(IMAGE, w, None, stride, (1, 0), (more, 0), groups, dilation)
    torch.testing.assert_close(y, expected)


def test_conv_transpose2d_asymmetric_padding_cuts_the_result() -> None:
    w = rand(4, 3, 3, 2, seed=1)
    y = run(nn.ConvTranspose2dOp, IMAGE, w, stride=(2, 2), padding=(1, 0, 0, 2))
    torch.testing.assert_close(y, F.conv_transpose2d(IMAGE, w, None, 2)[:, :, 1:, :-2])


def test_conv_transpose3d() -> None:
    w = rand(4, 3, 3, 2, 1, seed=1)
    y = run(nn.ConvTranspose3dOp, VOLUME, w, stride=(2, 1, 3), padding=(1, 1, 0, 0, 0, 0), output_padding=(1, 0, 2))
    torch.testing.assert_close(y, F.conv_transpose3d(VOLUME, w, None, (2, 1, 3), (1, 0, 0), (1, 0, 2)))


@pytest.mark.parametrize("element", [*FLOATS, i8])
@pytest.mark.parametrize("ceil", [False, True])
def test_max_pool3d(element: object, ceil: bool) -> None:
    x = rand(2, 3, 5, 6, 7, element=element)
    y = run(
        nn.MaxPool3dOp, x, kernel=(2, 3, 2), stride=(2, 2, 3), padding=(1, 1, 1, 1, 0, 0), dilation=(1, 1, 2),
        ceil_mode=ceil,
    )  # fmt: skip
    expected = F.max_pool3d(x.float(), (2, 3, 2), (2, 2, 3), (1, 1, 0), (1, 1, 2), ceil)
    assert torch.equal(y.float(), expected)


@pytest.mark.parametrize(
    ("ceil", "counted", "divisor"), [*product([False, True], [False, True], [None]), (True, True, 3)]
)
def test_avg_pool3d(ceil: bool, counted: bool, divisor: int | None) -> None:
    y = run(
        nn.AvgPool3dOp, VOLUME, kernel=(2, 3, 2), stride=(2, 2, 3), padding=(1, 1, 1, 1, 0, 0), ceil_mode=ceil,
        count_include_pad=counted, divisor=divisor,
    )  # fmt: skip
    torch.testing.assert_close(y, F.avg_pool3d(VOLUME, (2, 3, 2), (2, 2, 3), (1, 1, 0), ceil, counted, divisor))


@pytest.mark.parametrize("size", [(1, 1), (4, 5), (9, 7), (11, 8)])
def test_adaptive_pools(size: tuple[int, ...]) -> None:
    y = run(nn.AdaptiveAvgPool2dOp, IMAGE, size=size)
    torch.testing.assert_close(y, F.adaptive_avg_pool2d(IMAGE, size))
    assert torch.equal(run(nn.AdaptiveMaxPool2dOp, IMAGE, size=size), F.adaptive_max_pool2d(IMAGE, size))


def test_adaptive_pools_3d() -> None:
    y = run(nn.AdaptiveAvgPool3dOp, VOLUME, size=(2, 4, 3))
    torch.testing.assert_close(y, F.adaptive_avg_pool3d(VOLUME, (2, 4, 3)))
    assert torch.equal(run(nn.AdaptiveMaxPool3dOp, VOLUME, size=(2, 4, 3)), F.adaptive_max_pool3d(VOLUME, (2, 4, 3)))


def test_adaptive_windows() -> None:
    from xdsl.ir import Block

    from swkpu.types import tensor_type

    (x,) = Block(arg_types=[tensor_type((1, 1, 5, 3), f32)]).args
    assert nn.AdaptiveAvgPool2dOp(x, (2, 3)).windows == (((0, 3), (2, 5)), ((0, 1), (1, 2), (2, 3)))


MODES = [
    ("nearest", False, "nearest"),
    ("nearest-exact", False, "nearest-exact"),
    ("linear", False, "bilinear"),
    ("linear", True, "bilinear"),
    ("cubic", False, "bicubic"),
    ("cubic", True, "bicubic"),
]


@pytest.mark.parametrize("size", [(18, 14), (5, 10), (1, 1), (9, 7)])
@pytest.mark.parametrize(("mode", "corners", "theirs"), MODES)
def test_resize_to_size(mode: str, corners: bool, theirs: str, size: tuple[int, int]) -> None:
    y = run(nn.ResizeOp, IMAGE, mode=mode, size=size, align_corners=corners)
    expected = F.interpolate(IMAGE, size, mode=theirs, align_corners=corners if "nearest" not in mode else None)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [(2.3, 1.7), (0.7, 0.4)])
@pytest.mark.parametrize(("mode", "corners", "theirs"), MODES)
def test_resize_by_scale(mode: str, corners: bool, theirs: str, scale: tuple[float, float]) -> None:
    expected = F.interpolate(
        IMAGE, scale_factor=scale, mode=theirs, align_corners=corners if "nearest" not in mode else None
    )
    y = run(nn.ResizeOp, IMAGE, mode=mode, size=expected.shape[2:], align_corners=corners, scales=scale)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear"])
def test_resize_in_one_and_three_dims(mode: str) -> None:
    row = VOLUME[0]
    for x, size, theirs in ((row[:, 0], (13,), "linear"), (VOLUME, (7, 3, 9), "trilinear")):
        expected = F.interpolate(x, size, mode=theirs if mode == "linear" else mode)
        torch.testing.assert_close(run(nn.ResizeOp, x, mode=mode, size=size), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("element", [*FLOATS, i1, i8, i32])
def test_nearest_moves_any_type(element: object) -> None:
    x = rand(1, 2, 3, 4, element=element)
    y = run(nn.ResizeOp, x, mode="nearest", size=(6, 5))
    assert torch.equal(y, F.interpolate(x.double(), (6, 5)).to(x.dtype))


def test_resize_of_integers_by_weights_is_refused() -> None:
    with pytest.raises(VerifyException, match="weighs elements of a floating type"):
        run(nn.ResizeOp, rand(1, 2, 3, 4, element=i8), mode="linear", size=(6, 5))
