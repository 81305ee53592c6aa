"""`swkpu calibrate`: a model run on samples, and the ranges of its values written to a file."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from swkpu.tools import console
from swkpu.tools.build import add_equalize, add_model, add_observer
from swkpu.tools.common import OK, ArgumentParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from xdsl.dialects.builtin import ModuleOp

    from swkpu.quant.calibration import Calibration
    from swkpu.quant.source import Inputs, Source

EXAMPLE = """\
examples:
  swkpu calibrate resnet18 --data photos/ -o resnet18.json
  swkpu calibrate mobilenet_v2 --data synthetic:100 --observer percentile:99.99
  swkpu compile resnet18 --precision int8 --calibration resnet18.json
  swkpu calibrate mobilenet_v2 --data synthetic:100 --max-error 0.01 --target kpu-t64
"""


def add_calibrate(parser: ArgumentParser) -> None:
    add_model(parser)
    add = parser.add_argument
    add("--data", required=True, metavar="DATA",
        help="a folder of images, a .npy or .npz file of samples, or synthetic[:N] for a zoo model")  # fmt: skip
    add_observer(parser)
    add_equalize(parser)
    add("--max-error", type=float, metavar="X",
        help="choose each layer's precision too, so that mixed precision keeps within this relative error")  # fmt: skip
    add("--target", default="kpu-t64", metavar="NAME", help="the target that --max-error is for (default: kpu-t64)")
    add("--samples", type=int, metavar="N", help="use only the first N samples")
    add("-o", "--output", type=Path, metavar="FILE", help="where to write (default: MODEL.calibration.json)")


def calibrate_command(args: argparse.Namespace) -> int:
    from swkpu.quant.data import open_samples
    from swkpu.quant.mixed import choose_precisions
    from swkpu.quant.samples import batch_of, inputs_of
    from swkpu.quant.source import Source
    from swkpu.target import load_target
    from swkpu.tools.commands_compile import print_layers

    console.check_folders(args.output)
    Source(args.data, args.observer).check()
    start = time.perf_counter()
    with console.progress(4) as step:
        module = _folded(args, step)
    inputs = inputs_of(module)
    samples = open_samples(args.data, inputs, args.model).first(args.samples)
    target_error: float | None = args.max_error
    machine = load_target(args.target)
    with console.progress(-(-len(samples) // (batch_of(inputs) or 1))) as step:
        kept: list[Inputs] = []
        calibration = _calibrated(module, Source(samples, args.observer), kept, step, len(samples))
    choice = None
    if target_error is not None:
        calibration.annotate(module)
        with console.progress() as step:
            choice = choose_precisions(module, kept, machine, target_error, step)
        calibration = replace(calibration, precisions=choice.precisions)
    output = args.output or Path(f"{calibration.model}.calibration.json")
    calibration.save(str(output))
    print(_summary(calibration, args.data, output, time.perf_counter() - start))
    if choice is not None:
        print_layers(choice)
    return OK


def _folded(args: argparse.Namespace, step: Callable[[str], None]) -> ModuleOp:
    """The imported module that the pipeline would quantize."""
    step(f"finding {args.model}")
    from xdsl.context import Context

    from swkpu.frontend.importer import import_program
    from swkpu.frontend.resolve import resolve_model
    from swkpu.passes.pipeline import folding_pipeline

    resolved = resolve_model(args.model, args.batch, args.input_shape)
    step("capturing with torch.export")
    exported = resolved.exported()
    step("importing")
    module = import_program(exported, resolved.name)
    step("folding")
    for folding in folding_pipeline(equalize=args.equalize):
        folding.apply(Context(), module)
    return module


def _calibrated(
    module: ModuleOp, source: Source, kept: list[Inputs], step: Callable[[str], None], count: int
) -> Calibration:
    step(f"sample 1 of {count}")
    return source.calibration(module, lambda done: step(f"sample {done + 1} of {count}"), kept)


def _summary(calibration: Calibration, data: str, output: Path, seconds: float) -> str:
    rows = {
        "model": calibration.model,
        "samples": f"{calibration.samples} from {data}",
        "observer": calibration.observer,
        "ranges": f"of {len(calibration.values)} values, in {output}",
        "took": f"{seconds:.1f} s",
    }
    return "\n".join(f"{name:<10}{value}" for name, value in rows.items())
