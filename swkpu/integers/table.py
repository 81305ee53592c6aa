"""The one table from nn ops to what they are on quantized tensors.

A rule takes an emitter, an op of floats and the forms of its operands (None for a float that is not quantized). It
returns the form of the result, or a float value it computed from integers, or None where the op has to see floats.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeAlias, TypeVar

from xdsl.ir import Operation, SSAValue

from swkpu.integers.forms import Form

Result: TypeAlias = "Form | SSAValue | None"
Rule: TypeAlias = "Callable[[Any, Any, list[Form | None]], Result]"
R = TypeVar("R", bound="Rule")

RULES: dict[type[Operation], Rule] = {}
ALWAYS: set[type[Operation]] = set()
"""Ops whose rule applies to floats too, because it makes their sums independent of order."""


def integer_rule(*kinds: type[Operation], always: bool = False) -> Callable[[R], R]:
    """Register what some nn ops are on quantized tensors, and with `always` on floats."""

    def register(function: R) -> R:
        for kind in kinds:
            if kind in RULES:
                raise ValueError(f"{kind.name} has two integer rules")
            RULES[kind] = function
            if always:
                ALWAYS.add(kind)
        return function

    return register


def load_rules() -> dict[type[Operation], Rule]:
    """The whole table, from every file of this folder."""
    import swkpu.integers as folder

    for file in iter_modules(folder.__path__):
        import_module(f"swkpu.integers.{file.name}")
    return RULES
