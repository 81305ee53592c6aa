"""The one table from ATen operators to import rules.

A rule gets a `NodeBuilder` and the call's arguments (SSA values for tensors, Python values for the rest) in the order
and with the defaults of the ATen schema. It emits nn ops and returns the call's result. An operator that has a rule is
kept whole: `decompositions` hands everything else to torch to break down.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar

import torch
from torch._decomp import get_decompositions
from torch._ops import OpOverload, OpOverloadPacket

Rule = Callable[..., Any]
R = TypeVar("R", bound=Rule)

RULES: dict[OpOverload, Rule] = {}
REFUSED: dict[OpOverload, str] = {}
"""Operators that have no rule for a reason that helps whoever meets it."""


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


def refuse(reason: str, *operators: OpOverload) -> None:
    """Say why some operators have no rule."""
    REFUSED.update(dict.fromkeys(operators, reason))


def overloads(packet: OpOverloadPacket) -> list[OpOverload]:
    """All forms of an operator that take tensors or numbers and make a tensor."""
    found: list[OpOverload] = [getattr(packet, name) for name in packet.overloads()]
    schemas = [operator._schema for operator in found]  # pyright: ignore[reportPrivateUsage]
    return [
        operator
        for operator, schema in zip(found, schemas)
        if [str(result.type) for result in schema.returns] == ["Tensor"] and not schema.is_mutable
    ]


@cache
def load_rules() -> dict[OpOverload, Rule]:
    """The whole table: the rules in all modules of `swkpu.frontend.rules`."""
    from swkpu.frontend import rules

    for module in iter_modules(rules.__path__, rules.__name__ + "."):
        import_module(module.name)
    return RULES


def decompositions() -> dict[Any, Callable[..., Any]]:
    """How operators that have no rule are broken down: as torch does by default, and further."""
    from swkpu.frontend import indexing_decompositions, special_functions  # noqa: F401  # pyright: ignore[reportUnusedImport]
    from swkpu.frontend.decompositions import FROM_TORCH, OWN

    rules = load_rules()
    table = {**dict(torch.export.default_decompositions().items()), **get_decompositions(FROM_TORCH), **OWN}
    return {operator: how for operator, how in table.items() if operator not in rules}


def supported_ops() -> list[tuple[str, str]]:
    """Every operator with a rule, by name: ("aten.conv2d.default", "nn.conv2d, then nn.add of the bias")."""
    return sorted((str(operator), summary(function)) for operator, function in load_rules().items())


def summary(function: Rule) -> str:
    return (function.__doc__ or "").strip().partition("\n")[0]
