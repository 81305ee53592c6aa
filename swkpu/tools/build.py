"""Compiling for the command line: the options every compiling command takes, and the steps with their times."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swkpu.quant.observers import DEFAULT_OBSERVER, OBSERVERS

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

    from swkpu.executable import Executable
    from swkpu.frontend.resolve import ResolvedModel
    from swkpu.passes.pipeline import Level, Quantization
    from swkpu.quant.mixed import MixedChoice
    from swkpu.quant.source import CalibratePass, Source
    from swkpu.target import Machine

PRECISIONS = ("int8", "int4", "fp16", "bf16", "fp32", "mixed")
STEPS = 24
"""How far a progress bar goes: finding, capturing and importing a model, up to 20 passes, and writing the program."""


@dataclass(frozen=True)
class Options:
    """What to compile, and for what."""

    model: str
    target: str = "kpu-t64"
    profile: str | None = None
    precision: str | None = None
    batch: int | None = None
    input_shape: tuple[int, ...] | None = None
    calibration: Source | None = None
    max_error: float | None = None
    layers: bool = False
    equalize: bool = False
    group: int | None = None


@dataclass(frozen=True)
class Imported:
    """A module of nn ops and the machine to compile it for. `import_seconds` is from the model's name to the module."""

    resolved: ResolvedModel
    module: ModuleOp
    machine: Machine
    precision: str
    ranges: CalibratePass | None
    quantization: Quantization
    import_seconds: float


@dataclass(frozen=True)
class Built:
    """An executable and the two parts of the time it took."""

    executable: Executable
    resolved: ResolvedModel
    import_seconds: float
    compile_seconds: float
    quality: MixedChoice | None = None
    """What was chosen or measured of each layer, where that was asked for."""


MODEL_HELP = "a zoo model, a .pt2 file, or package.module:callable returning an nn.Module"


def add_model(parser: argparse.ArgumentParser, metavar: str = "MODEL", help: str = MODEL_HELP) -> None:
    """What to compile, and for which shape."""
    add = parser.add_argument
    add("model", metavar=metavar, help=help)
    add("--batch", type=int, metavar="N", help="batch size")
    add("--input-shape", type=_shape, metavar="N,C,H,W", help="shape of the model's input")


def add_options(parser: argparse.ArgumentParser, metavar: str = "MODEL", help: str = MODEL_HELP) -> None:
    add_model(parser, metavar, help)
    add = parser.add_argument
    add("--target", default="kpu-t64", metavar="NAME", help="a target's name or .toml file (default: kpu-t64)")
    add("--profile", metavar="NAME", help="one of the target's power profiles, such as 6W")
    add("--precision", choices=PRECISIONS, metavar="NAME",
        help=f"{', '.join(PRECISIONS)} (default: the first of bf16, fp16, fp32 that the target has)")  # fmt: skip
    add("--calibration", metavar="DATA",
        help="what int8 and int4 are calibrated with: a folder of images, a .npy or .npz file of samples, a .json file "
        "of `swkpu calibrate`, or synthetic[:N] for a zoo model")  # fmt: skip
    add_observer(parser)
    add_equalize(parser)
    add("--correct-bias", action=argparse.BooleanOptionalAction, default=True,
        help="make up for what rounded weights add to a layer's mean output (default: yes)")  # fmt: skip
    add("--max-error", type=float, metavar="X",
        help="with --precision mixed: the relative error allowed on the calibration data (default: 0.01)")  # fmt: skip
    add("--group", type=int, metavar="N",
        help="with --precision int4: weights of a linear layer that share a scale, such as 32, 64 or 128 "
        "(default: all of an output channel)")  # fmt: skip
    add("--layers", action="store_true",
        help="print the precision and the signal-to-noise ratio of each layer at an integer precision")  # fmt: skip


def add_observer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--observer",
        default=DEFAULT_OBSERVER,
        metavar="NAME",
        help=f"how ranges are chosen: {', '.join(OBSERVERS)} (default: {DEFAULT_OBSERVER})",
    )


def add_equalize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--equalize",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="even out the channels between layers before calibration (default: no)",
    )


def _shape(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(n) for n in text.replace("x", ",").split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: expected numbers, such as 1,3,224,224") from None


def options_of(args: argparse.Namespace) -> Options:
    from swkpu.quant.source import Source

    source = (
        None if args.calibration is None else Source(args.calibration, args.observer, args.model, args.correct_bias)
    )
    return Options(
        args.model, args.target, args.profile, args.precision, args.batch, args.input_shape, source,
        args.max_error, args.layers, args.equalize, args.group,
    )  # fmt: skip


def import_model(options: Options, step: Callable[[str], None]) -> Imported:
    """Raises SwkpuError, for a wrong target or precision before the model is looked at."""
    from swkpu.compiler import check_precision, default_precision
    from swkpu.passes.pipeline import Quantization
    from swkpu.quant.source import ranges_pass
    from swkpu.target import load_target

    machine = load_target(options.target, options.profile)
    precision = options.precision or default_precision(machine)
    check_precision(machine, precision)
    ranges = ranges_pass(options.calibration, precision, machine, options.max_error, options.layers)
    step(f"finding {options.model}")
    start = time.perf_counter()
    from swkpu.frontend.importer import import_program
    from swkpu.frontend.resolve import resolve_model

    resolved = resolve_model(options.model, options.batch, options.input_shape)
    step("capturing with torch.export")
    exported = resolved.exported()
    step("importing")
    module = import_program(exported, resolved.name)
    how = Quantization(ranges, options.equalize, options.group)
    return Imported(resolved, module, machine, precision, ranges, how, time.perf_counter() - start)


def lower(imported: Imported, target: str, step: Callable[[str], None], until: Level = "kpu") -> float:
    """Run the pipeline on the module, in place. Returns the seconds it took."""
    from swkpu.compiler import compile_module
    from swkpu.passes.pipeline import default_pipeline

    start = time.perf_counter()
    profile, how = imported.machine.profile.name, imported.quantization
    names = [p.name for p in default_pipeline(target, profile, imported.precision, until, how)]
    upcoming = iter([*names, "writing the program"])
    step(next(upcoming))

    def announce(*_: object) -> None:
        step(next(upcoming, ""))

    compile_module(imported.module, imported.machine, target, imported.precision, announce, until, how)
    return time.perf_counter() - start


def build(options: Options, step: Callable[[str], None]) -> Built:
    """Compile a model. Raises SwkpuError."""
    from swkpu.compiler import program_of
    from swkpu.executable import Executable

    imported = import_model(options, step)
    seconds = lower(imported, options.target, step)
    start = time.perf_counter()
    program = program_of(imported.module, imported.machine)
    seconds += time.perf_counter() - start
    executable = Executable(program, imported.machine, imported.import_seconds + seconds)
    found = imported.ranges.found if imported.ranges is not None else []
    return Built(executable, imported.resolved, imported.import_seconds, seconds, found[0] if found else None)
