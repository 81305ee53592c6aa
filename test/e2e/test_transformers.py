"""Models of Hugging Face's transformers, imported as they are and compared with eager PyTorch."""

import os
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

os.environ["HF_HUB_OFFLINE"] = "1"
pytest.importorskip("transformers")

from transformer_models import FAMILIES

import swkpu
from swkpu.frontend import import_model
from swkpu.interp import call_module

LEVELS = {"nn": 1e-4, "kpu": 1e-4}
"""Where the model runs, and how far its results may be from eager's, relative to the largest."""


def run(level: str, model: nn.Module, inputs: Mapping[str, torch.Tensor]) -> Any:
    """What the compiled model returns: of its nn ops, or of its program in functional simulation."""
    if level == "nn":
        return call_module(import_model(model, (), "model", inputs), **inputs)
    return swkpu.compile(model, example_kwargs=inputs, precision="fp32")(**inputs)


def tensors(values: Any) -> list[torch.Tensor]:
    return [v for v in pytree.tree_leaves(values) if isinstance(v, torch.Tensor)]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("family", FAMILIES)
def test_family(family: str, level: str) -> None:
    model, inputs = FAMILIES[family].build(), FAMILIES[family].example()
    with torch.no_grad():
        expected = model(**inputs)
    result = run(level, model, inputs)
    assert type(result) is type(expected)
    assert len(tensors(result)) == len(tensors(expected)) > 0
    for actual, wanted in zip(tensors(result), tensors(expected), strict=True):
        scale = float(wanted.abs().max())
        assert scale > 0
        torch.testing.assert_close(actual, wanted, rtol=0, atol=LEVELS[level] * scale)
