"""Masks that belong to the model decide sizes; masks that depend on inputs are refused."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from swkpu.errors import ModelError
from swkpu.frontend import import_model
from swkpu.interp import call_module

X = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(1))


class Masked(nn.Module):
    def __init__(self, function: Callable[..., object]):
        super().__init__()
        self.function = function
        self.columns = torch.tensor([True, False, True, True, False, False])
        self.register_buffer("plane", torch.arange(24).reshape(4, 6) % 5 < 2)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> object:
        return self.function(self, x)


@pytest.mark.parametrize(
    "function",
    [
        lambda s, x: x[:, :, s.columns] * s.scale,
        lambda s, x: x[:, s.plane].relu() + 1,
        lambda s, x: x[:, ~s.plane],
        lambda s, x: x[:, s.plane].reshape(2, -1, 2),
        lambda s, x: x[..., s.columns.nonzero().flatten()],
        lambda s, x: x[0].masked_select(s.plane),
        lambda s, x: x[:, :, torch.arange(6) > 3],
    ],
)
def test_masks_of_the_model(function: Callable[..., object]) -> None:
    model = Masked(function).eval()
    module = import_model(model, (X,), "m")
    torch.testing.assert_close(call_module(module, X), model(X))


@pytest.mark.parametrize("function", [lambda s, x: x[x > 0], lambda s, x: x[:, s.plane & (x[0] > 0)]])
def test_masks_of_inputs(function: Callable[..., object]) -> None:
    with pytest.raises(ModelError, match="depends on the values of its inputs"):
        import_model(Masked(function).eval(), (X,), "m")
