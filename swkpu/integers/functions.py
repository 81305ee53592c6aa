"""Functions of one quantized tensor: a table of the function at all 256 values, computed in f64."""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.ir import Operation

from swkpu.dialects import nn
from swkpu.integers.emitter import Emitter, constant_of
from swkpu.integers.forms import Affine, Array, Form, Lookup, lookup
from swkpu.integers.table import Result, integer_rule

_OWN_RULES = (nn.ReluOp, nn.NegOp)


def tabulated(op: Any, forms: list[Form | None], wide: bool = True) -> Lookup | None:
    """The op as a table, where all its operands are functions of one stored tensor or constants of one element.

    With `wide` not set, an op by a constant stays arithmetic while no table is involved: that can wait for a sum.
    """
    tables: list[Lookup | None] = [lookup(f) if isinstance(f, Affine | Lookup) else None for f in forms]
    values = {t.value for t in tables if t is not None}
    if len(values) != 1:
        return None
    if not wide and sum(t is not None for t in tables) == 1 and not any(isinstance(f, Lookup) for f in forms):
        return None
    arguments: list[Array] = []
    for operand, table in zip(op.operands, tables):
        if table is not None:
            arguments.append(table.reals)
            continue
        constant = constant_of(operand)
        if constant is None or constant.size != 1:
            return None
        arguments.append(constant.reshape(()))
    value = values.pop()
    if nn.shape_of(op.results[0]) != nn.shape_of(value):
        return None
    reals = evaluated(op, arguments)
    return Lookup(value, reals) if np.isfinite(reals).all() else None


def evaluated(op: Operation, arguments: list[Array]) -> Array:
    """The op on arrays of f64."""
    import torch

    from swkpu.interp.nn_elementwise import BINARY, UNARY

    tensors = [torch.from_numpy(np.array(a, np.float64)) for a in arguments]
    with torch.no_grad():
        match op:
            case nn.GeluOp():
                result = torch.nn.functional.gelu(tensors[0], approximate=op.approximate.data)
            case nn.ClampOp():
                low, high = (None if bound is None else bound.value.data for bound in (op.min, op.max))
                result = torch.clamp(tensors[0], low, high)
            case _:
                function = UNARY.get(type(op)) or BINARY[type(op)]  # pyright: ignore[reportArgumentType, reportCallIssue]
                result = function(*tensors)
    return result.numpy()


@integer_rule(*(op for op in nn.UNARY if op not in _OWN_RULES), nn.GeluOp, nn.PowOp)
def function(e: Emitter, op: Operation, forms: list[Form | None]) -> Result:
    return tabulated(op, forms)
