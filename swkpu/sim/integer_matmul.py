"""Exact products of integer matrices, fast for int8: for every value and every depth, extremes included."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch

F32_EXACT_DEPTH = (1 << 24) // (128 * 128)
"""So many products of int8 sum to at most 2**24, up to where f32 has every integer."""
INT8_PRODUCT: Callable[..., torch.Tensor] = torch.ops.aten._int_mm
"""[M, K] and [K, N] of int8 to [M, N] of int32."""
SMALL_PRODUCT = 1 << 14
"""Multiplications in one matrix product, below which starting it takes longer than doing it."""


def integer_matmul(left: torch.Tensor, right: torch.Tensor, acc: torch.dtype = torch.int32) -> torch.Tensor:
    """`left @ right.T` per batch: [B, M, K] and [B, N, K] to [B, M, N] in `acc`, modulo its width.

    int8 operands are multiplied by the CPU's 8-bit dot products, any others in `acc`.
    """
    batch, m, depth = left.shape
    n = right.shape[1]
    if left.dtype is not torch.int8 or right.dtype is not torch.int8 or acc is not torch.int32:
        return torch.bmm(left.to(acc), right.to(acc).transpose(1, 2))
    if 0 in (batch, m, n, depth):
        return torch.zeros(batch, m, n, dtype=acc)
    many_small = batch > 1 and m * n * depth <= SMALL_PRODUCT
    # At a depth of 1 the int8 product cannot tell a matrix from its transpose, and is wrong.
    if depth == 1 or (many_small and depth <= F32_EXACT_DEPTH) or not _int8_products_are_exact():
        return _through_f32(left, right)
    out = torch.empty(batch, m, n, dtype=acc)
    for a, b, product in zip(left, right, out):
        # The right operand column by column is what the processor's instructions read fastest.
        INT8_PRODUCT(a.contiguous(), b.contiguous().T, out=product)
    return out


def _through_f32(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Slices of the depth whose sums f32 holds."""
    out = torch.zeros(left.shape[0], left.shape[1], right.shape[1], dtype=torch.int32)
    for a, b in zip(left.split(F32_EXACT_DEPTH, 2), right.split(F32_EXACT_DEPTH, 2)):
        out += torch.bmm(a.float(), b.float().transpose(1, 2)).to(torch.int32)
    return out


@cache
def _int8_products_are_exact() -> bool:
    """Not on processors whose 8-bit dot product saturates a sum of two products at 16 bits."""
    extremes = torch.tensor([[-128] * 96, [127] * 96, [-128, 127] * 48], dtype=torch.int8)
    wide = extremes.to(torch.int32)
    return torch.equal(INT8_PRODUCT(extremes, extremes.T), wide @ wide.T)
