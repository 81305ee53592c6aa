"""How far a quantized model is from eager fp32, on samples that it was not calibrated on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from benchmarks.quantization.pytorch import Tensors
from swkpu import zoo
from swkpu.report.compare import compare
from swkpu.report.report import Check

FIRST_TEST_SEED = 100_000


@dataclass(frozen=True)
class Subject:
    """A model of the zoo with made-up inputs: `samples` to calibrate on and `tests` others."""

    name: str
    samples: int
    tests: int

    @cached_property
    def model(self) -> nn.Module:
        return zoo.build(self.name)

    def calibration(self) -> list[Tensors]:
        return [zoo.example_inputs(self.name, 1, index + 1) for index in range(self.samples)]

    def inputs(self) -> list[Tensors]:
        return [zoo.example_inputs(self.name, 1, FIRST_TEST_SEED + index) for index in range(self.tests)]

    @cached_property
    def expected(self) -> list[list[Any]]:
        """The outputs for each test input."""
        with torch.no_grad():
            return [arrays(self.model(*x)) for x in self.inputs()]

    def checks(self, run: Callable[..., Any]) -> list[Check]:
        """The outputs for each test input beside eager's."""
        with torch.no_grad():
            return [compare(arrays(run(*x)), y) for x, y in zip(self.inputs(), self.expected, strict=True)]


def arrays(outputs: Any) -> list[Any]:
    """The floating tensors among a model's outputs, as numpy arrays."""
    leaves = [leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, torch.Tensor)]
    return [leaf.float().numpy() for leaf in leaves if leaf.is_floating_point()]


def decibels(checks: Sequence[Check]) -> list[float]:
    """The SQNR for each input."""
    return [float("inf") if check.sqnr_db is None else check.sqnr_db for check in checks]


def named(text: str, known: Sequence[str]) -> list[str]:
    """The names in a list with commas. Raises ValueError for others than are known."""
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"there is no {unknown[0]}; there are {', '.join(known)}")
    return names
