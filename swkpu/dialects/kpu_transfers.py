"""Block transfers of a kpu program."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Any, ClassVar

from xdsl.dialects.builtin import (
    AffineMapAttr,
    FloatAttr,
    f64,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from swkpu.affine import Linear, format_map, linear, parse_map
from swkpu.dialects.df_base import parse_pad, print_pad
from swkpu.dialects.kpu_buffers import slot_dims
from swkpu.dialects.kpu_structure import CommandOp, depth_of, parse_schedule
from swkpu.dialects.kpu_types import (
    COORDINATES,
    MAX_LOOPS,
    BufferType,
    TilesAttr,
    buffer_type,
    coordinate_map,
)
from swkpu.dialects.nn import IntsAttr, ints
from swkpu.program.model import Space


def parse_reference(parser: Parser) -> tuple[Any, AffineMap]:
    operand = parser.parse_unresolved_operand()
    return operand, parse_map(parser, COORDINATES)


def print_reference(printer: Printer, value: SSAValue, map: AffineMap) -> None:
    printer.print_ssa_value(value)
    printer.print_string(format_map(map, COORDINATES))


def verify_reference(op: Operation, value: SSAValue, map: AffineMap, what: str) -> None:
    extents = buffer_type(value).extents
    if map.num_dims != len(COORDINATES) or len(map.results) != len(extents):
        raise VerifyException(f"{what} has {len(map.results)} coordinates for {buffer_type(value)}")
    depth = depth_of(op)
    for expr in map.results:
        lin = linear(expr)
        if lin is None:
            raise VerifyException(f"coordinate {expr} of {what} is not linear")
        for d, _ in lin.terms:
            if depth <= d < MAX_LOOPS:
                raise VerifyException(f"{what} uses i{d}, but only {depth} loops are open here")


class TransferOp(CommandOp, ABC):
    """Move a box between two buffers.

    `box` gives the box's size per dim; box dim k walks the source's dim `src_axes[k]` in steps of `steps[k]`, and
    the destination's dim k (both counted without slot dims). `within` narrows the destination: writes at or beyond
    these coordinates are dropped. Reads outside the source give `pad`.
    """

    SPACES: ClassVar[tuple[Space, Space]]
    TILED: ClassVar[bool] = False

    src = operand_def(BufferType)
    dst = operand_def(BufferType)
    src_start = prop_def(AffineMapAttr)
    dst_start = prop_def(AffineMapAttr)
    box = prop_def(IntsAttr)
    src_axes = opt_prop_def(IntsAttr)
    steps = opt_prop_def(IntsAttr)
    within = opt_prop_def(IntsAttr)
    pad = opt_prop_def(FloatAttr)
    tiles = opt_prop_def(TilesAttr)

    def __init__(
        self,
        src: SSAValue,
        src_start: Sequence[Linear],
        dst: SSAValue,
        dst_start: Sequence[Linear],
        box: Sequence[int],
        *,
        src_axes: Sequence[int] | None = None,
        steps: Sequence[int] | None = None,
        within: Sequence[int] | None = None,
        pad: float = 0.0,
        tiles: TilesAttr | None = None,
    ):
        super().__init__(
            operands=[src, dst],
            properties={
                "src_start": AffineMapAttr(coordinate_map(src_start)),
                "dst_start": AffineMapAttr(coordinate_map(dst_start)),
                "box": ints(box),
                "src_axes": None if src_axes is None else ints(src_axes),
                "steps": None if steps is None or all(s == 1 for s in steps) else ints(steps),
                "within": None if within is None else ints(within),
                "pad": FloatAttr(pad, f64) if pad else None,
                "tiles": tiles,
            },
        )

    @property
    def pad_value(self) -> float:
        return 0.0 if self.pad is None else self.pad.value.data

    @classmethod
    def parse(cls, parser: Parser) -> TransferOp:
        src, src_map = parse_reference(parser)
        parser.parse_keyword("to")
        dst, dst_map = parse_reference(parser)
        parser.parse_keyword("box")
        properties: dict[str, Attribute] = {
            "src_start": AffineMapAttr(src_map),
            "dst_start": AffineMapAttr(dst_map),
            "box": IntsAttr(IntsAttr.parse_parameter(parser)),
        }
        for keyword, name in (("axes", "src_axes"), ("steps", "steps"), ("within", "within")):
            if parser.parse_optional_keyword(keyword) is not None:
                properties[name] = IntsAttr(IntsAttr.parse_parameter(parser))
        if pad := parse_pad(parser):
            properties["pad"] = FloatAttr(pad, f64)
        if parser.parse_optional_keyword("tiles") is not None:
            properties["tiles"] = TilesAttr.new(TilesAttr.parse_parameters(parser))
        scheduled = parse_schedule(parser)
        parser.parse_punctuation(":")
        src_type = parser.parse_type()
        parser.parse_keyword("to")
        operands = [parser.resolve_operand(src, src_type), parser.resolve_operand(dst, parser.parse_type())]
        return cls.create(operands=operands, properties=properties | scheduled)

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_reference(printer, self.src, self.src_start.data)
        printer.print_string(" to ")
        print_reference(printer, self.dst, self.dst_start.data)
        for keyword, value in (
            ("box", self.box),
            ("axes", self.src_axes),
            ("steps", self.steps),
            ("within", self.within),
        ):
            if value is not None:
                printer.print_string(f" {keyword} ")
                value.print_parameter(printer)
        print_pad(printer, self.pad_value)
        if self.tiles is not None:
            printer.print_string(" tiles")
            self.tiles.print_parameters(printer)
        self.print_schedule(printer)
        printer.print_string(" : ")
        printer.print_attribute(self.src.type)
        printer.print_string(" to ")
        printer.print_attribute(self.dst.type)

    def verify_(self) -> None:
        src, dst = buffer_type(self.src), buffer_type(self.dst)
        if (src.memory, dst.memory) != self.SPACES:
            expected = " to ".join(s.name.lower() for s in self.SPACES)
            raise VerifyException(f"{self.name} moves {expected}, got {src} to {dst}")
        if src.element != dst.element:
            raise VerifyException(f"{self.name} does not convert: {src.element} to {dst.element}")
        if (self.tiles is not None) != self.TILED:
            raise VerifyException(f"{self.name} {'needs' if self.TILED else 'takes no'} tiles")
        verify_reference(self, self.src, self.src_start.data, "the source")
        verify_reference(self, self.dst, self.dst_start.data, "the destination")
        rank = len(self.box.data)
        slots = [slot_dims(v) for v in (self.src, self.dst)]
        for what, type_, lead in (("source", src, slots[0]), ("destination", dst, slots[1])):
            if len(type_.extents) - lead != rank:
                raise VerifyException(f"a box of {rank} dims does not fit the {what} {type_}")
        if self.src_axes is not None and sorted(self.src_axes.data) != list(range(rank)):
            raise VerifyException(f"axes {list(self.src_axes.data)} is not a permutation of {rank} dims")
        if any(b < 1 for b in self.box.data):
            raise VerifyException(f"a box has at least one element per dim, got {list(self.box.data)}")


@irdl_op_definition
class LoadOp(TransferOp):
    """DRAM to L2."""

    name = "kpu.load"
    SPACES: ClassVar[tuple[Space, Space]] = (Space.DRAM, Space.L2)


@irdl_op_definition
class StoreOp(TransferOp):
    """L2 to DRAM."""

    name = "kpu.store"
    SPACES: ClassVar[tuple[Space, Space]] = (Space.L2, Space.DRAM)


@irdl_op_definition
class PushOp(TransferOp):
    """L2 to the L1 of a range of tiles."""

    name = "kpu.push"
    SPACES: ClassVar[tuple[Space, Space]] = (Space.L2, Space.L1)
    TILED: ClassVar[bool] = True


@irdl_op_definition
class PullOp(TransferOp):
    """The L1 of a range of tiles to L2."""

    name = "kpu.pull"
    SPACES: ClassVar[tuple[Space, Space]] = (Space.L1, Space.L2)
    TILED: ClassVar[bool] = True
