"""Small networks, each with a kind of layer that the large ones lack or that is quick to try."""

from __future__ import annotations

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


class MLP(nn.Module):
    """(N, 1, 28, 28) digits to (N, 10) logits."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(28 * 28, 512)
        self.fc2 = nn.Linear(512, 256)
        self.fc3 = nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc3(torch.relu(self.fc2(x)))


class LeNet(nn.Module):
    """(N, 1, 28, 28) digits to (N, 10) logits: LeNet-5 (LeCun et al., "Gradient-based learning applied to document
    recognition", 1998), with a plain last layer, and all of the second convolution's connections."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.AvgPool2d(2)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.tanh(self.conv1(x)))
        x = self.pool(torch.tanh(self.conv2(x)))
        x = torch.tanh(self.fc1(torch.flatten(x, 1)))
        return self.fc3(torch.tanh(self.fc2(x)))


def mlp() -> nn.Module:
    return with_weights("mlp", MLP, linear_variance=2.0)


def lenet() -> nn.Module:
    return with_weights("lenet", LeNet, linear_variance=2.0)


def lstm() -> nn.Module:
    return with_weights("lstm", lambda: LSTMClassifier(features=64, hidden=128, layers=2, classes=10))


def autoencoder() -> nn.Module:
    return with_weights("autoencoder", Autoencoder)
