"""Small modules of nn ops to calibrate."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from swkpu.frontend import import_model
from swkpu.passes.pipeline import folding_pipeline


class Net(nn.Module):
    """A convolution with a batch norm, a residual connection and a linear layer, with a relu that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn(self.conv(x)))
        return self.head(self.relu(self.second(y) + y).mean((2, 3)))


class TwoInputs(nn.Module):
    """Floats and tokens in."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 8)

    def forward(self, image: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return torch.relu(image @ self.embedding(tokens).transpose(1, 2))


def net() -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


def two_inputs() -> nn.Module:
    torch.manual_seed(0)
    return TwoInputs().eval()


def folded(model: nn.Module, *inputs: torch.Tensor) -> ModuleOp:
    module = import_model(model, inputs, "net")
    for step in folding_pipeline():
        step.apply(Context(), module)
    return module


def net_module(batch: int = 1) -> ModuleOp:
    return folded(net(), torch.randn(batch, 3, 8, 8))


def two_inputs_module(batch: int = 1) -> ModuleOp:
    return folded(two_inputs(), torch.randn(batch, 4, 8), torch.zeros(batch, 6, dtype=torch.int64))


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def write_pictures(folder: Path, count: int) -> None:
    """PNG files of random pixels."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).save(folder / f"{i}.png")
