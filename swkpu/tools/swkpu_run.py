"""`swkpu-run`: execute a module at whatever level it is, or a program."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from swkpu.errors import InputError, IRError
from swkpu.tools import console
from swkpu.tools.arrays import Array, InputSpec, random_inputs, read_inputs, write_arrays
from swkpu.tools.common import OK, ArgumentParser, run_tool

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

EXAMPLE = """\
examples:
  swkpu-run model.mlir --seed 1
  swkpu-run model.mlir --input x.npy --output y.npz
  swkpu-run resnet18.kpu --input inputs.npz

Modules of nn and df ops are interpreted, kpu programs simulated. Weights are read from the files that a module names,
beside it. An .npz has one array per input, by name.
"""
SHOWN = 6
"""How many values of an output are printed."""


def arguments() -> ArgumentParser:
    parser = ArgumentParser("swkpu-run", "Execute a module of nn, df or kpu ops, or a .kpu program.", EXAMPLE)
    add = parser.add_argument
    add("file", metavar="FILE.mlir|FILE.kpu", help="what to execute; - reads a module from standard input")
    add("--input", type=Path, metavar="FILE", help=".npy, .npz or an image (default: random numbers)")
    add("--seed", type=int, default=0, metavar="N", help="seed of random inputs (default: 0)")
    add("--output", "-o", type=Path, metavar="FILE.npz", help="write the outputs (bf16 as float32)")
    add("--target", metavar="FILE.toml", help="the target file, where a .kpu program was compiled for one of your own")
    return parser


def run(args: argparse.Namespace) -> int:
    if args.seed < 0:
        raise InputError(f"--seed {args.seed}: expected a whole number from 0")
    console.check_folders(args.output)
    with console.progress() as step:
        step(f"running {args.file}")
        outputs = _run_program(args) if Path(args.file).suffix == ".kpu" else _run_module(args)
    if args.output is not None:
        write_arrays(args.output, outputs)
    for name, array in outputs.items():
        print(summary(name, array))
    return OK


def _inputs(args: argparse.Namespace, specs: list[InputSpec]) -> dict[str, Array]:
    return random_inputs(specs, args.seed) if args.input is None else read_inputs(args.input, specs)


def _run_program(args: argparse.Namespace) -> dict[str, Array]:
    from swkpu.tools.commands_run import load_program

    executable = load_program(Path(args.file), args.target, None)
    return executable.run(_inputs(args, [InputSpec(s.name, s.shape, s.dtype) for s in executable.program.inputs]))


def _run_module(args: argparse.Namespace) -> dict[str, Array]:
    from swkpu.dialects.kpu import ProgramOp
    from swkpu.io import parse_file

    module = parse_file(args.file)
    if any(isinstance(op, ProgramOp) for op in module.body.block.ops):
        return _run_kpu(module, args)
    return _run_function(module, args)


def _run_kpu(module: ModuleOp, args: argparse.Namespace) -> dict[str, Array]:
    from swkpu.dialects.kpu import InputOp
    from swkpu.interp.kpu import run_kpu
    from swkpu.types import dtype_of

    ops = [op for op in module.walk() if isinstance(op, InputOp)]
    types = [op.result.type for op in ops]
    specs = [InputSpec(op.sym_name.data, t.extents, dtype_of(t.element)) for op, t in zip(ops, types)]
    return run_kpu(module, _inputs(args, specs))


def _run_function(module: ModuleOp, args: argparse.Namespace) -> dict[str, Array]:
    from swkpu.interp import run_module
    from swkpu.types import numpy_dtype, to_numpy, to_torch

    specs = function_inputs(module)
    inputs = _inputs(args, specs)
    tensors = [
        to_torch(a.astype(numpy_dtype(s.dtype)) if s.dtype.is_float and _is_float(a) else a)
        for s in specs
        for a in (inputs[s.name],)
    ]
    return {f"output{i}": to_numpy(t) for i, t in enumerate(run_module(module, tensors))}


def _is_float(array: Array) -> bool:
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def function_inputs(module: ModuleOp) -> list[InputSpec]:
    """What @main takes. Raises IRError."""
    from xdsl.dialects.builtin import TensorType
    from xdsl.dialects.func import FuncOp

    from swkpu.types import dtype_of

    entry = next((o for o in module.body.block.ops if isinstance(o, FuncOp) and o.sym_name.data == "main"), None)
    if entry is None:
        raise IRError("the module has no function @main and no kpu.program to run")
    specs: list[InputSpec] = []
    for index, argument in enumerate(entry.body.block.args):
        if not isinstance(argument.type, TensorType):
            raise IRError(f"argument {index} of @main is of type {argument.type}; only tensors can be given")
        name = argument.name_hint or f"input{index}"
        specs.append(InputSpec(name, argument.type.get_shape(), dtype_of(argument.type.element_type)))
    return specs


def summary(name: str, array: Array) -> str:
    """One line: what it is, its range, and its first values."""
    head = f"{name}: {array.dtype.name}[{', '.join(map(str, array.shape))}]"
    if array.size == 0:
        return head
    values = array.astype(np.float64)
    first = ", ".join(f"{v:.6g}" for v in values.reshape(-1)[:SHOWN])
    more = ", ..." if array.size > SHOWN else ""
    return f"{head} min {values.min():.6g} max {values.max():.6g} mean {values.mean():.6g} [{first}{more}]"


def main(argv: Sequence[str] | None = None) -> int:
    console.prepare()
    return run_tool(arguments(), argv, run)


if __name__ == "__main__":
    sys.exit(main())
