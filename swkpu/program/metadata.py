"""The metadata section: layers and compilation facts as canonical JSON (sorted keys, no spaces, ASCII).

JSON, unlike the other sections, so that any tool can read it without this package.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, is_dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, cast

from swkpu.errors import ProgramError
from swkpu.program.model import Layer, Metadata
from swkpu.program.schema import Json, Record, Scalar, Schema, Sequence, record

MAX_INT = 1 << 63


@dataclass(frozen=True)
class Facts:
    """The content of the section."""

    layers: tuple[Layer, ...]
    metadata: Metadata


def encode_facts(facts: Facts) -> bytes:
    try:
        data = _dump(_plain(facts))
    except (TypeError, ValueError, RecursionError) as e:
        raise ProgramError(f"metadata: not JSON: {e}") from e
    for layer, decoded in zip(facts.layers, decode_facts(data).layers, strict=True):
        if (layer.tiling, layer.alternatives) != (decoded.tiling, decoded.alternatives):
            raise ProgramError(
                f"metadata: the tiling of layer {layer.name!r} does not survive JSON; "
                "use dicts with string keys, lists, strings, numbers, booleans and None"
            )
    return data


def decode_facts(data: bytes | memoryview) -> Facts:
    data = bytes(data)
    try:
        value = json.loads(data)
        canonical = _dump(value)
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair cannot be printed
    except (ValueError, RecursionError) as e:
        raise ProgramError(f"not JSON: {e}") from None
    if canonical != data:
        raise ProgramError("JSON is not in canonical form (sorted keys, no spaces, no duplicates)")
    return _typed(record(Facts), value, "metadata")


def _dump(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclass_fields(value)}
    return [_plain(v) for v in cast(tuple[Any, ...], value)] if isinstance(value, tuple) else value


def _typed(s: Schema, value: Any, where: str) -> Any:
    """The dataclass value of a JSON value, or ProgramError."""
    match s:
        case Scalar():
            if type(value) is not s.type:
                raise ProgramError(f"{where}: expected {s.type.__name__}, found {type(value).__name__}")
            if isinstance(value, int) and not -MAX_INT <= value < MAX_INT:
                raise ProgramError(f"{where}: an integer of more than 64 bits")
            return value
        case Json():
            if not isinstance(value, dict):
                raise ProgramError(f"{where}: expected an object, found {type(value).__name__}")
            return cast(Any, value)
        case Sequence():
            if not isinstance(value, list):
                raise ProgramError(f"{where}: expected a list, found {type(value).__name__}")
            elements = cast(list[Any], value)
            return tuple(_typed(s.element, v, f"{where}[{i}]") for i, v in enumerate(elements))
        case Record():
            names = {f.name for f in s.fields}
            if not isinstance(value, dict) or set(cast(dict[str, Any], value)) != names:
                raise ProgramError(f"{where}: expected an object with the keys {', '.join(sorted(names))}")
            members = cast(dict[str, Any], value)
            return s.type(**{f.name: _typed(f.schema, members[f.name], f"{where}.{f.name}") for f in s.fields})
        case _:
            raise TypeError(f"{where}: {s} has no JSON form")
