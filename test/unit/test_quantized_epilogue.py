"""A quantized residual block with its table: df, kpu and the binary give what the formulas say, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from xdsl.context import Context
from xdsl.dialects import arith, builtin, func
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from swkpu.dialects.df import DF
from swkpu.dialects.nn import NN
from swkpu.dialects.weights import weights_of
from swkpu.emit import emit
from swkpu.interp import run_module
from swkpu.interp.kpu import run_kpu
from swkpu.passes.pipeline import default_pipeline
from swkpu.program.check import check
from swkpu.program.container import from_bytes, to_bytes
from swkpu.program.races import check_races
from swkpu.sim.functional import run_program
from swkpu.target import load_target
from swkpu.target.cost import vector_micro_ops

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK = """
func.func @main(%x: tensor<40x70xi8>, %w: tensor<24x70xi8>, %b: tensor<24xi32>, %m: tensor<24xi32>,
                %s: tensor<24xi32>, %r: tensor<40x24xi8>) -> tensor<40x24xi8> {
  %y = df.recurrence (m = 40, n = 24 | k = 70) ins(%x[m, k] : tensor<40x70xi8>, %w[n, k] : tensor<24x70xi8>)
    mac with(%b[n] : tensor<24xi32>, %m[n] : tensor<24xi32>, %s[n] : tensor<24xi32>, %r[m, n] : tensor<40x24xi8>)
    epilogue(%acc: i32, %bias: i32, %multiplier: i32, %shift: i32, %residual: i8) {
      %half = arith.constant 1073741824 : i32
      %up = arith.constant 20 : i32
      %down = arith.constant 41 : i32
      %least = arith.constant -120 : i8
      %sum = arith.addi %acc, %bias : i32
      %own = df.rescale %sum, %multiplier, %shift zero_points[0, 0] : i32 -> i32
      %other = df.rescale %residual, %half, %up zero_points[3, 0] : i8 -> i32
      %both = arith.addi %own, %other : i32
      %q = df.rescale %both, %half, %down zero_points[0, -5] : i32 -> i8
      %clamped = arith.maxsi %q, %least : i8
      %f = df.table %clamped, #nn.weight<"", "function"> : i8 -> i8
      df.yield %f : i8
    } -> [m, n] : tensor<40x24xi8>
  func.return %y : tensor<40x24xi8>
}
"""


def rescaled(v: Array, multiplier: Array | int, shift: Array | int, zero: int, bits: int) -> Array:
    half = np.left_shift(np.int64(1), np.asarray(shift, np.int64) - 1)
    result = ((v * multiplier + half) >> shift) + zero
    return np.clip(result, -(1 << bits - 1), (1 << bits - 1) - 1)


def expected(x: Array, w: Array, b: Array, m: Array, s: Array, r: Array, table: Array) -> Array:
    x, w, b, m, s, r = (a.astype(np.int64) for a in (x, w, b, m, s, r))
    own = rescaled(x @ w.T + b, m, s, 0, 32)
    both = own + rescaled(r - 3, 1 << 30, 20, 0, 32)
    return table[np.maximum(rescaled(both, 1 << 30, 41, -5, 8), -120) + 128]


def block(context: Context, table: Array) -> ModuleOp:
    module = Parser(context, BLOCK).parse_module()
    for weight in weights_of(module):
        weight.data.payload.array = table
    module.verify()
    return module


@pytest.mark.parametrize("kind", ["random", "least", "largest"])
def test_every_level_gives_what_the_formulas_say(kind: str) -> None:
    context = Context()
    for dialect in (builtin.Builtin, func.Func, arith.Arith, DF, NN):
        context.load_dialect(dialect)
    generator = np.random.default_rng(0)

    def draw(low: int, high: int, shape: tuple[int, ...], dtype: type) -> Array:
        if kind != "random":
            return np.full(shape, low if kind == "least" else high - 1, dtype)
        return generator.integers(low, high, shape).astype(dtype)

    table = generator.integers(-128, 128, 256).astype(np.int8)
    given = {
        "x": draw(-128, 128, (40, 70), np.int8), "w": draw(-128, 128, (24, 70), np.int8),
        "b": draw(-9999, 9999, (24,), np.int32), "m": draw(1 << 30, (1 << 31) - 1, (24,), np.int32),
        "s": draw(28, 32, (24,), np.int32), "r": draw(-128, 128, (40, 24), np.int8),
    }  # fmt: skip
    result = expected(*given.values(), table)
    assert kind != "random" or np.unique(result).size > 100

    at_df = run_module(block(context, table), [torch.from_numpy(a) for a in given.values()])[0]
    np.testing.assert_array_equal(at_df.numpy(), result)
    machine, module = load_target("kpu-t64"), block(context, table)
    for p in default_pipeline("kpu-t64", None, None):
        if p.name == "kpu-schedule":
            np.testing.assert_array_equal(next(iter(run_kpu(module, given).values())), result)
        p.apply(context, module)
    program = from_bytes(to_bytes(emit(module, machine)))
    check(program, machine)
    check_races(program)
    np.testing.assert_array_equal(next(iter(run_program(program, machine, given).values())), result)
    # All of it is done by the drain unit.
    assert vector_micro_ops(program.fabrics[0]) == 0 and program.fabrics[0].tables == (table.tobytes(),)
