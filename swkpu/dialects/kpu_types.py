"""Types and attributes of the kpu dialect, and the variables that its coordinates are affine in."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

from xdsl.dialects.builtin import (
    StringAttr,
)
from xdsl.ir import Attribute, Data, ParametrizedAttribute, SSAValue, TypeAttribute
from xdsl.ir.affine import AffineMap
from xdsl.irdl import (
    irdl_attr_definition,
    param_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer

from swkpu.affine import Linear, map_of
from swkpu.dialects.nn import IntsAttr, ints
from swkpu.program.model import Space
from swkpu.types import dtype_of

MAX_LOOPS = 6
T0, T1 = MAX_LOOPS, MAX_LOOPS + 1
COORDINATES = (*(f"i{k}" for k in range(MAX_LOOPS)), "t0", "t1")
"""The names coordinates are affine in; a coordinate map has one dim for each."""


def coordinate_map(exprs: Sequence[Linear]) -> AffineMap:
    return map_of(len(COORDINATES), exprs)


# ---- attributes and types ------------------------------------------------------------------------------------------


@irdl_attr_definition
class BufferType(ParametrizedAttribute, TypeAttribute):
    """An N-D block of memory: `!kpu.buffer<1x56x56x64xbf16, l2>`. Row-major; an L1 buffer exists in every tile of its
    group.
    """

    name = "kpu.buffer"

    shape: IntsAttr = param_def()
    element: Attribute = param_def()
    space: StringAttr = param_def()

    @staticmethod
    def of(shape: Sequence[int], element: Attribute, space: Space) -> BufferType:
        return BufferType(ints(shape), element, StringAttr(space.name.lower()))

    @property
    def extents(self) -> tuple[int, ...]:
        return self.shape.data

    @property
    def memory(self) -> Space:
        return Space[self.space.data.upper()]

    @property
    def bits(self) -> int:
        return prod(self.extents) * dtype_of(self.element).bits

    @property
    def bytes(self) -> int:
        return dtype_of(self.element).bytes_of(prod(self.extents))

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            shape, element = parser.parse_ranked_shape()
            parser.parse_punctuation(",")
            space = parser.parse_keyword_in(("dram", "l2", "l1"))
        return [ints(shape), element, StringAttr(space)]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string("".join(f"{n}x" for n in self.extents))
            printer.print_attribute(self.element)
            printer.print_string(f", {self.space.data}")


@irdl_attr_definition
class TilesAttr(ParametrizedAttribute):
    """A range of tiles of one group: `int8 [0 : 6 x 2]` is tiles 0 + t0 * 2 + t1."""

    name = "kpu.tiles"

    group: StringAttr = param_def()
    range: IntsAttr = param_def()

    @staticmethod
    def of(group: str, first: int, n0: int, n1: int) -> TilesAttr:
        return TilesAttr(StringAttr(group), ints([first, n0, n1]))

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        group = parser.parse_identifier(" (the kind of a tile group)")
        with parser.in_square_brackets():
            first = parser.parse_integer(allow_negative=False)
            parser.parse_punctuation(":")
            n0 = parser.parse_integer(allow_negative=False)
            parser.parse_keyword("x")
            n1 = parser.parse_integer(allow_negative=False)
        return [StringAttr(group), ints([first, n0, n1])]

    def print_parameters(self, printer: Printer) -> None:
        first, n0, n1 = self.range.data
        printer.print_string(f" {self.group.data} [{first} : {n0} x {n1}]")


Tokens = tuple[tuple[int, int], ...]


@irdl_attr_definition
class SemaphoresAttr(Data[Tokens]):
    """(semaphore, count) pairs: `[3 * 1, 4 * 6]`."""

    name = "kpu.semaphores"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Tokens:
        def one() -> tuple[int, int]:
            semaphore = parser.parse_integer(allow_negative=False)
            parser.parse_punctuation("*")
            return semaphore, parser.parse_integer(allow_negative=False)

        return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, one))

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string("[" + ", ".join(f"{s} * {n}" for s, n in self.data) + "]")


def buffer_type(value: SSAValue) -> BufferType:
    return cast(BufferType, value.type)


GRANULE = 16


def aligned(size: int) -> int:
    """Round up to whole granules, the unit of the simulator's writer tags."""
    return -(-size // GRANULE) * GRANULE
