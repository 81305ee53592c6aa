"""The shape of the program's values, read from the annotations in `model.py`.

The encoder, the decoder, the assembly text and the ISA page are all functions of what `schema` returns, so a new
command or field is one line in `model.py` and nothing else.
"""

from __future__ import annotations

import typing
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import IntEnum
from functools import cache
from types import GenericAlias, NoneType, UnionType
from typing import Any, cast

from swkpu.program.model import Command

MAX_DEFAULTED_FIELDS = 8
"""Fields with a default share one byte that says which of them are written."""


@dataclass(frozen=True)
class Scalar:
    """`int`, `float`, `str` or `bytes`."""

    type: type[int] | type[float] | type[str] | type[bytes]


@dataclass(frozen=True)
class Enumeration:
    type: type[IntEnum]


@dataclass(frozen=True)
class Sequence:
    """`tuple[T, ...]`: any number of elements of one kind."""

    element: Schema


@dataclass(frozen=True)
class Fixed:
    """`tuple[A, B]`: as many elements as there are kinds."""

    elements: tuple[Schema, ...]


@dataclass(frozen=True)
class Optional:
    element: Schema


@dataclass(frozen=True)
class Json:
    """`dict[str, Any]`: JSON; only in the metadata, which is JSON as a whole."""


@dataclass(frozen=True)
class Record:
    """A dataclass, field by field."""

    type: type[Any]
    fields: tuple[Field, ...]

    @property
    def required(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if not f.has_default)

    @property
    def defaulted(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.has_default)


@dataclass(frozen=True)
class AnyCommand:
    """`Command`: one of `COMMANDS`, told apart by its opcode."""


Schema = Scalar | Enumeration | Sequence | Fixed | Optional | Json | Record | AnyCommand


@dataclass(frozen=True)
class Field:
    name: str
    schema: Schema
    has_default: bool
    default: Any = None


@cache
def schema(annotation: Any) -> Schema:
    """The schema of a resolved annotation, such as `int`, `tuple[Coord, ...]` or `Program`'s `Stream`."""
    if annotation is Command:
        return AnyCommand()
    if annotation in (int, float, str, bytes):
        return Scalar(annotation)
    if isinstance(annotation, type) and not isinstance(annotation, GenericAlias):
        if issubclass(annotation, IntEnum):
            return Enumeration(annotation)
        if is_dataclass(cast("type[Any]", annotation)):
            return record(cast("type[Any]", annotation))
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return Sequence(schema(arguments[0]))
    if origin is tuple:
        return Fixed(tuple(schema(a) for a in arguments))
    if origin in (UnionType, typing.Union) and len(arguments) == 2 and arguments[1] is NoneType:
        return Optional(schema(arguments[0]))
    if origin is dict:
        return Json()
    raise TypeError(
        f"{annotation!r} has no wire form: use int, float, str, bytes, IntEnum, tuples, `T | None`, dataclasses"
    )


@cache
def record(cls: type[Any]) -> Record:
    """The schema of a dataclass: its fields in declaration order, those of its bases first."""
    hints = typing.get_type_hints(cls)
    result = Record(cls, tuple(_field(f, hints[f.name]) for f in fields(cls)))
    if len(result.defaulted) > MAX_DEFAULTED_FIELDS:
        raise TypeError(f"{cls.__name__} has more than {MAX_DEFAULTED_FIELDS} fields with defaults")
    return result


def _field(f: Any, hint: Any) -> Field:
    if f.default is not MISSING:
        return Field(f.name, schema(hint), True, f.default)
    if f.default_factory is not MISSING:
        return Field(f.name, schema(hint), True, f.default_factory())
    return Field(f.name, schema(hint), False)
