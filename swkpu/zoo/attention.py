"""Multi-head attention, for all the transformers of the zoo."""

from __future__ import annotations

import torch
from torch import nn


def split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(..., L, D) to (..., heads, L, D / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(-2, -3)


def merge_heads(x: torch.Tensor) -> torch.Tensor:
    """(..., heads, L, E) to (..., L, heads * E)."""
    return x.transpose(-2, -3).flatten(-2)


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Attention in `heads` parts of the last dim: (..., L, D) with (..., S, D) to (..., L, D)."""
    parts = (split_heads(x, heads) for x in (query, key, value))
    return merge_heads(nn.functional.scaled_dot_product_attention(*parts, attn_mask=mask))
