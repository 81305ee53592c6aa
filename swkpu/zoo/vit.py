"""Vision transformer (Dosovitskiy et al., "An image is worth 16x16 words", 2020).

Module names give torchvision's state_dict keys, so its checkpoints load.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from swkpu.zoo.attention import attend
from swkpu.zoo.weights import Generators, with_weights


class SelfAttention(nn.Module):
    """As `nn.MultiheadAttention`, whose names it has."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * dim))
        self.out_proj = nn.Linear(dim, dim)

    def fill_weights(self, generator: Generators) -> None:
        self.in_proj_weight.normal_(0.0, self.in_proj_weight.shape[1] ** -0.5, generator=generator("in_proj_weight"))
        self.in_proj_bias.normal_(0.0, 0.1, generator=generator("in_proj_bias"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = nn.functional.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        return self.out_proj(attend(query, key, value, self.heads))


class EncoderBlock(nn.Module):
    """Attention and MLP, each on a normalised input and added to it."""

    def __init__(self, dim: int, heads: int, hidden: int):
        super().__init__()
        self.ln_1 = nn.LayerNorm(dim, eps=1e-6)
        self.self_attention = SelfAttention(dim, heads)
        self.ln_2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(0.0), nn.Linear(hidden, dim), nn.Dropout(0.0)
        )

    @property
    def residual_ends(self) -> tuple[nn.Module, ...]:
        return (self.self_attention.out_proj, self.mlp[3])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attention(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """(N, positions, dim): adds what each position is, then the blocks."""

    def __init__(self, positions: int, dim: int, heads: int, hidden: int, blocks: int):
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, positions, dim))
        layers = {f"encoder_layer_{index}": EncoderBlock(dim, heads, hidden) for index in range(blocks)}
        self.layers = nn.Sequential(OrderedDict[str, nn.Module](layers))
        self.ln = nn.LayerNorm(dim, eps=1e-6)

    def fill_weights(self, generator: Generators) -> None:
        self.pos_embedding.normal_(0.0, 0.3, generator=generator("pos_embedding"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.ln(self.layers(x + self.pos_embedding))


class VisionTransformer(nn.Module):
    """(N, 3, size, size) images to (N, classes) logits."""

    def __init__(
        self,
        patch: int,
        size: int = 224,
        dim: int = 768,
        heads: int = 12,
        hidden: int = 3072,
        blocks: int = 12,
        classes: int = 1000,
    ):
        super().__init__()
        self.conv_proj = nn.Conv2d(3, dim, patch, patch)
        self.class_token = nn.Parameter(torch.empty(1, 1, dim))
        self.encoder = Encoder((size // patch) ** 2 + 1, dim, heads, hidden, blocks)
        self.heads = nn.Sequential(OrderedDict[str, nn.Module](head=nn.Linear(dim, classes)))

    def fill_weights(self, generator: Generators) -> None:
        self.class_token.normal_(generator=generator("class_token"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.conv_proj(x).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.class_token.expand(x.shape[0], -1, -1), patches), 1)
        return self.heads(self.encoder(tokens)[:, 0])


def vit_b_16() -> nn.Module:
    return with_weights("vit_b_16", lambda: VisionTransformer(patch=16), linear_variance=1.0)


def vit_b_32() -> nn.Module:
    return with_weights("vit_b_32", lambda: VisionTransformer(patch=32), linear_variance=1.0)
