"""Blocks that several families share. Their submodules have torchvision's names."""

from __future__ import annotations

import torch
from torch import nn


def conv_bn(
    inplanes: int,
    outplanes: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    dilation: int = 1,
    activation: type[nn.Module] | None = nn.ReLU,
    eps: float = 1e-5,
) -> nn.Sequential:
    """Convolution that keeps the size (but for the stride), batch norm, activation."""
    padding = (kernel - 1) // 2 * dilation
    conv = nn.Conv2d(inplanes, outplanes, kernel, stride, padding, dilation, groups, bias=False)
    layers: list[nn.Module] = [conv, nn.BatchNorm2d(outplanes, eps)]
    return nn.Sequential(*layers, activation()) if activation is not None else nn.Sequential(*layers)


def last_norm(block: nn.Module) -> nn.Module:
    """The batch norm that ends a block without an activation."""
    *_, norm = (module for module in block.modules() if isinstance(module, nn.BatchNorm2d))
    return norm


class SqueezeExcitation(nn.Module):
    """Hu et al., "Squeeze-and-excitation networks", 2017: each channel times a gate that depends on all the means."""

    def __init__(self, channels: int, squeezed: int, activation: type[nn.Module], gate: type[nn.Module]):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = activation()
        self.scale_activation = gate()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.fc2(self.activation(self.fc1(self.avgpool(x))))
        return x * self.scale_activation(gate)


def make_divisible(channels: float, by: int = 8) -> int:
    """Channels rounded to a multiple, but not down by more than a tenth, as the mobile nets do."""
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * channels else rounded
