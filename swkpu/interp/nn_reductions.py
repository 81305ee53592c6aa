"""Reductions and running reductions run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from xdsl.interpreter import Interpreter, InterpreterFunctions, PythonValues, impl, register_impls

from swkpu.dialects import nn
from swkpu.dialects.nn import shape_of
from swkpu.interp.nn_base import Args, Tensor, decoded, result_dtype


@register_impls
class ReductionFunctions(InterpreterFunctions):
    @impl(nn.SumOp)
    def run_sum(self, interpreter: Interpreter, op: nn.SumOp, args: Args) -> PythonValues:
        return (_sum(decoded(args[0]), *op.reduced).to(result_dtype(op)),)

    @impl(nn.MeanOp)
    def run_mean(self, interpreter: Interpreter, op: nn.MeanOp, args: Args) -> PythonValues:
        dims, keepdim = op.reduced
        x = args[0].float() if args[0].is_floating_point() else args[0].double()
        count = prod(shape_of(op.input)[d] for d in dims)
        return ((_sum(x, dims, keepdim) / count).to(result_dtype(op)),)

    @impl(nn.ProdOp)
    def run_prod(self, interpreter: Interpreter, op: nn.ProdOp, args: Args) -> PythonValues:
        dims, keepdim = op.reduced
        x = decoded(args[0])
        for dim in reversed(dims):
            x = torch.prod(x, dim, keepdim)
        return (x.to(result_dtype(op)),)

    @impl(nn.MaxOp)
    def run_max(self, interpreter: Interpreter, op: nn.MaxOp, args: Args) -> PythonValues:
        dims, keepdim = op.reduced
        return (torch.amax(args[0], dims, keepdim) if dims else args[0],)

    @impl(nn.MinOp)
    def run_min(self, interpreter: Interpreter, op: nn.MinOp, args: Args) -> PythonValues:
        dims, keepdim = op.reduced
        return (torch.amin(args[0], dims, keepdim) if dims else args[0],)

    @impl(nn.AnyOp)
    def run_any(self, interpreter: Interpreter, op: nn.AnyOp, args: Args) -> PythonValues:
        dims, keepdim = op.reduced
        return (torch.any(args[0], dims, keepdim) if dims else args[0],)

    @impl(nn.ArgMaxOp)
    def run_argmax(self, interpreter: Interpreter, op: nn.ArgMaxOp, args: Args) -> PythonValues:
        return (_first(torch.argmax, args[0], *op.reduced),)

    @impl(nn.ArgMinOp)
    def run_argmin(self, interpreter: Interpreter, op: nn.ArgMinOp, args: Args) -> PythonValues:
        return (_first(torch.argmin, args[0], *op.reduced),)

    # ---- running ----

    @impl(nn.CumSumOp)
    def run_cumsum(self, interpreter: Interpreter, op: nn.CumSumOp, args: Args) -> PythonValues:
        return (torch.cumsum(decoded(args[0]), op.along).to(result_dtype(op)),)

    @impl(nn.CumProdOp)
    def run_cumprod(self, interpreter: Interpreter, op: nn.CumProdOp, args: Args) -> PythonValues:
        return (torch.cumprod(decoded(args[0]), op.along).to(result_dtype(op)),)

    @impl(nn.CumMaxOp)
    def run_cummax(self, interpreter: Interpreter, op: nn.CumMaxOp, args: Args) -> PythonValues:
        return (torch.cummax(args[0], op.along).values,)

    @impl(nn.CumMinOp)
    def run_cummin(self, interpreter: Interpreter, op: nn.CumMinOp, args: Args) -> PythonValues:
        return (torch.cummin(args[0], op.along).values,)


def _sum(x: Tensor, dims: Sequence[int], keepdim: bool) -> Tensor:
    return torch.sum(x, tuple(dims), keepdim) if dims else x  # torch takes no dims to mean all


def _first(find: Callable[[Tensor, int, bool], Tensor], x: Tensor, dim: int, keepdim: bool) -> Tensor:
    return find(x if x.dtype != torch.bool else x.to(torch.int8), dim, keepdim)
