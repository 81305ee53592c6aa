"""Import of recurrent layers, which are unrolled over time."""

import pytest
import torch
from torch import nn

from swkpu.frontend import import_model
from swkpu.interp import call_module

X = torch.randn(5, 2, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent(kind: type[nn.RNNBase], bidirectional: bool) -> None:
    model = kind(6, 4, 2, bidirectional=bidirectional).eval()
    module = import_model(model, (X,), "m")
    torch.testing.assert_close(call_module(module, X), model(X))


@pytest.mark.parametrize(
    "model",
    [
        nn.LSTM(6, 4, batch_first=True),
        nn.LSTM(6, 4, 2, bias=False, proj_size=3, bidirectional=True),
        nn.GRU(6, 4, bias=False, batch_first=True),
        nn.RNN(6, 4, nonlinearity="relu"),
    ],
)
def test_forms(model: nn.RNNBase) -> None:
    model.eval()
    torch.testing.assert_close(call_module(import_model(model, (X,), "m"), X), model(X))


def test_states_and_a_single_sequence() -> None:
    model, x = nn.LSTM(6, 4, 2).eval(), X[:, 0]
    states = (torch.randn(2, 4), torch.randn(2, 4))
    torch.testing.assert_close(call_module(import_model(model, (x, states), "m"), x, states), model(x, states))


def test_inputs_are_multiplied_at_once() -> None:
    module = import_model(nn.LSTM(6, 4).eval(), (X,), "m")
    assert sum(op.name == "nn.linear" for op in module.walk()) == 1 + len(X)
