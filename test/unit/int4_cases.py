"""Contractions of i8 with i4 weights: as modules, programs and torch functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import ml_dtypes
import numpy as np
import torch
import torch.nn.functional as F
from xdsl.builder import Builder
from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint

from swkpu.dialects import nn
from swkpu.emit import emit
from swkpu.interp.constants import constant
from swkpu.passes.pipeline import default_pipeline
from swkpu.program.check import check
from swkpu.program.dtypes import DType
from swkpu.program.model import Program
from swkpu.program.races import check_races
from swkpu.target import load_target
from swkpu.types import i8

Build = Callable[[SSAValue, SSAValue], Operation]


@dataclass(frozen=True)
class Case:
    """A contraction of `x`-shaped activations with `w`-shaped weights, and torch's."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    build: Build
    torch: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def conv(
    x: tuple[int, ...], w: tuple[int, ...], stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1
) -> Case:
    return Case(
        x,
        w,
        lambda a, b: nn.Conv2dOp(a, b, (stride,) * 2, (padding,) * 4, (dilation,) * 2, groups),
        lambda a, b: F.conv2d(a, b, None, stride, padding, dilation, groups),
    )


CASES = {
    "conv": conv((1, 32, 10, 10), (24, 32, 3, 3), padding=1),
    "stem": conv((1, 3, 23, 23), (17, 3, 7, 7), stride=2, padding=3),
    "odd channels": conv((2, 13, 7, 9), (11, 13, 3, 3), stride=2, padding=1),
    "dilated": conv((1, 5, 11, 11), (7, 5, 3, 3), dilation=2, padding=2),
    "depthwise": conv((1, 19, 9, 9), (19, 1, 3, 3), padding=1, groups=19),
    "groups": conv((1, 15, 6, 6), (21, 5, 3, 3), padding=1, groups=3),
    "pointwise": conv((1, 64, 14, 14), (130, 64, 1, 1)),
    "linear": Case((3, 4, 65), (33, 65), nn.LinearOp, F.linear),
    "long": Case((1, 4097), (77, 4097), nn.LinearOp, F.linear),
    "matmul": Case((2, 9, 31), (31, 15), nn.MatmulOp, torch.matmul),
    "batched": Case((3, 5, 7), (3, 7, 11), nn.MatmulOp, torch.matmul),
    "transposed": Case(
        (1, 6, 5, 5),
        (6, 3, 3, 3),
        lambda a, b: nn.ConvTranspose2dOp(a, b, (2, 2), (1, 1, 1, 1)),
        lambda a, b: F.conv_transpose2d(a, b, None, 2, 1),
    ),
}


def values(case: Case, extreme: bool) -> tuple[torch.Tensor, np.ndarray]:
    """Random operands, or those of the largest sum."""
    if extreme:
        return torch.full(case.x, -128, dtype=torch.int8), np.full(case.w, -8, ml_dtypes.int4)
    rng = np.random.default_rng(sum(case.w))
    x = torch.from_numpy(rng.integers(-128, 128, case.x).astype(np.int8))
    return x, rng.integers(-8, 8, case.w).astype(np.int8).astype(ml_dtypes.int4)


def module_of(case: Case, weight: np.ndarray) -> ModuleOp:
    x = TensorType(i8, case.x)
    block = Block(arg_types=[x])
    block.args[0].name_hint = "x"
    builder = Builder(InsertPoint.at_end(block))
    w = builder.insert(constant(weight)).results[0]
    result = builder.insert(case.build(block.args[0], w)).results[0]
    builder.insert(ReturnOp(result))
    module = ModuleOp([FuncOp("main", FunctionType.from_lists([x], [result.type]), Region(block))])
    module.verify()
    return module


def compiled(module: ModuleOp, target: str, at: str = "", then: Callable[[], None] = lambda: None) -> Program:
    """The program of a module; `then` is called before the pass `at`."""
    for p in default_pipeline(target, None, None):
        if p.name == at:
            then()
        p.apply(Context(), module)
    module.verify()
    machine = load_target(target)
    program = emit(module, machine)
    check(program, machine)
    check_races(program)
    return program


@cache
def program_of(name: str, target: str, element: DType = DType.I4) -> Program:
    case = CASES[name]
    weight = values(case, False)[1]
    return compiled(module_of(case, weight if element is DType.I4 else weight.astype(np.int8)), target)
