"""Small networks of the layers that quantizers treat in ways of their own."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    """Convolutions with batch norm and relu, an addition of two branches, pools, a classifier."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8)
        )
        self.classify = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.stem(x), 2)
        x = F.relu(self.block(x) + x)
        return self.classify(F.adaptive_avg_pool2d(x, 1).flatten(1))


class InvertedResidual(nn.Module):
    """Pointwise, depthwise, pointwise with relu6 and hardswish, and an addition."""

    def __init__(self):
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(4, 12, 1), nn.BatchNorm2d(12), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(12, 12, 3, 1, 1, groups=12), nn.BatchNorm2d(12), nn.Hardswish())
        self.project = nn.Sequential(nn.Conv2d(12, 4, 1), nn.BatchNorm2d(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.project(self.depthwise(self.expand(x)))


class Branches(nn.Module):
    """A concatenation of branches of other ranges, a product, average pooling."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(3, 4, 1)
        self.merge = nn.Conv2d(8, 4, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = torch.relu(self.left(x)), 3 * torch.sigmoid(self.right(x))
        merged = self.merge(torch.cat([left, right], 1))
        return F.avg_pool2d(merged * right, 2)


class Perceptron(nn.Module):
    """Linear layers on sequences, with layer norm, gelu, softmax and a constant that is added."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 8, bias=False)
        self.norm = nn.LayerNorm(8)
        self.position = nn.Parameter(torch.randn(1, 6, 8) + 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.position
        return torch.softmax(x + self.second(F.gelu(self.first(self.norm(x)))), -1)


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "residual": (Residual, (2, 3, 16, 16)),
    "inverted_residual": (InvertedResidual, (1, 4, 8, 8)),
    "branches": (Branches, (2, 3, 8, 8)),
    "perceptron": (Perceptron, (2, 6, 8)),
}


def net(name: str) -> nn.Module:
    """The network with batch norms that do something."""
    torch.manual_seed(0)
    model = NETS[name][0]().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


def batches(name: str, count: int = 4) -> list[tuple[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(NETS[name][1], generator=generator),) for _ in range(count)]
