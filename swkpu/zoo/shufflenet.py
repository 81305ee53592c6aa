"""ShuffleNet V2 (Ma et al., "ShuffleNet V2: practical guidelines for efficient CNN architecture design", 2018).

Module names give torchvision's state_dict keys, so its checkpoints load.
"""

from __future__ import annotations

import torch
from torch import nn

from swkpu.zoo.blocks import conv_bn
from swkpu.zoo.weights import with_weights


class ShuffleUnit(nn.Module):
    """Half of the channels pass by (with stride 2: all of them, through a branch of their own), the others go through
    1x1 - depthwise 3x3 - 1x1; then the two halves' channels are interleaved."""

    def __init__(self, inplanes: int, outplanes: int, stride: int):
        super().__init__()
        half = outplanes // 2
        self.halves = stride == 1
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(*_depthwise(inplanes, stride), *conv_bn(inplanes, half, 1))
        first = conv_bn(half if self.halves else inplanes, half, 1)
        self.branch2 = nn.Sequential(*first, *_depthwise(half, stride), *conv_bn(half, half, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = x.chunk(2, dim=1) if self.halves else (x, x)
        x = torch.cat((self.branch1(left), self.branch2(right)), 1)
        return x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)


def _depthwise(planes: int, stride: int) -> nn.Sequential:
    return conv_bn(planes, planes, 3, stride, groups=planes, activation=None)


class ShuffleNetV2(nn.Module):
    """(N, 3, H, W) images to (N, classes) logits."""

    def __init__(self, planes: tuple[int, int, int, int, int], classes: int = 1000):
        super().__init__()
        first, *stages, last = planes
        self.conv1 = conv_bn(3, first, 3, 2)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stage2, self.stage3, self.stage4 = (
            nn.Sequential(ShuffleUnit(before, after, 2), *(ShuffleUnit(after, after, 1) for _ in range(blocks - 1)))
            for before, after, blocks in zip((first, *stages), stages, (4, 8, 4))
        )
        self.conv5 = conv_bn(stages[-1], last, 1)
        self.fc = nn.Linear(last, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.conv1(x))
        x = self.conv5(self.stage4(self.stage3(self.stage2(x))))
        return self.fc(x.mean((2, 3)))


def shufflenet_v2_x1_0() -> nn.Module:
    return with_weights("shufflenet_v2_x1_0", lambda: ShuffleNetV2((24, 116, 232, 464, 1024)), norm_bias=1.0)
