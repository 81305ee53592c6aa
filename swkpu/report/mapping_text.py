"""A mapping, as the metadata of a program has it, in a few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def mapping_lines(tiling: Mapping[str, Any]) -> list[str]:
    """A line for what all groups share, and one per group; nothing where a layer has no mapping."""
    if not tiling:
        return []
    loops = f"L2 loops {_sizes(tiling['l2'])}" if tiling["l2"] else "no L2 loops"
    parts: Sequence[Mapping[str, Any]] = tiling["parts"]
    cells = [_part(part, tiling["split"]) for part in parts]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    rows = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True) if w).rstrip() for row in cells]
    return [f"{loops}, result in {tiling['result'].upper()}", *rows]


def mapping_words(tiling: Mapping[str, Any]) -> str:
    """All of it on one line."""
    return "; ".join(" ".join(line.split()) for line in mapping_lines(tiling))


def _part(part: Mapping[str, Any], split: str | None) -> tuple[str, ...]:
    share = part["share"]
    return (
        part["group"],
        f"{split} {share[0]}:{share[1]}" if share is not None and split is not None else "",
        part["dataflow"],
        f"rows {_names(part['rows'])} cols {_names(part['cols'])}" if part["rows"] or part["cols"] else "",
        f"space {_sizes(part['space'])}",
        f"L1 {_sizes(part['l1'])}",
        f"order {' '.join(part['order']) or '–'}",
        f"{part['buffers']} buffers",
    )


def _names(names: Sequence[str]) -> str:
    return "·".join(names) or "–"


def _sizes(sizes: Mapping[str, int]) -> str:
    return " ".join(f"{dim}={n}" for dim, n in sizes.items()) or "–"
