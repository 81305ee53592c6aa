"""Whisper's encoder (Radford et al., "Robust speech recognition via large-scale weak supervision", 2022), its smallest
size.

Module names give the state_dict keys of transformers' `WhisperEncoder`, so its checkpoints load.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from swkpu.zoo.attention import attend
from swkpu.zoo.weights import Generators, with_weights

BANDS = 80
"""Mel bands of the spectrogram."""
FRAMES = 1500
"""Positions after the convolutions: 30 s of sound."""
DIM = 384
HEADS = 6
LAYERS = 4


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.k_proj = nn.Linear(DIM, DIM, bias=False)
        self.v_proj = nn.Linear(DIM, DIM)
        self.q_proj = nn.Linear(DIM, DIM)
        self.out_proj = nn.Linear(DIM, DIM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out_proj(attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), HEADS))


class Layer(nn.Module):
    """Attention and MLP, each on a normalised input and added to it."""

    def __init__(self):
        super().__init__()
        self.self_attn = Attention()
        self.self_attn_layer_norm = nn.LayerNorm(DIM)
        self.fc1 = nn.Linear(DIM, 4 * DIM)
        self.fc2 = nn.Linear(4 * DIM, DIM)
        self.final_layer_norm = nn.LayerNorm(DIM)

    @property
    def residual_ends(self) -> tuple[nn.Module, ...]:
        return (self.self_attn.out_proj, self.fc2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        return x + self.fc2(nn.functional.gelu(self.fc1(self.final_layer_norm(x))))


class WhisperEncoder(nn.Module):
    """(N, BANDS, 2 FRAMES) log-mel spectrograms to (N, FRAMES, DIM) states."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(BANDS, DIM, 3, padding=1)
        self.conv2 = nn.Conv1d(DIM, DIM, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(FRAMES, DIM)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.layer_norm = nn.LayerNorm(DIM)

    def fill_weights(self, generator: Generators) -> None:
        self.embed_positions.weight.copy_(_sinusoids())

    def forward(self, input_features: torch.Tensor) -> torch.Tensor:
        x = nn.functional.gelu(self.conv1(input_features))
        x = nn.functional.gelu(self.conv2(x)).transpose(1, 2)
        x = x + self.embed_positions.weight
        for layer in self.layers:
            x = layer(x)
        return self.layer_norm(x)


def _sinusoids() -> torch.Tensor:
    """(FRAMES, DIM): sines, then cosines, of periods from 2 pi to 20000 pi positions."""
    steps = torch.arange(DIM // 2) / (DIM // 2 - 1)
    angles = torch.arange(FRAMES)[:, None] * torch.exp(-math.log(10000.0) * steps)
    return torch.cat((angles.sin(), angles.cos()), 1)


def whisper_tiny_encoder() -> nn.Module:
    return with_weights("whisper_tiny_encoder", WhisperEncoder, linear_variance=1.0)
