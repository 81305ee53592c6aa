"""RegNet (Radosavovic et al., "Designing network design spaces", 2020): RegNetY, with squeeze-and-excitation.

Module names give torchvision's state_dict keys, so its checkpoints load.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from swkpu.zoo.blocks import SqueezeExcitation, conv_bn, last_norm
from swkpu.zoo.weights import with_weights


class YBlock(nn.Module):
    """1x1 - grouped 3x3 - squeeze-and-excitation - 1x1, plus the input (through a 1x1 where the shapes differ)."""

    def __init__(self, inplanes: int, outplanes: int, stride: int, group_width: int):
        super().__init__()
        self.proj = None
        if inplanes != outplanes or stride != 1:
            self.proj = conv_bn(inplanes, outplanes, 1, stride, activation=None)
        branch: OrderedDict[str, nn.Module] = OrderedDict(
            a=conv_bn(inplanes, outplanes, 1),
            b=conv_bn(outplanes, outplanes, 3, stride, groups=outplanes // group_width),
            se=SqueezeExcitation(outplanes, round(inplanes / 4), nn.ReLU, nn.Sigmoid),
            c=conv_bn(outplanes, outplanes, 1, activation=None),
        )
        self.f = nn.Sequential(branch)
        self.activation = nn.ReLU()

    @property
    def residual_ends(self) -> tuple[nn.Module, ...]:
        return (last_norm(self.f),)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = x if self.proj is None else self.proj(x)
        return self.activation(skip + self.f(x))


class RegNet(nn.Module):
    """(N, 3, H, W) images to (N, classes) logits. `stages` has the width and the blocks of each."""

    def __init__(self, stages: tuple[tuple[int, int], ...], group_width: int, classes: int = 1000):
        super().__init__()
        inplanes = 32
        self.stem = conv_bn(3, inplanes, 3, 2)
        trunk: OrderedDict[str, nn.Module] = OrderedDict()
        for number, (width, count) in enumerate(stages, 1):
            blocks: OrderedDict[str, nn.Module] = OrderedDict()
            for index in range(count):
                blocks[f"block{number}-{index}"] = YBlock(inplanes, width, 2 if index == 0 else 1, group_width)
                inplanes = width
            trunk[f"block{number}"] = nn.Sequential(blocks)
        self.trunk_output = nn.Sequential(trunk)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(inplanes, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.trunk_output(self.stem(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def regnet_y_400mf() -> nn.Module:
    return with_weights("regnet_y_400mf", lambda: RegNet(((48, 1), (104, 3), (208, 6), (440, 6)), group_width=8))
