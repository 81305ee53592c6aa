"""Constants and data movement run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from xdsl.interpreter import Interpreter, InterpreterFunctions, PythonValues, impl, register_impls

from swkpu.dialects import nn
from swkpu.dialects.nn import shape_of
from swkpu.interp.constants import array_of
from swkpu.interp.nn_base import Args, Tensor
from swkpu.interp.nn_windows import reversed_pairs
from swkpu.types import to_torch


@register_impls
class MovementFunctions(InterpreterFunctions):
    @impl(nn.ConstantOp)
    def run_constant(self, interpreter: Interpreter, op: nn.ConstantOp, args: Args) -> PythonValues:
        return (to_torch(array_of(op)),)

    @impl(nn.ReshapeOp)
    def run_reshape(self, interpreter: Interpreter, op: nn.ReshapeOp, args: Args) -> PythonValues:
        return (args[0].reshape(shape_of(op.result)),)

    @impl(nn.PermuteOp)
    def run_permute(self, interpreter: Interpreter, op: nn.PermuteOp, args: Args) -> PythonValues:
        return (args[0].permute(op.order),)

    @impl(nn.ExpandOp)
    def run_expand(self, interpreter: Interpreter, op: nn.ExpandOp, args: Args) -> PythonValues:
        return (args[0].expand(shape_of(op.result)),)

    @impl(nn.SliceOp)
    def run_slice(self, interpreter: Interpreter, op: nn.SliceOp, args: Args) -> PythonValues:
        return (args[0][_box(op.starts.data, op.sizes.data, op.steps.data)],)

    @impl(nn.InsertSliceOp)
    def run_insert_slice(self, interpreter: Interpreter, op: nn.InsertSliceOp, args: Args) -> PythonValues:
        dest, src = args
        out: Tensor = dest.clone()
        out[_box(op.starts.data, shape_of(op.src), op.steps.data)] = src
        return (out,)

    @impl(nn.ConcatOp)
    def run_concat(self, interpreter: Interpreter, op: nn.ConcatOp, args: Args) -> PythonValues:
        return (torch.cat(args, op.along),)

    @impl(nn.PadOp)
    def run_pad(self, interpreter: Interpreter, op: nn.PadOp, args: Args) -> PythonValues:
        sides = [side for pair in zip(op.low.data, op.high.data) for side in pair]
        return (F.pad(args[0], reversed_pairs(sides), value=op.value.value.data),)

    @impl(nn.FlipOp)
    def run_flip(self, interpreter: Interpreter, op: nn.FlipOp, args: Args) -> PythonValues:
        return (args[0].flip(op.dims.data),)

    @impl(nn.TakeOp)
    def run_take(self, interpreter: Interpreter, op: nn.TakeOp, args: Args) -> PythonValues:
        x, indices = args
        taken = torch.index_select(x, op.along, indices.reshape(-1))
        return (taken.reshape(shape_of(op.result)),)

    @impl(nn.GatherOp)
    def run_gather(self, interpreter: Interpreter, op: nn.GatherOp, args: Args) -> PythonValues:
        x, indices = args
        return (torch.gather(x, op.along, indices.long()),)


def _box(starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(a, a + n * s, s) for a, n, s in zip(starts, sizes, steps))
