"""What our command line tools share: how they report errors, their exit codes, and --version."""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import DiagnosticException

from swkpu import __version__
from swkpu.errors import IRError, SwkpuError
from swkpu.passes.pipeline import PipelineError

OK, FAULT, USAGE = 0, 1, 2
"""Exit codes: done; the input is at fault; the command line is."""

_POSITION = re.compile(r"(?P<where>[^\n]*?:\d+:\d+): error: (?P<rest>.*)", re.DOTALL)


class UsageError(SwkpuError):
    """The command line makes no sense."""


def error_text(error: BaseException | str) -> str:
    """`error: ...`, with the position in the input next where the message has one."""
    message = "\n".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())])
    match = _POSITION.match(message)
    if match is not None:
        return f"error: {match['where']}: {match['rest']}"
    return f"error: {message}"


class _Version(argparse.Action):
    """`--version`, looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        from importlib.metadata import version

        print(f"{parser.prog} {__version__} (xDSL {version('xdsl')})")
        parser.exit()


class ArgumentParser(argparse.ArgumentParser):
    """A parser with `--version` and `--debug`, whose errors begin with `error:`."""

    def __init__(self, prog: str, description: str, epilog: str):
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}\n{self.prog} --help shows how it is used", file=sys.stderr)
        raise SystemExit(USAGE)


def run_tool(parser: ArgumentParser, argv: Sequence[str] | None, body: Callable[[argparse.Namespace], int]) -> int:
    """Parse the command line and run a tool's body. No error leaves as a traceback, unless --debug asks for it."""
    args = parser.parse_args(argv)
    warnings.showwarning = _show_warning
    try:
        code = body(args)
        sys.stdout.flush()
        return code
    except (UsageError, PipelineError) as error:
        return failed(error, USAGE, args.debug)
    except SwkpuError as error:
        return failed(error, FAULT, args.debug)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return failed(error, FAULT, args.debug, internal_error("", error))


def failed(error: BaseException, code: int, debug: bool, message: str | None = None) -> int:
    """Report an error, after its traceback with --debug. Returns the exit code."""
    if debug:
        import traceback

        traceback.print_exception(error)
    print(error_text(error if message is None else message), file=sys.stderr)
    return code


def internal_error(where: str, error: BaseException) -> str:
    """The message for a bug of ours."""
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    return f"internal error{where}: {what}\nnote: this is a bug in swkpu; --debug shows where it happened"


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)


# ---- passes --------------------------------------------------------------------------------------------------------


def run_pass(p: ModulePass, context: Context, module: ModuleOp) -> None:
    """Apply a pass and verify what it made. Raises SwkpuError; the message names the pass."""
    from swkpu.io import verify

    try:
        p.apply(context, module)
    except PipelineError:
        raise
    except SwkpuError as error:
        error.add_note(f"note: in pass {p}")
        raise
    except DiagnosticException as error:
        raise IRError(f"pass {p.name}: {error}") from error
    except Exception as error:
        raise IRError(internal_error(f" in pass {p.name}", error)) from error
    try:
        verify(module)
    except IRError as error:
        raise IRError(f"pass {p.name} made a module that does not verify: {error}") from error


# ---- output of modules ---------------------------------------------------------------------------------------------


def add_outputs(parser: ArgumentParser) -> None:
    """The options that say where a module and its weights go, and in what form."""
    add = parser.add_argument
    add("-o", "--output", type=Path, metavar="FILE", help="write the result, and a module's weights beside it, here")
    add("--weights-out", type=Path, metavar="FILE.safetensors", help="write the module's weights here")
    add("--elide-weights", action="store_true", help="print new weights by name only, and save them nowhere")
    add("--mlir-print-op-generic", "--print-op-generic", dest="generic", action="store_true",
        help="print ops in their generic form")  # fmt: skip
    add("--mlir-print-debuginfo", "--print-debuginfo", dest="debuginfo", action=argparse.BooleanOptionalAction,
        help="print locations (-o does, where the module has any)")  # fmt: skip


def check_outputs(args: argparse.Namespace) -> None:
    """Raise UsageError where -o and --weights-out do not go together."""
    if args.output is not None and args.weights_out is not None and args.output.parent != args.weights_out.parent:
        raise UsageError("--weights-out must name a file beside that of -o, where the module looks for it")


def write_module(module: ModuleOp, args: argparse.Namespace, weights_directory: Path) -> str:
    """Write weights and, with -o, the module. Returns the text for standard output. Raises SwkpuError.

    Weights that were read are in files of `weights_directory`.
    """
    from swkpu import io
    from swkpu.dialects.weights import save_weights

    if args.weights_out is not None:
        save_weights(module, args.weights_out)
        weights_directory = args.weights_out.parent
    elif args.output is None and not args.elide_weights and (new := io.new_weights(module)):
        raise UsageError(
            f'the module has {len(new)} new weight{"s" * (len(new) > 1)} (such as "{new[0].data.key}"), which need a '
            "file: give --weights-out FILE.safetensors or -o FILE.mlir (or --elide-weights, to see their names only)"
        )
    if args.output is None:
        return io.module_text(module, bool(args.debuginfo), args.generic)
    debuginfo = io.has_locations(module) if args.debuginfo is None else args.debuginfo
    io.write_module(module, args.output, debuginfo, args.generic, weights_directory)
    return ""
