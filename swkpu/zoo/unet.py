"""U-Net (Ronneberger et al., "U-Net: convolutional networks for biomedical image segmentation", 2015), padded, with
batch norms.

Module names give the state_dict keys of the much used Pytorch-UNet, so its checkpoints load.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from swkpu.zoo.weights import with_weights


class DoubleConv(nn.Module):
    def __init__(self, inplanes: int, outplanes: int):
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(inplanes, outplanes, 3, padding=1, bias=False),
            nn.BatchNorm2d(outplanes),
            nn.ReLU(),
            nn.Conv2d(outplanes, outplanes, 3, padding=1, bias=False),
            nn.BatchNorm2d(outplanes),
            nn.ReLU(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.double_conv(x)


class Down(nn.Module):
    """Halves the size."""

    def __init__(self, inplanes: int, outplanes: int):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inplanes, outplanes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Doubles the size and joins the map of that size from the way down."""

    def __init__(self, inplanes: int, outplanes: int):
        super().__init__()
        self.up = nn.ConvTranspose2d(inplanes, inplanes // 2, 2, stride=2)
        self.conv = DoubleConv(inplanes, outplanes)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.cat((skip, self.up(x)), 1))


class UNet(nn.Module):
    """(N, channels, H, W) images to (N, classes, H, W) logits; H and W are multiples of 16."""

    def __init__(self, channels: int = 3, classes: int = 2):
        super().__init__()
        self.inc = DoubleConv(channels, 64)
        self.down1 = Down(64, 128)
        self.down2 = Down(128, 256)
        self.down3 = Down(256, 512)
        self.down4 = Down(512, 1024)
        self.up1 = Up(1024, 512)
        self.up2 = Up(512, 256)
        self.up3 = Up(256, 128)
        self.up4 = Up(128, 64)
        self.outc = nn.Sequential(OrderedDict[str, nn.Module](conv=nn.Conv2d(64, classes, 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x4 = self.down3(x3)
        x = self.up1(self.down4(x4), x4)
        x = self.up4(self.up3(self.up2(x, x3), x2), x1)
        return self.outc(x)


def unet() -> nn.Module:
    return with_weights("unet", UNet, norm_bias=1.0)
