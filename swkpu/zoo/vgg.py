"""VGG (Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014) and AlexNet
(Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, the version on one GPU): plain
convolutions, then three large linear layers.

Module names give torchvision's state_dict keys, so its checkpoints load.
"""

from __future__ import annotations

import torch
from torch import nn

from swkpu.zoo.weights import with_weights

VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
"""Channels of the 3x3 convolutions; 0 is a 2x2 max pooling. Table 1, column D of the paper."""


class PlainNet(nn.Module):
    """(N, 3, H, W) images to (N, classes) logits: features, pooling to a fixed size, classifier."""

    def __init__(self, features: nn.Sequential, size: int, classifier: nn.Sequential):
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((size, size))
        self.classifier = classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def _vgg(channels: tuple[int, ...], classes: int = 1000) -> PlainNet:
    layers: list[nn.Module] = []
    inplanes = 3
    for outplanes in channels:
        if outplanes == 0:
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers += [nn.Conv2d(inplanes, outplanes, 3, padding=1), nn.ReLU()]
        inplanes = outplanes
    classifier = nn.Sequential(
        nn.Linear(inplanes * 7 * 7, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, classes),
    )
    return PlainNet(nn.Sequential(*layers), 7, classifier)


def _alexnet(classes: int = 1000) -> PlainNet:
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
    )
    classifier = nn.Sequential(
        nn.Dropout(),
        nn.Linear(256 * 6 * 6, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, classes),
    )
    return PlainNet(features, 6, classifier)


def vgg16() -> nn.Module:
    return with_weights("vgg16", lambda: _vgg(VGG16), linear_variance=2.0)


def alexnet() -> nn.Module:
    return with_weights("alexnet", _alexnet, linear_variance=1.0)
