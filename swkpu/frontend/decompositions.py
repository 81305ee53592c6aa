"""Operators in terms of simpler ones, where torch's default table leaves them whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch._ops import OpOverload

aten = torch.ops.aten

F = TypeVar("F", bound=Callable[..., Any])

FROM_TORCH: tuple[OpOverload, ...] = (
    aten._batch_norm_with_update_functional.default,
    aten.addmv.default,
    aten.dist.default,
    aten.grid_sampler_2d.default,
)
"""Operators of core ATen that torch can break down too."""
OWN: dict[OpOverload, Callable[..., Any]] = {}


def decomposition(operator: OpOverload) -> Callable[[F], F]:
    """Register how an operator is written in others."""

    def register(function: F) -> F:
        OWN[operator] = function
        return function

    return register


@decomposition(aten.addbmm.default)
def addbmm(x: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    product = torch.bmm(left, right).sum(0) * alpha
    return product if beta == 0 else x * beta + product


@decomposition(aten._cdist_forward.default)
def cdist(x: Tensor, y: Tensor, order: float, compute_mode: int | None) -> Tensor:
    distance = x.unsqueeze(-2) - y.unsqueeze(-3)
    return torch.linalg.vector_norm(distance, order, -1) if distance.numel() else distance.sum(-1)


@decomposition(aten._pdist_forward.default)
def pdist(x: Tensor, order: float = 2.0) -> Tensor:
    first, second = torch.triu_indices(x.shape[0], x.shape[0], 1)
    return torch.linalg.vector_norm(x[first] - x[second], order, -1) if x.shape[-1] else x.new_zeros(first.shape)


@decomposition(aten._trilinear.default)
def trilinear(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    expand_a: list[int],
    expand_b: list[int],
    expand_c: list[int],
    summed: list[int],
    unroll_dim: int = 1,
) -> Tensor:
    for dim in expand_a:
        a = a.unsqueeze(dim)
    for dim in expand_b:
        b = b.unsqueeze(dim)
    for dim in expand_c:
        c = c.unsqueeze(dim)
    product = a * b * c
    return product.sum(summed, dtype=a.dtype) if summed else product


@decomposition(aten.masked_scatter.default)
def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The n-th place where the mask holds gets the n-th element of the source."""
    x, mask = torch.broadcast_tensors(x, mask)
    place = mask.flatten().to(torch.int64).cumsum(0).sub(1).clamp_min(0).reshape(x.shape)
    return torch.where(mask, source.flatten()[place], x)


@decomposition(aten.angle.default)
def angle(x: Tensor) -> Tensor:
    """Of real numbers."""
    x = x if x.is_floating_point() else x.float()
    return torch.where(x.isnan(), x, torch.where(x < 0, torch.full_like(x, torch.pi), 0.0))


@decomposition(aten.frexp.Tensor)
def frexp(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mantissa in [1/2, 1) and exponent. The logarithm may be off by one next to powers of two."""
    is_plain = torch.isfinite(x) & (x != 0)
    exponent = torch.where(is_plain, torch.floor(torch.log2(x.abs())) + 1, 0.0)
    mantissa = x * torch.exp2(-exponent)
    up, down = is_plain & (mantissa.abs() >= 1), is_plain & (mantissa.abs() < 0.5)
    mantissa = torch.where(up, mantissa * 0.5, torch.where(down, mantissa * 2, mantissa))
    exponent = torch.where(up, exponent + 1, torch.where(down, exponent - 1, exponent))
    return mantissa, exponent.to(torch.int32)


@decomposition(aten.histc.default)
def histc(x: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements are in each of some equal intervals; the last one is closed."""
    x = x.flatten()
    if not x.numel():
        return x.new_zeros(bins)
    low, high = (x.min(), x.max()) if min == max else (torch.full_like(x[0], min), torch.full_like(x[0], max))
    low, high = torch.where(low == high, low - 1, low), torch.where(low == high, high + 1, high)
    place = torch.floor((x - low) / (high - low) * bins).clamp(max=bins - 1)
    place = torch.where((x >= low) & (x <= high), place, -1.0)
    return (place.unsqueeze(0) == torch.arange(bins, device=x.device).unsqueeze(1)).to(x.dtype).sum(1)


@decomposition(aten.nonzero_static.default)
def nonzero_static(x: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The first `size` places that are not zero, in order; then the fill value."""
    found = x.flatten() != 0
    order = torch.where(found, found.to(torch.int64).cumsum(0) - 1, -1)
    hits = order.unsqueeze(0) == torch.arange(size).unsqueeze(1)
    place = torch.where(hits, torch.arange(found.shape[0]), 0).sum(1)
    strides = [torch.Size(x.shape[d + 1 :]).numel() for d in range(x.dim())]
    places = [place // max(stride, 1) % max(length, 1) for stride, length in zip(strides, x.shape)]
    result = torch.stack(places, 1) if places else place.new_zeros((size, 0))
    return torch.where(hits.any(1, keepdim=True), result, fill_value)


@decomposition(aten.mode.default)
def mode(x: Tensor, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The most frequent element, the smallest of several such; where it is last."""
    if x.dim() == 0:
        return x.clone(), torch.zeros_like(x, dtype=torch.int64)
    x = x.movedim(dim, -1)
    count = (x.unsqueeze(-1) == x.unsqueeze(-2)).to(torch.int32).sum(-1)
    is_frequent = count == count.amax(-1, keepdim=True)
    rank = (x.unsqueeze(-2) < x.unsqueeze(-1)).to(torch.int32).sum(-1)
    first = torch.where(is_frequent, rank, x.shape[-1]).amin(-1, keepdim=True)
    is_mode = is_frequent & (rank == first)
    index = torch.where(is_mode, torch.arange(x.shape[-1]), -1).amax(-1, keepdim=True)
    value = x.gather(-1, index)
    results = (value.movedim(-1, dim), index.movedim(-1, dim))
    return results if keepdim else (results[0].squeeze(dim), results[1].squeeze(dim))
