"""`#df.mapping`: how a recurrence is laid out in space and time. People can read it, write it by hand, and test its
choice (`df-choose-mapping`) and its application (`convert-df-to-kpu`) apart.

```mlir
#df.mapping<
  l2 = {oc = 128}, result = l2, split = oh,
  parts = [<bf16, share = [0, 18], space = {oh = 6, oc = 2}, l1 = {oh = 3, oc = 64}, order = [oc, oh],
            rows = [oh, ow], cols = [oc], os, buffers = 2>]>
```

`l2` gives the tile sizes of the loops that bring DRAM operands through L2, outermost first (reduction dims last, cut
exactly: then each tile has one block of results, and its accumulators wait in L1); a dim that is not named is not
tiled. Inside an L2 tile each part takes its share of dim `split` on the tiles of one group: `space` says how many
tiles a dim is spread over (at most two dims), `l1` the sizes of the pieces that one `exec` handles, `order` the loop
order over them, outermost first.

One of the dims in `space` may be reduced: the tiles along it hold partial accumulators of the same results, which are
then combined. `finish = {oh = 1}` says that each of them combines and finishes a slice of one point of `oh` of every
piece; without it the first tile of each group finishes all.

`result = l1` leaves the result in L1 of the tiles that made it, for other members of its group to read there
(`swkpu/mapping/groups.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from xdsl.ir import Data
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer

from swkpu.program.model import Dataflow

Sizes = tuple[tuple[str, int], ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """One tile group's share of a recurrence. `share` is a range of the split dim within an L2 tile."""

    group: str
    space: Sizes
    l1: Sizes
    order: tuple[str, ...]
    rows: tuple[str, ...]
    cols: tuple[str, ...]
    dataflow: Dataflow = Dataflow.OS
    buffers: int = 2
    share: tuple[int, int] | None = None
    finish: Sizes = ()

    @property
    def tiles(self) -> int:
        out = 1
        for _, n in self.space:
            out *= n
        return out


@dataclass(frozen=True)
class Mapping:
    """A mapping; see the module's text. `result` is the memory the result stays in: "l1", "l2" or "dram"; `cycles` the
    estimate (of a whole group at its last member).
    """

    parts: tuple[Part, ...]
    l2: Sizes = ()
    split: str | None = None
    result: str = "l2"
    stream_buffers: int = 2
    cycles: int | None = None


@irdl_attr_definition
class MappingAttr(Data[Mapping]):
    name = "df.mapping"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Mapping:
        fields: dict[str, object] = {}
        with parser.in_angle_brackets():
            while True:
                pos = parser.pos
                key = parser.parse_identifier(" (l2, stream_buffers, result, split, cycles or parts)")
                parser.parse_punctuation("=")
                match key:
                    case "l2":
                        fields[key] = _parse_sizes(parser)
                    case "split":
                        fields[key] = parser.parse_identifier()
                    case "result":
                        fields[key] = parser.parse_keyword_in(("l1", "l2", "dram"))
                    case "stream_buffers" | "cycles":
                        fields[key] = parser.parse_integer(allow_negative=False)
                    case "parts":
                        fields[key] = _parse_tuple(parser, lambda: _parse_part(parser))
                    case _:
                        parser.raise_error(f"unknown field '{key}' of #df.mapping", pos, parser.pos)
                if parser.parse_optional_punctuation(",") is None:
                    break
        if not fields.get("parts"):
            parser.raise_error("#df.mapping needs at least one part")
        return Mapping(**fields)  # pyright: ignore[reportArgumentType]

    def print_parameter(self, printer: Printer) -> None:
        m = self.data
        out: list[str] = []
        if m.l2:
            out.append(f"l2 = {_sizes(m.l2)}")
        if m.stream_buffers != 2:
            out.append(f"stream_buffers = {m.stream_buffers}")
        out.append(f"result = {m.result}")
        if m.split is not None:
            out.append(f"split = {m.split}")
        if m.cycles is not None:
            out.append(f"cycles = {m.cycles}")
        out.append(f"parts = [{', '.join(_part(p) for p in m.parts)}]")
        printer.print_string("<" + ", ".join(out) + ">")


def _sizes(sizes: Sizes) -> str:
    return "{" + ", ".join(f"{d} = {n}" for d, n in sizes) + "}"


def _names(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(names) + "]"


def _part(p: Part) -> str:
    out = [p.group]
    if p.share is not None:
        out.append(f"share = [{p.share[0]}, {p.share[1]}]")
    out += [f"space = {_sizes(p.space)}"] + ([f"finish = {_sizes(p.finish)}"] if p.finish else [])
    out += [f"l1 = {_sizes(p.l1)}", f"order = {_names(p.order)}"]
    out += [f"rows = {_names(p.rows)}", f"cols = {_names(p.cols)}", p.dataflow.name.lower(), f"buffers = {p.buffers}"]
    return "<" + ", ".join(out) + ">"


def _parse_tuple(parser: AttrParser, element: Callable[[], T]) -> tuple[T, ...]:
    return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, element))


def _parse_sizes(parser: AttrParser) -> Sizes:
    def one() -> tuple[str, int]:
        dim = parser.parse_identifier()
        parser.parse_punctuation("=")
        pos = parser.pos
        size = parser.parse_integer(allow_negative=False)
        if size < 1:
            parser.raise_error("a size must be at least 1", pos, parser.pos)
        return dim, size

    return tuple(parser.parse_comma_separated_list(parser.Delimiter.BRACES, one))


def _parse_part(parser: AttrParser) -> Part:
    fields: dict[str, object] = {}
    with parser.in_angle_brackets():
        fields["group"] = parser.parse_identifier(" (the kind of a tile group)")
        while parser.parse_optional_punctuation(",") is not None:
            pos = parser.pos
            key = parser.parse_identifier()
            if key in ("os", "ws", "is", "vector"):
                fields["dataflow"] = Dataflow[key.upper()]
                continue
            parser.parse_punctuation("=")
            match key:
                case "share":
                    share = _parse_tuple(parser, parser.parse_integer)
                    if len(share) != 2:
                        parser.raise_error("a share is a range [first, one past the last]", pos, parser.pos)
                    fields[key] = share
                case "space" | "l1" | "finish":
                    fields[key] = _parse_sizes(parser)
                case "order" | "rows" | "cols":
                    fields[key] = _parse_tuple(parser, parser.parse_identifier)
                case "buffers":
                    fields[key] = parser.parse_integer(allow_negative=False)
                case _:
                    parser.raise_error(f"unknown field '{key}' of a mapping's part", pos, parser.pos)
    for key in ("space", "l1", "order", "rows", "cols"):
        fields.setdefault(key, ())
    return Part(**fields)  # pyright: ignore[reportArgumentType]
