"""Labelled images to train on: scikit-learn's digits, and shapes drawn by formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

SHAPES = 12
"""How many classes of shapes there are."""
SHAPE_SIZE = 64


@dataclass(frozen=True)
class Images:
    """Images [N, channels, height, width] of type f32 with their classes [N]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, index: Tensor) -> Images:
        return Images(self.images[index], self.labels[index])


# ---- digits --------------------------------------------------------------------------------------------------------


def digits() -> Images:
    """The 1,797 images of 8 by 8 that come with scikit-learn, from 0 to 1."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = torch.from_numpy(data.images).float().unsqueeze(1) / 16
    return Images(images, torch.from_numpy(data.target).long())


def folds(data: Images, count: int) -> Iterator[tuple[Images, Images]]:
    """(training, test) pairs: every image is in one test part, classes in equal shares."""
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(count, shuffle=True, random_state=0)
    for train, test in splitter.split(data.labels, data.labels):
        yield data.at(torch.from_numpy(train)), data.at(torch.from_numpy(test))


# ---- shapes --------------------------------------------------------------------------------------------------------


def shapes(count: int, seed: int) -> Images:
    """Turned, shifted, scaled and noisy shapes of random colours on a background that slants from one to another."""
    g = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *size: int) -> Tensor:
        return torch.rand((count, *size), generator=g) * (high - low) + low

    labels = torch.randint(0, SHAPES, (count,), generator=g)
    line = torch.linspace(-1, 1, SHAPE_SIZE)
    y, x = torch.meshgrid(line, line, indexing="ij")
    turn, size = uniform(0, 2 * pi, 1, 1), uniform(0.45, 0.7, 1, 1)
    dx, dy = x - uniform(-0.3, 0.3, 1, 1), y - uniform(-0.3, 0.3, 1, 1)
    u, v = (dx * turn.cos() + dy * turn.sin()) / size, (dy * turn.cos() - dx * turn.sin()) / size
    inside = torch.stack([is_inside(u, v) for is_inside in FORMULAS])[labels, torch.arange(count)].unsqueeze(1)
    slant = (dx * turn.sin() + dy * turn.cos()).unsqueeze(1)
    background = uniform(-1, 1, 3, 1, 1) + uniform(-0.4, 0.4, 3, 1, 1) * slant
    colour = background + torch.where(uniform(0, 1, 3, 1, 1) < 0.5, -1, 1) * uniform(0.5, 1, 3, 1, 1)
    noise = torch.randn((count, 3, SHAPE_SIZE, SHAPE_SIZE), generator=g) * uniform(0.05, 0.3, 1, 1, 1)
    return Images(torch.where(inside, colour, background) + noise, labels)


def _polygon(corners: int) -> Callable[[Tensor, Tensor], Tensor]:
    def is_inside(u: Tensor, v: Tensor) -> Tensor:
        sector = 2 * pi / corners
        angle = torch.remainder(torch.atan2(v, u), sector) - sector / 2
        return torch.hypot(u, v) * angle.cos() < torch.tensor(sector / 2).cos()

    return is_inside


def _star(points: int) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda u, v: torch.hypot(u, v) < 0.65 + 0.35 * (points * torch.atan2(v, u)).cos()


def _disc(u: Tensor, v: Tensor) -> Tensor:
    return torch.hypot(u, v) < 0.9


FORMULAS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    _disc,
    _polygon(3),
    _polygon(4),
    _polygon(5),
    _star(3),
    _star(5),
    lambda u, v: _disc(u, v) & (torch.hypot(u, v) > 0.5),
    lambda u, v: (torch.minimum(u.abs(), v.abs()) < 0.25) & (torch.maximum(u.abs(), v.abs()) < 0.95),
    lambda u, v: torch.hypot(u, 2.2 * v) < 1,
    lambda u, v: (u.abs() < 0.95) & (v.abs() < 0.4),
    lambda u, v: _disc(u, v) & ((9 * u).sin() > 0),
    lambda u, v: _disc(u, v) & ((9 * u).sin() * (9 * v).sin() > 0),
)
assert len(FORMULAS) == SHAPES
