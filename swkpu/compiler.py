"""From a model to a program: the steps of the default pipeline, as a library."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from swkpu.collector import rare_collections
from swkpu.emit import emit
from swkpu.errors import ModelError, TargetError
from swkpu.executable import Executable
from swkpu.passes.pipeline import Level, Quantization, default_pipeline
from swkpu.program.model import Program
from swkpu.target import Machine, load_target

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

    from swkpu.quant.calibration import Calibration

FLOAT_PRECISIONS = ("bf16", "fp16", "fp32")
"""What a model is compiled at where the user names nothing: the first of these that the target has."""

Observer = Callable[[ModulePass, ModuleOp], None]
"""Called after every pass."""


def default_precision(machine: Machine) -> str:
    return next((p for p in FLOAT_PRECISIONS if p in machine.precisions), machine.precisions[0])


def check_precision(machine: Machine, precision: str) -> None:
    """Raises TargetError where the target's tiles do not multiply at a precision. Mixed is int8 and a float."""
    if precision == "mixed" and "int8" in machine.precisions and set(FLOAT_PRECISIONS) & set(machine.precisions):
        return
    if precision == "mixed":
        has = ", ".join(machine.precisions)
        raise TargetError(f"mixed precision needs int8 and a float, and target {machine.name} has {has}")
    if precision not in machine.precisions:
        raise TargetError(f"target {machine.name} has no {precision} tiles; it has {', '.join(machine.precisions)}")


def compile_module(
    module: ModuleOp,
    machine: Machine,
    target: str,
    precision: str,
    observe: Observer | None = None,
    until: Level = "kpu",
    quantization: Quantization | None = None,
) -> None:
    """Run the default pipeline on a module of nn ops, in place, up to level `until` ("nn", "df" or "kpu").

    `target` is the name or path that `machine` was loaded from. Raises SwkpuError.
    """
    from swkpu.quant.source import check_ranges

    check_precision(machine, precision)
    if quantization is None or quantization.ranges is None:
        check_ranges(module, precision)
    ctx = Context()
    with rare_collections():
        for step in default_pipeline(target, machine.profile.name, precision, until, quantization):
            step.apply(ctx, module)
            if observe is not None:
                observe(step, module)
        module.verify()


def program_of(module: ModuleOp, machine: Machine) -> Program:
    """The binary program of a module at the end of the pipeline."""
    with rare_collections():
        return emit(module, machine)


def compile(
    model: nn.Module | ExportedProgram | str,
    example_inputs: tuple[Any, ...] | None = None,
    *,
    target: str = "kpu-t64",
    precision: str | None = None,
    profile: str | None = None,
    name: str | None = None,
    calibration: Calibration | Iterable[Any] | str | PathLike[str] | None = None,
    observer: str = "mse",
    max_error: float | None = None,
    equalize: bool = False,
    correct_bias: bool = True,
    group: int | None = None,
    example_kwargs: Mapping[str, Any] | None = None,
) -> Executable:
    """Compile a model for a target.

    model           an nn.Module, an exported program, or what the command line takes: a zoo name, a `.pt2` file,
                    `package.module:callable`
    example_inputs  the inputs of one call; they fix the shapes. Not needed where the model brings its own
    target          a built-in target's name, or the path of a target file
    precision       fp32, bf16, fp16, int8, int4, or mixed: each layer int8 or the float that the error target asks for;
                    the default is the first of bf16, fp16, fp32 that the target has
    profile         one of the target's power profiles
    example_kwargs  the inputs of that call that are passed by name
    calibration     what int8 and int4 find the ranges of values with, seen once: an iterable of inputs (arrays or
                    tensors, tuples of them, dicts by name; the first dim counts samples), a folder of images, a .npy or
                    .npz file, for a model of the zoo "synthetic:100"; or a Calibration or its .json file
    observer        how ranges are chosen: min-max, moving-average, percentile, entropy or mse
    max_error       for mixed precision: the largest difference from the model's own results on calibration data, over
                    the largest absolute value of a result; 0.01 where it is not given
    equalize        even out the channels between layers before calibration (nn-equalize)
    correct_bias    make up for what rounded weights add in the mean (nn-correct-bias)
    group           at int4: how many weights of a linear layer share a scale, such as 64; None for those of a channel

    Raises SwkpuError: ModelError, UnsupportedOpError, TargetError, CalibrationError, MappingError or MemoryError.
    """
    from torch import nn

    from swkpu.frontend import capture, import_program
    from swkpu.frontend.resolve import resolve_model
    from swkpu.quant.source import Source, ranges_pass

    start = time.perf_counter()
    machine = load_target(target, profile)
    precision = precision or default_precision(machine)
    check_precision(machine, precision)
    zoo_name = model if isinstance(model, str) else None
    source = None if calibration is None else Source(calibration, observer, zoo_name, correct_bias)
    ranges = ranges_pass(source, precision, machine, max_error)
    if isinstance(model, str):
        resolved = resolve_model(model)
        exported, default_name = resolved.exported(), resolved.name
    elif isinstance(model, nn.Module):
        if example_inputs is None and example_kwargs is None:
            raise ModelError("example_inputs are needed to compile an nn.Module: a tuple of the tensors of one call")
        exported = capture(model, () if example_inputs is None else example_inputs, example_kwargs)
        default_name = type(model).__name__
    else:
        exported, default_name = model, "model"
    module = import_program(exported, name or default_name)
    how = Quantization(ranges, equalize, group)
    compile_module(module, machine, target, precision, quantization=how)
    program = program_of(module, machine)
    return Executable(program, machine, time.perf_counter() - start)


def load(path: str, *, target: str | None = None, profile: str | None = None) -> Executable:
    """Load a `.kpu` file. `target` is needed where the program was made for a target file of the user's own.

    Raises ProgramError for a file that is not a sound program for the target.
    """
    return Executable.load(path, target=target, profile=profile)
