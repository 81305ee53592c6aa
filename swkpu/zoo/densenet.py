"""DenseNet (Huang et al., "Densely connected convolutional networks", 2016).

Module names give torchvision's state_dict keys, so its checkpoints load.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from swkpu.zoo.weights import with_weights


class DenseLayer(nn.Module):
    """norm - relu - 1x1 - norm - relu - 3x3: `growth` new channels from all the channels before."""

    def __init__(self, inplanes: int, growth: int, bottleneck: int = 4):
        super().__init__()
        hidden = bottleneck * growth
        self.norm1 = nn.BatchNorm2d(inplanes)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(inplanes, hidden, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(hidden)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(hidden, growth, 3, padding=1, bias=False)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        x = self.conv1(self.relu1(self.norm1(torch.cat(features, 1))))
        return self.conv2(self.relu2(self.norm2(x)))


class DenseBlock(nn.ModuleDict):
    """Layers that each see the block's input and the results of all the layers before; the output is all of these."""

    def __init__(self, layers: int, inplanes: int, growth: int):
        super().__init__()
        for index in range(layers):
            self[f"denselayer{index + 1}"] = DenseLayer(inplanes + index * growth, growth)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [x]
        for layer in self.values():
            features.append(layer(features))
        return torch.cat(features, 1)


class DenseNet(nn.Module):
    """(N, 3, H, W) images to (N, classes) logits. `blocks` is how many layers each of the four blocks has."""

    def __init__(self, blocks: tuple[int, ...], growth: int = 32, classes: int = 1000):
        super().__init__()
        planes = 64
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(3, planes, 7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(planes),
            relu0=nn.ReLU(),
            pool0=nn.MaxPool2d(3, stride=2, padding=1),
        )
        for index, count in enumerate(blocks, 1):
            layers[f"denseblock{index}"] = DenseBlock(count, planes, growth)
            planes += count * growth
            if index < len(blocks):
                layers[f"transition{index}"] = _transition(planes)
                planes //= 2
        layers["norm5"] = nn.BatchNorm2d(planes)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Linear(planes, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu(self.features(x))
        return self.classifier(torch.flatten(nn.functional.adaptive_avg_pool2d(x, (1, 1)), 1))


def _transition(planes: int) -> nn.Sequential:
    """Halves the channels and the size."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        norm=nn.BatchNorm2d(planes),
        relu=nn.ReLU(),
        conv=nn.Conv2d(planes, planes // 2, 1, bias=False),
        pool=nn.AvgPool2d(2, 2),
    )
    return nn.Sequential(layers)


def densenet121() -> nn.Module:
    return with_weights("densenet121", lambda: DenseNet((6, 12, 24, 16)), norm_bias=0.5)
