"""`swkpu`: compile models for the KPU, run and estimate programs, and list what there is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from swkpu.tools import commands_calibrate as calibrating
from swkpu.tools import commands_compile as compiling
from swkpu.tools import commands_explain as explaining
from swkpu.tools import commands_list as listing
from swkpu.tools import commands_run as running
from swkpu.tools import console
from swkpu.tools.common import ArgumentParser, UsageError, run_tool

EXAMPLE = """\
examples:
  swkpu demo
  swkpu compile resnet18 --target kpu-t64 --precision bf16 -o resnet18.kpu
  swkpu run resnet18.kpu --check resnet18
"""


class CommandParser(ArgumentParser):
    """The parser of one command. Its --debug does not undo one that stands before the command."""

    def add_argument(self, *flags: Any, **options: Any) -> argparse.Action:
        if flags == ("--debug",):
            options["default"] = argparse.SUPPRESS
        return super().add_argument(*flags, **options)


@dataclass(frozen=True)
class Command:
    """One command: its line of help, an example, its arguments, and what it does."""

    summary: str
    example: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


COMMANDS = {
    "demo": Command(
        "resnet18 for kpu-t64 at bf16, end to end: compile, run, compare with PyTorch",
        compiling.DEMO_EXAMPLE,
        lambda _: None,
        compiling.demo_command,
    ),
    "compile": Command(
        "compile a model to a program", compiling.COMPILE_EXAMPLE, compiling.add_compile, compiling.compile_command
    ),
    "run": Command("run a program: outputs, cycles, energy", running.EXAMPLE, running.add_run, running.run_command),
    "calibrate": Command(
        "find the ranges of a model's values, for int8 and int4",
        calibrating.EXAMPLE,
        calibrating.add_calibrate,
        calibrating.calibrate_command,
    ),
    "estimate": Command(
        "compile a model and report cycles, energy and memory, without running values",
        compiling.ESTIMATE_EXAMPLE,
        compiling.add_estimate,
        compiling.estimate_command,
    ),
    "explain": Command(
        "say where a program's cycles go, layer by layer",
        explaining.EXAMPLE,
        explaining.add_explain,
        explaining.explain_command,
    ),
    "models": Command("list the zoo's models", listing.MODELS_EXAMPLE, listing.add_models, listing.models_command),
    "targets": Command(
        "list the targets", "example:\n  swkpu targets --json", listing.add_list, listing.targets_command
    ),
    "ops": Command(
        "list the supported operators", "example:\n  swkpu ops --json", listing.add_list, listing.ops_command
    ),
}


def arguments() -> ArgumentParser:
    parser = ArgumentParser("swkpu", "Compiler toolchain and simulator for the Stillwater KPU.", EXAMPLE)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=CommandParser)
    for name, command in COMMANDS.items():
        description = f"{command.summary[0].upper()}{command.summary[1:]}."
        part = commands.add_parser(name, help=command.summary, description=description, epilog=command.example)
        command.add_arguments(part)
    return parser


def run(args: argparse.Namespace) -> int:
    if args.command is None:
        raise UsageError(f"give a command: {', '.join(COMMANDS)}\nswkpu --help shows how they are used")
    return COMMANDS[args.command].run(args)


def main(argv: Sequence[str] | None = None) -> int:
    console.prepare()
    return run_tool(arguments(), argv, run)


if __name__ == "__main__":
    sys.exit(main())
