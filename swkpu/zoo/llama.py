"""LLaMA (Touvron et al., "LLaMA: open and efficient foundation language models", 2023): a stack of its blocks, with the
grouped-query attention of the later ones, without embeddings and head.

Module names are those of transformers' `LlamaModel`.
"""

from __future__ import annotations

import torch
from torch import nn

from swkpu.zoo.attention import merge_heads, split_heads
from swkpu.zoo.weights import with_weights

DIM = 1024
HEADS = 16
KEY_HEADS = 4
"""Heads of keys and values; each serves HEADS / KEY_HEADS of the queries'."""
HEAD_DIM = DIM // HEADS
HIDDEN = 2816
LAYERS = 4
THETA = 10000.0
EPS = 1e-5

Rotation = tuple[torch.Tensor, torch.Tensor]
"""Cosines and sines, each (L, HEAD_DIM)."""


def rotation(like: torch.Tensor) -> Rotation:
    """The angles of rotary position embedding (Su et al., "RoFormer", 2021) for states (N, L, DIM)."""
    steps = torch.arange(0, HEAD_DIM, 2, dtype=torch.float32, device=like.device)
    positions = torch.arange(like.shape[1], dtype=torch.float32, device=like.device)
    angles = positions[:, None] * THETA ** (-steps / HEAD_DIM)
    angles = torch.cat((angles, angles), -1)
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def rotate(x: torch.Tensor, by: Rotation) -> torch.Tensor:
    """Turn each pair of elements half a head apart by the angle of its position; x is (N, heads, L, HEAD_DIM)."""
    cosine, sine = by
    low, high = x.chunk(2, -1)
    return x * cosine + torch.cat((-high, low), -1) * sine


class Attention(nn.Module):
    """Causal."""

    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(DIM, HEADS * HEAD_DIM, bias=False)
        self.k_proj = nn.Linear(DIM, KEY_HEADS * HEAD_DIM, bias=False)
        self.v_proj = nn.Linear(DIM, KEY_HEADS * HEAD_DIM, bias=False)
        self.o_proj = nn.Linear(HEADS * HEAD_DIM, DIM, bias=False)

    def forward(self, x: torch.Tensor, by: Rotation) -> torch.Tensor:
        query = rotate(split_heads(self.q_proj(x), HEADS), by)
        key = rotate(split_heads(self.k_proj(x), KEY_HEADS), by)
        value = split_heads(self.v_proj(x), KEY_HEADS)
        attended = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        return self.o_proj(merge_heads(attended))


class MLP(nn.Module):
    """SwiGLU (Shazeer, "GLU variants improve transformer", 2020)."""

    def __init__(self):
        super().__init__()
        self.gate_proj = nn.Linear(DIM, HIDDEN, bias=False)
        self.up_proj = nn.Linear(DIM, HIDDEN, bias=False)
        self.down_proj = nn.Linear(HIDDEN, DIM, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn = Attention()
        self.mlp = MLP()
        self.input_layernorm = nn.RMSNorm(DIM, eps=EPS)
        self.post_attention_layernorm = nn.RMSNorm(DIM, eps=EPS)

    @property
    def residual_ends(self) -> tuple[nn.Module, ...]:
        return (self.self_attn.o_proj, self.mlp.down_proj)

    def forward(self, x: torch.Tensor, by: Rotation) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x), by)
        return x + self.mlp(self.post_attention_layernorm(x))


class LlamaStack(nn.Module):
    """(N, L, DIM) embedded tokens to (N, L, DIM) normalised states."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(DIM, eps=EPS)

    def forward(self, inputs_embeds: torch.Tensor) -> torch.Tensor:
        x, by = inputs_embeds, rotation(inputs_embeds)
        for layer in self.layers:
            x = layer(x, by)
        return self.norm(x)


def llama_stack() -> nn.Module:
    return with_weights("llama_stack", LlamaStack, linear_variance=1.0)
