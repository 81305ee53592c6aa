"""GoogLeNet (Szegedy et al., "Going deeper with convolutions", 2014), with batch norms, without the auxiliary heads.

Module names give torchvision's state_dict keys, so its checkpoints load (its heads `aux1` and `aux2` left out).
"""

from __future__ import annotations

import torch
from torch import nn

from swkpu.zoo.weights import with_weights


class BasicConv2d(nn.Module):
    """Convolution, batch norm, relu."""

    def __init__(self, inplanes: int, outplanes: int, kernel: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inplanes, outplanes, kernel, stride, (kernel - 1) // 2, bias=False)
        self.bn = nn.BatchNorm2d(outplanes, eps=0.001)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """1x1; 1x1 - 3x3; 1x1 - 3x3; max pooling - 1x1, side by side, their channels joined.

    `planes` has the channels of every convolution in this order. The third branch's kernel is 3, where the paper has 5,
    as in the checkpoints that there are.
    """

    def __init__(self, inplanes: int, planes: tuple[int, int, int, int, int, int]):
        super().__init__()
        one, reduced3, three, reduced5, five, pooled = planes
        self.branch1 = BasicConv2d(inplanes, one, 1)
        self.branch2 = nn.Sequential(BasicConv2d(inplanes, reduced3, 1), BasicConv2d(reduced3, three, 3))
        self.branch3 = nn.Sequential(BasicConv2d(inplanes, reduced5, 1), BasicConv2d(reduced5, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, padding=1, ceil_mode=True), BasicConv2d(inplanes, pooled, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat((self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)), 1)


class GoogLeNet(nn.Module):
    """(N, 3, H, W) images to (N, classes) logits."""

    def __init__(self, classes: int = 1000):
        super().__init__()
        self.conv1 = BasicConv2d(3, 64, 7, stride=2)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, 1)
        self.conv3 = BasicConv2d(64, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = Inception(192, (64, 96, 128, 16, 32, 32))
        self.inception3b = Inception(256, (128, 128, 192, 32, 96, 64))
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = Inception(480, (192, 96, 208, 16, 48, 64))
        self.inception4b = Inception(512, (160, 112, 224, 24, 64, 64))
        self.inception4c = Inception(512, (128, 128, 256, 24, 64, 64))
        self.inception4d = Inception(512, (112, 144, 288, 32, 64, 64))
        self.inception4e = Inception(528, (256, 160, 320, 32, 128, 128))
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = Inception(832, (256, 160, 320, 32, 128, 128))
        self.inception5b = Inception(832, (384, 192, 384, 48, 128, 128))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(1024, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = self.inception4c(self.inception4b(self.inception4a(x)))
        x = self.maxpool4(self.inception4e(self.inception4d(x)))
        x = self.inception5b(self.inception5a(x))
        return self.fc(self.dropout(torch.flatten(self.avgpool(x), 1)))


def googlenet() -> nn.Module:
    return with_weights("googlenet", GoogLeNet, norm_bias=1.0)
