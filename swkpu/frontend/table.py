"""The one table from ATen operators to import rules.

A rule gets a `NodeBuilder` and the call's arguments (SSA values for tensors, Python values for the rest) in the order
and with the defaults of the ATen schema. It emits nn ops and returns the call's result. An operator that has a rule is
kept whole: `decompositions` hands everything else to torch to break down.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

import torch
from torch._ops import OpOverload

Rule = Callable[..., Any]
R = TypeVar("R", bound=Rule)

RULES: dict[OpOverload, Rule] = {}
RULE_FILES = (
    "activation",
    "attention",
    "comparison",
    "contraction",
    "cumulative",
    "elementwise",
    "movement",
    "normalization",
    "power",
    "reduction",
    "sorting",
    "window",
)


class Unsupported(Exception):
    """Raised by a rule for a form of its operator that nn cannot say. The message says which form."""


def rule(*operators: OpOverload) -> Callable[[R], R]:
    """Register the rule of some operators. The first line of its docstring says which nn ops it makes."""

    def register(function: R) -> R:
        for operator in operators:
            if operator in RULES:
                raise ValueError(f"{operator} has two import rules")
            RULES[operator] = function
        return function

    return register


def load_rules() -> dict[OpOverload, Rule]:
    """The whole table."""
    for name in RULE_FILES:
        import_module(f"swkpu.frontend.rules.{name}")
    return RULES


def decompositions() -> dict[Any, Callable[..., Any]]:
    """How torch breaks down the operators that have no rule."""
    rules = load_rules()
    table = torch.export.default_decompositions()
    return {operator: how for operator, how in table.items() if operator not in rules}


def supported_ops() -> list[tuple[str, str]]:
    """Every operator with a rule, by name: ("aten.conv2d.default", "nn.conv2d, then nn.add of the bias")."""
    return sorted((str(operator), summary(function)) for operator, function in load_rules().items())


def summary(function: Rule) -> str:
    return (function.__doc__ or "").strip().partition("\n")[0]
