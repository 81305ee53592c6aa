"""The df dialect runs: a recurrence is evaluated over its whole domain, on whole tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from xdsl.interpreter import Interpreter, InterpreterFunctions, PythonValues, impl, register_impls
from xdsl.ir.affine import AffineMap

from swkpu.affine import linear_map
from swkpu.dialects import df
from swkpu.dialects.epilogue import fabric_program
from swkpu.sim.recurrence import evaluate
from swkpu.types import to_torch


def pad_for(tensor: torch.Tensor, map: AffineMap, extents: Sequence[int], pad: float) -> tuple[torch.Tensor, list[int]]:
    """The tensor with a border of `pad` wherever the access map reads outside it, and the border's size before
    each dim.
    """
    before: list[int] = []
    widths: list[int] = []
    for expr, size in zip(linear_map(map), tensor.shape):
        low, high = df.bounds(expr, extents)
        before.append(max(0, -low))
        widths += [max(0, high - size + 1), max(0, -low)]
    if any(widths):
        tensor = torch.nn.functional.pad(tensor, list(reversed(widths)), value=pad)
    return tensor, before


@register_impls
class DFFunctions(InterpreterFunctions):
    @impl(df.ConstantOp)
    def run_constant(self, interpreter: Interpreter, op: df.ConstantOp, args: tuple[Any, ...]) -> PythonValues:
        return (to_torch(op.array()),)

    @impl(df.RecurrenceOp)
    def run_recurrence(self, interpreter: Interpreter, op: df.RecurrenceOp, args: tuple[Any, ...]) -> PythonValues:
        domain = op.domain
        maps = list(op.input_maps)
        operands: list[torch.Tensor] = []
        for i, (value, map, pad) in enumerate(zip(args, op.input_maps, op.pad_values)):
            padded, before = pad_for(value, map, domain.extents, pad)
            maps[i] = AffineMap(map.num_dims, 0, tuple(e + b for e, b in zip(map.results, before)))
            operands.append(padded[None, None])
        operands += [v[None, None] for v in args[len(op.inputs) :]]
        accumulator = op.accumulator_type if not op.is_elementwise else df.type_of(op.result).element_type
        fabric = fabric_program(
            "", domain, op.combiner, [*maps, *op.extra_maps, op.result_map], accumulator, op.epilogue
        )
        return (evaluate(fabric, domain.extents, operands)[0, 0].contiguous(),)

    @impl(df.CopyOp)
    def run_copy(self, interpreter: Interpreter, op: df.CopyOp, args: tuple[Any, ...]) -> PythonValues:
        extents = op.domain.extents
        source, before = pad_for(args[0], op.map.data, extents, 0.0)
        out: torch.Tensor = source
        offset, steps = source.storage_offset(), [0] * len(extents)
        for expr, stride, b in zip(linear_map(op.map.data), source.stride(), before):
            offset += (expr.const + b) * stride
            for dim, coef in expr.terms:
                steps[dim] += coef * stride
        return (out.as_strided(extents, steps, offset).contiguous(),)

    @impl(df.ReshapeOp)
    def run_reshape(self, interpreter: Interpreter, op: df.ReshapeOp, args: tuple[Any, ...]) -> PythonValues:
        return (args[0].reshape(df.shape_of(op.result)),)
