"""The df dialect says how it recurs: one structured op, `df.recurrence`, is the system of affine recurrence equations
that a domain-flow machine executes.

```mlir
%y = df.recurrence (n = 1, oh = 56, ow = 56, oc = 64 | kh = 3, kw = 3, ic = 64)
    ins(%x[n, oh + kh - 1, ow + kw - 1, ic] : tensor<1x56x56x64xbf16>, %w[oc, kh, kw, ic] : tensor<64x3x3x64xbf16>)
    mac with(%b[oc] : tensor<64xf32>)
    epilogue(%acc: f32, %bias: f32) {
      %0 = arith.addf %acc, %bias : f32
      ...
      df.yield %2 : bf16
    } -> [n, oh, ow, oc] : tensor<1x56x56x64xbf16>
```

For every point of the domain (parallel dims; reduction dims) the *inputs* are read through their access maps,
combined (`mac` multiplies two and adds, `add`, `mul`, `max` and `min` take one) over the reduction dims, and the
epilogue is evaluated once per point of the parallel dims, on the accumulated value and the *epilogue operands*. A
recurrence that combines nothing (`none`) is elementwise. An input read outside its tensor gives its pad value (0, or
another, `min` and `max` being the type's least and greatest), so padding is never a copy.

A recurrence or copy may write `into` a destination, through an affine map with offsets and steps: concatenation and
transposed convolution are several writes into one tensor. Destinations are values like any other (the result is the
destination with some elements replaced); a chain of writes is one buffer in memory, whose writes do not overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, FloatAttr, StringAttr, TensorType, f64
from xdsl.ir import Attribute, Dialect, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from swkpu.affine import linear, parse_map, print_map
from swkpu.dialects.df_base import (
    Domain,
    DomainAttr,
    ReadOperand,
    Write,
    bounds,
    maps_attr,
    parse_domain,
    parse_operands,
    print_argument,
    print_operands,
    result_dims,
    verify_write,
    write_of,
)
from swkpu.dialects.df_epilogue import RescaleOp, TableOp
from swkpu.dialects.df_movement import ConstantOp, CopyOp, EmptyOp, GatherOp, ReshapeOp, stored_array
from swkpu.dialects.mapping import MappingAttr
from swkpu.dialects.nn import accumulator, shape_of, type_of
from swkpu.types import i4, i8

__all__ = [
    "COMBINERS",
    "DF",
    "NEUTRAL",
    "ConstantOp",
    "CopyOp",
    "Domain",
    "DomainAttr",
    "EmptyOp",
    "GatherOp",
    "RecurrenceOp",
    "RescaleOp",
    "ReshapeOp",
    "TableOp",
    "Write",
    "YieldOp",
    "bounds",
    "maps_attr",
    "print_argument",
    "result_dims",
    "shape_of",
    "stored_array",
    "type_of",
    "write_of",
]

COMBINERS = {"none": 0, "mac": 2, "add": 1, "mul": 1, "max": 1, "min": 1}
"""Combiner and the number of inputs it reads."""
NEUTRAL = {"mac": 0.0, "add": 0.0, "mul": 1.0, "max": -inf, "min": inf}
"""What a combiner does not notice; infinities stand for the least and greatest value of the type."""


@irdl_op_definition
class RecurrenceOp(IRDLOperation):
    """A system of affine recurrence equations; see the dialect's description."""

    name = "df.recurrence"

    inputs = var_operand_def(TensorType)
    extras = var_operand_def(TensorType)
    destination = opt_operand_def(TensorType)
    domain_attr = prop_def(DomainAttr, prop_name="domain")
    maps = prop_def(ArrayAttr[AffineMapAttr])
    pads = prop_def(ArrayAttr[FloatAttr])
    combiner_attr = prop_def(StringAttr, prop_name="combiner")
    mapping = opt_prop_def(MappingAttr)
    epilogue = region_def("single_block")
    result = result_def(TensorType)

    traits = traits_def(Pure())
    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        domain: Domain,
        combiner: str,
        inputs: Sequence[tuple[SSAValue, AffineMap]],
        extras: Sequence[tuple[SSAValue, AffineMap]],
        result_map: AffineMap,
        epilogue: Region,
        result_type: Attribute,
        pads: Sequence[float] | None = None,
        mapping: MappingAttr | None = None,
        destination: SSAValue | None = None,
    ):
        maps = [m for _, m in (*inputs, *extras)] + [result_map]
        super().__init__(
            operands=[[v for v, _ in inputs], [v for v, _ in extras], [] if destination is None else [destination]],
            properties={
                "domain": DomainAttr(domain),
                "maps": maps_attr(maps),
                "pads": ArrayAttr([FloatAttr(p, f64) for p in (pads or [0.0] * len(inputs))]),
                "combiner": StringAttr(combiner),
                "mapping": mapping,
            },
            regions=[epilogue],
            result_types=[result_type],
        )

    @property
    def domain(self) -> Domain:
        return self.domain_attr.data

    @property
    def combiner(self) -> str:
        return self.combiner_attr.data

    @property
    def input_maps(self) -> tuple[AffineMap, ...]:
        return tuple(m.data for m in self.maps.data[: len(self.inputs)])

    @property
    def extra_maps(self) -> tuple[AffineMap, ...]:
        return tuple(m.data for m in self.maps.data[len(self.inputs) : -1])

    @property
    def result_map(self) -> AffineMap:
        return self.maps.data[-1].data

    @property
    def write(self) -> Write:
        """Where the result goes: the verifier has seen to it that the map can be taken apart."""
        write = write_of(self.result_map, self.domain.extents, self.domain.parallel)
        assert write is not None
        return write

    @property
    def reads(self) -> list[tuple[SSAValue, AffineMap]]:
        """The inputs, then the epilogue operands, with their access maps."""
        return list(zip((*self.inputs, *self.extras), (m.data for m in self.maps.data)))

    @property
    def pad_values(self) -> tuple[float, ...]:
        return tuple(p.value.data for p in self.pads.data)

    @property
    def is_elementwise(self) -> bool:
        return self.combiner == "none"

    @property
    def points(self) -> int:
        """Points of the whole domain; for a `mac` these are its MACs."""
        out = 1
        for e in self.domain.extents:
            out *= e
        return out

    # -- text --

    @classmethod
    def parse(cls, parser: Parser) -> RecurrenceOp:
        domain = parse_domain(parser)
        ins: list[ReadOperand] = []
        extras: list[ReadOperand] = []
        if parser.parse_optional_keyword("ins") is not None:
            ins = parse_operands(parser, domain)
        combiner = parser.parse_keyword_in(tuple(COMBINERS))
        if parser.parse_optional_keyword("with") is not None:
            extras = parse_operands(parser, domain)
        parser.parse_keyword("epilogue")
        args = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_argument)
        region = parser.parse_region(args)
        parser.parse_punctuation("->")
        result_map = parse_map(parser, domain.names)
        into = parser.parse_optional_unresolved_operand() if parser.parse_optional_keyword("into") is not None else None
        mapping: MappingAttr | None = None
        if parser.parse_optional_keyword("mapping") is not None:
            attr = parser.parse_attribute()
            if not isinstance(attr, MappingAttr):
                parser.raise_error(f"expected a #df.mapping, got {attr}")
            mapping = attr
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        result_type = parser.parse_type()
        op = RecurrenceOp(
            domain,
            combiner,
            [(o.value, o.map) for o in ins],
            [(o.value, o.map) for o in extras],
            result_map,
            region,
            result_type,
            [o.pad for o in ins],
            mapping,
            None if into is None else parser.resolve_operand(into, result_type),
        )
        op.attributes |= attributes
        return op

    def print(self, printer: Printer) -> None:
        domain = self.domain
        printer.print_string(f" {domain}")
        with printer.indented(2):
            if self.inputs:
                printer.print_string("\nins")
                print_operands(printer, domain, self.inputs, self.input_maps, self.pad_values)
            printer.print_string(f"\n{self.combiner}")
            if self.extras:
                printer.print_string(" with")
                print_operands(printer, domain, self.extras, self.extra_maps, [0.0] * len(self.extras))
            printer.print_string("\nepilogue")
            with printer.in_parens():
                printer.print_list(self.epilogue.block.args, lambda arg: print_argument(printer, arg))
            printer.print_string(" ")
            printer.print_region(self.epilogue, print_entry_block_args=False, print_block_terminators=True)
            printer.print_string("\n-> ")
            print_map(printer, self.result_map, domain.names)
            if self.destination is not None:
                printer.print_string(" into ")
                printer.print_ssa_value(self.destination)
            if self.mapping is not None:
                printer.print_string("\nmapping ")
                printer.print_attribute(self.mapping)
            printer.print_op_attributes(self.attributes)
            printer.print_string(" : ")
            printer.print_attribute(self.result.type)

    # -- meaning --

    def verify_(self) -> None:
        domain, combiner = self.domain, self.combiner
        if combiner not in COMBINERS:
            raise VerifyException(f"unknown combiner '{combiner}', expected one of {', '.join(COMBINERS)}")
        if len(self.inputs) != COMBINERS[combiner]:
            raise VerifyException(f"combiner '{combiner}' reads {COMBINERS[combiner]} inputs, got {len(self.inputs)}")
        if combiner == "none" and domain.parallel != domain.rank:
            raise VerifyException("a recurrence that combines nothing has no reduction dims")
        if len(self.maps.data) != len(self.inputs) + len(self.extras) + 1:
            raise VerifyException("expected one access map per operand and one for the result")
        if len(self.pads.data) != len(self.inputs):
            raise VerifyException("expected one pad value per input")
        elements = [type_of(value).element_type for value in (*self.inputs, *self.extras)]
        for number, element in enumerate(elements):
            if element == i4 and not (combiner == "mac" and number == 1 and elements[0] == i8):
                raise VerifyException(f"only the second input of a mac with an i8 is i4; input {number} is")
        for value, map in zip(self.inputs, self.input_maps):
            self._verify_access(value, map, may_pad=True)
        for value, map in zip(self.extras, self.extra_maps):
            self._verify_access(value, map, may_pad=False)
            if any(d >= domain.parallel for e in map.results for d in e.used_dims()):
                raise VerifyException(
                    f"an epilogue operand is read once per result element, but {map} uses a reduction dim"
                )
        self._verify_result()
        self._verify_epilogue()

    def _verify_access(self, value: SSAValue, map: AffineMap, may_pad: bool) -> None:
        shape = shape_of(value)
        if map.num_dims != self.domain.rank or len(map.results) != len(shape):
            raise VerifyException(
                f"access map {map} does not take the domain's {self.domain.rank} dims to the dims of {value.type}"
            )
        for d, (expr, size) in enumerate(zip(map.results, shape)):
            lin = linear(expr)
            if lin is None:
                raise VerifyException(f"access {expr} is not linear in the domain's dims")
            low, high = bounds(lin, self.domain.extents)
            if not may_pad and (low < 0 or high >= size):
                raise VerifyException(f"access to dim {d} of {value.type} covers {low}..{high}, outside 0..{size - 1}")

    def _verify_result(self) -> None:
        destination = self.destination
        if destination is not None and destination.type != self.result.type:
            raise VerifyException(f"a write into {destination.type} gives that type, got {self.result.type}")
        verify_write(
            self.result_map, self.domain.extents, self.domain.parallel, self.result, partial=destination is not None
        )

    def _verify_epilogue(self) -> None:
        block = self.epilogue.block
        expected = [type_of(v).element_type for v in self.extras]
        if not self.is_elementwise:
            expected.insert(0, self.accumulator_type)
        actual = [a.type for a in block.args]
        if actual != expected:
            raise VerifyException(
                f"the epilogue takes ({', '.join(map(str, expected))}): the accumulator, then an element of each "
                f"epilogue operand; got ({', '.join(map(str, actual))})"
            )
        last = block.last_op
        if not isinstance(last, YieldOp):
            raise VerifyException("the epilogue must end in df.yield")
        element = type_of(self.result).element_type
        if last.value.type != element:
            raise VerifyException(f"the epilogue yields {last.value.type} for a result of {element}")

    @property
    def accumulator_type(self) -> Attribute:
        """Sums and products accumulate in f32 or i32 (i64 of i64); max and min keep the input's type."""
        element = type_of(self.inputs[0]).element_type
        return accumulator(element) if self.combiner in ("mac", "add", "mul") else element


@irdl_op_definition
class YieldOp(IRDLOperation):
    """The result element of an epilogue."""

    name = "df.yield"

    value = operand_def()

    traits = traits_def(IsTerminator())
    assembly_format = "$value attr-dict `:` type($value)"

    def __init__(self, value: SSAValue | Operation):
        super().__init__(operands=[value])


DF = Dialect(
    "df",
    [RecurrenceOp, YieldOp, RescaleOp, TableOp, ConstantOp, EmptyOp, CopyOp, GatherOp, ReshapeOp],
    [DomainAttr, MappingAttr],
)
