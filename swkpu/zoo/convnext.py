"""ConvNeXt (Liu et al., "A ConvNet for the 2020s", 2022).

Module names give torchvision's state_dict keys, so its checkpoints load.
"""

from __future__ import annotations

import torch
from torch import nn

from swkpu.zoo.weights import Generators, with_weights


class LayerNorm2d(nn.LayerNorm):
    """Over the channels of (N, C, H, W)."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Permute(nn.Module):
    def __init__(self, *dims: int):
        super().__init__()
        self.dims = dims

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(self.dims)


class Block(nn.Module):
    """Depthwise 7x7 - norm - linear - gelu - linear, times a factor per channel, plus the input."""

    def __init__(self, dim: int):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, 7, padding=3, groups=dim),
            Permute(0, 2, 3, 1),
            nn.LayerNorm(dim, eps=1e-6),
            nn.Linear(dim, 4 * dim),
            nn.GELU(),
            nn.Linear(4 * dim, dim),
            Permute(0, 3, 1, 2),
        )
        self.layer_scale = nn.Parameter(torch.empty(dim, 1, 1))

    @property
    def residual_ends(self) -> tuple[nn.Module, ...]:
        return (self.block[5],)

    def fill_weights(self, generator: Generators) -> None:
        self.layer_scale.uniform_(0.7, 1.3, generator=generator("layer_scale"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layer_scale * self.block(x)


class ConvNeXt(nn.Module):
    """(N, 3, H, W) images to (N, classes) logits. `stages` has the width and the blocks of each."""

    def __init__(self, stages: tuple[tuple[int, int], ...], classes: int = 1000):
        super().__init__()
        dim = stages[0][0]
        layers: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, dim, 4, 4), LayerNorm2d(dim, eps=1e-6))]
        for index, (width, blocks) in enumerate(stages):
            if index:
                layers.append(nn.Sequential(LayerNorm2d(dim, eps=1e-6), nn.Conv2d(dim, width, 2, 2)))
            layers.append(nn.Sequential(*(Block(width) for _ in range(blocks))))
            dim = width
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(LayerNorm2d(dim, eps=1e-6), nn.Flatten(1), nn.Linear(dim, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.avgpool(self.features(x)))


def convnext_tiny() -> nn.Module:
    stages = ((96, 3), (192, 3), (384, 9), (768, 3))
    return with_weights("convnext_tiny", lambda: ConvNeXt(stages), linear_variance=1.0)
