"""YOLOv8 (Jocher et al., "Ultralytics YOLOv8", 2023), its smallest size, for detection.

Module names give ultralytics' state_dict keys, so its checkpoints load.
"""

from __future__ import annotations

import torch
from torch import nn

from swkpu.zoo.weights import Generators, with_weights

CLASSES = 80
"""Of COCO."""
BINS = 16
"""A distance from an anchor to a side of its box is the mean of a distribution over 0 .. BINS - 1 cells."""
STRIDES = (8, 16, 32)
"""Pixels of a cell, per map."""


class Conv(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(self, inplanes: int, outplanes: int, kernel: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inplanes, outplanes, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outplanes, eps=0.001)
        self.act = nn.SiLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    """Two 3x3 convolutions, plus the input where told."""

    def __init__(self, planes: int, adds: bool):
        super().__init__()
        self.cv1 = Conv(planes, planes, 3)
        self.cv2 = Conv(planes, planes, 3)
        self.adds = adds

    @property
    def residual_ends(self) -> tuple[nn.Module, ...]:
        return (self.cv2.bn,) if self.adds else ()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.cv2(self.cv1(x)) if self.adds else self.cv2(self.cv1(x))


class C2f(nn.Module):
    """Half of the channels through a chain of bottlenecks; a 1x1 sees the result of every link, and both halves."""

    def __init__(self, inplanes: int, outplanes: int, links: int, adds: bool):
        super().__init__()
        half = outplanes // 2
        self.cv1 = Conv(inplanes, outplanes, 1)
        self.cv2 = Conv((2 + links) * half, outplanes, 1)
        self.m = nn.ModuleList(Bottleneck(half, adds) for _ in range(links))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = list(self.cv1(x).chunk(2, 1))
        for link in self.m:
            parts.append(link(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


class SPPF(nn.Module):
    """Spatial pyramid pooling: maxima over windows of 1, 5, 9 and 13 positions, joined by a 1x1."""

    def __init__(self, inplanes: int, outplanes: int):
        super().__init__()
        self.cv1 = Conv(inplanes, inplanes // 2, 1)
        self.cv2 = Conv(inplanes * 2, outplanes, 1)
        self.m = nn.MaxPool2d(5, stride=1, padding=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [self.cv1(x)]
        for _ in range(3):
            parts.append(self.m(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


class DFL(nn.Module):
    """(N, 4 * BINS, cells) to (N, 4, cells): the distributions' means (Li et al., "Generalized focal loss", 2020)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(BINS, 1, 1, bias=False)

    def fill_weights(self, generator: Generators) -> None:
        self.conv.weight.copy_(torch.arange(BINS).view(1, BINS, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x.unflatten(1, (4, BINS)).transpose(1, 2).softmax(1)).squeeze(1)


class Detect(nn.Module):
    """Three maps to (N, 4 + CLASSES, cells of all): the boxes' centre and size in pixels, and a score per class."""

    def __init__(self, planes: tuple[int, ...]):
        super().__init__()
        box, score = 4 * BINS, max(planes[0], CLASSES)
        self.cv2 = nn.ModuleList(
            nn.Sequential(Conv(p, box, 3), Conv(box, box, 3), nn.Conv2d(box, 4 * BINS, 1)) for p in planes
        )
        self.cv3 = nn.ModuleList(
            nn.Sequential(Conv(p, score, 3), Conv(score, score, 3), nn.Conv2d(score, CLASSES, 1)) for p in planes
        )
        self.dfl = DFL()

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        distances = self.dfl(torch.cat([box(x).flatten(2) for box, x in zip(self.cv2, maps)], 2))
        scores = torch.cat([score(x).flatten(2) for score, x in zip(self.cv3, maps)], 2).sigmoid()
        anchors, strides = _anchors(maps)
        low, high = distances.chunk(2, 1)
        centre, size = anchors + (high - low) / 2, low + high
        return torch.cat((centre * strides, size * strides, scores), 1)


def _anchors(maps: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """(2, cells) the cells' centres (x, y), in cells of their own map; (1, cells) the pixels of a cell."""
    centres: list[torch.Tensor] = []
    strides: list[torch.Tensor] = []
    for x, stride in zip(maps, STRIDES):
        height, width = x.shape[2:]
        across = torch.arange(width, dtype=x.dtype, device=x.device) + 0.5
        down = torch.arange(height, dtype=x.dtype, device=x.device) + 0.5
        centres.append(torch.stack((across.repeat(height), down.repeat_interleave(width))))
        strides.append(torch.full((1, height * width), stride, dtype=x.dtype, device=x.device))
    return torch.cat(centres, 1), torch.cat(strides, 1)


class YOLOv8(nn.Module):
    """(N, 3, H, W) images to (N, 84, cells) boxes and scores, before non-maximum suppression; H and W are multiples of
    32."""

    def __init__(self):
        super().__init__()
        layers = {
            0: Conv(3, 16, 3, 2),
            1: Conv(16, 32, 3, 2),
            2: C2f(32, 32, 1, adds=True),
            3: Conv(32, 64, 3, 2),
            4: C2f(64, 64, 2, adds=True),
            5: Conv(64, 128, 3, 2),
            6: C2f(128, 128, 2, adds=True),
            7: Conv(128, 256, 3, 2),
            8: C2f(256, 256, 1, adds=True),
            9: SPPF(256, 256),
            12: C2f(256 + 128, 128, 1, adds=False),
            15: C2f(128 + 64, 64, 1, adds=False),
            16: Conv(64, 64, 3, 2),
            18: C2f(64 + 128, 128, 1, adds=False),
            19: Conv(128, 128, 3, 2),
            21: C2f(128 + 256, 256, 1, adds=False),
            22: Detect((64, 128, 256)),
        }
        self.model = nn.ModuleDict({str(index): layer for index, layer in layers.items()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x3 = self._run(x, 0, 1, 2, 3, 4)
        x4 = self._run(x3, 5, 6)
        x5 = self._run(x4, 7, 8, 9)
        up4 = self._run(torch.cat((_upsample(x5), x4), 1), 12)
        out3 = self._run(torch.cat((_upsample(up4), x3), 1), 15)
        out4 = self._run(torch.cat((self._run(out3, 16), up4), 1), 18)
        out5 = self._run(torch.cat((self._run(out4, 19), x5), 1), 21)
        return self.model["22"]([out3, out4, out5])

    def _run(self, x: torch.Tensor, *layers: int) -> torch.Tensor:
        for layer in layers:
            x = self.model[str(layer)](x)
        return x


def _upsample(x: torch.Tensor) -> torch.Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


def yolov8n() -> nn.Module:
    return with_weights("yolov8n", YOLOv8, norm_bias=1.0)
