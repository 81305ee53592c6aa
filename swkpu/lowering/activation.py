"""Activations: one formula each, so that they fuse into the layer before."""

from __future__ import annotations

from math import pi, sqrt

from xdsl.dialects import arith, math
from xdsl.ir import Operation, SSAValue

from swkpu.dialects import nn
from swkpu.lowering.arithmetic import Arithmetic, Formula, by_type, lower_by
from swkpu.lowering.table import lowering


def _relu(a: Arithmetic, x: SSAValue) -> SSAValue:
    return a(arith.MaximumfOp, x, a.number(0.0, x))


def _integer_relu(a: Arithmetic, x: SSAValue) -> SSAValue:
    return a(arith.MaxSIOp, x, a.number(0, x))


def _one_plus_exp_of_minus(a: Arithmetic, x: SSAValue) -> SSAValue:
    return a(arith.AddfOp, a(math.ExpOp, a(arith.NegfOp, x)), a.number(1.0, x))


def _sigmoid(a: Arithmetic, x: SSAValue) -> SSAValue:
    return a(arith.DivfOp, a.number(1.0, x), _one_plus_exp_of_minus(a, x))


def _silu(a: Arithmetic, x: SSAValue) -> SSAValue:
    return a(arith.DivfOp, x, _one_plus_exp_of_minus(a, x))


def _hardsigmoid(a: Arithmetic, x: SSAValue) -> SSAValue:
    shifted = a(arith.AddfOp, x, a.number(3.0, x))
    cut = a(arith.MinimumfOp, _relu(a, shifted), a.number(6.0, x))
    return a(arith.MulfOp, cut, a.number(1 / 6, x))


def _hardswish(a: Arithmetic, x: SSAValue) -> SSAValue:
    return a(arith.MulfOp, x, _hardsigmoid(a, x))


def _gelu(a: Arithmetic, x: SSAValue) -> SSAValue:
    """x / 2 (1 + erf(x / √2))"""
    erf = a(math.ErfOp, a(arith.MulfOp, x, a.number(sqrt(0.5), x)))
    return _half_of(a, x, erf)


def _gelu_tanh(a: Arithmetic, x: SSAValue) -> SSAValue:
    """x / 2 (1 + tanh(√(2/π) (x + 0.044715 x³)))"""
    cubic = a(arith.MulfOp, a(arith.MulfOp, x, x), a.number(0.044715, x))
    inner = a(arith.MulfOp, x, a(arith.AddfOp, cubic, a.number(1.0, x)))
    return _half_of(a, x, a(math.TanhOp, a(arith.MulfOp, inner, a.number(sqrt(2 / pi), x))))


def _half_of(a: Arithmetic, x: SSAValue, y: SSAValue) -> SSAValue:
    """x / 2 (1 + y)"""
    return a(arith.MulfOp, a(arith.MulfOp, x, a.number(0.5, x)), a(arith.AddfOp, y, a.number(1.0, x)))


FORMULAS: dict[type[Operation], Formula] = {
    nn.ReluOp: by_type(_relu, _integer_relu),
    nn.SigmoidOp: _sigmoid,
    nn.SiluOp: _silu,
    nn.HardsigmoidOp: _hardsigmoid,
    nn.HardswishOp: _hardswish,
}


@lowering(*FORMULAS)
def lower_activation(op: Operation) -> list[Operation]:
    return lower_by(FORMULAS[type(op)], op)


@lowering(nn.GeluOp)
def lower_gelu(op: nn.GeluOp) -> list[Operation]:
    return lower_by(_gelu if op.approximate.data == "none" else _gelu_tanh, op)
