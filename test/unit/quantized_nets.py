"""Small functions in Q/DQ form, and what every level computes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import torch
from xdsl.builder import Builder
from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType, f32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint

from swkpu.dialects import nn
from swkpu.dialects.nn import QuantizedType, quantized_type_of
from swkpu.emit import emit
from swkpu.interp import run_module
from swkpu.interp.constants import constant
from swkpu.interp.kpu import run_kpu
from swkpu.passes.nn_quantize import NnQuantizePass
from swkpu.passes.pipeline import default_pipeline
from swkpu.program.check import check
from swkpu.program.races import check_races
from swkpu.sim.functional import run_program
from swkpu.target import load_target
from swkpu.types import to_numpy

Array = np.ndarray[Any, np.dtype[Any]]
TARGETS = ("kpu-t64", "swkpu-v1")


class Net:
    """Builds a function of f32 tensors, op by op."""

    def __init__(self, *shapes: tuple[int, ...], elements: Sequence[Attribute] | None = None):
        types = [TensorType(e, s) for e, s in zip(elements or [f32] * len(shapes), shapes, strict=True)]
        self.block = Block(arg_types=types)
        for i, argument in enumerate(self.block.args):
            argument.name_hint = f"x{i}"
        self.builder = Builder(InsertPoint.at_end(self.block))

    @property
    def inputs(self) -> list[SSAValue]:
        return list(self.block.args)

    def __call__(self, op: Operation) -> SSAValue:
        return self.builder.insert(op).results[0]

    def constant(self, array: Array | float) -> SSAValue:
        return self(constant(np.asarray(array, np.float32)))

    def quantize(self, x: SSAValue, scale: float, zero_point: int, bits: int = 8) -> SSAValue:
        return self(nn.QuantizeOp(x, QuantizedType.of(scale, zero_point, bits)))

    def stored(self, x: SSAValue, scale: float, zero_point: int = 0) -> SSAValue:
        """The float that is left after a value was stored."""
        return self(nn.DequantizeOp(self.quantize(x, scale, zero_point)))

    def weight(
        self, integers: Array, scales: Array, axis: int = 0, group: int | None = None, bits: int = 8
    ) -> SSAValue:
        storage = np.dtype(np.int8) if bits == 8 else np.dtype(ml_dtypes.int4)
        held = self(constant(integers.astype(np.int8).astype(storage)))
        return self(nn.DequantizeWeightOp(held, self.constant(scales), axis, group))

    def module(self, *results: SSAValue) -> ModuleOp:
        self.builder.insert(ReturnOp(*results))
        types = [a.type for a in self.block.args], [r.type for r in results]
        module = ModuleOp([FuncOp("main", FunctionType.from_lists(*types), Region(self.block))])
        module.verify()
        return module


@dataclass
class Levels:
    """The results at each level: stored integers where they are quantized, floats as the host has them elsewhere."""

    nn: list[Array]
    df: list[Array]
    kpu: list[Array]
    binary: list[Array]

    def check_equal(self) -> None:
        for level in (self.df, self.kpu, self.binary):
            for own, other in zip(self.nn, level, strict=True):
                np.testing.assert_array_equal(own, other)


def converted(module: ModuleOp, precision: str = "int8") -> ModuleOp:
    """In integer form."""
    NnQuantizePass(precision).apply(Context(), module)
    module.verify()
    return module


def entry(module: ModuleOp) -> FuncOp:
    return next(op for op in module.walk() if isinstance(op, FuncOp))


def at_nn(module: ModuleOp, inputs: Sequence[Array]) -> list[Array]:
    """The results of a function of f32, which may have become one of stored integers."""
    return [to_numpy(r) for r in run_module(module, stored_inputs(module, inputs))]


def stored_inputs(module: ModuleOp, inputs: Sequence[Array]) -> list[torch.Tensor]:
    """Inputs as the function takes them: quantized by the formula, where it takes integers."""
    out: list[torch.Tensor] = []
    for argument, x in zip(entry(module).args, inputs, strict=True):
        element = quantized_type_of(argument)
        if element is not None and x.dtype == np.float32:
            x = np.nan_to_num(np.rint(x * np.float32(1 / element.scale)), posinf=np.inf, neginf=-np.inf)
            x = x.astype(np.float64) + element.zero_point
            x = np.clip(x, *element.limits).astype(np.int8)
        out.append(torch.from_numpy(np.ascontiguousarray(x)))
    return out


def run_levels(module: ModuleOp, inputs: Sequence[Array], target: str, precision: str = "int8") -> Levels:
    """A module in Q/DQ form through every level; it is changed. Stored integers come back as such."""
    context, machine = Context(), load_target(target)
    found: dict[str, list[Array]] = {}
    host: list[torch.Tensor] = []
    results: list[QuantizedType | None] = []
    for step in default_pipeline(target, None, precision):
        if step.name == "kpu-schedule":
            named = {f"x{i}": to_numpy(x) for i, x in enumerate(host)}
            found["kpu"] = list(run_kpu(module, named).values())
        step.apply(context, module)
        module.verify()
        if step.name == "nn-narrow-integers":
            host = stored_inputs(module, inputs)
            results = [quantized_type_of(v) for v in entry(module).body.block.last_op.operands]  # pyright: ignore
            found["nn"] = [to_numpy(r) for r in run_module(module, host)]
        elif step.name == "df-choose-mapping":
            found["df"] = [to_numpy(r) for r in run_module(module, host)]
    program = emit(module, machine)
    check(program, machine)
    check_races(program)
    outputs = run_program(program, machine, {f"x{i}": x for i, x in enumerate(inputs)}).values()
    found["binary"] = [_restored(o, element) for o, element in zip(outputs, results, strict=True)]
    return Levels(**found)


def _restored(output: Array, element: QuantizedType | None) -> Array:
    """The integers that the host's floats stand for."""
    if element is None:
        return output
    steps = output.astype(np.float64) / np.float64(np.float32(element.scale))
    integers = np.rint(steps)
    np.testing.assert_allclose(steps, integers, atol=1e-4)
    return (integers + element.zero_point).astype(np.int8 if element.storage.width.data == 8 else np.int32)
