"""`swkpu-opt`: run passes on a module."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import get_type_hints

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from swkpu.errors import SwkpuError
from swkpu.passes.pipeline import (
    PASSES,
    PassFactory,
    PipelineError,
    load_extension,
    parse_pipeline,
    plugin_passes,
    type_text,
)
from swkpu.tools import common
from swkpu.tools.common import FAULT, OK, ArgumentParser, UsageError, run_pass, run_tool

EXAMPLE = """\
examples:
  swkpu-opt model.mlir -p nn-fold-constants,nn-fold-batch-norm -o folded.mlir
  swkpu-opt model.mlir --pass-pipeline='builtin.module(df-fuse,df-choose-mapping{target=kpu-t64})'
  swkpu-opt model.mlir -p 'swkpu-default{target=kpu-t64 precision=bf16}' -o program.mlir

Weights are read from the files that the module names, beside it. `-o X.mlir` writes new ones to X.safetensors; when
the module goes to standard output, --weights-out says where they go.
"""
SEPARATOR = "// -----"


def arguments() -> ArgumentParser:
    parser = ArgumentParser("swkpu-opt", "Run passes on a module of nn, df or kpu ops and print the result.", EXAMPLE)
    add = parser.add_argument
    add("file", nargs="?", default="-", metavar="FILE.mlir", help="the module; standard input without one, or for -")
    add("-p", "--passes", "--pass-pipeline", dest="passes", default="", metavar="PIPELINE",
        help="passes with their options: 'a,b{x=1 y=2}' or 'builtin.module(a,b{x=1 y=2})'")  # fmt: skip
    common.add_outputs(parser)
    add("--list-passes", action="store_true", help="list all passes with their options, and exit")
    add("--load", type=Path, action="append", default=[], metavar="FILE.py",
        help="make the passes and dialects that a Python file defines available")  # fmt: skip
    add("--split-input-file", action="store_true", help=f"treat the parts between lines of `{SEPARATOR}` as modules")
    add("--verify-diagnostics", "--parsing-diagnostics", dest="verify_diagnostics", action="store_true",
        help="print errors to standard output, and exit with 0")  # fmt: skip
    add("--allow-unregistered-dialect", action="store_true", help="accept ops of unknown dialects")
    for when in ("after", "before"):
        add(f"--mlir-print-ir-{when}-all", f"--print-ir-{when}-all", dest=f"print_{when}", action="store_true",
            help=f"print the module {when} every pass, to standard error")  # fmt: skip
    add("--mlir-timing", "--time-passes", dest="timing", action="store_true",
        help="print how long each step took, to standard error")  # fmt: skip
    return parser


# ---- the list of passes --------------------------------------------------------------------------------------------


def pass_lines(factories: dict[str, PassFactory]) -> Iterator[str]:
    """Each pass with one line of description, and its options."""
    for name, factory in factories.items():
        try:
            cls = factory()
        except Exception as error:
            yield f"{name}\n    not available: {error}"
            continue
        summary = (cls.__doc__ or "").strip().partition("\n\n")[0]
        yield f"{name}\n    {' '.join(summary.split())}"
        hints = get_type_hints(cls)
        for f in fields(cls):
            if f.init and f.name != "name":
                needed = "required" if f.name in cls.required_fields() else f"default {f.default}"
                needed = needed.replace("default None", "optional")
                yield f"    {f.name}=  {type_text(hints[f.name])}, {needed}"


# ---- running passes ------------------------------------------------------------------------------------------------


@dataclass
class Timing:
    """How long the steps took, in order."""

    enabled: bool
    steps: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    started: float = field(default_factory=time.perf_counter)

    def start(self) -> None:
        self.started = time.perf_counter()

    def done(self, step: str) -> None:
        now = time.perf_counter()
        self.steps.append((step, now - self.started))
        self.started = now

    def show(self) -> None:
        if not self.enabled:
            return
        total = sum(seconds for _, seconds in self.steps)
        for step, seconds in [*self.steps, ("total", total)]:
            share = 100 * seconds / total if total else 0.0
            print(f"{seconds:9.4f} s  {share:5.1f}%  {step}", file=sys.stderr)


def dump(module: ModuleOp, title: str) -> None:
    from swkpu.io import module_text

    print(f"// -----// IR dump {title} //----- //\n{module_text(module)}", file=sys.stderr)


def run_passes(
    passes: Sequence[ModulePass], context: Context, module: ModuleOp, args: argparse.Namespace, timing: Timing
) -> None:
    for p in passes:
        if args.print_before:
            dump(module, f"before {p.name}")
        timing.start()
        run_pass(p, context, module)
        timing.done(p.name)
        if args.print_after:
            dump(module, f"after {p.name}")


# ---- input and output ----------------------------------------------------------------------------------------------


def chunks_of(text: str, split: bool) -> list[str]:
    """The modules in a file; each keeps its line numbers."""
    if not split:
        return [text]
    parts: list[list[str]] = [[]]
    for number, line in enumerate(text.splitlines(keepends=True)):
        if line.startswith(SEPARATOR):
            parts.append(["\n"] * (number + 1))
        else:
            parts[-1].append(line)
    return ["".join(part) for part in parts]


def check_outputs(args: argparse.Namespace) -> None:
    if args.split_input_file and (args.output is not None or args.weights_out is not None):
        raise UsageError("-o and --weights-out take one module; with --split-input-file, output is standard output")
    common.check_outputs(args)


def compile_chunk(chunk: str, passes: Sequence[ModulePass], context: Context, args: argparse.Namespace) -> str:
    """The text for standard output."""
    from swkpu.io import directory_of, parse_text

    timing = Timing(args.timing)
    name = "<stdin>" if args.file == "-" else args.file
    module = parse_text(chunk, name, directory_of(args.file), context)
    timing.done("parse and verify")
    run_passes(passes, context, module, args, timing)
    timing.start()
    text = common.write_module(module, args, directory_of(args.file))
    timing.done("print")
    timing.show()
    return text


def run(args: argparse.Namespace) -> int:
    check_outputs(args)
    extra: dict[str, PassFactory] = {}
    extensions = [load_extension(path) for path in args.load]
    for extension in extensions:
        extra |= extension.passes
    if args.list_passes:
        print("\n".join(pass_lines(PASSES | plugin_passes() | extra)))
        return OK
    passes = parse_pipeline(args.passes, extra)
    from swkpu.io import make_context, read_text

    context = make_context(args.allow_unregistered_dialect)
    for extension in extensions:
        for dialect in extension.dialects:
            context.load_dialect(dialect)
    code = OK
    for i, chunk in enumerate(chunks_of(read_text(args.file), args.split_input_file)):
        if i > 0:
            print(SEPARATOR)
        try:
            sys.stdout.write(compile_chunk(chunk, passes, context, args))
        except (UsageError, PipelineError):
            raise
        except SwkpuError as error:
            code = handle(error, args, code)
    return code


def handle(error: SwkpuError, args: argparse.Namespace, code: int) -> int:
    """Report what is wrong with one module. Returns the exit code so far."""
    if args.verify_diagnostics:
        print(common.error_text(error))
        return code
    return common.failed(error, FAULT, args.debug)


def main(argv: Sequence[str] | None = None) -> int:
    return run_tool(arguments(), argv, run)


if __name__ == "__main__":
    sys.exit(main())
