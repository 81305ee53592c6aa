"""GPT-2 (Radford et al., "Language models are unsupervised multitask learners", 2019), its small size: one step of
generation.

Module names give the state_dict keys of transformers' `GPT2LMHeadModel`, so its checkpoints load.
"""

from __future__ import annotations

import torch
from torch import nn

from swkpu.zoo.attention import merge_heads, split_heads
from swkpu.zoo.weights import Generators, with_weights

VOCABULARY = 50257
DIM = 768
HEADS = 12
LAYERS = 12
POSITIONS = 1024

Cache = tuple[torch.Tensor, torch.Tensor]
"""The keys and values of a layer, each (N, HEADS, positions, DIM / HEADS)."""


class Conv1D(nn.Module):
    """A linear layer whose weight is (inputs, outputs)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def fill_weights(self, generator: Generators) -> None:
        self.weight.normal_(0.0, self.weight.shape[0] ** -0.5, generator=generator("weight"))
        self.bias.normal_(0.0, 0.1, generator=generator("bias"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + self.bias


class Attention(nn.Module):
    """Of one new token to itself and to all the positions in the cache."""

    def __init__(self):
        super().__init__()
        self.c_attn = Conv1D(DIM, 3 * DIM)
        self.c_proj = Conv1D(DIM, DIM)

    def forward(self, x: torch.Tensor, past: Cache) -> tuple[torch.Tensor, Cache]:
        query, key, value = (split_heads(part, HEADS) for part in self.c_attn(x).chunk(3, -1))
        cache = torch.cat((past[0], key), 2), torch.cat((past[1], value), 2)
        attended = nn.functional.scaled_dot_product_attention(query, *cache)
        return self.c_proj(merge_heads(attended)), cache


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_fc = Conv1D(DIM, 4 * DIM)
        self.c_proj = Conv1D(4 * DIM, DIM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c_proj(nn.functional.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1 = nn.LayerNorm(DIM)
        self.attn = Attention()
        self.ln_2 = nn.LayerNorm(DIM)
        self.mlp = MLP()

    @property
    def residual_ends(self) -> tuple[nn.Module, ...]:
        return (self.attn.c_proj, self.mlp.c_proj)

    def forward(self, x: torch.Tensor, past: Cache) -> tuple[torch.Tensor, Cache]:
        attended, cache = self.attn(self.ln_1(x), past)
        x = x + attended
        return x + self.mlp(self.ln_2(x)), cache


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(VOCABULARY, DIM)
        self.wpe = nn.Embedding(POSITIONS, DIM)
        self.h = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln_f = nn.LayerNorm(DIM)

    def forward(self, input_ids: torch.Tensor, past: list[Cache]) -> tuple[torch.Tensor, list[Cache]]:
        position = past[0][0].shape[2]
        x = self.wte(input_ids) + self.wpe.weight[position]
        caches: list[Cache] = []
        for block, before in zip(self.h, past):
            x, cache = block(x, before)
            caches.append(cache)
        return self.ln_f(x), caches


class GPT2Step(nn.Module):
    """A new token (N, 1), and the keys and values of the P positions before it, each (N, LAYERS, HEADS, P, DIM /
    HEADS), to its logits (N, 1, VOCABULARY), and the keys and values of all P + 1 positions."""

    def __init__(self):
        super().__init__()
        self.transformer = Transformer()
        self.lm_head = nn.Linear(DIM, VOCABULARY, bias=False)
        self.lm_head.weight = self.transformer.wte.weight

    def fill_weights(self, generator: Generators) -> None:
        self.lm_head.weight = self.transformer.wte.weight

    def forward(
        self, input_ids: torch.Tensor, past_keys: torch.Tensor, past_values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        past = list(zip(past_keys.unbind(1), past_values.unbind(1)))
        x, caches = self.transformer(input_ids, past)
        keys, values = zip(*caches)
        return self.lm_head(x), torch.stack(keys, 1), torch.stack(values, 1)


def gpt2() -> nn.Module:
    return with_weights("gpt2", GPT2Step, linear_variance=1.0)
