"""Networks trained in seconds, the same at every run on one machine."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.quantization.data import Images


def train(
    make: Callable[[], nn.Module], data: Images, epochs: int, seed: int = 0, rate: float = 3e-3, batch: int = 64
) -> nn.Module:
    """A network in eval mode, trained with AdamW and a one-cycle schedule on images shifted by up to one pixel."""
    torch.manual_seed(seed)
    model = make().train()
    steps = len(data) // batch
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * steps)
    for _ in range(epochs):
        order = torch.randperm(len(data))
        for step in range(steps):
            picked = data.at(order[step * batch : (step + 1) * batch])
            loss = F.cross_entropy(model(_shifted(picked.images)), picked.labels, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()


def _shifted(images: Tensor) -> Tensor:
    """All images of a batch by the same -1, 0 or 1 pixels; the border repeats."""
    dy, dx = torch.randint(0, 3, (2,)).tolist()
    height, width = images.shape[2:]
    return F.pad(images, (1, 1, 1, 1), mode="replicate")[:, :, dy : dy + height, dx : dx + width]


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Top-1 in percent."""
    return 100 * (logits.argmax(1) == labels).float().mean().item()
