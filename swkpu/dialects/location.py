"""Where an op comes from: the name of the model's layer and the line of the model's Python source."""

from __future__ import annotations

from xdsl.dialects.builtin import (
    ArrayAttr,
    FileLineColLoc,
    FusedLoc,
    IntAttr,
    LocationAttr,
    NameLoc,
    StringAttr,
    UnknownLoc,
)
from xdsl.ir import Attribute, Operation


def location(name: str, file: str | None = None, line: int = 0) -> LocationAttr:
    """A named location; `file` is the model's source file where it is known."""
    source: Attribute = UnknownLoc() if file is None else FileLineColLoc(StringAttr(file), IntAttr(line), IntAttr(0))
    return NameLoc(StringAttr(name), source)


def _first(loc: Attribute) -> Attribute:
    """Of a fused location, its first part."""
    if isinstance(loc, FusedLoc) and isinstance(loc.locations, ArrayAttr) and loc.locations.data:
        return loc.locations.data[0]
    return loc


def layer_name(op: Operation, default: str = "") -> str:
    """The layer's name, or its SSA name, or `default`."""
    loc = _first(op.location)
    if isinstance(loc, NameLoc):
        return loc.desc.data
    hint = op.results[0].name_hint if op.results else None
    return hint or default


def source_of(op: Operation) -> str:
    """`file:line` of the model's source, or an empty string."""
    loc = _first(op.location)
    if isinstance(loc, NameLoc):
        loc = loc.location
    if isinstance(loc, FileLineColLoc):
        return f"{loc.filename.data}:{loc.line.data}"
    return ""
