"""Arbitrary values of the program's dataclasses, well-formed or not: whatever the annotations allow."""

from __future__ import annotations

from typing import Any, get_type_hints

from hypothesis import strategies as st

from swkpu.program.model import COMMANDS, Program
from swkpu.program.schema import (
    AnyCommand,
    Enumeration,
    Fixed,
    Json,
    Optional,
    Record,
    Scalar,
    Schema,
    Sequence,
    record,
    schema,
)

INTS = st.integers(-70, 70) | st.integers(-(1 << 63), (1 << 63) - 1)
FLOATS = st.sampled_from([0.0, -0.0, 1.0, float("inf"), float("-inf")]) | st.floats(allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of a type that `codec` encodes."""
    return _values(schema(annotation))


def _values(s: Schema) -> st.SearchStrategy[Any]:
    match s:
        case Scalar():
            return {int: INTS, float: FLOATS, str: TEXTS, bytes: st.binary(max_size=20)}[s.type]
        case Enumeration():
            return st.sampled_from(list(s.type))
        case Sequence():
            return st.lists(_values(s.element), max_size=4).map(tuple)
        case Fixed():
            return st.tuples(*(_values(e) for e in s.elements))
        case Optional():
            return st.none() | _values(s.element)
        case Json():
            return JSON
        case Record():
            return _records(s)
        case AnyCommand():
            return st.one_of(*(_records(record(c)) for c in COMMANDS))


def _records(s: Record) -> st.SearchStrategy[Any]:
    # A field with a default often has it.
    fields = {f.name: st.just(f.default) | _values(f.schema) if f.has_default else _values(f.schema) for f in s.fields}
    return st.builds(s.type, **fields)


def programs() -> st.SearchStrategy[Program]:
    """Programs that can be written to a file; hardly one that makes sense."""
    hints = get_type_hints(Program)
    fields = {name: values(hint) for name, hint in hints.items() if name != "constants"}
    return st.builds(Program, **fields, constants=st.binary(max_size=200))
