"""Names of values that outlive printing and parsing."""

from __future__ import annotations

from collections import Counter

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, SSAValue

from swkpu.dialects.nn import ConstantOp
from swkpu.errors import IRError


def entry_of(module: ModuleOp) -> FuncOp:
    """The function that a model is: @main, or the only one there is. Raises IRError."""
    functions = [op for op in module.ops if isinstance(op, FuncOp) and op.body.blocks]
    named = [f for f in functions if f.sym_name.data == "main"] or functions
    if len(named) != 1:
        raise IRError(f"expected a module with a function @main, found {len(functions)} functions")
    return named[0]


def value_names(function: FuncOp) -> dict[SSAValue, str]:
    """A name for each argument, and each result of an op that is not a constant, in the order of the function.

    It is the value's name hint, else its op's name; a second value of that name gets `_1`, a third `_2`. A hint never
    ends in such a number, since xDSL drops it, so names are unique, and the same after printing and parsing.
    """
    seen: Counter[str] = Counter()
    names: dict[SSAValue, str] = {}
    results = [r for op in function.body.block.ops if not isinstance(op, ConstantOp) for r in op.results]
    for value in (*function.args, *results):
        base = value.name_hint or (_INPUT if isinstance(value, BlockArgument) else _op_name(value))
        names[value] = f"{base}_{seen[base]}" if seen[base] else base
        seen[base] += 1
    return names


_INPUT = "input"


def _op_name(value: SSAValue) -> str:
    owner = value.owner
    name: str = getattr(owner, "name", "value")
    return name.rpartition(".")[2]
