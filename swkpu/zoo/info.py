"""What the zoo knows of a model without building it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["image", "normal", "tokens", "mask"]
"""What example values are like: smooth images, normal numbers, integers from 0 below `below`, or ones with some zeros
at the end."""


@dataclass(frozen=True)
class InputSpec:
    """An input of a model's `forward`, by its name there. `shape` is for batch 1; the first number is the batch."""

    name: str
    shape: tuple[int, ...]
    dtype: Literal["float32", "int64"] = "float32"
    kind: Kind = "normal"
    below: int = 0

    def with_batch(self, batch: int) -> tuple[int, ...]:
        return (batch, *self.shape[1:])


@dataclass(frozen=True)
class ModelInfo:
    """A model of the zoo.

    `parameters` counts a tensor that two layers share once. `macs` are the multiply-accumulates at batch 1 of
    convolutions (transposed ones too), linear layers and matrix products, which includes the two products of
    attention, in full also where it is causal.

    `definition` is `module:callable`; the callable takes nothing and returns an `nn.Module` with its weights.
    """

    name: str
    family: str
    parameters: int
    macs: int
    inputs: tuple[InputSpec, ...]
    description: str
    definition: str

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The first input's shape at batch 1."""
        return self.inputs[0].shape
