"""Import without torch's decompositions: when it is done, that it is the same, and changes in place."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from imports import Fn
from torch import nn

from swkpu import zoo
from swkpu.frontend import capture, import_program, importer
from swkpu.frontend.direct import direct_rules
from swkpu.frontend.table import load_rules
from swkpu.interp import call_module

X = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(1))
Function = Callable[[torch.Tensor], torch.Tensor]


def is_direct(function: Function) -> bool:
    return direct_rules(capture(Fn(function).eval(), (X,)), load_rules()) is not None


def check(function: Function) -> None:
    x = X.clone()
    module = import_program(capture(Fn(function).eval(), (x,)), "m")
    torch.testing.assert_close(call_module(module, x), function(X.clone()))


NORM = nn.BatchNorm1d(4).eval()
NORM.running_mean = torch.arange(4.0)

DIRECT: dict[str, Function] = {
    "in_place_on_new": lambda x: (x + 1).relu_().add_(x).mul_(2),
    "in_place_on_used": lambda x: (lambda y: y.relu_() + y)(x + 1),
    "dropout": lambda x: F.dropout(x + 1, training=False) * 2,
    "in_place_on_batch_norm": lambda x: NORM(x).relu_(),
    "constants": lambda x: x + torch.arange(6.0).mul_(2)[None, None, :],
    "unused_results": lambda x: x.max(1).values.softmax(-1),
    "types": lambda x: x.half().to(torch.float32).type_as(x).expand_as(x),
}
AT_LENGTH: dict[str, Function] = {
    "in_place_on_input": lambda x: x.add_(1) * 2,
    "in_place_on_view": lambda x: (lambda y: (y[:, 0].mul_(3), y)[1])(x + 1),
    "in_place_seen_through_view": lambda x: (lambda y: (y.view(-1), y.mul_(3))[0])(x + 1),
    "composite": lambda x: torch.einsum("abc,adc->abd", x, x),
    "slice_assignment": lambda x: (lambda y: (y.__setitem__((slice(None), 1), 0.0), y)[1])(x.clone()),
}


@pytest.mark.parametrize("case", DIRECT)
def test_direct(case: str) -> None:
    assert is_direct(DIRECT[case])
    check(DIRECT[case])


@pytest.mark.parametrize("case", AT_LENGTH)
@pytest.mark.filterwarnings("ignore:the model changes its input")
def test_at_length(case: str) -> None:
    assert not is_direct(AT_LENGTH[case])
    check(AT_LENGTH[case])


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vit_b_32", "swin_t", "bert_base", "yolov8n"])
def test_both_ways_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = capture(zoo.build(name), zoo.example_inputs(name))
    assert direct_rules(program, load_rules()) is not None
    direct = [op.name for op in import_program(program, name).walk() if op.name != "nn.constant"]
    monkeypatch.setattr(importer, "direct_rules", lambda *_: None)
    assert [op.name for op in import_program(program, name).walk() if op.name != "nn.constant"] == direct


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + mask(),
        lambda x: (lambda c: (c[0].fill_(7), c)[1])(torch.zeros(4, 6)) + x,
        lambda x: (lambda c: x * c + c.add_(1) * x)(torch.arange(6.0).clone()),
        lambda x: (lambda c: (x * c, c[1:3].zero_(), x + c)[2])(torch.arange(6.0)),
        lambda x: (x > 0) & (x < 1),
    ],
)
def test_constants_changed_in_place(function: Function) -> None:
    assert is_direct(function)
    check(function)


def mask() -> torch.Tensor:
    """Regions numbered by writing into slices, as Swin does."""
    regions = torch.zeros(4, 6)
    for number, rows in enumerate((slice(0, -2), slice(-2, -1), slice(-1, None))):
        regions[rows, 1:] = float(number)
    return regions


def test_tensors_of_the_model_are_not_changed() -> None:
    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.zeros(6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            table = self.table.clone()
            table[2:4] = 1.0
            return x + table

    model = Writes().eval()
    module = import_program(capture(model, (X,)), "m")
    assert not model.table.any()
    torch.testing.assert_close(call_module(module, X), model(X))
