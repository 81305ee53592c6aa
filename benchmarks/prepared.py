"""Models at the end of the nn level, ready to be compiled for one target after another.

Capture, import and calibration are done once; what follows until a `.kpu` file is compilation, and is timed.
"""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from swkpu.compiler import check_precision, program_of
from swkpu.errors import CalibrationWarning
from swkpu.executable import Executable
from swkpu.frontend.resolve import resolve_model
from swkpu.passes.pipeline import Quantization, default_pipeline, folding_pipeline
from swkpu.program.container import to_bytes
from swkpu.quant.calibration import calibrate
from swkpu.quant.data import open_samples
from swkpu.quant.samples import inputs_of
from swkpu.quant.source import QUANTIZED_PRECISIONS, CalibratePass, Source
from swkpu.target import load_target

SAMPLES = 2
"""Runs to calibrate with; the values of a program do not change its time."""

WARM_UP = "lenet"
"""Compiled before anything is timed, so that no time has Python's imports in it."""
ANY_TARGET = "kpu-t64"
"""The passes of the nn level are made without looking at a target."""


@dataclass(frozen=True)
class Prepared:
    """A model at the end of the nn level.

    nn_seconds  CPU seconds of the nn passes, calibration aside
    """

    model: str
    batch: int
    precision: str
    module: ModuleOp
    nn_seconds: float


@dataclass(frozen=True)
class Compiled:
    """A model for a target. `seconds` are of the CPU, from nn to the bytes of a `.kpu` file; `passes` are its parts."""

    executable: Executable
    seconds: float
    passes: dict[str, float] = field(default_factory=dict[str, float])


def prepare(
    model: str, precision: str = "int8", batch: int = 1, before_compiling: Callable[[], object] | None = None
) -> Prepared:
    """Capture and import a model of the zoo, calibrate it where the precision needs that, and run the nn passes, with
    which compiling begins.

    Raises SwkpuError.
    """
    module = resolve_model(model, batch).imported()
    ranges = _ranges(model, module.clone(), batch) if precision in QUANTIZED_PRECISIONS else None
    gc.collect()
    if before_compiling is not None:
        before_compiling()
    steps = default_pipeline(ANY_TARGET, None, precision, "nn", Quantization(ranges))
    return Prepared(model, batch, precision, module, sum(apply(steps, module).values()))


def _ranges(model: str, module: ModuleOp, batch: int) -> CalibratePass:
    """The pass that writes the ranges on a module, found on a copy of it."""
    apply(folding_pipeline(), module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        samples = open_samples(f"synthetic:{SAMPLES * batch}", inputs_of(module), model)
        return CalibratePass(Source(calibrate(module, samples, "min-max")))


def compile_for(prepared: Prepared, target: str) -> Compiled:
    """Compile for a target. Raises SwkpuError."""
    machine = load_target(target)
    check_precision(machine, prepared.precision)
    module = prepared.module.clone()
    steps = default_pipeline(target, machine.profile.name, prepared.precision)
    first = len(default_pipeline(target, machine.profile.name, prepared.precision, "nn"))
    gc.collect()
    passes = apply(steps[first:], module)
    start = time.process_time()
    program = program_of(module, machine)
    to_bytes(program)
    passes["emit"] = time.process_time() - start
    return Compiled(Executable(program, machine), prepared.nn_seconds + sum(passes.values()), passes)


def apply(steps: Sequence[ModulePass], module: ModuleOp) -> dict[str, float]:
    """Run passes; the CPU seconds of each, by name."""
    seconds: dict[str, float] = {}
    for step in steps:
        start = time.process_time()
        step.apply(Context(), module)
        seconds[step.name] = seconds.get(step.name, 0.0) + time.process_time() - start
    return seconds
