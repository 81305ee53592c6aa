"""Passes by name, the text form of a pipeline, and the default pipeline.

A pipeline is written as for `mlir-opt` or for `xdsl-opt`; these are the same:

    df-fuse,df-choose-mapping{target=kpu-t64}
    builtin.module(func.func(df-fuse), df-choose-mapping{target=kpu-t64})

Every pass runs on the whole module: `builtin.module(...)` and `func.func(...)` only group.
"""

from __future__ import annotations

import dataclasses
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, NoReturn, cast, get_args, get_type_hints

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Dialect
from xdsl.passes import ModulePass
from xdsl.utils.arg_spec import ArgSpec, ParameterListType, ParameterType
from xdsl.utils.hints import isa

from swkpu.errors import SwkpuError

PassFactory = Callable[[], type[ModulePass]]
Level = Literal["nn", "df", "kpu"]


class PipelineError(SwkpuError):
    """The text of a pipeline, or an option of a pass, is wrong."""


# ---- passes by name ------------------------------------------------------------------------------------------------


def _own(name: str) -> PassFactory:
    """`df-fuse` is `DfFusePass` of `df_fuse.py`."""

    def load() -> type[ModulePass]:
        module = import_module(f"swkpu.passes.{name.replace('-', '_')}")
        return getattr(module, "".join(word.capitalize() for word in name.split("-")) + "Pass")

    return load


PASSES: dict[str, PassFactory] = {
    name: _own(name)
    for name in (
        "nn-fold-constants",
        "nn-fold-batch-norm",
        "nn-equalize",
        "nn-annotate-ranges",
        "nn-correct-bias",
        "nn-quantize",
        "nn-narrow-integers",
        "convert-nn-to-df",
        "df-fold-copies",
        "df-fuse",
        "df-split-reductions",
        "df-choose-layout",
        "df-lower-copies",
        "df-choose-mapping",
        "convert-df-to-kpu",
        "kpu-assign-memory",
        "kpu-schedule",
        "kpu-verify",
    )
} | {"swkpu-default": lambda: SwkpuDefaultPass}
"""Our passes, each imported when it is first used."""


def plugin_passes() -> dict[str, PassFactory]:
    """Passes of installed packages: entry points of the group `swkpu.passes`, each a ModulePass under its name."""
    from importlib.metadata import entry_points

    return {point.name: point.load for point in entry_points(group="swkpu.passes") if point.name not in PASSES}


@dataclass(frozen=True)
class Extension:
    """What a Python file adds."""

    passes: Mapping[str, PassFactory]
    dialects: Sequence[Dialect]


def load_extension(path: Path) -> Extension:
    """Run a Python file; its ModulePass classes and its Dialects become available. Raises PipelineError."""
    module = ModuleType(f"swkpu_loaded_{path.stem}")
    module.__file__ = str(path)
    try:
        code = compile(path.read_bytes(), str(path), "exec")
    except OSError as error:
        raise PipelineError(f"cannot load {path}: {error.strerror}") from None
    except (SyntaxError, ValueError) as error:
        raise PipelineError(f"cannot load {path}: {error}") from None
    import sys

    sys.modules[module.__name__] = module  # dataclasses look their module up
    try:
        exec(code, module.__dict__)
    except Exception as error:
        raise PipelineError(f"loading {path} failed: {type(error).__name__}: {error}") from error
    own = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
    passes: dict[str, PassFactory] = {}
    for cls in own:
        if issubclass(cls, ModulePass) and isinstance(cls.__dict__.get("name"), str):
            if cls.name in PASSES:
                raise PipelineError(f"{path}: there is a pass '{cls.name}' already")
            passes[cls.name] = lambda cls=cls: cls
    return Extension(passes, [v for v in vars(module).values() if isinstance(v, Dialect)])


def _find(name: str, extra: Mapping[str, PassFactory]) -> type[ModulePass] | None:
    factory = extra.get(name) or PASSES.get(name) or plugin_passes().get(name)
    return None if factory is None else factory()


# ---- the default pipeline ------------------------------------------------------------------------------------------


class PassSequence(ModulePass):
    """A named pipeline: a pass that stands for others. A driver runs, and names, these one by one."""

    @abstractmethod
    def passes(self) -> list[ModulePass]: ...

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for p in self.passes():
            p.apply(ctx, op)
            op.verify()


def _make(name: str, **options: Any) -> ModulePass:
    cls = PASSES[name]()
    return cls(**{k: v for k, v in options.items() if v is not None})


def folding_pipeline(weights: bool = False, equalize: bool = False) -> list[ModulePass]:
    """What comes before quantization: calibration observes the module that this makes. `weights` that are quantized
    already become floats."""
    passes = [_make("nn-fold-constants", weights=weights), _make("nn-fold-batch-norm")]
    return [*passes, _make("nn-equalize")] if equalize else passes


@dataclass(frozen=True)
class Quantization:
    """How the default pipeline comes to integers.

    ranges      the pass that gives values their ranges
    equalize    whether the channels between layers are evened out before
    group       at int4, how many weights of a linear layer share a scale; None for those of an output channel
    """

    ranges: ModulePass | None = None
    equalize: bool = False
    group: int | None = None


def default_pipeline(
    target: str,
    profile: str | None = None,
    precision: str | None = "bf16",
    until: Level = "kpu",
    quantization: Quantization | None = None,
) -> list[ModulePass]:
    """From nn to a scheduled and verified kpu.program, or to the end of an earlier level. Without a precision the nn
    level keeps the types it has.
    """
    from swkpu.passes.op_precision import FLOATS

    machine = {"target": target, "profile": profile}
    how = quantization or Quantization()
    passes = folding_pipeline(weights=precision in FLOATS, equalize=how.equalize)
    if how.ranges is not None:
        passes.append(how.ranges)
    if precision is not None and precision not in FLOATS:
        passes.append(_make("nn-correct-bias", precision=precision, group=how.group))
    if precision is not None:
        passes.append(_make("nn-quantize", precision=precision, group=how.group))
    passes += [_make("nn-fold-constants", weights=True), _make("nn-narrow-integers")]
    if until == "nn":
        return passes
    passes += [_make(n) for n in ("convert-nn-to-df", "df-fold-copies", "df-fuse")]
    passes += [_make("df-split-reductions", **machine), _make("df-choose-layout")]
    passes += [_make("df-fold-copies", reads=False), _make("df-lower-copies")]
    passes.append(_make("df-choose-mapping", **machine))
    if until == "df":
        return passes
    return passes + [
        _make(n, **machine) for n in ("convert-df-to-kpu", "kpu-assign-memory", "kpu-schedule", "kpu-verify")
    ]


def remaining_pipeline(
    module: ModuleOp, target: str, profile: str | None = None, precision: str | None = None
) -> list[ModulePass]:
    """The default passes that a module, at whatever level it is, still needs to become a verified program."""
    passes = default_pipeline(target, profile, precision)
    names = [p.name for p in passes]
    return passes[names.index(first) :] if (first := _first_pass(module)) is not None else passes


def _first_pass(module: ModuleOp) -> str | None:
    """Where in the default pipeline a module stands; None at its beginning."""
    names = {op.name for op in module.walk()}
    if "kpu.stream" in names:
        return "kpu-verify"
    if "kpu.program" in names:
        allocs = [op for op in module.walk() if op.name == "kpu.alloc"]
        return "kpu-schedule" if allocs and all("address" in op.properties for op in allocs) else "kpu-assign-memory"
    if any(name.startswith("nn.") for name in names):
        return None
    mapped = [op.properties.get("mapping") is not None for op in module.walk() if op.name == "df.recurrence"]
    if any(mapped):
        return "convert-df-to-kpu" if all(mapped) else "df-choose-mapping"
    return "df-fold-copies" if any(name.startswith("df.") for name in names) else None


@dataclass(frozen=True)
class SwkpuDefaultPass(PassSequence):
    """The default pipeline: from nn to a scheduled and verified kpu program (or `until` the end of nn or df).

    `calibration` is the file with the ranges of values, for int8 and int4. `equalize` runs nn-equalize before, and
    `correct-bias` nn-correct-bias after ranges are known.
    """

    name = "swkpu-default"

    target: str = "kpu-t64"
    profile: str | None = None
    precision: str = "bf16"
    until: str = "kpu"
    calibration: str | None = None
    equalize: bool = False
    correct_bias: bool = True
    group: int | None = None

    def passes(self) -> list[ModulePass]:
        if self.until not in get_args(Level):
            raise PipelineError(f"until={self.until}: expected one of {', '.join(get_args(Level))}")
        ranges = None
        if self.calibration is not None:
            ranges = _make("nn-annotate-ranges", file=self.calibration, means=self.correct_bias)
        how = Quantization(ranges, self.equalize, self.group)
        return default_pipeline(self.target, self.profile, self.precision, cast(Level, self.until), how)


# ---- pipelines as text ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Element:
    """One pass of a pipeline's text, and where its name stands."""

    spec: ArgSpec
    start: int
    end: int


def _fail(text: str, start: int, end: int, message: str) -> NoReturn:
    raise PipelineError(f"{message}\n  {text}\n  {' ' * start}{'^' * max(end - start, 1)}")


class _Reader:
    """
    pipeline ::= element (`,` element)*
    element  ::= anchor `(` pipeline? `)` | pass options?
    options  ::= `{` (key (`=` value (`,` value)*)?)* `}`        options are separated by spaces
    value    ::= `"` text `"` | any characters but spaces and `,={}()"`
    """

    NAME: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9_.\-]+")
    VALUE: ClassVar[re.Pattern[str]] = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s,={}()"]+')
    SPACE: ClassVar[re.Pattern[str]] = re.compile(r"\s*")

    def __init__(self, text: str):
        self.text, self.at = text, 0

    def fail(self, expected: str) -> NoReturn:
        found = f"'{self.text[self.at]}'" if self.at < len(self.text) else "the end"
        _fail(self.text, self.at, self.at + 1, f"pass pipeline: expected {expected}, found {found}")

    def skip(self) -> None:
        match = self.SPACE.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def take(self, symbol: str) -> bool:
        self.skip()
        found = self.text.startswith(symbol, self.at)
        self.at += len(symbol) * found
        return found

    def match(self, pattern: re.Pattern[str], expected: str) -> str:
        self.skip()
        match = pattern.match(self.text, self.at)
        if match is None:
            self.fail(expected)
        self.at = match.end()
        return match.group()

    def run(self) -> list[_Element]:
        elements = list(self.pipeline(""))
        if self.at < len(self.text):
            self.fail("',' or the end")
        return elements

    def pipeline(self, close: str) -> Iterator[_Element]:
        self.skip()
        if self.at == len(self.text) or (close and self.text.startswith(close, self.at)):
            return
        yield from self.element()
        while self.take(","):
            yield from self.element()
        self.skip()

    def element(self) -> Iterator[_Element]:
        name = self.match(self.NAME, "the name of a pass")
        start, end = self.at - len(name), self.at
        if self.take("("):
            yield from self.pipeline(")")
            if not self.take(")"):
                self.fail("',' or ')'")
            return
        options = self.options() if self.take("{") else {}
        yield _Element(ArgSpec(name, options), start, end)

    def options(self) -> dict[str, ParameterListType]:
        out: dict[str, ParameterListType] = {}
        while not self.take("}"):
            key = self.match(self.NAME, "the name of an option, or '}'").replace("-", "_")
            values: list[ParameterType] = []
            if self.take("="):
                values.append(self.value())
                while self.take(","):
                    values.append(self.value())
            out[key] = tuple(values)
        return out

    def value(self) -> ParameterType:
        text = self.match(self.VALUE, "a value (quoted, where it has spaces or punctuation)")
        if text[0] == '"':
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if text in ("true", "false"):
            return text == "true"
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
        return text


def parse_pipeline(text: str, extra: Mapping[str, PassFactory] | None = None) -> list[ModulePass]:
    """The passes of a pipeline, with named pipelines expanded. Raises PipelineError."""
    passes: list[ModulePass] = []
    for element in _Reader(text).run():
        cls = _find(element.spec.name, extra or {})
        if cls is None:
            known = [*PASSES, *(extra or {})]
            close = get_close_matches(element.spec.name, known, 1)
            hint = f"did you mean '{close[0]}'?" if close else "--list-passes shows what there is"
            _fail(text, element.start, element.end, f"unknown pass '{element.spec.name}'; {hint}")
        try:
            passes += expand(make_pass(cls, element.spec.parameters))
        except PipelineError as error:
            _fail(text, element.start, element.end, str(error))
    return passes


def expand(p: ModulePass) -> list[ModulePass]:
    """The passes that a named pipeline stands for; any other pass is itself."""
    return [q for inner in p.passes() for q in expand(inner)] if isinstance(p, PassSequence) else [p]


def make_pass(cls: type[ModulePass], options: Mapping[str, ParameterListType]) -> ModulePass:
    """A pass with options. Raises PipelineError, saying which options the pass has."""
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init and f.name != "name"}
    for key in options:
        if key not in fields:
            has = f"its options are {', '.join(fields)}" if fields else "it has none"
            raise PipelineError(f"pass {cls.name} has no option '{key}'; {has}")
    for key in fields:
        if key not in options and key in cls.required_fields():
            raise PipelineError(f"pass {cls.name} needs option '{key}': {cls.name}{{{key}=...}}")
    types = get_type_hints(cls)
    return cls(**{key: _convert(cls.name, key, values, types[key]) for key, values in options.items()})


def _convert(pass_name: str, key: str, values: ParameterListType, wanted: Any) -> Any:
    """Option values as the field's type has them: one value, or a tuple; no value is `true`."""
    candidates: list[Any] = [values[0], values] if len(values) == 1 else [values]
    if not values:
        candidates = [True, ()]
    if len(values) == 1 and not isinstance(values[0], str):
        candidates.append(str(values[0]).lower())  # profile=6 is text too
    for candidate in candidates:
        if isa(candidate, wanted):
            return candidate
    found = ",".join(map(str, values)) or "no value"
    raise PipelineError(f"option '{key}' of pass {pass_name} takes {type_text(wanted)}, got {found}")


def type_text(hint: Any) -> str:
    """A type as a user reads it."""
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "nothing"}
    options = [a for a in get_args(hint) if a is not type(None)]
    if hint in names:
        return names[hint]
    return type_text(options[0]) if len(options) == 1 else str(hint).replace("typing.", "")
