"""Networks small enough to compile for every target: one of each kind of layer that the zoo's classifiers have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm with statistics that are not trivial, ReLU6."""
    norm = nn.BatchNorm2d(outputs)
    nn.init.uniform_(norm.running_mean, -0.2, 0.2)
    nn.init.uniform_(norm.running_var, 0.5, 1.5)
    nn.init.uniform_(norm.weight, 0.8, 1.2)
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, norm, nn.ReLU6())


class Residual(nn.Module):
    """An inverted residual: expand, depthwise, project, add."""

    def __init__(self, channels: int):
        super().__init__()
        self.expand = conv(channels, 2 * channels, 1)
        self.depthwise = conv(2 * channels, 2 * channels, 3, groups=2 * channels)
        self.project = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.project(self.depthwise(self.expand(x)))


class Classifier(nn.Module):
    """Stem with stride, max pool, a residual block, a strided convolution, global pool, linear."""

    def __init__(self):
        super().__init__()
        self.stem = conv(3, 16, 3, stride=2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.block = Residual(16)
        self.down = conv(16, 24, 3, stride=2)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.classify = nn.Linear(24, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.down(self.block(self.pool(self.stem(x))))
        return self.classify(self.mean(x).flatten(1))


class Branches(nn.Module):
    """Parallel paths of different shapes that meet, odd sizes, padding on one side, two outputs."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(5, 7, (1, 5), padding=(0, 2))
        self.tall = nn.Conv2d(5, 7, (5, 1), padding=(2, 0))
        self.dilated = nn.Conv2d(7, 9, 3, stride=2, dilation=2, padding=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        joined = torch.relu(self.wide(x)) + self.tall(x)
        return self.dilated(joined), nn.functional.avg_pool2d(joined, 2).amax((2, 3))


class Groups(nn.Module):
    """Grouped convolutions with several channels per group, a channel shuffle, a depthwise with a multiplier."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(6, 12, 3, padding=1, groups=3)
        self.second = nn.Conv2d(12, 8, 1, groups=2)
        self.multiplied = nn.Conv2d(8, 16, 3, stride=2, groups=8)
        self.last = nn.Conv2d(16, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        n, c, h, w = x.shape
        x = x.view(n, 3, c // 3, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.last(self.multiplied(self.second(x)))


class Mlp(nn.Module):
    """Linear layers and functions between them."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(33, 70), nn.Linear(70, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(torch.tanh(self.up(x)))


@dataclass(frozen=True)
class Net:
    """A network, and the shape of one input of it."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]

    def build(self) -> nn.Module:
        """The same weights every time."""
        with torch.random.fork_rng():
            torch.manual_seed(7)
            return self.make().eval().requires_grad_(False)

    def input(self, batch: int = 1) -> torch.Tensor:
        return torch.randn((batch, *self.shape), generator=torch.Generator().manual_seed(batch))


NETS = {
    "classifier": Net(Classifier, (3, 32, 32)),
    "branches": Net(Branches, (5, 19, 13)),
    "groups": Net(Groups, (6, 14, 14)),
    "mlp": Net(Mlp, (33,)),
}
