"""Affine expressions with named dims: printing, parsing, and the linear form that the machine executes.

MLIR prints an access map as `(d0, d1) -> (d0 * 2 + d1)`. Our ops print the same map as `[2*oh + kh]`, with the names of
the domain's dims, which is what people write on a whiteboard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)
from xdsl.parser import Parser
from xdsl.printer import Printer


@dataclass(frozen=True)
class Linear:
    """`const + sum(coef * dim)`; `terms` are (dim, coef), sorted by dim, without zero coefficients."""

    const: int
    terms: tuple[tuple[int, int], ...] = ()

    @staticmethod
    def of(const: int, coefs: dict[int, int]) -> Linear:
        return Linear(const, tuple(sorted((d, c) for d, c in coefs.items() if c != 0)))

    def coef(self, dim: int) -> int:
        return dict(self.terms).get(dim, 0)

    @property
    def dims(self) -> tuple[int, ...]:
        return tuple(d for d, _ in self.terms)

    def __add__(self, other: Linear | int) -> Linear:
        if isinstance(other, int):
            return Linear(self.const + other, self.terms)
        coefs = dict(self.terms)
        for d, c in other.terms:
            coefs[d] = coefs.get(d, 0) + c
        return Linear.of(self.const + other.const, coefs)

    def __sub__(self, other: Linear | int) -> Linear:
        return self + (-other if isinstance(other, int) else other * -1)

    def __mul__(self, factor: int) -> Linear:
        return Linear.of(self.const * factor, {d: c * factor for d, c in self.terms})

    def substitute(self, values: dict[int, Linear]) -> Linear:
        """Replace every dim by a linear expression in other dims."""
        out = Linear(self.const)
        for d, c in self.terms:
            out = out + values[d] * c
        return out

    def span(self, extents: Sequence[int]) -> int:
        """How many consecutive integers the expression covers while each dim d runs over [0, extents[d])."""
        return sum(abs(c) * (extents[d] - 1) for d, c in self.terms) + 1

    def expr(self) -> AffineExpr:
        out: AffineExpr | None = None
        for d, c in self.terms:
            term = AffineExpr.dimension(d) * c
            out = term if out is None else out + term
        if out is None:
            return AffineExpr.constant(self.const)
        return out + self.const


def linear(expr: AffineExpr) -> Linear | None:
    """The linear form of an expression, or None where it has floordiv, ceildiv, mod or symbols."""
    match expr:
        case AffineConstantExpr():
            return Linear(expr.value)
        case AffineDimExpr():
            return Linear(0, ((expr.position, 1),))
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Add):
            lhs, rhs = linear(expr.lhs), linear(expr.rhs)
            return None if lhs is None or rhs is None else lhs + rhs
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Mul):
            lhs, rhs = linear(expr.lhs), linear(expr.rhs)
            if lhs is None or rhs is None:
                return None
            return lhs * rhs.const if not rhs.terms else (rhs * lhs.const if not lhs.terms else None)
        case _:
            return None


def linear_map(map: AffineMap) -> tuple[Linear, ...]:
    """The linear form of every result. Raises ValueError where one has none."""
    out = tuple(linear(e) for e in map.results)
    if any(e is None for e in out):
        raise ValueError(f"{map} is not linear")
    return tuple(e for e in out if e is not None)


def map_of(num_dims: int, exprs: Sequence[Linear]) -> AffineMap:
    return AffineMap(num_dims, 0, tuple(e.expr() for e in exprs))


def format_expr(expr: AffineExpr, names: Sequence[str]) -> str:
    """`2*oh + kh - 3`; floordiv and mod are parenthesised."""
    lin = linear(expr)
    if lin is None:
        assert isinstance(expr, AffineBinaryOpExpr)
        lhs, rhs = format_expr(expr.lhs, names), format_expr(expr.rhs, names)
        if expr.kind is AffineBinaryOpKind.Add:
            return f"{lhs} + {rhs}"
        return f"(({lhs}) {expr.kind.get_token()} {rhs})"
    parts: list[str] = []
    for d, c in lin.terms:
        text = names[d] if abs(c) == 1 else f"{abs(c)}*{names[d]}"
        parts.append(("- " if c < 0 else "+ ") + text)
    if lin.const or not parts:
        parts.append(("- " if lin.const < 0 else "+ ") + str(abs(lin.const)))
    first = parts[0]
    parts[0] = first[2:] if first[0] == "+" else "-" + first[2:]
    return " ".join(parts)


def format_map(map: AffineMap, names: Sequence[str]) -> str:
    return "[" + ", ".join(format_expr(e, names) for e in map.results) + "]"


def print_map(printer: Printer, map: AffineMap, names: Sequence[str]) -> None:
    printer.print_string(format_map(map, names))


def parse_map(parser: Parser, names: Sequence[str]) -> AffineMap:
    """`[` expr (`,` expr)* `]` over the given dim names."""
    exprs = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, lambda: parse_expr(parser, names))
    return AffineMap(len(names), 0, tuple(exprs))


def parse_expr(parser: Parser, names: Sequence[str]) -> AffineExpr:
    """
    expr   ::= `-`? term ((`+` | `-`) term)*
    term   ::= factor ((`*` | `floordiv` | `mod`) factor)*
    factor ::= integer | name | `(` expr `)`
    """
    negative = parser.parse_optional_punctuation("-") is not None
    expr = _parse_term(parser, names)
    if negative:
        expr = expr * -1
    while True:
        if parser.parse_optional_punctuation("+") is not None:
            expr = expr + _parse_term(parser, names)
        elif parser.parse_optional_punctuation("-") is not None:
            expr = expr - _parse_term(parser, names)
        else:
            return expr


def _parse_term(parser: Parser, names: Sequence[str]) -> AffineExpr:
    expr = _parse_factor(parser, names)
    while True:
        if parser.parse_optional_punctuation("*") is not None:
            factor = _parse_factor(parser, names)
            if not isinstance(factor, AffineConstantExpr) and not isinstance(expr, AffineConstantExpr):
                parser.raise_error("an affine expression can only be multiplied by a constant")
            expr = expr * factor
        elif parser.parse_optional_keyword("floordiv") is not None:
            expr = expr // parser.parse_integer(allow_negative=False)
        elif parser.parse_optional_keyword("mod") is not None:
            expr = expr % parser.parse_integer(allow_negative=False)
        else:
            return expr


def _parse_factor(parser: Parser, names: Sequence[str]) -> AffineExpr:
    if parser.parse_optional_punctuation("(") is not None:
        expr = parse_expr(parser, names)
        parser.parse_punctuation(")")
        return expr
    pos = parser.pos
    if (value := parser.parse_optional_integer(allow_boolean=False, allow_negative=False)) is not None:
        return AffineExpr.constant(value)
    name = parser.parse_optional_identifier()
    if name is None or name not in names:
        found = f"'{name}' is not a dim" if name else "expected an integer, a dim or '('"
        parser.raise_error(f"{found}; the dims here are {', '.join(names)}", pos, parser.pos)
    return AffineExpr.dimension(list(names).index(name))
