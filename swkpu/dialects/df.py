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
combined (`mac` multiplies two and adds, `add`, `max` and `min` take one) over the reduction dims, and the epilogue
is evaluated once per point of the parallel dims, on the accumulated value and the *epilogue operands*. A recurrence
that combines nothing (`none`) is elementwise. An input read outside its tensor gives its pad value (0, or `min`,
the type's least value), so padding is never a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, FloatAttr, StringAttr, TensorType, f64
from xdsl.ir import Attribute, Data, Dialect, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from swkpu.affine import Linear, linear, parse_map, print_map
from swkpu.dialects.mapping import MappingAttr
from swkpu.dialects.nn import IntsAttr, accumulator, ints, shape_of, type_of
from swkpu.dialects.weights import WeightAttr
from swkpu.types import dtype_of, numpy_dtype

COMBINERS = {"none": 0, "mac": 2, "add": 1, "max": 1, "min": 1}
"""Combiner and the number of inputs it reads."""


@dataclass(frozen=True)
class Domain:
    """Named iteration dims with their extents; the first `parallel` are parallel, the others reductions."""

    names: tuple[str, ...]
    extents: tuple[int, ...]
    parallel: int

    @property
    def rank(self) -> int:
        return len(self.names)

    @property
    def parallel_dims(self) -> range:
        return range(self.parallel)

    @property
    def reduction_dims(self) -> range:
        return range(self.parallel, self.rank)

    def index(self, name: str) -> int:
        return self.names.index(name)

    def extent(self, name: str) -> int:
        return self.extents[self.index(name)]

    def __str__(self) -> str:
        items = [f"{n} = {e}" for n, e in zip(self.names, self.extents)]
        text = ", ".join(items[: self.parallel])
        return f"({text} | {', '.join(items[self.parallel :])})" if self.parallel < self.rank else f"({text})"


@irdl_attr_definition
class DomainAttr(Data[Domain]):
    """Syntax: `(n = 1, oh = 56, ow = 56, oc = 64 | kh = 3, kw = 3, ic = 64)`; the dims after `|` are reductions."""

    name = "df.domain"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Domain:
        return parse_domain(parser)

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(str(self.data))


def parse_domain(parser: AttrParser) -> Domain:
    names: list[str] = []
    extents: list[int] = []
    parallel: int | None = None
    parser.parse_punctuation("(")
    while parser.parse_optional_punctuation(")") is None:
        pos = parser.pos
        name = parser.parse_identifier(" (a dim's name)")
        if name in names:
            parser.raise_error(f"dim '{name}' is named twice", pos, parser.pos)
        names.append(name)
        parser.parse_punctuation("=")
        pos = parser.pos
        extents.append(parser.parse_integer(allow_negative=False))
        if extents[-1] < 1:
            parser.raise_error("an extent must be at least 1", pos, parser.pos)
        if parser.parse_optional_punctuation(",") is not None:
            continue
        if parallel is None and parser.parse_optional_punctuation("|") is not None:
            parallel = len(names)
            continue
        parser.parse_punctuation(")", f": after dim '{name}' expected ',', '|' or ')'")
        break
    return Domain(tuple(names), tuple(extents), len(names) if parallel is None else parallel)


# ---- reading and writing operands with their access maps -----------------------------------------------------------


@dataclass(frozen=True)
class _Operand:
    value: SSAValue
    map: AffineMap
    pad: float


def _parse_operands(parser: Parser, domain: Domain) -> list[_Operand]:
    def one() -> _Operand:
        operand = parser.parse_unresolved_operand()
        map = parse_map(parser, domain.names)
        pad = 0.0
        if parser.parse_optional_keyword("pad") is not None:
            pad = -inf if parser.parse_optional_keyword("min") is not None else float(parser.parse_number())
        parser.parse_punctuation(":")
        return _Operand(parser.resolve_operand(operand, parser.parse_type()), map, pad)

    return parser.parse_comma_separated_list(parser.Delimiter.PAREN, one)


def _print_operands(
    printer: Printer, domain: Domain, values: Sequence[SSAValue], maps: Sequence[AffineMap], pads: Sequence[float]
) -> None:
    def one(item: tuple[SSAValue, AffineMap, float]) -> None:
        value, map, pad = item
        printer.print_ssa_value(value)
        print_map(printer, map, domain.names)
        if pad:
            printer.print_string(" pad min" if pad == -inf else f" pad {pad}")
        printer.print_string(" : ")
        printer.print_attribute(value.type)

    with printer.in_parens():
        printer.print_list(list(zip(values, maps, pads)), one)


def print_argument(printer: Printer, argument: SSAValue) -> None:
    """An epilogue argument: it has no location of its own, so none is printed."""
    printer.print_ssa_value(argument)
    printer.print_string(": ")
    printer.print_attribute(argument.type)


def maps_attr(maps: Sequence[AffineMap]) -> ArrayAttr[AffineMapAttr]:
    return ArrayAttr([AffineMapAttr(m) for m in maps])


@irdl_op_definition
class RecurrenceOp(IRDLOperation):
    """A system of affine recurrence equations; see the dialect's description."""

    name = "df.recurrence"

    inputs = var_operand_def(TensorType)
    extras = var_operand_def(TensorType)
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
    ):
        maps = [m for _, m in (*inputs, *extras)] + [result_map]
        super().__init__(
            operands=[[v for v, _ in inputs], [v for v, _ in extras]],
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
        ins: list[_Operand] = []
        extras: list[_Operand] = []
        if parser.parse_optional_keyword("ins") is not None:
            ins = _parse_operands(parser, domain)
        combiner = parser.parse_keyword_in(tuple(COMBINERS))
        if parser.parse_optional_keyword("with") is not None:
            extras = _parse_operands(parser, domain)
        parser.parse_keyword("epilogue")
        args = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_argument)
        region = parser.parse_region(args)
        parser.parse_punctuation("->")
        result_map = parse_map(parser, domain.names)
        mapping: MappingAttr | None = None
        if parser.parse_optional_keyword("mapping") is not None:
            attr = parser.parse_attribute()
            if not isinstance(attr, MappingAttr):
                parser.raise_error(f"expected a #df.mapping, got {attr}")
            mapping = attr
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        op = RecurrenceOp(
            domain,
            combiner,
            [(o.value, o.map) for o in ins],
            [(o.value, o.map) for o in extras],
            result_map,
            region,
            parser.parse_type(),
            [o.pad for o in ins],
            mapping,
        )
        op.attributes |= attributes
        return op

    def print(self, printer: Printer) -> None:
        domain = self.domain
        printer.print_string(f" {domain}")
        with printer.indented(2):
            if self.inputs:
                printer.print_string("\nins")
                _print_operands(printer, domain, self.inputs, self.input_maps, self.pad_values)
            printer.print_string(f"\n{self.combiner}")
            if self.extras:
                printer.print_string(" with")
                _print_operands(printer, domain, self.extras, self.extra_maps, [0.0] * len(self.extras))
            printer.print_string("\nepilogue")
            with printer.in_parens():
                printer.print_list(self.epilogue.block.args, lambda arg: print_argument(printer, arg))
            printer.print_string(" ")
            printer.print_region(self.epilogue, print_entry_block_args=False, print_block_terminators=True)
            printer.print_string("\n-> ")
            print_map(printer, self.result_map, domain.names)
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
        shape, map = shape_of(self.result), self.result_map
        dims = result_dims(map)
        if dims is None or sorted(dims) != list(self.domain.parallel_dims):
            raise VerifyException(f"the result map must name every parallel dim exactly once, got {map}")
        expected = tuple(self.domain.extents[d] for d in dims)
        if shape != expected:
            raise VerifyException(f"the domain and the result map imply a result of shape {expected}, got {shape}")

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
        """Sums accumulate in f32 or i32; max and min keep the input's type."""
        element = type_of(self.inputs[0]).element_type
        return accumulator(element) if self.combiner in ("mac", "add") else element


def bounds(expr: Linear, extents: Sequence[int]) -> tuple[int, int]:
    """Least and largest value while each dim d runs over [0, extents[d])."""
    low = high = expr.const
    for d, c in expr.terms:
        if c > 0:
            high += c * (extents[d] - 1)
        else:
            low += c * (extents[d] - 1)
    return low, high


def result_dims(map: AffineMap) -> tuple[int, ...] | None:
    """The domain dim on each result dim, or None where the map is not a permutation of dims."""
    out: list[int] = []
    for expr in map.results:
        lin = linear(expr)
        if lin is None or lin.const or len(lin.terms) != 1 or lin.terms[0][1] != 1:
            return None
        out.append(lin.terms[0][0])
    return tuple(out) if len(set(out)) == len(out) else None


@irdl_op_definition
class YieldOp(IRDLOperation):
    """The result element of an epilogue."""

    name = "df.yield"

    value = operand_def()

    traits = traits_def(IsTerminator())
    assembly_format = "$value attr-dict `:` type($value)"

    def __init__(self, value: SSAValue | Operation):
        super().__init__(operands=[value])


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
class CopyOp(IRDLOperation):
    """Data movement: result element `[d...]` is the input at the access map's coordinates, or 0 outside it."""

    name = "df.copy"

    input = operand_def(TensorType)
    domain_attr = prop_def(DomainAttr, prop_name="domain")
    map = prop_def(AffineMapAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    def __init__(self, input: SSAValue, domain: Domain, map: AffineMap):
        super().__init__(
            operands=[input],
            properties={"domain": DomainAttr(domain), "map": AffineMapAttr(map)},
            result_types=[TensorType(type_of(input).element_type, domain.extents)],
        )

    @property
    def domain(self) -> Domain:
        return self.domain_attr.data

    @classmethod
    def parse(cls, parser: Parser) -> CopyOp:
        domain = parse_domain(parser)
        operand = parser.parse_unresolved_operand()
        map = parse_map(parser, domain.names)
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        op = CopyOp(parser.resolve_operand(operand, parser.parse_type()), domain, map)
        op.attributes |= attributes
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.domain} ")
        printer.print_ssa_value(self.input)
        print_map(printer, self.map.data, self.domain.names)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.input.type)

    def verify_(self) -> None:
        if self.domain.parallel != self.domain.rank:
            raise VerifyException("a copy has no reduction dims")
        if shape_of(self.result) != self.domain.extents:
            raise VerifyException(f"the domain implies a result of shape {self.domain.extents}, got {self.result.type}")
        if len(self.map.data.results) != len(shape_of(self.input)) or self.map.data.num_dims != self.domain.rank:
            raise VerifyException(
                f"access map {self.map.data} does not take the domain to the dims of {self.input.type}"
            )
        if any(linear(e) is None for e in self.map.data.results):
            raise VerifyException(f"access map {self.map.data} is not linear")


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
        from math import prod

        if prod(shape_of(self.input)) != prod(shape_of(self.result)):
            raise VerifyException(f"{self.input.type} and {self.result.type} have different numbers of elements")


DF = Dialect("df", [RecurrenceOp, YieldOp, ConstantOp, CopyOp, ReshapeOp], [DomainAttr, MappingAttr])
