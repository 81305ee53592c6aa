"""BERT (Devlin et al., "BERT: pre-training of deep bidirectional transformers", 2018).

Module names give the state_dict keys of transformers' `BertModel`, so its checkpoints load.
"""

from __future__ import annotations

import torch
from torch import nn

from swkpu.zoo.attention import attend
from swkpu.zoo.weights import with_weights

VOCABULARY = 30522
DIM = 768
HEADS = 12
HIDDEN = 3072
LAYERS = 12
POSITIONS = 512
EPS = 1e-12


class Embeddings(nn.Module):
    """(N, L) tokens to (N, L, DIM); all are of the first token type, as in a single text."""

    def __init__(self):
        super().__init__()
        self.word_embeddings = nn.Embedding(VOCABULARY, DIM)
        self.position_embeddings = nn.Embedding(POSITIONS, DIM)
        self.token_type_embeddings = nn.Embedding(2, DIM)
        self.LayerNorm = nn.LayerNorm(DIM, eps=EPS)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        positions = self.position_embeddings.weight[: input_ids.shape[1]]
        constant = positions + self.token_type_embeddings.weight[0]
        return self.LayerNorm(self.word_embeddings(input_ids) + constant)


class AddNorm(nn.Module):
    """A linear layer's result is added to `skip`, and the sum is normalised."""

    def __init__(self, inputs: int):
        super().__init__()
        self.dense = nn.Linear(inputs, DIM)
        self.LayerNorm = nn.LayerNorm(DIM, eps=EPS)

    @property
    def residual_ends(self) -> tuple[nn.Module, ...]:
        return (self.dense,)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        return self.LayerNorm(skip + self.dense(x))


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query = nn.Linear(DIM, DIM)
        self.key = nn.Linear(DIM, DIM)
        self.value = nn.Linear(DIM, DIM)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return attend(self.query(x), self.key(x), self.value(x), HEADS, mask)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.self = SelfAttention()
        self.output = AddNorm(DIM)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.output(self.self(x, mask), x)


class Intermediate(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(DIM, HIDDEN)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.gelu(self.dense(x))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = Attention()
        self.intermediate = Intermediate()
        self.output = AddNorm(HIDDEN)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.attention(x, mask)
        return self.output(self.intermediate(x), x)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        for layer in self.layer:
            x = layer(x, mask)
        return x


class Pooler(nn.Module):
    """What the model makes of the first token."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(DIM, DIM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.dense(x[:, 0]))


class Bert(nn.Module):
    """(N, L) tokens, and a mask that is 1 for tokens to look at, to (N, L, DIM) states and (N, DIM) pooled."""

    def __init__(self):
        super().__init__()
        self.embeddings = Embeddings()
        self.encoder = Encoder()
        self.pooler = Pooler()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = attention_mask[:, None, None, :] != 0
        states = self.encoder(self.embeddings(input_ids), mask)
        return states, self.pooler(states)


def bert_base() -> nn.Module:
    return with_weights("bert_base", Bert, linear_variance=1.0)
