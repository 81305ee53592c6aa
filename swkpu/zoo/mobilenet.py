"""MobileNetV2 (Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018) and MobileNetV3 (Howard
et al., "Searching for MobileNetV3", 2019).

Module names give torchvision's state_dict keys, so its checkpoints load.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from swkpu.zoo.blocks import SqueezeExcitation, conv_bn, last_norm, make_divisible
from swkpu.zoo.weights import with_weights

# ---- version 2 ----

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, output channels, blocks, stride of the first block: table 2 of the paper."""


class InvertedResidual(nn.Module):
    """1x1 expansion (unless the factor is 1) - depthwise 3x3 - linear 1x1, plus the input when the shapes agree."""

    def __init__(self, inplanes: int, outplanes: int, stride: int, expansion: int):
        super().__init__()
        hidden = inplanes * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [conv_bn(inplanes, hidden, 1, activation=nn.ReLU6)]
        layers.append(conv_bn(hidden, hidden, 3, stride, groups=hidden, activation=nn.ReLU6))
        layers.append(nn.Conv2d(hidden, outplanes, 1, bias=False))
        layers.append(nn.BatchNorm2d(outplanes))
        self.conv = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and inplanes == outplanes

    @property
    def residual_ends(self) -> tuple[nn.Module, ...]:
        return (last_norm(self.conv),) if self.use_res_connect else ()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """(N, 3, H, W) images to (N, classes) logits."""

    def __init__(self, classes: int = 1000):
        super().__init__()
        layers: list[nn.Module] = [conv_bn(3, 32, 3, stride=2, activation=nn.ReLU6)]
        inplanes = 32
        for expansion, outplanes, blocks, stride in STAGES:
            for index in range(blocks):
                layers.append(InvertedResidual(inplanes, outplanes, stride if index == 0 else 1, expansion))
                inplanes = outplanes
        layers.append(conv_bn(inplanes, 1280, 1, activation=nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


def mobilenet_v2() -> nn.Module:
    return with_weights("mobilenet_v2", MobileNetV2)


# ---- version 3 ----

Row = tuple[int, int, int, bool, type[nn.Module], int]
"""Kernel, expanded channels, output channels, squeeze-and-excitation, activation, stride."""

LARGE: tuple[Row, ...] = (
    (3, 16, 16, False, nn.ReLU, 1),
    (3, 64, 24, False, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 1),
    (5, 72, 40, True, nn.ReLU, 2),
    (5, 120, 40, True, nn.ReLU, 1),
    (5, 120, 40, True, nn.ReLU, 1),
    (3, 240, 80, False, nn.Hardswish, 2),
    (3, 200, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 480, 112, True, nn.Hardswish, 1),
    (3, 672, 112, True, nn.Hardswish, 1),
    (5, 672, 160, True, nn.Hardswish, 2),
    (5, 960, 160, True, nn.Hardswish, 1),
    (5, 960, 160, True, nn.Hardswish, 1),
)
"""Table 1 of the paper."""

SMALL: tuple[Row, ...] = (
    (3, 16, 16, True, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 2),
    (3, 88, 24, False, nn.ReLU, 1),
    (5, 96, 40, True, nn.Hardswish, 2),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 120, 48, True, nn.Hardswish, 1),
    (5, 144, 48, True, nn.Hardswish, 1),
    (5, 288, 96, True, nn.Hardswish, 2),
    (5, 576, 96, True, nn.Hardswish, 1),
    (5, 576, 96, True, nn.Hardswish, 1),
)
"""Table 2 of the paper."""

_conv_bn = partial(conv_bn, eps=0.001)


class InvertedResidualV3(nn.Module):
    """1x1 expansion (where it expands) - depthwise - squeeze-and-excitation (where told) - linear 1x1, plus the input
    when the shapes agree."""

    def __init__(self, inplanes: int, row: Row):
        super().__init__()
        kernel, hidden, outplanes, excites, activation, stride = row
        layers: list[nn.Module] = []
        if hidden != inplanes:
            layers.append(_conv_bn(inplanes, hidden, 1, activation=activation))
        layers.append(_conv_bn(hidden, hidden, kernel, stride, groups=hidden, activation=activation))
        if excites:
            layers.append(SqueezeExcitation(hidden, make_divisible(hidden // 4), nn.ReLU, nn.Hardsigmoid))
        layers.append(_conv_bn(hidden, outplanes, 1, activation=None))
        self.block = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and inplanes == outplanes

    @property
    def residual_ends(self) -> tuple[nn.Module, ...]:
        return (last_norm(self.block),) if self.use_res_connect else ()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block(x) if self.use_res_connect else self.block(x)


class MobileNetV3(nn.Module):
    """(N, 3, H, W) images to (N, classes) logits. `hidden` is the width of the classifier's first layer."""

    def __init__(self, rows: tuple[Row, ...], hidden: int, classes: int = 1000):
        super().__init__()
        inplanes = 16
        layers: list[nn.Module] = [_conv_bn(3, inplanes, 3, 2, activation=nn.Hardswish)]
        for row in rows:
            layers.append(InvertedResidualV3(inplanes, row))
            inplanes = row[2]
        layers.append(_conv_bn(inplanes, 6 * inplanes, 1, activation=nn.Hardswish))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * inplanes, hidden), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(hidden, classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def mobilenet_v3_small() -> nn.Module:
    return with_weights("mobilenet_v3_small", lambda: MobileNetV3(SMALL, 1024), norm_bias=0.5)


def mobilenet_v3_large() -> nn.Module:
    return with_weights("mobilenet_v3_large", lambda: MobileNetV3(LARGE, 1280), norm_bias=0.5)
