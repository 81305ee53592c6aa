"""Networks trained in seconds, the same at every run on one machine."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.quantization.data import Images

BATCH = 64
RATE = 4e-3


def train(make: Callable[[], nn.Module], data: Images, epochs: int, seed: int = 0) -> nn.Module:
    """A network in eval mode, trained with AdamW and a one-cycle schedule."""
    torch.manual_seed(seed)
    model = make().train()
    steps = len(data) // BATCH
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * steps)
    for _ in range(epochs):
        order = torch.randperm(len(data))
        for step in range(steps):
            picked = data.at(order[step * BATCH : (step + 1) * BATCH])
            loss = F.cross_entropy(model(picked.images), picked.labels, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval().requires_grad_(False)


def correct(logits: Tensor, labels: Tensor) -> int:
    """How many rows are largest at their label."""
    return int((logits.argmax(1) == labels).sum())
