"""What tests of import rules share: a function as a model, its module, and whether that computes what torch does."""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.utils import _pytree as pytree
from xdsl.dialects.builtin import ModuleOp

from swkpu.dialects.nn import NNOp
from swkpu.frontend import import_model
from swkpu.interp import call_module


class Fn(nn.Module):
    """A function of tensors as a model."""

    def __init__(self, function: Callable[..., object]):
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.function(*inputs)


def module_of(function: Callable[..., object], *inputs: torch.Tensor) -> ModuleOp:
    return import_model(Fn(function).eval(), inputs, "m")


def ops_of(module: ModuleOp) -> list[str]:
    return [op.name for op in module.walk() if isinstance(op, NNOp)]


def check(
    function: Callable[..., object], *inputs: torch.Tensor, ops: Sequence[str] | None = None, tolerance: float = 1e-5
) -> None:
    """The imported function gives torch's values, shapes and types, and is made of these ops."""
    expected = pytree.tree_leaves(function(*inputs))
    module = module_of(function, *inputs)
    results = pytree.tree_leaves(call_module(module, *inputs))
    assert len(results) == len(expected)
    for result, value in zip(results, expected):
        torch.testing.assert_close(result, value, rtol=tolerance, atol=tolerance, equal_nan=True, check_stride=False)
    if ops is not None:
        assert ops_of(module) == list(ops)
