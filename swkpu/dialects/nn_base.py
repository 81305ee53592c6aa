"""What all nn ops share: their base class, lists of integers, shapes of windows and broadcasts."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from enum import Flag
from typing import Any, cast

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    TensorType,
    f32,
)
from xdsl.ir import Attribute, Data, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_attr_definition,
    traits_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from swkpu.types import i1, i4, i8, i32, i64, is_float, storage_of

Tensor = TensorType[Any]


@irdl_attr_definition
class IntsAttr(Data[tuple[int, ...]]):
    """A short list of integers, written `[3, 3]`."""

    name = "nn.ints"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[int, ...]:
        return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer))

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_square_brackets():
            printer.print_list(self.data, printer.print_int)


def ints(values: Sequence[int]) -> IntsAttr:
    return IntsAttr(tuple(values))


def type_of(value: SSAValue) -> Tensor:
    """The tensor type of a value that a verifier has checked."""
    return cast(Tensor, value.type)


def shape_of(value: SSAValue) -> tuple[int, ...]:
    return type_of(value).get_shape()


class NNOp(IRDLOperation, ABC):
    """Base of the dialect: one result, no side effects, a result type that the operands and attributes imply."""

    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)

    def infer(self) -> Tensor:
        """The result type that operands and attributes imply. Raises VerifyException where they do not fit."""
        raise NotImplementedError

    def verify_(self) -> None:
        for value in (*self.operands, *self.results):
            if not isinstance(value.type, TensorType) or DYNAMIC_INDEX in value.type.get_shape():
                raise VerifyException(f"expected tensors of static shape, got {value.type}")
        expected = self.infer()
        if self.results[0].type != expected:
            raise VerifyException(f"the operands imply a result of type {expected}, got {self.results[0].type}")


def misfit(message: str) -> VerifyException:
    return VerifyException(message)


class Kind(Flag):
    """Kinds of element types, for what an op accepts."""

    FLOAT = 1
    INTEGER = 2
    BOOL = 4
    NUMBER = FLOAT | INTEGER
    BITS = INTEGER | BOOL
    ANY = NUMBER | BOOL


def kind_of(element: Attribute) -> Kind:
    if is_float(element):
        return Kind.FLOAT
    return Kind.BOOL if element == i1 else Kind.INTEGER


_KINDS = {Kind.FLOAT: "floats", Kind.INTEGER: "integers", Kind.BOOL: "i1"}


def check_kind(op: IRDLOperation, type: Tensor, accepted: Kind) -> None:
    """Raise VerifyException unless the op accepts such elements."""
    if kind_of(type.element_type) not in accepted:
        raise misfit(f"{op.name} takes {' or '.join(_KINDS[k] for k in accepted)}, got {type}")


def same_elements(a: Tensor, b: Tensor) -> None:
    """Raise VerifyException unless a contraction multiplies such elements: of one type, or i8 with weights of i4."""
    stored = storage_of(a.element_type), storage_of(b.element_type)
    if stored[0] != stored[1] and stored != (i8, i4):
        raise misfit(f"input and weight differ in element type: {a.element_type} and {b.element_type}")


def check_dim(dim: int, type: Tensor) -> None:
    """Raise VerifyException unless the tensor has the dim, counted from the front."""
    if not 0 <= dim < len(type.get_shape()):
        raise misfit(f"dim must be within a tensor of rank {len(type.get_shape())}, got {dim}")


def accumulator(element: Attribute) -> Attribute:
    """The type in which values stored as `element` are summed: f32 for floats, i32 or i64 for integers."""
    if is_float(element):
        return f32
    return i64 if element == i64 else i32


def broadcast(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    """The shape that PyTorch's broadcasting gives. Raises VerifyException where there is none."""
    rank = max(len(a), len(b))
    left, right = (1,) * (rank - len(a)) + tuple(a), (1,) * (rank - len(b)) + tuple(b)
    out: list[int] = []
    for x, y in zip(left, right):
        if x != y and 1 not in (x, y):
            raise misfit(f"shapes {tuple(a)} and {tuple(b)} do not broadcast: {x} against {y}")
        out.append(y if x == 1 else x)
    return tuple(out)


def window_extent(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int, ceil: bool = False
) -> int:
    """How many windows fit: floor or ceil of (size + padding - dilation * (kernel - 1) - 1) / stride, plus one.

    With `ceil`, a window that would start in the padding after the input is dropped, as PyTorch does.
    """
    room = size + before + after - dilation * (kernel - 1) - 1
    count = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (count - 1) * stride >= size + before:
        count -= 1
    return count


def window_extents(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil: bool = False,
) -> tuple[int, ...]:
    """`window_extent` of each spatial dim; `padding` is before and after, dim by dim."""
    return tuple(
        window_extent(size, k, s, before, after, d, ceil)
        for size, k, s, before, after, d in zip(sizes, kernel, stride, padding[::2], padding[1::2], dilation)
    )


_NUMBERS = {1: "one", 2: "two", 3: "three"}
_SIDES = ("front", "back", "top", "bottom", "left", "right")


def check_window(rank: int, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]) -> None:
    """Raise VerifyException where the attributes of a window over `rank` spatial dims do not fit."""
    if len(stride) != rank or min(stride) < 1:
        raise misfit(f"stride must be {_NUMBERS[rank]} positive integers, got {list(stride)}")
    if len(padding) != 2 * rank or min(padding) < 0:
        sides = ", ".join(_SIDES[-2 * rank :])
        raise misfit(f"padding must be [{sides}], not negative, got {list(padding)}")
    if len(dilation) != rank or min(dilation) < 1:
        raise misfit(f"dilation must be {_NUMBERS[rank]} positive integers, got {list(dilation)}")


def times(values: Sequence[int]) -> str:
    """A size in words: "3x3"."""
    return "x".join(map(str, values))
