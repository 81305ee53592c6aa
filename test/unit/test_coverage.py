"""Which operators a model calls, and which of them have rules."""

from __future__ import annotations

import torch
from torch import nn

from swkpu.frontend.capture import capture
from swkpu.frontend.coverage import coverage, zoo_coverage


class Mixed(nn.Module):
    """An operator with a rule twice, one that has none and is broken down nowhere, and constants."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.relu() + torch.arange(4) * torch.tensor([1, 2, 3, 4])
        return torch.linalg.svd(y.relu())[1]


def test_calls_are_counted_per_operator_and_constants_are_left_out() -> None:
    found = coverage(capture(Mixed().eval(), (torch.zeros(4, 4),)))
    assert found.operators["aten.relu.default"] == {"calls": 2, "supported": True}
    assert not found.operators["aten._linalg_svd.default"]["supported"]
    assert not any("arange" in name for name in found.operators)
    assert (found.calls, found.supported_calls) == (4, 3)


def test_a_model_of_the_zoo_needs_no_weights() -> None:
    found = zoo_coverage("lenet")
    assert found.operators["aten.conv2d.default"]["calls"] == 2
    assert found.calls == found.supported_calls
