"""What the df ops share: named domains, operands read through access maps, and checks of reads and writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, prod

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr
from xdsl.ir import Data, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from swkpu.affine import Linear, linear, parse_map, print_map
from swkpu.dialects.nn import shape_of


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
class ReadOperand:
    """An operand as it is written: the value, its access map, what reads outside it give."""

    value: SSAValue
    map: AffineMap
    pad: float


def parse_pad(parser: Parser) -> float:
    """An optional `pad 1.0`, `pad min` or `pad max` (the least and the greatest value of the type)."""
    if parser.parse_optional_keyword("pad") is None:
        return 0.0
    for word, value in (("min", -inf), ("max", inf)):
        if parser.parse_optional_keyword(word) is not None:
            return value
    return float(parser.parse_number())


def print_pad(printer: Printer, pad: float) -> None:
    if pad:
        printer.print_string(" pad " + {-inf: "min", inf: "max"}.get(pad, str(pad)))


def parse_operands(parser: Parser, domain: Domain) -> list[ReadOperand]:
    def one() -> ReadOperand:
        operand = parser.parse_unresolved_operand()
        map = parse_map(parser, domain.names)
        pad = parse_pad(parser)
        parser.parse_punctuation(":")
        return ReadOperand(parser.resolve_operand(operand, parser.parse_type()), map, pad)

    return parser.parse_comma_separated_list(parser.Delimiter.PAREN, one)


def print_operands(
    printer: Printer, domain: Domain, values: Sequence[SSAValue], maps: Sequence[AffineMap], pads: Sequence[float]
) -> None:
    def one(item: tuple[SSAValue, AffineMap, float]) -> None:
        value, map, pad = item
        printer.print_ssa_value(value)
        print_map(printer, map, domain.names)
        print_pad(printer, pad)
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


@dataclass(frozen=True)
class Write:
    """A write map taken apart. `dims` are all parallel dims in the order of the result's axes; dim `dims[i]` moves
    along axis `axes[i]` in steps of `steps[i]` (an axis that several dims share has the longest step first; a dim of
    one point that is on no axis has axis -1); `offsets` has the first coordinate on every axis.
    """

    dims: tuple[int, ...]
    axes: tuple[int, ...]
    steps: tuple[int, ...]
    offsets: tuple[int, ...]

    @property
    def is_permutation(self) -> bool:
        """Is each axis one dim, from its beginning on, in steps of one?"""
        return (
            not any(self.offsets) and all(s == 1 for s in self.steps) and self.axes == tuple(range(len(self.offsets)))
        )

    def order(self, rank: int) -> AffineMap:
        """The map onto a block of its own with one axis per parallel dim."""
        return AffineMap(rank, 0, tuple(AffineExpr.dimension(d) for d in self.dims))

    def strides(self, of_axes: Sequence[int]) -> tuple[int, ...]:
        """Per dim (in the order of `dims`) the stride in memory, given those of the result's axes."""
        return tuple(s * of_axes[a] if a >= 0 else 0 for a, s in zip(self.axes, self.steps))

    def offset(self, of_axes: Sequence[int]) -> int:
        return sum(o * s for o, s in zip(self.offsets, of_axes))


def write_of(map: AffineMap, extents: Sequence[int], parallel: int) -> Write | None:
    """A result map taken apart, or None where two points of the domain could be written to one place."""
    entries: list[tuple[int, int, int]] = []
    offsets: list[int] = []
    for axis, expr in enumerate(map.results):
        lin = linear(expr)
        if lin is None or any(c < 1 for _, c in lin.terms):
            return None
        reach = 0
        for _, step, dim in sorted((c * (extents[d] - 1) == 0, c, d) for d, c in lin.terms):
            if extents[dim] > 1 and step <= reach:
                return None
            reach += step * (extents[dim] - 1)
        terms = sorted(lin.terms, key=lambda t: (-t[1], t[0]))
        entries += [(dim, axis, step) for dim, step in terms]
        offsets.append(lin.const)
    used = [dim for dim, _, _ in entries]
    missing = [d for d in range(parallel) if d not in used]
    if len(set(used)) != len(used) or any(d >= parallel for d in used) or any(extents[d] > 1 for d in missing):
        return None
    entries = [(d, -1, 1) for d in missing] + entries
    dims, axes, steps = (tuple(e[i] for e in entries) for i in range(3))
    return Write(dims, axes, steps, tuple(offsets))


def verify_write(map: AffineMap, extents: Sequence[int], parallel: int, result: SSAValue, partial: bool) -> None:
    """Check a result map: every point of the parallel dims has a place of its own in the tensor and, unless `partial`,
    every element is written.
    """
    shape = shape_of(result)
    write = write_of(map, extents, parallel) if len(map.results) == len(shape) else None
    if write is None:
        raise VerifyException(f"every parallel dim belongs on one axis of {result.type}, without overlap; got {map}")
    for axis, (expr, size) in enumerate(zip(map.results, shape)):
        lin = linear(expr)
        assert lin is not None
        low, high = bounds(lin, extents)
        if low < 0 or high >= size:
            raise VerifyException(f"the write to dim {axis} of {result.type} covers {low}..{high}")
    if not partial and prod(extents[:parallel]) != prod(shape):
        raise VerifyException(
            f"the domain has {prod(extents[:parallel])} results and {result.type} {prod(shape)} elements"
        )


def verify_read(map: AffineMap, domain: Domain, value: SSAValue) -> None:
    """Check that a map takes the domain's points to coordinates of a tensor (or outside it), linearly."""
    if len(map.results) != len(shape_of(value)) or map.num_dims != domain.rank:
        raise VerifyException(f"access map {map} does not take the domain to the dims of {value.type}")
    if any(linear(e) is None for e in map.results):
        raise VerifyException(f"access map {map} is not linear")
