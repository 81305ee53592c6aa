"""Networks small enough to train in seconds, of the layers that quantization finds hard."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.quantization.data import SHAPES
from swkpu.zoo.resnet import BasicBlock


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]


class SmallCnn(nn.Sequential):
    """Three convolutions and a classifier."""

    def __init__(self, classes: int = 10):
        super().__init__(
            *convolution(1, 16), nn.ReLU(),
            *convolution(16, 32), nn.ReLU(), nn.MaxPool2d(2),
            *convolution(32, 32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(128, classes),
        )  # fmt: skip


class InvertedResidual(nn.Module):
    """Wider, depthwise, narrower; plus the input where the shape stays (Sandler et al., "MobileNetV2", 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int, act: type[nn.Module]):
        super().__init__()
        wide = 4 * inputs
        self.layers = nn.Sequential(
            *convolution(inputs, wide, 1), act(),
            *convolution(wide, wide, 3, stride, groups=wide), act(),
            *convolution(wide, outputs, 1),
        )  # fmt: skip
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.is_residual else y


class DepthwiseNet(nn.Sequential):
    """Inverted residuals with relu6, then with hardswish, mean over pixels, classifier."""

    def __init__(self, classes: int = 10):
        super().__init__(
            *convolution(1, 16), nn.ReLU6(),
            InvertedResidual(16, 16, 1, nn.ReLU6),
            InvertedResidual(16, 24, 2, nn.ReLU6),
            InvertedResidual(24, 24, 1, nn.Hardswish),
            *convolution(24, 64, 1), nn.Hardswish(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes),
        )  # fmt: skip


class Block(nn.Module):
    """Pre-norm attention and perceptron."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, width)
        x = x + self.out(y)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class SmallTransformer(nn.Module):
    """Two blocks on 16 patches of 2 by 2 pixels."""

    def __init__(self, classes: int = 10, width: int = 48, heads: int = 4):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, 2)
        self.position = nn.Parameter(torch.randn(1, 16, width) * 0.1)
        self.blocks = nn.Sequential(Block(width, heads), Block(width, heads))
        self.norm, self.classify = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.classify(self.norm(self.blocks(x)).mean(1))


class NarrowResNet18(nn.Sequential):
    """ResNet-18 (He et al., 2015) for small images: as torchvision's, a quarter as wide."""

    def __init__(self, classes: int = SHAPES, width: int = 16):
        layers: list[nn.Module] = [*convolution(3, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        inputs = width
        for stage in range(4):
            outputs = width << stage
            for stride in (1 if stage == 0 else 2, 1):
                changes = stride != 1 or inputs != outputs
                shortcut = nn.Sequential(*convolution(inputs, outputs, 1, stride)) if changes else None
                layers.append(BasicBlock(inputs, outputs, stride, shortcut))
                inputs = outputs
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


DIGIT_NETWORKS: dict[str, type[nn.Module]] = {
    "cnn": SmallCnn,
    "depthwise": DepthwiseNet,
    "transformer": SmallTransformer,
}
