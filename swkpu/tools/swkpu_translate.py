"""`swkpu-translate`: between models, modules, binary programs and assembly text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swkpu.errors import IRError, ProgramError
from swkpu.tools import common
from swkpu.tools.common import OK, ArgumentParser, UsageError, run_pass, run_tool

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

    from swkpu.program.model import Program

EXAMPLE = """\
examples:
  swkpu-translate --import-torch resnet18 -o resnet18.mlir
  swkpu-translate --mlir-to-kpu resnet18.mlir --target kpu-t64 --precision bf16 -o resnet18.kpu
  swkpu-translate --kpu-to-asm resnet18.kpu | less

--mlir-to-kpu takes a module at any level and runs those default passes that it still needs.
"""
DEFAULT_TARGET = "kpu-t64"


def arguments() -> ArgumentParser:
    parser = ArgumentParser("swkpu-translate", "Translate between models, modules, programs and assembly.", EXAMPLE)
    directions = parser.add_argument_group("directions (one of them)").add_mutually_exclusive_group()
    for name, (summary, _) in DIRECTIONS.items():
        directions.add_argument(f"--{name}", dest="direction", action="store_const", const=name, help=summary)
    for name in PLANNED:
        directions.add_argument(f"--{name}", dest="direction", action="store_const", const=name, help=argparse.SUPPRESS)
    add = parser.add_argument
    add("input", nargs="?", metavar="IN", help="the file to translate (- for standard input), or the model to import")
    add("--target", metavar="NAME", help=f"a target's name or .toml file (default: the program's, or {DEFAULT_TARGET})")
    add("--profile", metavar="NAME", help="a power profile of the target, such as 6W")
    add("--precision", metavar="NAME", help="cast an nn module to bf16 or fp16 (default: leave its types as they are)")
    add("--batch", type=int, metavar="N", help="batch size of an imported model")
    add("--input-shape", metavar="N,C,H,W", help="shape of an imported model's input")
    common.add_outputs(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    if args.direction is None:
        raise UsageError(f"give a direction: {_flags(DIRECTIONS)}")
    if args.direction in PLANNED:
        raise UsageError(f"--{args.direction} does not exist yet; there are {_flags(DIRECTIONS)}")
    if args.input is None:
        raise UsageError(f"--{args.direction} needs an input")
    common.check_outputs(args)
    DIRECTIONS[args.direction][1](args)
    return OK


def _flags(names: Iterable[str]) -> str:
    return ", ".join(f"--{name}" for name in names)


# ---- models to modules ---------------------------------------------------------------------------------------------


def import_torch(args: argparse.Namespace) -> None:
    from swkpu.frontend.resolve import resolve_model

    module = resolve_model(args.input, args.batch, _shape(args.input_shape)).imported()
    sys.stdout.write(common.write_module(module, args, Path()))


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(n) for n in text.replace("x", ",").split(","))
    except ValueError:
        raise UsageError(f"--input-shape {text}: expected numbers, such as 1,3,224,224") from None


# ---- modules to programs -------------------------------------------------------------------------------------------


def mlir_to_kpu(args: argparse.Namespace) -> None:
    from swkpu.program.container import save

    if args.output is None:
        raise UsageError("--mlir-to-kpu writes a binary file: give -o OUT.kpu")
    save(_program(args), args.output)


def mlir_to_asm(args: argparse.Namespace) -> None:
    _write_text(_disassembled(_program(args)), args.output)


def _program(args: argparse.Namespace) -> Program:
    """Compile the rest of the way."""
    from swkpu.emit import emit
    from swkpu.io import make_context, parse_file
    from swkpu.passes.pipeline import remaining_pipeline
    from swkpu.program.check import check
    from swkpu.target import load_target

    context = make_context()
    module = parse_file(args.input, context)
    target = args.target or _target_of(module) or DEFAULT_TARGET
    machine = load_target(target, args.profile)
    if not any(op.name.startswith(("nn.", "df.", "kpu.")) for op in module.walk()):
        raise IRError(f"{args.input} has no nn, df or kpu ops to translate")
    for p in remaining_pipeline(module, target, args.profile, args.precision):
        run_pass(p, context, module)
    program = emit(module, machine)
    check(program, machine)
    return program


def _target_of(module: ModuleOp) -> str | None:
    """The target that the module was lowered for, where it was."""
    from swkpu.dialects.kpu import ProgramOp

    return next((op.target.data for op in module.walk() if isinstance(op, ProgramOp)), None)


# ---- programs to text ----------------------------------------------------------------------------------------------


def kpu_to_asm(args: argparse.Namespace) -> None:
    from swkpu.program.container import from_bytes, load

    program = from_bytes(sys.stdin.buffer.read()) if args.input == "-" else load(args.input)
    _write_text(_disassembled(program), args.output)


def _disassembled(program: Program) -> str:
    from swkpu.program.assembly import disassemble

    return disassemble(program)


def _write_text(text: str, path: Path | None) -> None:
    if path is None:
        sys.stdout.write(text)
        return
    try:
        path.write_text(text)
    except OSError as error:
        raise ProgramError(f"cannot write {path}: {error.strerror}") from None


DIRECTIONS: dict[str, tuple[str, Callable[[argparse.Namespace], None]]] = {
    "import-torch": ("a model (zoo name, .pt2 file or package.module:callable) to a module of nn ops", import_torch),
    "mlir-to-kpu": ("a module at any level to a binary program", mlir_to_kpu),
    "mlir-to-asm": ("a module at any level to assembly text", mlir_to_asm),
    "kpu-to-asm": ("a binary program to assembly text", kpu_to_asm),
}
PLANNED = ("kpu-to-mlir", "asm-to-kpu", "import-onnx")


def main(argv: Sequence[str] | None = None) -> int:
    return run_tool(arguments(), argv, run)


if __name__ == "__main__":
    sys.exit(main())
