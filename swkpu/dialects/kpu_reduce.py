"""Partial accumulators of several tiles combined into one."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import AffineMapAttr, IntegerAttr, StringAttr, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from swkpu.affine import Linear, linear_map
from swkpu.dialects.kpu_buffers import slot_dims
from swkpu.dialects.kpu_structure import CommandOp, parse_schedule
from swkpu.dialects.kpu_transfers import parse_reference, print_reference, verify_reference
from swkpu.dialects.kpu_types import T0, T1, BufferType, TilesAttr, buffer_type, coordinate_map
from swkpu.dialects.nn import IntsAttr, ints
from swkpu.program.model import Space

COMBINED_BY = ("add", "mul", "max", "min")


@irdl_op_definition
class ReduceOp(CommandOp):
    """Combine the partial accumulators of a reduction that is split over tiles.

    ```mlir
    kpu.reduce add %partial[0, t0, 0] to %sum[0, 0, 0] box [1, 1, 16] receivers 7 tiles int8 [0 : 8 x 32] : ...
    ```
    The tiles of equal `t1` are a group. Each of its first `receivers` tiles combines the box of the source of all the
    group's tiles, in ascending order, into the destination in its own L1. The source's coordinates are the receiver's.
    """

    name = "kpu.reduce"

    src = operand_def(BufferType)
    dst = operand_def(BufferType)
    combiner = prop_def(StringAttr)
    src_start = prop_def(AffineMapAttr)
    dst_start = prop_def(AffineMapAttr)
    box = prop_def(IntsAttr)
    receivers = prop_def(IntegerAttr.constr(type=i64))
    tiles = prop_def(TilesAttr)

    def __init__(
        self,
        combiner: str,
        src: tuple[SSAValue, Sequence[Linear]],
        dst: tuple[SSAValue, Sequence[Linear]],
        box: Sequence[int],
        receivers: int,
        tiles: TilesAttr,
    ):
        super().__init__(
            operands=[src[0], dst[0]],
            properties={
                "combiner": StringAttr(combiner),
                "src_start": AffineMapAttr(coordinate_map(src[1])),
                "dst_start": AffineMapAttr(coordinate_map(dst[1])),
                "box": ints(box),
                "receivers": IntegerAttr(receivers, i64),
                "tiles": tiles,
            },
        )

    @classmethod
    def parse(cls, parser: Parser) -> ReduceOp:
        combiner = parser.parse_keyword_in(COMBINED_BY)
        src, src_map = parse_reference(parser)
        parser.parse_keyword("to")
        dst, dst_map = parse_reference(parser)
        parser.parse_keyword("box")
        box = IntsAttr(IntsAttr.parse_parameter(parser))
        parser.parse_keyword("receivers")
        receivers = parser.parse_integer(allow_negative=False)
        parser.parse_keyword("tiles")
        properties: dict[str, Attribute] = {
            "combiner": StringAttr(combiner),
            "src_start": AffineMapAttr(src_map),
            "dst_start": AffineMapAttr(dst_map),
            "box": box,
            "receivers": IntegerAttr(receivers, i64),
            "tiles": TilesAttr.new(TilesAttr.parse_parameters(parser)),
        }
        scheduled = parse_schedule(parser)
        parser.parse_punctuation(":")
        src_type = parser.parse_type()
        parser.parse_keyword("to")
        operands = [parser.resolve_operand(src, src_type), parser.resolve_operand(dst, parser.parse_type())]
        return cls.create(operands=operands, properties=properties | scheduled)

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.combiner.data} ")
        print_reference(printer, self.src, self.src_start.data)
        printer.print_string(" to ")
        print_reference(printer, self.dst, self.dst_start.data)
        printer.print_string(" box ")
        self.box.print_parameter(printer)
        printer.print_string(f" receivers {self.receivers.value.data} tiles")
        self.tiles.print_parameters(printer)
        self.print_schedule(printer)
        printer.print_string(" : ")
        printer.print_attribute(self.src.type)
        printer.print_string(" to ")
        printer.print_attribute(self.dst.type)

    def verify_(self) -> None:
        src, dst = buffer_type(self.src), buffer_type(self.dst)
        if src.memory is not Space.L1 or dst.memory is not Space.L1:
            raise VerifyException(f"kpu.reduce works on l1 buffers, got {src} to {dst}")
        if src.element != dst.element:
            raise VerifyException(f"kpu.reduce does not convert: {src.element} to {dst.element}")
        verify_reference(self, self.src, self.src_start.data, "the source")
        verify_reference(self, self.dst, self.dst_start.data, "the destination")
        if any(e.coef(T0) or e.coef(T1) for e in linear_map(self.dst_start.data)):
            raise VerifyException("the destination is at one place in the L1 of every receiver, whatever its tile")
        rank = len(self.box.data)
        for value, what in ((self.src, "source"), (self.dst, "destination")):
            if len(buffer_type(value).extents) - slot_dims(value) != rank:
                raise VerifyException(f"a box of {rank} dims does not fit the {what} {value.type}")
        if any(b < 1 for b in self.box.data):
            raise VerifyException(f"a box has at least one element per dim, got {list(self.box.data)}")
        members = self.tiles.range.data[1]
        if not 1 <= self.receivers.value.data <= members:
            raise VerifyException(f"{self.receivers.value.data} receivers in groups of {members} tiles")
