"""MobileNetV2 (Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018).

Module names give torchvision's state_dict keys, so its checkpoints load.
"""

from __future__ import annotations

import torch
from torch import nn

from swkpu.zoo.weights import with_weights

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, output channels, blocks, stride of the first block: table 2 of the paper."""


class InvertedResidual(nn.Module):
    """1x1 expansion (unless the factor is 1) - depthwise 3x3 - linear 1x1, plus the input when the shapes agree."""

    def __init__(self, inplanes: int, outplanes: int, stride: int, expansion: int):
        super().__init__()
        hidden = inplanes * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_conv_bn_relu6(inplanes, hidden, 1)]
        layers.append(_conv_bn_relu6(hidden, hidden, 3, stride, groups=hidden))
        layers.append(nn.Conv2d(hidden, outplanes, 1, bias=False))
        layers.append(nn.BatchNorm2d(outplanes))
        self.conv = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and inplanes == outplanes

    @property
    def residual_end(self) -> nn.Module | None:
        return self.conv[-1] if self.use_res_connect else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """(N, 3, H, W) images to (N, classes) logits."""

    def __init__(self, classes: int = 1000):
        super().__init__()
        layers: list[nn.Module] = [_conv_bn_relu6(3, 32, 3, stride=2)]
        inplanes = 32
        for expansion, outplanes, blocks, stride in STAGES:
            for index in range(blocks):
                layers.append(InvertedResidual(inplanes, outplanes, stride if index == 0 else 1, expansion))
                inplanes = outplanes
        layers.append(_conv_bn_relu6(inplanes, 1280, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


def _conv_bn_relu6(inplanes: int, outplanes: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inplanes, outplanes, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outplanes), nn.ReLU6(inplace=True))


def mobilenet_v2() -> nn.Module:
    return with_weights("mobilenet_v2", MobileNetV2)
