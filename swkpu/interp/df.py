"""The df dialect runs: a recurrence is evaluated over its whole domain, on whole tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from xdsl.interpreter import Interpreter, InterpreterFunctions, PythonValues, impl, register_impls
from xdsl.ir import Attribute
from xdsl.ir.affine import AffineMap

from swkpu.affine import Linear, linear_map
from swkpu.dialects import df
from swkpu.dialects.epilogue import fabric_program
from swkpu.errors import IRError
from swkpu.sim.recurrence import evaluate
from swkpu.types import dtype_of, to_torch, torch_dtype


def pad_for(
    tensor: torch.Tensor, map: AffineMap, extents: Sequence[int], pad: float, element: Attribute
) -> tuple[torch.Tensor, list[int]]:
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
        tensor = torch.nn.functional.pad(tensor, list(reversed(widths)), value=dtype_of(element).clamped(pad))
    return tensor, before


def _written(op: df.RecurrenceOp | df.CopyOp, value: torch.Tensor, destination: torch.Tensor | None) -> torch.Tensor:
    """The result of an op, given a value with an axis per parallel dim in the order of `op.write.dims`."""
    if destination is None and op.write.is_permutation:
        return value
    shape = df.shape_of(op.result)
    out = torch.empty(shape, dtype=value.dtype) if destination is None else destination.clone()
    strides = out.stride()
    out.as_strided(value.shape, op.write.strides(strides), op.write.offset(strides)).copy_(value)
    return out


def _coordinates(expr: Linear, extents: Sequence[int]) -> torch.Tensor:
    """A coordinate at every point of a domain, broadcast over the dims it does not depend on."""
    out = torch.full([1] * len(extents), expr.const, dtype=torch.int64)
    for dim, coef in expr.terms:
        shape = [1] * len(extents)
        shape[dim] = extents[dim]
        out = out + coef * torch.arange(extents[dim]).reshape(shape)
    return out


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
            element = df.type_of(op.inputs[i]).element_type
            padded, before = pad_for(value, map, domain.extents, pad, element)
            maps[i] = AffineMap(map.num_dims, 0, tuple(e + b for e, b in zip(map.results, before)))
            operands.append(padded[None, None])
        operands += [v[None, None] for v in args[len(op.inputs) : len(op.inputs) + len(op.extras)]]
        accumulator = op.accumulator_type if not op.is_elementwise else df.type_of(op.result).element_type
        result_map = op.write.order(domain.rank)
        fabric = fabric_program("", domain, op.combiner, [*maps, *op.extra_maps, result_map], accumulator, op.epilogue)
        value = evaluate(fabric, domain.extents, operands)[0, 0].contiguous()
        return (_written(op, value, None if op.destination is None else args[-1]),)

    @impl(df.EmptyOp)
    def run_empty(self, interpreter: Interpreter, op: df.EmptyOp, args: tuple[Any, ...]) -> PythonValues:
        type = df.type_of(op.result)
        return (torch.zeros(type.get_shape(), dtype=torch_dtype(dtype_of(type.element_type))),)

    @impl(df.CopyOp)
    def run_copy(self, interpreter: Interpreter, op: df.CopyOp, args: tuple[Any, ...]) -> PythonValues:
        extents = op.domain.extents
        element = df.type_of(op.input).element_type
        source, before = pad_for(args[0], op.map.data, extents, op.pad_value, element)
        out: torch.Tensor = source
        offset, steps = source.storage_offset(), [0] * len(extents)
        for expr, stride, b in zip(linear_map(op.map.data), source.stride(), before):
            offset += (expr.const + b) * stride
            for dim, coef in expr.terms:
                steps[dim] += coef * stride
        value = out.as_strided(extents, steps, offset).contiguous()
        return (_written(op, value.permute(op.write.dims), None if op.destination is None else args[1]),)

    @impl(df.GatherOp)
    def run_gather(self, interpreter: Interpreter, op: df.GatherOp, args: tuple[Any, ...]) -> PythonValues:
        source, indices = args
        extents, axis = op.domain.extents, op.axis.value.data
        at = [_coordinates(e, extents) for e in linear_map(op.map.data)]
        index = indices[tuple(_coordinates(e, extents) for e in linear_map(op.index_map.data))].long()
        if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < source.shape[axis]:
            raise IRError(f"an index of df.gather is outside 0..{source.shape[axis] - 1}: {int(index.max())}")
        at[axis] = at[axis] + index
        return (source[tuple(at)].expand(extents).contiguous(),)

    @impl(df.ReshapeOp)
    def run_reshape(self, interpreter: Interpreter, op: df.ReshapeOp, args: tuple[Any, ...]) -> PythonValues:
        return (args[0].reshape(df.shape_of(op.result)),)
