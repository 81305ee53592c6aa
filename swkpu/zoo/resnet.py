"""ResNet (He et al., "Deep residual learning for image recognition", 2015), v1.5: the stride is in the 3x3 conv of a
bottleneck; and its ResNeXt and wide forms. Module names give torchvision's state_dict keys, so its checkpoints load."""

from __future__ import annotations

import torch
from torch import nn

from swkpu.zoo.weights import with_weights


class BasicBlock(nn.Module):
    """conv3x3 - conv3x3, plus the input."""

    expansion = 1

    def __init__(self, inplanes: int, planes: int, stride: int, downsample: nn.Module | None):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    @property
    def residual_ends(self) -> tuple[nn.Module, ...]:
        return (self.bn2,)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class Bottleneck(nn.Module):
    """conv1x1 - conv3x3 - conv1x1, plus the input."""

    expansion = 4
    groups = 1
    group_width = 64
    """Channels of a group of the 3x3 convolution in the first stage, where planes is 64."""

    def __init__(self, inplanes: int, planes: int, stride: int, downsample: nn.Module | None):
        super().__init__()
        width = planes * self.group_width // 64 * self.groups
        self.conv1 = nn.Conv2d(inplanes, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, groups=self.groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, planes * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    @property
    def residual_ends(self) -> tuple[nn.Module, ...]:
        return (self.bn3,)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += identity
        return self.relu(out)


class ResNeXtBottleneck(Bottleneck):
    """Xie et al., "Aggregated residual transformations for deep neural networks", 2016, as 32x4d."""

    groups = 32
    group_width = 4


class WideBottleneck(Bottleneck):
    """Zagoruyko and Komodakis, "Wide residual networks", 2016, twice as wide."""

    group_width = 128


class ResNet(nn.Module):
    """(N, 3, H, W) images to (N, classes) logits. `blocks` is how many blocks each of the four stages has."""

    def __init__(self, block: type[BasicBlock | Bottleneck], blocks: tuple[int, int, int, int], classes: int = 1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(block, 64, 64, blocks[0], stride=1)
        self.layer2 = _stage(block, 64 * block.expansion, 128, blocks[1], stride=2)
        self.layer3 = _stage(block, 128 * block.expansion, 256, blocks[2], stride=2)
        self.layer4 = _stage(block, 256 * block.expansion, 512, blocks[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def _stage(block: type[BasicBlock | Bottleneck], inplanes: int, planes: int, count: int, stride: int) -> nn.Sequential:
    outplanes = planes * block.expansion
    downsample = None
    if stride != 1 or inplanes != outplanes:
        downsample = nn.Sequential(nn.Conv2d(inplanes, outplanes, 1, stride, bias=False), nn.BatchNorm2d(outplanes))
    first = block(inplanes, planes, stride, downsample)
    return nn.Sequential(first, *(block(outplanes, planes, 1, None) for _ in range(count - 1)))


def resnet18() -> nn.Module:
    return with_weights("resnet18", lambda: ResNet(BasicBlock, (2, 2, 2, 2)))


def resnet34() -> nn.Module:
    return with_weights("resnet34", lambda: ResNet(BasicBlock, (3, 4, 6, 3)))


def resnet50() -> nn.Module:
    return with_weights("resnet50", lambda: ResNet(Bottleneck, (3, 4, 6, 3)))


def resnet101() -> nn.Module:
    return with_weights("resnet101", lambda: ResNet(Bottleneck, (3, 4, 23, 3)))


def resnet152() -> nn.Module:
    return with_weights("resnet152", lambda: ResNet(Bottleneck, (3, 8, 36, 3)))


def resnext50_32x4d() -> nn.Module:
    return with_weights("resnext50_32x4d", lambda: ResNet(ResNeXtBottleneck, (3, 4, 6, 3)))


def wide_resnet50_2() -> nn.Module:
    return with_weights("wide_resnet50_2", lambda: ResNet(WideBottleneck, (3, 4, 6, 3)))
