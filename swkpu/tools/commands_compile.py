"""`swkpu compile`, `swkpu estimate` and `swkpu demo`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swkpu.tools import console
from swkpu.tools.build import STEPS, Built, Options, add_options, build, import_model, lower, options_of
from swkpu.tools.commands_run import Run, show_run
from swkpu.tools.common import FAULT, OK, ArgumentParser

if TYPE_CHECKING:
    from swkpu.passes.pipeline import Level
    from swkpu.quant.mixed import MixedChoice

EMIT = ("nn", "df", "kpu", "asm")

COMPILE_EXAMPLE = """\
examples:
  swkpu compile resnet18 --target kpu-t64 --precision bf16 -o resnet18.kpu
  swkpu compile mypackage.models:make --input-shape 1,3,96,96 --target swkpu-v1
  swkpu compile resnet18 --emit df | less
"""
ESTIMATE_EXAMPLE = """\
example:
  swkpu estimate mobilenet_v2 --target kpu-t256 --profile 15W
"""
DEMO_EXAMPLE = """\
example:
  swkpu demo
"""
DEMO_SAMPLES = "synthetic:100"
DEMO_MIN_SQNR_DB = 25.0


# ---- compile -------------------------------------------------------------------------------------------------------


def add_compile(parser: ArgumentParser) -> None:
    add_options(parser)
    add = parser.add_argument
    add("-o", "--output", type=Path, metavar="FILE", help="where to write (default: MODEL.kpu; with --emit, stdout)")
    add("--emit", choices=EMIT, help="write the module at the end of a level, or assembly, instead of a program")


def compile_command(args: argparse.Namespace) -> int:
    options = options_of(args)
    console.check_folders(args.output)
    if args.emit in ("nn", "df", "kpu"):
        return _emit_module(options, args.emit, args.output)
    with console.progress(STEPS) as step:
        built = build(options, step)
    if args.emit == "asm":
        from swkpu.program.assembly import disassemble

        _write_text(disassemble(built.executable.program), args.output)
        return OK
    output = args.output or Path(f"{built.resolved.name}.kpu")
    built.executable.save(str(output))
    print(_summary(built, output))
    if options.layers and built.quality is not None:
        print_layers(built.quality)
    return OK


def print_layers(choice: MixedChoice) -> None:
    """A line per layer: its precision, its modelled cycles and the SQNR of what it stores."""
    width = max(len("layer"), *(len(layer.name) for layer in choice.layers))
    print(f"\n{'layer':<{width}}  op                 precision      cycles     SQNR")
    for layer in choice.layers:
        sqnr = "exact" if layer.sqnr_db == inf else f"{layer.sqnr_db:.1f} dB"
        print(f"{layer.name:<{width}}  {layer.op:<18} {layer.precision:<9} {layer.cycles:>11,.0f} {sqnr:>8}")


def _emit_module(options: Options, level: Level, output: Path | None) -> int:
    from swkpu import io

    with console.progress(STEPS) as step:
        imported = import_model(options, step)
        lower(imported, options.target, step, level)
    if output is None:
        sys.stdout.write(io.module_text(imported.module))
        if io.new_weights(imported.module):
            console.note("weights are named only; -o FILE.mlir writes them beside it")
    else:
        io.write_module(imported.module, output)
    return OK


def _write_text(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
    else:
        console.write_file(output, text.encode())


def _summary(built: Built, output: Path) -> str:
    from swkpu.report.table import size

    program, machine = built.executable.program, built.executable.machine
    meta = program.metadata
    constants = len(program.constants)
    quality = {} if built.quality is None else {"precision": _quality(built.quality)}
    milliseconds = meta.estimated_cycles / machine.profile.mhz / 1e3
    rows = {
        "model": f"{meta.model}, {meta.precision}, batch {meta.batch}",
        "target": f"{machine.name} at {machine.profile.name} ({machine.profile.mhz:g} MHz)",
        "program": f"{output} ({size(output.stat().st_size)}: {size(constants)} constants, "
        f"{size(max(output.stat().st_size - constants, 0))} program)",
        "commands": f"{program.command_count:,} in {len(program.streams)} streams, {len(program.layers)} layers",
        "estimate": f"{meta.estimated_cycles:,} cycles, {milliseconds:.3f} ms",
        "memory": f"L1 {size(meta.peak_l1_bytes)}, L2 {size(meta.peak_l2_bytes)}, DRAM {size(meta.peak_dram_bytes)}",
        "took": f"{built.import_seconds + built.compile_seconds:.1f} s "
        f"(capture and import {built.import_seconds:.1f} s, compile {built.compile_seconds:.1f} s)",
    } | quality
    return "\n".join(f"{name:<10}{value}" for name, value in rows.items())


def _quality(choice: MixedChoice) -> str:
    counts = Counter(layer.precision for layer in choice.layers)
    shares = ", ".join(f"{precision} {count}" for precision, count in sorted(counts.items()))
    within = "" if choice.target_error is None else f" of {choice.target_error:g}"
    return f"layers: {shares}; relative error on samples {choice.max_error:.2g}{within}"


# ---- estimate ------------------------------------------------------------------------------------------------------


def add_estimate(parser: ArgumentParser) -> None:
    add_options(parser)
    add = parser.add_argument
    add("--json", metavar="FILE", help="write the report as JSON (- for standard output, instead of the table)")
    add("--trace", type=Path, metavar="FILE", help="write the timeline for ui.perfetto.dev or chrome://tracing")


def estimate_command(args: argparse.Namespace) -> int:
    options = options_of(args)
    console.check_folders(args.trace, args.json)
    with console.progress(STEPS + 1) as step:
        built = build(options, step)
        executable = built.executable
        step("simulating")
        report = executable.simulate("cycle")
    if args.trace is not None:
        executable.write_trace(str(args.trace))
    if args.json is not None:
        console.write_json(report.to_dict(), args.json)
    if args.json != "-":
        print(report)
        if options.layers and built.quality is not None:
            print_layers(built.quality)
    return OK


# ---- demo ----------------------------------------------------------------------------------------------------------


def demo_command(args: argparse.Namespace) -> int:
    """Everything once: calibrate, compile, write the file, read it back, run it, compare with PyTorch."""
    from swkpu.executable import Executable
    from swkpu.quant.source import Source

    model, target, precision = "resnet18", "kpu-t64", "int8"
    options = Options(model, target, precision=precision, calibration=Source(DEMO_SAMPLES, zoo_name=model))
    command = f"swkpu compile {model} --target {target} --precision {precision} --calibration {DEMO_SAMPLES}"
    print(f"$ {command} -o {model}.kpu")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "resnet18.kpu"
        with console.progress(STEPS) as step:
            built = build(options, step)
        built.executable.save(str(path))
        print(_summary(built, path).replace(f"{folder}/", ""))
        print("\n$ swkpu run resnet18.kpu --check resnet18", flush=True)
        run = Run(Executable.load(str(path)), path, "cycle", check=options.model)
        result = run.run()
    show_run(result)
    check = result.report.check
    sqnr: Any = check.sqnr_db if check is not None else None
    good = sqnr is None or sqnr >= DEMO_MIN_SQNR_DB
    print(f"\nThe outputs {'agree' if good else 'DO NOT agree'} with PyTorch's in fp32.")
    return OK if good else FAULT
