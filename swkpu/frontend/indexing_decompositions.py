"""Operators by indices in terms of simpler ones, where torch leaves them whole."""

from __future__ import annotations

import torch
from torch import Tensor

from swkpu.frontend.decompositions import decomposition

aten = torch.ops.aten


@decomposition(aten.take.default)
def take(x: Tensor, index: Tensor) -> Tensor:
    return aten.index.Tensor(x.flatten(), [index.flatten()]).reshape(index.shape)


@decomposition(aten.put.default)
def put(x: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    return x.flatten().index_put((index.flatten(),), source.flatten(), accumulate).reshape(x.shape)


@decomposition(aten.index_reduce.default)
def index_reduce(
    x: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    if x.dim() == 0:
        return index_reduce(x[None], 0, index, source.reshape(1), reduce, include_self=include_self)[0]
    shape = [1] * x.dim()
    shape[dim] = -1
    places = index.reshape(shape).expand(source.shape)
    return x.scatter_reduce(dim, places, source, reduce, include_self=include_self)


@decomposition(aten._embedding_bag_forward_only.default)
def embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int = -1,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A bag sums (0), averages (1) or takes the largest (2) of the rows from its offset to the next bag's."""
    starts = offsets[:-1] if include_last_offset else offsets
    number = torch.arange(indices.shape[0])
    bag = (starts[:, None] <= number[None, :]).sum(0) - 1
    inside = bag[None, :] == torch.arange(starts.shape[0])[:, None]
    if padding_idx >= 0:
        inside = inside & (indices != padding_idx)[None, :]
    rows = aten.embedding.default(weight, indices)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights[:, None]
    if mode == 2:
        largest = torch.where(inside[:, :, None], rows[None], float("-inf")).amax(1)
        out = torch.where(inside.any(1)[:, None], largest, 0.0)
    else:
        out = inside.to(rows.dtype) @ rows
        if mode == 1:
            out = out / inside.sum(1).clamp_min(1)[:, None]
    return out, bag, inside.sum(1), torch.zeros_like(starts)


@decomposition(aten.grid_sampler_3d.default)
def grid_sampler_3d(x: Tensor, grid: Tensor, mode: int, padding: int, align_corners: bool) -> Tensor:
    """Mode 0 weighs the eight elements around each point, 1 takes the nearest; padding is zeros, border or mirror."""
    batch, channels, *sizes = x.shape
    points = [_coordinate(grid[..., 2 - axis], size, padding, align_corners) for axis, size in enumerate(sizes)]
    image = x.flatten(2)

    def element(at: list[Tensor]) -> Tensor:
        inside = [(c >= 0) & (c <= size - 1) for c, size in zip(at, sizes)]
        places = [c.clamp(0, size - 1).to(torch.int64) for c, size in zip(at, sizes)]
        flat = (places[0] * sizes[1] + places[1]) * sizes[2] + places[2]
        taken = image.gather(2, flat.reshape(batch, 1, -1).expand(batch, channels, -1))
        found = taken.reshape(batch, channels, *flat.shape[1:])
        return torch.where((inside[0] & inside[1] & inside[2])[:, None], found, 0.0)

    if mode == 1:
        return element([c.round() for c in points])
    low = [c.floor() for c in points]
    total = torch.zeros(())
    for corner in range(8):
        at = [c + (corner >> axis & 1) for axis, c in enumerate(low)]
        near = [1 - (c - p).abs() for c, p in zip(at, points)]
        total = total + element(at) * (near[0] * near[1] * near[2])[:, None]
    return total


def _coordinate(c: Tensor, size: int, padding: int, align_corners: bool) -> Tensor:
    """From -1..1 to element numbers, with points outside brought in as the padding says."""
    c = (c + 1) / 2 * (size - 1) if align_corners else ((c + 1) * size - 1) / 2
    if padding == 2:
        low, high = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)
        span = high - low
        if span == 0:
            return torch.zeros_like(c)
        away = (c - low).abs()
        flips = torch.floor(away / span)
        rest = away - flips * span
        c = torch.where(flips % 2 == 0, rest + low, span - rest + low)
    return c.clamp(0, size - 1) if padding else c
