"""Example values for a model's inputs."""

from __future__ import annotations

import torch

from swkpu.zoo.info import InputSpec


def example(spec: InputSpec, batch: int, generator: torch.Generator) -> torch.Tensor:
    """Values of the spec's kind and dtype, at a batch of `batch`."""
    shape = spec.with_batch(batch)
    match spec.kind:
        case "image":
            batch, channels, height, width = shape
            values = images((batch, channels, height, width), generator)
        case "normal":
            values = torch.randn(shape, generator=generator)
        case "tokens":
            values = torch.randint(0, spec.below, shape, generator=generator)
        case "mask":
            values = _mask(shape, generator)
    return values.to(getattr(torch, spec.dtype))


def images(shape: tuple[int, int, int, int], generator: torch.Generator) -> torch.Tensor:
    """Random (N, C, H, W) fp64 images of about zero mean and unit deviation over all, like normalised photographs:
    each has its own brightness per channel and its own mix of spatial frequencies, the low ones stronger."""
    batch, channels, height, width = shape
    total = 0.6 * _normal((batch, channels, 1, 1), generator).expand(shape)
    for cells in (3, 8, 24, 96):
        octave = _normal((batch, channels, cells, cells), generator)
        strength = 0.35 * torch.exp(0.7 * _normal((batch, 1, 1, 1), generator))
        total = total + strength * torch.nn.functional.interpolate(octave, (height, width), mode="bilinear")
    return total


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _mask(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Each sequence is its own length, between a half and all of the positions."""
    positions = shape[-1]
    lengths = torch.randint(positions // 2, positions, (*shape[:-1], 1), generator=generator)
    return torch.arange(positions) < lengths
