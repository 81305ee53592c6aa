"""Transfers whose source coordinates come from run-time indices."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import AffineMapAttr, FloatAttr, IntegerAttr, f64, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from swkpu.affine import Linear
from swkpu.dialects.df_base import parse_pad, print_pad
from swkpu.dialects.kpu_buffers import slot_dims
from swkpu.dialects.kpu_structure import CommandOp, parse_schedule
from swkpu.dialects.kpu_transfers import parse_reference, print_reference, verify_reference
from swkpu.dialects.kpu_types import BufferType, buffer_type, coordinate_map
from swkpu.dialects.nn import IntsAttr, ints
from swkpu.program.model import Space
from swkpu.types import i32


@irdl_op_definition
class GatherOp(CommandOp):
    """Elements that run-time indices choose, from DRAM or L2 to L2.

    ```mlir
    kpu.gather %table[0, 0, 0] dim 0 by %ids[0, 0] to %y[0, 0] box [9, 768] : ...
    ```
    The box walks the dims of the indices, of the destination, and of the source without dim `dim`, each in order. The
    coordinate along `dim` is the start's plus the index; outside the extent it is an error at run time. What does
    not depend on a dim of the box is viewed with a stride of 0 (`kpu.view`). Reads outside the source's other dims,
    and where the index is outside its buffer, give `pad`.
    """

    name = "kpu.gather"

    src = operand_def(BufferType)
    index = operand_def(BufferType)
    dst = operand_def(BufferType)
    src_start = prop_def(AffineMapAttr)
    index_start = prop_def(AffineMapAttr)
    dst_start = prop_def(AffineMapAttr)
    dim = prop_def(IntegerAttr.constr(type=i64))
    box = prop_def(IntsAttr)
    pad = opt_prop_def(FloatAttr)

    def __init__(
        self,
        src: tuple[SSAValue, Sequence[Linear]],
        dim: int,
        index: tuple[SSAValue, Sequence[Linear]],
        dst: tuple[SSAValue, Sequence[Linear]],
        box: Sequence[int],
        pad: float = 0.0,
    ):
        super().__init__(
            operands=[src[0], index[0], dst[0]],
            properties={
                "src_start": AffineMapAttr(coordinate_map(src[1])),
                "index_start": AffineMapAttr(coordinate_map(index[1])),
                "dst_start": AffineMapAttr(coordinate_map(dst[1])),
                "dim": IntegerAttr(dim, i64),
                "box": ints(box),
                "pad": FloatAttr(pad, f64) if pad else None,
            },
        )

    @property
    def indexed_dim(self) -> int:
        """The source dim that the indices count along, without slot dims."""
        return self.dim.value.data

    @property
    def walked_dims(self) -> tuple[int, ...]:
        """The source dim that each box dim walks, without slot dims."""
        return tuple(d for d in range(len(self.box.data) + 1) if d != self.indexed_dim)

    @property
    def pad_value(self) -> float:
        return 0.0 if self.pad is None else self.pad.value.data

    @classmethod
    def parse(cls, parser: Parser) -> GatherOp:
        src, src_map = parse_reference(parser)
        parser.parse_keyword("dim")
        dim = parser.parse_integer(allow_negative=False)
        parser.parse_keyword("by")
        index, index_map = parse_reference(parser)
        parser.parse_keyword("to")
        dst, dst_map = parse_reference(parser)
        parser.parse_keyword("box")
        properties: dict[str, Attribute] = {
            "src_start": AffineMapAttr(src_map),
            "index_start": AffineMapAttr(index_map),
            "dst_start": AffineMapAttr(dst_map),
            "dim": IntegerAttr(dim, i64),
            "box": IntsAttr(IntsAttr.parse_parameter(parser)),
        }
        if pad := parse_pad(parser):
            properties["pad"] = FloatAttr(pad, f64)
        scheduled = parse_schedule(parser)
        parser.parse_punctuation(":")
        src_type = parser.parse_type()
        parser.parse_punctuation(",")
        index_type = parser.parse_type()
        parser.parse_keyword("to")
        types = (src_type, index_type, parser.parse_type())
        operands = [parser.resolve_operand(v, t) for v, t in zip((src, index, dst), types)]
        return cls.create(operands=operands, properties=properties | scheduled)

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_reference(printer, self.src, self.src_start.data)
        printer.print_string(f" dim {self.indexed_dim} by ")
        print_reference(printer, self.index, self.index_start.data)
        printer.print_string(" to ")
        print_reference(printer, self.dst, self.dst_start.data)
        printer.print_string(" box ")
        self.box.print_parameter(printer)
        print_pad(printer, self.pad_value)
        self.print_schedule(printer)
        printer.print_string(" : ")
        printer.print_list((self.src.type, self.index.type), printer.print_attribute)
        printer.print_string(" to ")
        printer.print_attribute(self.dst.type)

    def verify_(self) -> None:
        src, index, dst = (buffer_type(v) for v in self.operands)
        if src.memory is Space.L1 or index.memory is Space.L1 or dst.memory is not Space.L2:
            raise VerifyException(f"kpu.gather moves dram or l2 to l2, got {src} by {index} to {dst}")
        if src.element != dst.element:
            raise VerifyException(f"kpu.gather does not convert: {src.element} to {dst.element}")
        if index.element != i32:
            raise VerifyException(f"kpu.gather takes indices of i32, got {index}")
        verify_reference(self, self.src, self.src_start.data, "the source")
        verify_reference(self, self.index, self.index_start.data, "the index")
        verify_reference(self, self.dst, self.dst_start.data, "the destination")
        rank = len(self.box.data)
        for value, what, expected in (
            (self.src, "source", rank + 1),
            (self.index, "index", rank),
            (self.dst, "destination", rank),
        ):
            if len(buffer_type(value).extents) - slot_dims(value) != expected:
                raise VerifyException(f"a box of {rank} dims does not fit the {what} {value.type}")
        if not 0 <= self.indexed_dim <= rank:
            raise VerifyException(f"dim {self.indexed_dim} is none of the source {src}")
        if any(b < 1 for b in self.box.data):
            raise VerifyException(f"a box has at least one element per dim, got {list(self.box.data)}")
