"""`swkpu`: compile models for the KPU, run and estimate programs, and list what there is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from swkpu.tools import commands_compile, commands_list, commands_run, console
from swkpu.tools.common import ArgumentParser, UsageError, run_tool

EXAMPLE = """\
examples:
  swkpu demo
  swkpu compile resnet18 --target kpu-t64 --precision bf16 -o resnet18.kpu
  swkpu run resnet18.kpu --check resnet18
"""

Command = Callable[[argparse.Namespace], int]
Arguments = Callable[[ArgumentParser], None]


class CommandParser(ArgumentParser):
    """The parser of one command. Its --debug does not undo one that stands before the command."""

    def add_argument(self, *flags: Any, **options: Any) -> argparse.Action:
        if flags == ("--debug",):
            options["default"] = argparse.SUPPRESS
        return super().add_argument(*flags, **options)


def _nothing(parser: ArgumentParser) -> None:
    del parser


COMMANDS: dict[str, tuple[str, str, Arguments, Command]] = {
    "demo": (
        "resnet18 for kpu-t64 at bf16, end to end: compile, run, compare with PyTorch",
        commands_compile.DEMO_EXAMPLE,
        _nothing,
        commands_compile.demo_command,
    ),
    "compile": (
        "compile a model to a program",
        commands_compile.COMPILE_EXAMPLE,
        commands_compile.add_compile,
        commands_compile.compile_command,
    ),
    "run": (
        "run a program: outputs, cycles, energy",
        commands_run.EXAMPLE,
        commands_run.add_run,
        commands_run.run_command,
    ),
    "estimate": (
        "compile a model and report cycles, energy and memory, without running values",
        commands_compile.ESTIMATE_EXAMPLE,
        commands_compile.add_estimate,
        commands_compile.estimate_command,
    ),
    "models": (
        "list the zoo's models",
        "example:\n  swkpu models --json",
        commands_list.add_list,
        commands_list.models_command,
    ),
    "targets": (
        "list the targets",
        "example:\n  swkpu targets --json",
        commands_list.add_list,
        commands_list.targets_command,
    ),
    "ops": (
        "list the supported operators",
        "example:\n  swkpu ops --json",
        commands_list.add_list,
        commands_list.ops_command,
    ),
}


def arguments() -> ArgumentParser:
    parser = ArgumentParser("swkpu", "Compiler toolchain and simulator for the Stillwater KPU.", EXAMPLE)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=CommandParser)
    for name, (summary, example, add, _) in COMMANDS.items():
        description = f"{summary[0].upper()}{summary[1:]}."
        add(commands.add_parser(name, help=summary, description=description, epilog=example))
    return parser


def run(args: argparse.Namespace) -> int:
    if args.command is None:
        raise UsageError(f"give a command: {', '.join(COMMANDS)}\nswkpu --help shows how they are used")
    return COMMANDS[args.command][3](args)


def main(argv: Sequence[str] | None = None) -> int:
    console.safe_output()
    return run_tool(arguments(), argv, run)


if __name__ == "__main__":
    sys.exit(main())
