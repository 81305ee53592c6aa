"""Small networks, each with a kind of layer that the large ones lack or that is quick to try."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from swkpu.zoo.blocks import conv_bn
from swkpu.zoo.weights import with_weights


class LSTMClassifier(nn.Module):
    """(N, T, features) sequences to (N, classes) logits, from the last layer's state after the last step."""

    def __init__(self, features: int, hidden: int, layers: int, classes: int):
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, layers, batch_first=True)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(x)
        return self.fc(states[:, -1])


class Autoencoder(nn.Module):
    """(N, channels, H, W) images to their reconstructions, through maps of an eighth of the size; H and W are multiples
    of 8."""

    def __init__(self, channels: int = 3, planes: tuple[int, int, int] = (32, 64, 128)):
        super().__init__()
        first, second, third = planes
        self.encoder = nn.Sequential(
            conv_bn(channels, first, 3, 2), conv_bn(first, second, 3, 2), conv_bn(second, third, 3, 2)
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(third, second, 3, 2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(second, first, 3, 2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(first, channels, 3, 2, padding=1, output_padding=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(x))


def _mlp() -> nn.Module:
    """(N, 1, 28, 28) digits to (N, 10) logits."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)
    )


def _lenet() -> nn.Module:
    """(N, 1, 28, 28) digits to (N, 10) logits: LeNet-5 (LeCun et al., "Gradient-based learning applied to document
    recognition", 1998), with a plain last layer, and all of the second convolution's connections."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(1, 6, 5, padding=2),
        tanh1=nn.Tanh(),
        pool1=nn.AvgPool2d(2),
        conv2=nn.Conv2d(6, 16, 5),
        tanh2=nn.Tanh(),
        pool2=nn.AvgPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(400, 120),
        tanh3=nn.Tanh(),
        fc2=nn.Linear(120, 84),
        tanh4=nn.Tanh(),
        fc3=nn.Linear(84, 10),
    )
    return nn.Sequential(layers)


def mlp() -> nn.Module:
    return with_weights("mlp", _mlp, linear_variance=2.0)


def lenet() -> nn.Module:
    return with_weights("lenet", _lenet, linear_variance=2.0)


def lstm() -> nn.Module:
    return with_weights("lstm", lambda: LSTMClassifier(features=64, hidden=128, layers=2, classes=10))


def autoencoder() -> nn.Module:
    return with_weights("autoencoder", Autoencoder)
