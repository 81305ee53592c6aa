"""One nn op as a module, and what every level computes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from xdsl.builder import Builder
from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region
from xdsl.rewriter import InsertPoint

from swkpu.emit import emit
from swkpu.interp import run_module
from swkpu.interp.kpu import run_kpu
from swkpu.passes.convert_nn_to_df import ConvertNnToDfPass
from swkpu.passes.pipeline import default_pipeline
from swkpu.program.check import check
from swkpu.program.races import check_races
from swkpu.sim.functional import run_program
from swkpu.target import load_target
from swkpu.types import bf16, f16, f32, i1, i8, i32, i64, to_numpy

ELEMENTS: dict[torch.dtype, Attribute] = {
    torch.float32: f32, torch.bfloat16: bf16, torch.float16: f16, torch.bool: i1, torch.int8: i8, torch.int32: i32,
    torch.int64: i64,
}  # fmt: skip

Build = Callable[..., Operation]


def module_of(build: Build, inputs: Sequence[torch.Tensor]) -> ModuleOp:
    """A function that returns `build(*arguments)`; its arguments are of the inputs' types."""
    types = [TensorType(ELEMENTS[x.dtype], x.shape) for x in inputs]
    block = Block(arg_types=types)
    for i, argument in enumerate(block.args):
        argument.name_hint = f"x{i}"
    builder = Builder(InsertPoint.at_end(block))
    result = builder.insert(build(*block.args)).results[0]
    builder.insert(ReturnOp(result))
    function = FuncOp("main", FunctionType.from_lists(types, [result.type]), Region(block))
    module = ModuleOp([function])
    module.verify()
    return module


def at_nn(build: Build, *inputs: torch.Tensor) -> torch.Tensor:
    return run_module(module_of(build, inputs), inputs)[0]


def at_df(build: Build, *inputs: torch.Tensor) -> torch.Tensor:
    """Lowered, not fused; through the text, so that it prints and parses."""
    module = module_of(build, inputs)
    ConvertNnToDfPass().apply(Context(), module)
    module.verify()
    return run_module(module, inputs)[0]


def at_kpu_and_binary(build: Build, *inputs: torch.Tensor, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Through the default pipeline, but with the storage types it has."""
    module = module_of(build, inputs)
    given = {f"x{i}": to_numpy(x) for i, x in enumerate(inputs)}
    machine = load_target(target)
    kpu: np.ndarray | None = None
    for p in default_pipeline(target, None, None):
        if p.name == "kpu-schedule":
            kpu = next(iter(run_kpu(module, given).values()))
        p.apply(Context(), module)
    module.verify()
    program = emit(module, machine)
    check(program, machine)
    check_races(program)
    assert kpu is not None
    return kpu, next(iter(run_program(program, machine, given).values()))
