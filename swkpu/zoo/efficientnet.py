"""EfficientNet (Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019).

Module names give torchvision's state_dict keys, so its checkpoints load.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn

from swkpu.zoo.blocks import SqueezeExcitation, conv_bn, last_norm, make_divisible
from swkpu.zoo.weights import with_weights

STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""Expansion, kernel, stride of the first block, output channels, blocks: table 1 of the paper."""


class MBConv(nn.Module):
    """1x1 expansion (where it expands) - depthwise - squeeze-and-excitation - linear 1x1, plus the input when the
    shapes agree."""

    def __init__(self, inplanes: int, outplanes: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        hidden = inplanes * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [conv_bn(inplanes, hidden, 1, activation=nn.SiLU)]
        layers.append(conv_bn(hidden, hidden, kernel, stride, groups=hidden, activation=nn.SiLU))
        layers.append(SqueezeExcitation(hidden, max(1, inplanes // 4), nn.SiLU, nn.Sigmoid))
        layers.append(conv_bn(hidden, outplanes, 1, activation=None))
        self.block = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and inplanes == outplanes

    @property
    def residual_ends(self) -> tuple[nn.Module, ...]:
        return (last_norm(self.block),) if self.use_res_connect else ()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block(x) if self.use_res_connect else self.block(x)


class EfficientNet(nn.Module):
    """(N, 3, H, W) images to (N, classes) logits. `width` and `depth` scale the channels and blocks of B0."""

    def __init__(self, width: float = 1.0, depth: float = 1.0, classes: int = 1000):
        super().__init__()
        inplanes = make_divisible(32 * width)
        layers: list[nn.Module] = [conv_bn(3, inplanes, 3, 2, activation=nn.SiLU)]
        for expansion, kernel, stride, channels, blocks in STAGES:
            outplanes = make_divisible(channels * width)
            stage = [MBConv(inplanes, outplanes, expansion, kernel, stride)]
            others = math.ceil(blocks * depth) - 1
            stage += [MBConv(outplanes, outplanes, expansion, kernel, 1) for _ in range(others)]
            layers.append(nn.Sequential(*stage))
            inplanes = outplanes
        layers.append(conv_bn(inplanes, 4 * inplanes, 1, activation=nn.SiLU))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(4 * inplanes, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def efficientnet_b0() -> nn.Module:
    return with_weights("efficientnet_b0", EfficientNet)


def efficientnet_b4() -> nn.Module:
    model = partial(EfficientNet, width=1.4, depth=1.8)
    return with_weights("efficientnet_b4", model, norm_bias=0.5, fit_on=(2, 3, 320, 320))
