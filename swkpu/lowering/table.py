"""The one table from nn ops to their lowerings.

A lowering takes an op and returns the df ops that replace it, in order; the last one's result replaces the op's.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar

from xdsl.ir import Operation

Lowering = Callable[[Any], list[Operation]]
L = TypeVar("L", bound=Lowering)

LOWERINGS: dict[type[Operation], Lowering] = {}


def lowering(*kinds: type[Operation]) -> Callable[[L], L]:
    """Register the lowering of some nn ops."""

    def register(function: L) -> L:
        for kind in kinds:
            if kind in LOWERINGS:
                raise ValueError(f"{kind.name} has two lowerings")
            LOWERINGS[kind] = function
        return function

    return register


def load_lowerings() -> dict[type[Operation], Lowering]:
    """The whole table, from every file of this folder."""
    import swkpu.lowering as folder

    for file in iter_modules(folder.__path__):
        import_module(f"swkpu.lowering.{file.name}")
    return LOWERINGS
