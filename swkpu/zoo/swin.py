"""Swin transformer (Liu et al., "Swin transformer: hierarchical vision transformer using shifted windows", 2021).

Module names give torchvision's state_dict keys, so its checkpoints load. Maps are (N, H, W, C) between the blocks.
"""

from __future__ import annotations

import torch
from torch import nn

from swkpu.zoo.attention import attend
from swkpu.zoo.convnext import Permute
from swkpu.zoo.weights import Generators, with_weights

WINDOW = 7
"""Attention is within windows of this many positions along each side."""
MASKED = -100.0
"""Added where a query does not see a key."""


class WindowAttention(nn.Module):
    """Attention within windows of the map, which is first rolled by `shift` along both sides."""

    def __init__(self, dim: int, heads: int, shift: int):
        super().__init__()
        self.heads, self.shift = heads, shift
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * WINDOW - 1) ** 2, heads))
        self.relative_position_index: torch.Tensor
        self.register_buffer("relative_position_index", _relative_positions())

    def fill_weights(self, generator: Generators) -> None:
        self.relative_position_bias_table.normal_(0.0, 0.5, generator=generator("relative_position_bias_table"))
        self.relative_position_index.copy_(_relative_positions())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[1:3]
        shift = self.shift if min(height, width) > WINDOW else 0
        bias = self.relative_position_bias_table[self.relative_position_index]
        bias = bias.view(WINDOW**2, WINDOW**2, self.heads).permute(2, 0, 1)
        if shift:
            x = x.roll((-shift, -shift), (1, 2))
            bias = bias + _apart(height, width, shift, x).unsqueeze(1)
        query, key, value = self.qkv(_to_windows(x)).chunk(3, -1)
        x = _from_windows(self.proj(attend(query, key, value, self.heads, bias)), height, width)
        return x.roll((shift, shift), (1, 2)) if shift else x


def _relative_positions() -> torch.Tensor:
    """For each pair of positions of a window, the row of the table for their distance."""
    steps = torch.arange(WINDOW)
    rows, columns = steps.repeat_interleave(WINDOW), steps.repeat(WINDOW)
    down, right = (at[:, None] - at[None, :] + WINDOW - 1 for at in (rows, columns))
    return (down * (2 * WINDOW - 1) + right).flatten()


def _apart(height: int, width: int, shift: int, like: torch.Tensor) -> torch.Tensor:
    """(windows, positions, positions): MASKED between positions that only the roll made neighbours."""

    def parts(size: int) -> torch.Tensor:
        at = torch.arange(size, device=like.device)
        return (at >= size - WINDOW).long() + (at >= size - shift).long()

    regions = 3 * parts(height)[:, None] + parts(width)[None, :]
    regions = _to_windows(regions[None, :, :, None]).flatten(0, 1).squeeze(-1)
    differ = regions[:, :, None] != regions[:, None, :]
    return differ.to(like.dtype) * MASKED


def _to_windows(x: torch.Tensor) -> torch.Tensor:
    """(N, H, W, C) to (N, windows, positions, C)."""
    return x.unflatten(2, (-1, WINDOW)).unflatten(1, (-1, WINDOW)).transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _from_windows(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(N, windows, positions, C) to (N, H, W, C)."""
    x = x.unflatten(2, (WINDOW, WINDOW)).unflatten(1, (height // WINDOW, width // WINDOW))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


class Block(nn.Module):
    """Attention and MLP, each on a normalised input and added to it."""

    def __init__(self, dim: int, heads: int, shift: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, shift)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(0.0), nn.Linear(4 * dim, dim), nn.Dropout(0.0)
        )

    @property
    def residual_ends(self) -> tuple[nn.Module, ...]:
        return (self.attn.proj, self.mlp[3])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchMerging(nn.Module):
    """(N, H, W, C) to (N, H / 2, W / 2, 2 C)."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        corners = [x[:, row::2, column::2] for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
        return self.reduction(self.norm(torch.cat(corners, -1)))


class Swin(nn.Module):
    """(N, 3, H, W) images to (N, classes) logits; H and W are multiples of 32 * WINDOW. `stages` has the blocks and the
    heads of each."""

    def __init__(self, dim: int, stages: tuple[tuple[int, int], ...], classes: int = 1000):
        super().__init__()
        layers: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, dim, 4, 4), Permute(0, 2, 3, 1), nn.LayerNorm(dim))]
        for index, (blocks, heads) in enumerate(stages):
            if index:
                layers.append(PatchMerging(dim))
                dim *= 2
            layers.append(nn.Sequential(*(Block(dim, heads, WINDOW // 2 * (n % 2)) for n in range(blocks))))
        self.features = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.features(x)).mean((1, 2)))


def swin_t() -> nn.Module:
    stages = ((2, 3), (2, 6), (6, 12), (2, 24))
    return with_weights("swin_t", lambda: Swin(96, stages), linear_variance=1.0)
