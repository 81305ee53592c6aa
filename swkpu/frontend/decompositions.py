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
    aten.addmv.default,
    aten.dist.default,
    aten.frexp.Tensor,
    aten.grid_sampler_2d.default,
    aten.special_spherical_bessel_j0.default,
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
    return torch.linalg.vector_norm(x.unsqueeze(-2) - y.unsqueeze(-3), order, -1)


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
    return product.sum(summed) if summed else product


@decomposition(aten.masked_scatter.default)
def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The n-th place where the mask holds gets the n-th element of the source."""
    x, mask = torch.broadcast_tensors(x, mask)
    place = mask.flatten().to(torch.int64).cumsum(0).sub(1).clamp_min(0).reshape(x.shape)
    return torch.where(mask, source.flatten()[place], x)
