"""Elementwise nn ops run: each is a torch function of its decoded operands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.nn.functional as F
from xdsl.interpreter import Interpreter, InterpreterFunctions, PythonValues, impl, register_impls

from swkpu.dialects import nn
from swkpu.interp.nn_base import Args, Tensor, decoded, result_dtype

Function = Callable[..., Tensor]
C = TypeVar("C", bound=InterpreterFunctions)

UNARY: dict[type[nn.UnaryOp], Function] = {
    nn.NegOp: torch.neg,
    nn.AbsOp: torch.abs,
    nn.SignOp: torch.sign,
    nn.FloorOp: torch.floor,
    nn.CeilOp: torch.ceil,
    nn.RoundOp: torch.round,
    nn.TruncOp: torch.trunc,
    nn.BitwiseNotOp: torch.bitwise_not,
    nn.ReluOp: torch.relu,
    nn.SigmoidOp: torch.sigmoid,
    nn.ExpOp: torch.exp,
    nn.Exp2Op: torch.exp2,
    nn.Expm1Op: torch.expm1,
    nn.LogOp: torch.log,
    nn.Log2Op: torch.log2,
    nn.Log10Op: torch.log10,
    nn.Log1pOp: torch.log1p,
    nn.SqrtOp: torch.sqrt,
    nn.RsqrtOp: torch.rsqrt,
    nn.ErfOp: torch.erf,
    nn.ErfcOp: torch.erfc,
    nn.SinOp: torch.sin,
    nn.CosOp: torch.cos,
    nn.TanOp: torch.tan,
    nn.AsinOp: torch.asin,
    nn.AcosOp: torch.acos,
    nn.AtanOp: torch.atan,
    nn.SinhOp: torch.sinh,
    nn.CoshOp: torch.cosh,
    nn.TanhOp: torch.tanh,
    nn.AsinhOp: torch.asinh,
    nn.AcoshOp: torch.acosh,
    nn.AtanhOp: torch.atanh,
    nn.SiluOp: F.silu,
    nn.HardswishOp: F.hardswish,
    nn.HardsigmoidOp: F.hardsigmoid,
    nn.IsNanOp: torch.isnan,
    nn.IsInfOp: torch.isinf,
}


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc")


BINARY: dict[type[nn.BinaryOp], Function] = {
    nn.AddOp: torch.add,
    nn.SubOp: torch.sub,
    nn.MulOp: torch.mul,
    nn.DivOp: _divide,
    nn.FloorDivideOp: torch.floor_divide,
    nn.FmodOp: torch.fmod,
    nn.RemainderOp: torch.remainder,
    nn.MaximumOp: torch.maximum,
    nn.MinimumOp: torch.minimum,
    nn.PowOp: torch.pow,
    nn.Atan2Op: torch.atan2,
    nn.CopysignOp: torch.copysign,
    nn.BitwiseAndOp: torch.bitwise_and,
    nn.BitwiseOrOp: torch.bitwise_or,
    nn.BitwiseXorOp: torch.bitwise_xor,
    nn.ShiftLeftOp: torch.bitwise_left_shift,
    nn.ShiftRightOp: torch.bitwise_right_shift,
    nn.EqOp: torch.eq,
    nn.NeOp: torch.ne,
    nn.LtOp: torch.lt,
    nn.LeOp: torch.le,
    nn.GtOp: torch.gt,
    nn.GeOp: torch.ge,
}


def elementwise(cls: type[C]) -> type[C]:
    """Give the class a method per unary and binary operator."""

    def method(function: Function) -> Callable[..., PythonValues]:
        def run(self: InterpreterFunctions, interpreter: Interpreter, op: nn.NNOp, args: Args) -> PythonValues:
            return (function(*map(decoded, args)).to(result_dtype(op)),)

        return run

    for op_type, function in (*UNARY.items(), *BINARY.items()):
        setattr(cls, "run_" + op_type.name.removeprefix("nn."), impl(op_type)(method(function)))
    return cls


@register_impls
@elementwise
class ElementwiseFunctions(InterpreterFunctions):
    @impl(nn.GeluOp)
    def run_gelu(self, interpreter: Interpreter, op: nn.GeluOp, args: Args) -> PythonValues:
        return (F.gelu(decoded(args[0]), approximate=op.approximate.data).to(result_dtype(op)),)

    @impl(nn.ClampOp)
    def run_clamp(self, interpreter: Interpreter, op: nn.ClampOp, args: Args) -> PythonValues:
        low, high = (None if bound is None else bound.value.data for bound in (op.min, op.max))
        return (torch.clamp(decoded(args[0]), low, high).to(result_dtype(op)),)

    @impl(nn.CastOp)
    def run_cast(self, interpreter: Interpreter, op: nn.CastOp, args: Args) -> PythonValues:
        return (args[0].to(result_dtype(op)),)

    @impl(nn.WhereOp)
    def run_where(self, interpreter: Interpreter, op: nn.WhereOp, args: Args) -> PythonValues:
        return (torch.where(*args),)
