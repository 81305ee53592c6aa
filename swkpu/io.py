"""Reading and writing modules: text with positions in its errors, weights in the safetensors file beside it."""

from __future__ import annotations

import re
import sys
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnknownLoc
from xdsl.ir import Attribute, Dialect, Operation, SSAValue
from xdsl.parser import ForwardDeclaredValue, Parser, UnresolvedOperand
from xdsl.printer import Printer
from xdsl.utils.exceptions import ParseError
from xdsl.utils.lexer import Input, Span

from swkpu.errors import IRError

if TYPE_CHECKING:
    from swkpu.dialects.weights import WeightAttr

# ---- dialects ------------------------------------------------------------------------------------------------------


def _builtin() -> Dialect:
    from xdsl.dialects.builtin import Builtin

    return Builtin


def _func() -> Dialect:
    from xdsl.dialects.func import Func

    return Func


def _arith() -> Dialect:
    from xdsl.dialects.arith import Arith

    return Arith


def _math() -> Dialect:
    from xdsl.dialects.math import Math

    return Math


def nn_dialect() -> Dialect:
    from swkpu.dialects.nn import NN

    return NN


def df_dialect() -> Dialect:
    from swkpu.dialects.df import DF

    return DF


def kpu_dialect() -> Dialect:
    from swkpu.dialects.kpu import KPU

    return KPU


DIALECTS = {
    "builtin": _builtin,
    "func": _func,
    "arith": _arith,
    "math": _math,
    "nn": nn_dialect,
    "df": df_dialect,
    "kpu": kpu_dialect,
}


def make_context(allow_unregistered: bool = False) -> Context:
    """A context of our dialects and those they use, each loaded when its first op or attribute is parsed."""
    context = Context(allow_unregistered=allow_unregistered)
    for name, factory in DIALECTS.items():
        context.register_dialect(name, factory)
    return context


# ---- reading -------------------------------------------------------------------------------------------------------


class _Parser(Parser):
    """A parser that remembers where each op's name stands."""

    RESULTS = re.compile(r"(?:%[^\s=]+\s*=\s*|%[^\s,]+\s*,\s*)*")
    NAME = re.compile(r"\"?[\w.$]+\"?")

    def __init__(self, context: Context, text: str, name: str):
        super().__init__(context, text, name)
        self.text = text
        self.op_start = 0
        self.names: dict[Operation, Span[str]] = {}
        self.uses: dict[str, Span[Any]] = {}
        """Where a value is used before its definition was seen."""

    @property
    def here(self) -> Span[Any]:
        return self._current_token.span

    def resolve_operand(self, operand: UnresolvedOperand, type: Attribute) -> SSAValue[Any]:
        value = super().resolve_operand(operand, type)
        if isinstance(value, ForwardDeclaredValue):
            self.uses.setdefault(operand.operand_name, operand.span)
        return value

    def undefined(self) -> Span[Any] | None:
        """Where the first value is used that nothing defined."""
        return next((self.uses[name] for name in self.forward_ssa_references if name in self.uses), None)

    def parse_operation(self) -> Operation:
        start = self._current_token.span.start
        self.op_start = start
        op = super().parse_operation()
        self.names[op] = self._name_span(start)
        return op

    def _name_span(self, start: int) -> Span[str]:
        """The name of the op that begins at `start`, after its results."""
        results = self.RESULTS.match(self.text, start)
        name = self.NAME.match(self.text, start if results is None else results.end())
        first, last = (start, start + 1) if name is None else name.span()
        return Span(first, last, Input(self.text, self.lexer.input.name))

    def _get_op_by_name(self, name: str) -> type[Operation]:
        found = self.ctx.get_optional_op(name, dialect_stack=self._parser_state.dialect_stack)
        if found is not None:
            return found
        close = get_close_matches(name, [op.name for op in self.ctx.loaded_ops], 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ParseError(self._name_span(self.op_start), f"there is no op {name}{hint}")


def diagnostic(span: Span[Any], message: str) -> str:
    """`file:line:col: error: message`, the line, and carets under the span (or after the last word of the file)."""
    end = len(str(span.input.content).rstrip())
    if span.start > end:
        span = Span(end, end + 1, span.input)
    location = span.get_location()
    start = span.input.get_start_of_line(span.start)
    line = str(span.input.content[start : span.input.get_end_of_line(span.start)])
    column = min(span.start - start, len(line))
    width = max(len(line[column : span.end - start].rstrip()), 1)
    margin = "".join("\t" if c == "\t" else " " for c in line[:column])
    return f"{location}: error: {message.strip()}\n{line.rstrip()}\n{margin}{'^' * width}"


def parse_text(text: str, name: str, directory: Path | None = None, context: Context | None = None) -> ModuleOp:
    """A verified module; `name` is the file in error messages, and weight files are looked for in `directory`.

    Raises IRError whose message starts with `name:line:column: error:` and shows the line.
    """
    from swkpu.dialects.weights import bind_weights

    parser = _Parser(context if context is not None else make_context(), text, name)
    try:
        module = parser.parse_module()
    except ParseError as error:
        raise IRError(_parse_message(parser, error)) from None
    except RecursionError:
        raise IRError(diagnostic(parser.here, "nested too deeply")) from None
    except Exception as error:  # xDSL's parser meets some mistakes with a ValueError, KeyError, VerifyException ...
        raise IRError(diagnostic(parser.here, str(error) or type(error).__name__)) from error
    verify(module, parser.names)
    if directory is not None:
        bind_weights(module, directory)
    return module


def _parse_message(parser: _Parser, error: ParseError) -> str:
    """xDSL's message; two that say little are said better."""
    undefined = parser.undefined() if error.msg.startswith("values used but not defined") else None
    if undefined is not None:
        return diagnostic(undefined, f"{undefined.text} is not defined")
    if error.msg.startswith("Could not parse entire input"):
        return diagnostic(error.span, "expected an op" if parser.here.text else "expected an op, found the end")
    return diagnostic(error.span, error.msg)


def read_text(path: str | Path) -> str:
    """A file's text, or standard input's for `-`. Raises IRError."""
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else Path(path).read_bytes()
    except OSError as error:
        raise IRError(f"cannot read {path}: {error.strerror}") from None
    if data.startswith(b"\x89SWKPU"):
        raise IRError(f"{path} is a binary program, not IR text; swkpu-translate --kpu-to-asm shows it")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise IRError(f"{path} is not text: byte {error.start} is not UTF-8") from None


def directory_of(path: str | Path) -> Path:
    """Where the weight files that a module names are."""
    return Path.cwd() if str(path) == "-" else Path(path).parent


def parse_file(path: str | Path, context: Context | None = None) -> ModuleOp:
    """The module in a file, or on standard input for `-`, with its weights bound. Raises IRError."""
    name = "<stdin>" if str(path) == "-" else str(path)
    return parse_text(read_text(path), name, directory_of(path), context)


# ---- verifying -----------------------------------------------------------------------------------------------------


def verify(module: ModuleOp, positions: dict[Operation, Span[str]] | None = None) -> None:
    """Verify a module. Raises IRError that shows the op: its line in the file, or the op itself."""
    try:
        module.verify()
    except Exception as error:
        op, reason = _culprit(module)
        raise IRError(_verify_message(op, reason or str(error) or type(error).__name__, positions or {})) from error


def _culprit(module: ModuleOp) -> tuple[Operation | None, str]:
    """The first op that does not verify on its own, and why."""
    for op in module.walk(reverse=False):
        try:
            op.verify(verify_nested_ops=False)
        except Exception as error:
            return op, str(error) or type(error).__name__
    return None, ""


def _verify_message(op: Operation | None, reason: str, positions: dict[Operation, Span[str]]) -> str:
    if op is None:
        return f"error: {reason}"
    message = reason if reason.startswith(op.name) else f"'{op.name}' op {reason}"
    if op in positions:
        return diagnostic(positions[op], message)
    return f"{message}\n{_op_text(op)}"


def _op_text(op: Operation) -> str:
    """The op's first lines, in the generic form that needs it least to be right."""
    out = StringIO()
    try:
        Printer(stream=out, print_generic_format=True).print_op(op)
    except Exception:
        return f"<{op.name}>"
    lines = out.getvalue().splitlines()
    return "\n".join(lines[:4] + ["  ..."] * (len(lines) > 4))


# ---- writing -------------------------------------------------------------------------------------------------------


def module_text(module: ModuleOp, debuginfo: bool = False, generic: bool = False) -> str:
    """The module as text that ends in a newline."""
    out = StringIO()
    Printer(stream=out, print_debuginfo=debuginfo, print_generic_format=generic).print_op(module)
    return out.getvalue() + "\n"


def has_locations(module: ModuleOp) -> bool:
    return any(not isinstance(op.location, UnknownLoc) for op in module.walk())


def new_weights(module: ModuleOp) -> list[WeightAttr]:
    """Weights that are in memory and in no file."""
    from swkpu.dialects.weights import weights_of

    return [w for w in weights_of(module) if not w.data.file and _is_bound(w)]


def _is_bound(weight: WeightAttr) -> bool:
    return weight.data.payload.array is not None or weight.data.payload.load is not None


def write_module(
    module: ModuleOp, path: Path, debuginfo: bool = True, generic: bool = False, weights_directory: Path | None = None
) -> None:
    """Write `path` and, beside it, its weights as `path` with the suffix `.safetensors`.

    Weights stay in the files they are in where all are in `weights_directory` and that is the folder of `path`.
    Raises IRError.
    """
    from swkpu.dialects.weights import save_weights, weights_of
    from swkpu.files import write_whole

    weights = weights_of(module)
    at_home = weights_directory is not None and weights_directory.resolve() == path.parent.resolve()
    if not (at_home and not new_weights(module)) and any(_is_bound(w) for w in weights):
        save_weights(module, path.with_suffix(".safetensors"))
    write_whole(path, [module_text(module, debuginfo, generic).encode()], IRError)
