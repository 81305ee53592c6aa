"""The structure of a kpu program: layers of loops, or streams of commands; what every command carries."""

from __future__ import annotations

from abc import ABC
from typing import cast

from xdsl.dialects.builtin import (
    DictionaryAttr,
    IntAttr,
    IntegerAttr,
    StringAttr,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, Region
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import NoTerminator, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from swkpu.dialects.kpu_types import (
    COORDINATES,
    MAX_LOOPS,
    SemaphoresAttr,
)
from swkpu.dialects.nn import IntsAttr


@irdl_op_definition
class ProgramOp(IRDLOperation):
    """A program for one target. `info` holds facts for reports; `semaphores` (scheduled form) the initial counts."""

    name = "kpu.program"

    sym_name = prop_def(StringAttr)
    target = prop_def(StringAttr)
    info = prop_def(DictionaryAttr)
    semaphores = opt_prop_def(IntsAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator(), SymbolOpInterface())
    assembly_format = "$sym_name `target` $target (`semaphores` $semaphores^)? `info` $info $body attr-dict"

    def __init__(self, name: str, target: str, info: dict[str, Attribute], body: Region):
        super().__init__(
            properties={"sym_name": StringAttr(name), "target": StringAttr(target), "info": DictionaryAttr(info)},
            regions=[body],
        )


@irdl_op_definition
class LayerOp(IRDLOperation):
    """One recurrence's commands. In the scheduled form the body is empty and commands name their layer."""

    name = "kpu.layer"

    sym_name = prop_def(StringAttr)
    info = prop_def(DictionaryAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator())

    def __init__(self, name: str, info: dict[str, Attribute], body: Region):
        super().__init__(properties={"sym_name": StringAttr(name), "info": DictionaryAttr(info)}, regions=[body])

    @classmethod
    def parse(cls, parser: Parser) -> LayerOp:
        name = parser.parse_str_literal()
        parser.parse_keyword("info")
        info = parser.parse_optional_attr_dict()
        return LayerOp(name, info, parse_body(parser))

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_string_literal(self.sym_name.data)
        printer.print_string(" info ")
        printer.print_attr_dict(self.info.data)
        printer.print_string(" ")
        print_body(printer, self.body)


def parse_body(parser: Parser) -> Region:
    """A region of one block, which may be empty."""
    region = parser.parse_region()
    if not region.blocks:
        region.add_block(Block())
    return region


def print_body(printer: Printer, region: Region) -> None:
    """A region of one block; an empty one as `{}`."""
    if region.block.is_empty:
        printer.print_string("{\n}")
    else:
        printer.print_region(region)


def parse_schedule(parser: Parser) -> dict[str, Attribute]:
    """The optional `acquire`, `release` and `layer` of a command."""
    out: dict[str, Attribute] = {}
    for key in ("acquire", "release"):
        if parser.parse_optional_keyword(key) is not None:
            out[key] = SemaphoresAttr(SemaphoresAttr.parse_parameter(parser))
    if parser.parse_optional_keyword("layer") is not None:
        out["layer"] = StringAttr(parser.parse_str_literal())
    return out


class CommandOp(IRDLOperation, ABC):
    """What loops and commands carry once they are scheduled."""

    acquire = opt_prop_def(SemaphoresAttr)
    release = opt_prop_def(SemaphoresAttr)
    layer = opt_prop_def(StringAttr)

    traits = traits_def()

    def add_tokens(self, kind: str, semaphore: int, count: int) -> None:
        """Append to `acquire` or `release`, merging counts of one semaphore."""
        current = self.properties.get(kind)
        tokens = dict(cast(SemaphoresAttr, current).data) if current is not None else {}
        tokens[semaphore] = tokens.get(semaphore, 0) + count
        self.properties[kind] = SemaphoresAttr(tuple(sorted(tokens.items())))

    def print_schedule(self, printer: Printer) -> None:
        for key in ("acquire", "release"):
            tokens = self.properties.get(key)
            if tokens is not None:
                printer.print_string(f" {key} ")
                cast(SemaphoresAttr, tokens).print_parameter(printer)
        if self.layer is not None:
            printer.print_string(" layer ")
            printer.print_string_literal(self.layer.data)


def depth_of(op: Operation) -> int:
    """How many loops are open around an op."""
    depth, parent = 0, op.parent_op()
    while parent is not None:
        depth += isinstance(parent, ForOp)
        parent = parent.parent_op()
    return depth


@irdl_op_definition
class ForOp(CommandOp):
    """A loop with a constant trip count. Its counter is named by its depth: `i0` for the outermost loop."""

    name = "kpu.for"

    count = prop_def(IntegerAttr)
    counter = opt_prop_def(IntAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator())

    def __init__(self, count: int, body: Region | None = None):
        super().__init__(
            properties={"count": IntegerAttr(count, i64)}, regions=[body if body is not None else Region(Block())]
        )

    @property
    def trips(self) -> int:
        return self.count.value.data

    @classmethod
    def parse(cls, parser: Parser) -> ForOp:
        name = parser.parse_keyword_in(COORDINATES[:MAX_LOOPS])
        parser.parse_punctuation("=")
        count = parser.parse_integer(allow_negative=False)
        scheduled = parse_schedule(parser)
        op = ForOp(count, parse_body(parser))
        op.properties |= {"counter": IntAttr(COORDINATES.index(name)), **scheduled}
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(f" i{min(depth_of(self), MAX_LOOPS)} = {self.trips}")
        self.print_schedule(printer)
        printer.print_string(" ")
        print_body(printer, self.body)

    def verify_(self) -> None:
        if self.trips < 1:
            raise VerifyException(f"a loop runs at least once, got a trip count of {self.trips}")
        depth = depth_of(self)
        if depth >= MAX_LOOPS:
            raise VerifyException(f"loops nest at most {MAX_LOOPS} deep")
        if self.counter is not None and self.counter.data != depth:
            raise VerifyException(f"the counter of a loop at depth {depth} is i{depth}, got i{self.counter.data}")


@irdl_op_definition
class StreamOp(IRDLOperation):
    """The commands of one engine: `dma_in`, `dma_out`, or `bm_in`, `bm_out`, `fabric` of a tile group."""

    name = "kpu.stream"

    engine = prop_def(StringAttr)
    group = opt_prop_def(StringAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator())

    def __init__(self, engine: str, group: str | None, body: Region):
        super().__init__(
            properties={"engine": StringAttr(engine), "group": None if group is None else StringAttr(group)},
            regions=[body],
        )

    @classmethod
    def parse(cls, parser: Parser) -> StreamOp:
        engine = parser.parse_str_literal()
        group = parser.parse_str_literal() if parser.parse_optional_keyword("group") is not None else None
        return StreamOp(engine, group, parse_body(parser))

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_string_literal(self.engine.data)
        if self.group is not None:
            printer.print_string(" group ")
            printer.print_string_literal(self.group.data)
        printer.print_string(" ")
        print_body(printer, self.body)
