"""df ops that hold or move data and compute nothing: constants, copies, gathers, reshapes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from xdsl.dialects.builtin import AffineMapAttr, FloatAttr, IntegerAttr, TensorType, f64, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from swkpu.affine import parse_map, print_map
from swkpu.dialects.df_base import (
    Domain,
    DomainAttr,
    Write,
    parse_domain,
    parse_pad,
    print_pad,
    verify_read,
    verify_write,
    write_of,
)
from swkpu.dialects.nn import IntsAttr, ints, shape_of, type_of
from swkpu.dialects.weights import WeightAttr
from swkpu.types import dtype_of, numpy_dtype


def stored_array(value: WeightAttr, permuted: IntsAttr | None, shape: tuple[int, ...], element: Attribute) -> Any:
    """A constant in its declared dim order (a view). Raises IRError where the weight is not what was declared."""
    dtype = numpy_dtype(dtype_of(element))
    if permuted is None:
        return value.array_for(shape, dtype)
    order = permuted.data
    stored = tuple(shape[order.index(d)] for d in range(len(shape)))
    return value.array_for(stored, dtype).transpose(order)


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A constant tensor. With `permuted`, dim i is dim `permuted[i]` of the stored tensor: emission packs it once."""

    name = "df.constant"

    value = prop_def(WeightAttr)
    permuted = opt_prop_def(IntsAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())
    assembly_format = "qualified($value) (`permuted` $permuted^)? attr-dict `:` type($result)"

    def __init__(self, value: WeightAttr, type: Attribute, permuted: Sequence[int] | None = None):
        super().__init__(
            properties={"value": value, "permuted": None if permuted is None else ints(permuted)}, result_types=[type]
        )

    def array(self) -> Any:
        """The tensor as a numpy array in the result's dim order (a view)."""
        return stored_array(self.value, self.permuted, shape_of(self.result), type_of(self.result).element_type)

    def verify_(self) -> None:
        if self.permuted is not None and sorted(self.permuted.data) != list(range(len(shape_of(self.result)))):
            raise VerifyException(f"{list(self.permuted.data)} is not a permutation of the dims of {self.result.type}")


@irdl_op_definition
class EmptyOp(IRDLOperation):
    """A tensor nothing has been written to: where a chain of writes into a destination begins."""

    name = "df.empty"

    result = result_def(TensorType)

    traits = traits_def(Pure())
    assembly_format = "attr-dict `:` type($result)"

    def __init__(self, type: Attribute):
        super().__init__(result_types=[type])


@irdl_op_definition
class CopyOp(IRDLOperation):
    """Data movement: for every point of the domain, the input's element at the access map's coordinates, or the pad
    value outside it. The result has the domain's shape; with a destination, elements go where the write map says.

    ```mlir
    %t = df.copy (a = 4, b = 3) %x[b, a] : tensor<3x4xf32>
    %c = df.copy (a = 4, b = 3) %x[a, b] into %d[a, b + 5] : tensor<4x3xf32> into tensor<4x8xf32>
    ```
    """

    name = "df.copy"

    input = operand_def(TensorType)
    destination = opt_operand_def(TensorType)
    domain_attr = prop_def(DomainAttr, prop_name="domain")
    map = prop_def(AffineMapAttr)
    write_map = opt_prop_def(AffineMapAttr)
    pad = opt_prop_def(FloatAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    def __init__(
        self,
        input: SSAValue,
        domain: Domain,
        map: AffineMap,
        pad: float = 0.0,
        into: tuple[SSAValue, AffineMap] | None = None,
    ):
        type = TensorType(type_of(input).element_type, domain.extents) if into is None else into[0].type
        super().__init__(
            operands=[input, None if into is None else into[0]],
            properties={
                "domain": DomainAttr(domain),
                "map": AffineMapAttr(map),
                "write_map": None if into is None else AffineMapAttr(into[1]),
                "pad": FloatAttr(pad, f64) if pad else None,
            },
            result_types=[type],
        )

    @property
    def domain(self) -> Domain:
        return self.domain_attr.data

    @property
    def pad_value(self) -> float:
        return 0.0 if self.pad is None else self.pad.value.data

    @property
    def result_map(self) -> AffineMap:
        """Where each point is written: the identity without a destination."""
        return AffineMap.identity(self.domain.rank) if self.write_map is None else self.write_map.data

    @property
    def write(self) -> Write:
        write = write_of(self.result_map, self.domain.extents, self.domain.rank)
        assert write is not None
        return write

    @classmethod
    def parse(cls, parser: Parser) -> CopyOp:
        domain = parse_domain(parser)
        operand = parser.parse_unresolved_operand()
        map = parse_map(parser, domain.names)
        pad = parse_pad(parser)
        into: tuple[Any, AffineMap] | None = None
        if parser.parse_optional_keyword("into") is not None:
            into = (parser.parse_unresolved_operand(), parse_map(parser, domain.names))
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        value = parser.resolve_operand(operand, parser.parse_type())
        if into is not None:
            parser.parse_keyword("into")
            into = (parser.resolve_operand(into[0], parser.parse_type()), into[1])
        op = CopyOp(value, domain, map, pad, into)
        op.attributes |= attributes
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.domain} ")
        printer.print_ssa_value(self.input)
        print_map(printer, self.map.data, self.domain.names)
        print_pad(printer, self.pad_value)
        if self.destination is not None:
            printer.print_string(" into ")
            printer.print_ssa_value(self.destination)
            print_map(printer, self.result_map, self.domain.names)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.input.type)
        if self.destination is not None:
            printer.print_string(" into ")
            printer.print_attribute(self.result.type)

    def verify_(self) -> None:
        domain = self.domain
        if domain.parallel != domain.rank:
            raise VerifyException("a copy has no reduction dims")
        if (self.destination is None) != (self.write_map is None):
            raise VerifyException("a destination and a write map come together")
        if self.destination is not None:
            if self.destination.type != self.result.type:
                raise VerifyException(
                    f"a write into {self.destination.type} gives the same type, got {self.result.type}"
                )
            verify_write(self.result_map, domain.extents, domain.rank, self.result, partial=True)
        elif shape_of(self.result) != domain.extents:
            raise VerifyException(f"the domain implies a result of shape {domain.extents}, got {self.result.type}")
        if type_of(self.result).element_type != type_of(self.input).element_type:
            raise VerifyException(f"a copy does not convert {self.input.type} to {self.result.type}")
        verify_read(self.map.data, domain, self.input)


@irdl_op_definition
class GatherOp(IRDLOperation):
    """Elements chosen by run-time indices: for every point of the domain, the source's element at the access map's
    coordinates, where the coordinate of `axis` is increased by the element of `indices` at its own map.

    ```mlir
    %y = df.gather (b = 1, t = 9, e = 768) %table[0, e] axis 0 by %ids[b, t] : tensor<30522x768xf32>, tensor<1x9xi32>
    ```
    An index outside the axis is an error when the program runs.
    """

    name = "df.gather"

    source = operand_def(TensorType)
    indices = operand_def(TensorType)
    domain_attr = prop_def(DomainAttr, prop_name="domain")
    map = prop_def(AffineMapAttr)
    index_map = prop_def(AffineMapAttr)
    axis = prop_def(IntegerAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    def __init__(
        self,
        source: SSAValue,
        indices: SSAValue,
        domain: Domain,
        map: AffineMap,
        index_map: AffineMap,
        axis: int,
    ):
        super().__init__(
            operands=[source, indices],
            properties={
                "domain": DomainAttr(domain),
                "map": AffineMapAttr(map),
                "index_map": AffineMapAttr(index_map),
                "axis": IntegerAttr(axis, i64),
            },
            result_types=[TensorType(type_of(source).element_type, domain.extents)],
        )

    @property
    def domain(self) -> Domain:
        return self.domain_attr.data

    @classmethod
    def parse(cls, parser: Parser) -> GatherOp:
        domain = parse_domain(parser)
        source = parser.parse_unresolved_operand()
        map = parse_map(parser, domain.names)
        parser.parse_keyword("axis")
        axis = parser.parse_integer(allow_negative=False)
        parser.parse_keyword("by")
        indices = parser.parse_unresolved_operand()
        index_map = parse_map(parser, domain.names)
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        source_type = parser.parse_type()
        parser.parse_punctuation(",")
        values = [parser.resolve_operand(source, source_type), parser.resolve_operand(indices, parser.parse_type())]
        op = GatherOp(values[0], values[1], domain, map, index_map, axis)
        op.attributes |= attributes
        return op

    def print(self, printer: Printer) -> None:
        names = self.domain.names
        printer.print_string(f" {self.domain} ")
        printer.print_ssa_value(self.source)
        print_map(printer, self.map.data, names)
        printer.print_string(f" axis {self.axis.value.data} by ")
        printer.print_ssa_value(self.indices)
        print_map(printer, self.index_map.data, names)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_list((self.source.type, self.indices.type), printer.print_attribute)

    def verify_(self) -> None:
        domain, axis = self.domain, self.axis.value.data
        if domain.parallel != domain.rank:
            raise VerifyException("a gather has no reduction dims")
        if shape_of(self.result) != domain.extents:
            raise VerifyException(f"the domain implies a result of shape {domain.extents}, got {self.result.type}")
        if not 0 <= axis < len(shape_of(self.source)):
            raise VerifyException(f"axis {axis} is not a dim of {self.source.type}")
        verify_read(self.map.data, domain, self.source)
        verify_read(self.index_map.data, domain, self.indices)


@irdl_op_definition
class ReshapeOp(IRDLOperation):
    """The same elements in row-major order under another shape: an alias, never a copy."""

    name = "df.reshape"

    input = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())
    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue, shape: Sequence[int]):
        super().__init__(operands=[input], result_types=[TensorType(type_of(input).element_type, shape)])

    def verify_(self) -> None:
        if prod(shape_of(self.input)) != prod(shape_of(self.result)):
            raise VerifyException(f"{self.input.type} and {self.result.type} have different numbers of elements")
