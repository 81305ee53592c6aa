"""Semantic segmentation on a dilated ResNet-50: FCN (Long et al., "Fully convolutional networks for semantic
segmentation", 2014) and DeepLabV3 (Chen et al., "Rethinking atrous convolution for semantic image segmentation", 2017).

Module names give torchvision's state_dict keys, so its checkpoints load (their auxiliary classifier, which is for
training, left out).
"""

from __future__ import annotations

import torch
from torch import nn

from swkpu.zoo.blocks import conv_bn
from swkpu.zoo.resnet import Bottleneck, ResNet
from swkpu.zoo.weights import with_weights

CLASSES = 21
"""Of Pascal VOC."""


class DilatedBackbone(ResNet):
    """ResNet-50 up to the last map, whose third and fourth stages dilate instead of stepping: (N, 3, H, W) to
    (N, 2048, H / 8, W / 8)."""

    def __init__(self):
        super().__init__(Bottleneck, (3, 4, 6, 3))
        del self.avgpool, self.fc
        _dilate(self.layer3, 1, 2)
        _dilate(self.layer4, 2, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def _dilate(stage: nn.Sequential, first: int, others: int) -> None:
    """Remove the stride of a stage, and spread its 3x3 kernels so that they reach as far as before."""
    for index, block in enumerate(stage):
        assert isinstance(block, Bottleneck)
        dilation = others if index else first
        block.conv2.stride = (1, 1)
        block.conv2.dilation = block.conv2.padding = (dilation, dilation)
        if block.downsample is not None:
            conv = next(block.downsample.children())
            assert isinstance(conv, nn.Conv2d)
            conv.stride = (1, 1)


class Segmentation(nn.Module):
    """(N, 3, H, W) images to (N, classes, H, W) logits."""

    def __init__(self, classifier: nn.Module):
        super().__init__()
        self.backbone = DilatedBackbone()
        self.classifier = classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.classifier(self.backbone(x))
        return nn.functional.interpolate(logits, x.shape[-2:], mode="bilinear", align_corners=False)


class PooledConv(nn.Sequential):
    """The whole map's mean through a 1x1 convolution, at every position."""

    def __init__(self, inplanes: int, outplanes: int):
        super().__init__(nn.AdaptiveAvgPool2d(1), *conv_bn(inplanes, outplanes, 1))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(super().forward(input), input.shape[-2:], mode="bilinear", align_corners=False)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: 3x3 convolutions of several dilations side by side, joined by a 1x1."""

    def __init__(self, inplanes: int, outplanes: int, dilations: tuple[int, ...]):
        super().__init__()
        branches: list[nn.Module] = [conv_bn(inplanes, outplanes, 1)]
        branches += [conv_bn(inplanes, outplanes, 3, dilation=dilation) for dilation in dilations]
        branches.append(PooledConv(inplanes, outplanes))
        self.convs = nn.ModuleList(branches)
        self.project = nn.Sequential(*conv_bn(len(branches) * outplanes, outplanes, 1), nn.Dropout(0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.project(torch.cat([branch(x) for branch in self.convs], 1))


def _deeplab_head() -> nn.Module:
    return nn.Sequential(ASPP(2048, 256, (12, 24, 36)), *conv_bn(256, 256, 3), nn.Conv2d(256, CLASSES, 1))


def _fcn_head() -> nn.Module:
    return nn.Sequential(*conv_bn(2048, 512, 3), nn.Dropout(0.1), nn.Conv2d(512, CLASSES, 1))


def deeplabv3_resnet50() -> nn.Module:
    return with_weights("deeplabv3_resnet50", lambda: Segmentation(_deeplab_head()), norm_bias=1.0)


def fcn_resnet50() -> nn.Module:
    return with_weights("fcn_resnet50", lambda: Segmentation(_fcn_head()), norm_bias=1.0)
