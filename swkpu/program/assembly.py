"""A program as text.

Everything in a program is in the text except the content of the constants. Most of it is printed from the annotations
in `model.py`, as the binary is encoded: `name=value` per field, fields that have their default left out. What
people read most has a shorter form:

    coordinate      `14*L0 + 2*T0 - 1`          Li: counter of the i-th loop around the command, Ti: tile coordinate
    block           `m3[0, 14*L0, 0]`           map and start; the box walks all dims in order, by single steps
                    `m3[0, 14*L0, 0] along [1, 2 step 2]`    the map dim of each box dim, and its step
    operand         `m3[0, 14*L0, 0]`
    tile range      `g1[0:6x2]`                 group 1, 6 x 2 tiles from tile 0 on
    semaphores      `[s1 x 6]`
    affine expr     `2*d0 + d3 - 1`             di: domain dim
    access          `[2*d0 + d3 - 1, d1]`
    micro-op        `addf.f32(r0, r1)`          ri: register i; `constant.f32() 0.5`, `rescale.i8(r0, r1, r2) [0, -128]`
    bytes           `x"00ff"`                   hexadecimal
    clip            `d0 < 112 - (14*L0)`        domain dim 0 has at most that many points

`;` starts a comment. Streams are blocks, and loops are indented.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from struct import pack
from typing import Any, cast

from swkpu.errors import ProgramError
from swkpu.program.model import (
    Access,
    AffineExpr,
    Block,
    Clip,
    Command,
    Coord,
    End,
    Halt,
    Loop,
    MicroOp,
    MicroOpcode,
    Operand,
    Program,
    SemOp,
    Stream,
    TileRange,
)
from swkpu.program.schema import Enumeration, Fixed, Json, Optional, Record, Scalar, Schema, Sequence, record

INDENT = "  "
COMMON = ("acquire", "release", "layer")
"""Fields of every command; they are printed last."""


def disassemble(program: Program) -> str:
    """The program as text. Raises ProgramError when blocks are malformed; other defects are printed as they are."""
    return "\n".join(_lines(program)) + "\n"


def _lines(program: Program) -> Iterator[str]:
    yield f"; {program.command_count} commands, {len(program.maps)} maps, {len(program.fabrics)} fabric programs"
    yield f"; {len(program.semaphores)} semaphores, {len(program.constants)} bytes of constants"
    yield f".target {_string(program.target)} digest={_string(program.target_digest)}"
    yield from _directive(".metadata", [program.metadata], numbered=False)
    yield from _directive(".layer", program.layers)
    yield from _directive(".input", program.inputs)
    yield from _directive(".output", program.outputs)
    yield from _directive(".segment", program.segments)
    yield from _directive(".map m", program.maps)
    yield from _directive(".fabric f", program.fabrics)
    for i, initial in enumerate(program.semaphores):
        yield f".semaphore s{i} initial={initial}"
    for stream in program.streams:
        yield ""
        yield f".stream {stream.engine.name.lower()} group={stream.group}"
        yield from _commands(stream, program)


def _directive(name: str, values: Iterable[Any], numbered: bool = True) -> Iterator[str]:
    for i, value in enumerate(values):
        number = f"{i}" if name.endswith((" m", " f")) else f" {i}"
        yield f"{name}{number if numbered else ''} {fields_text(value)}"


def _commands(stream: Stream, program: Program) -> Iterator[str]:
    depth = 1
    for command in stream.commands:
        if isinstance(command, End):
            depth = max(depth - 1, 1)
        yield INDENT * depth + command_text(command) + _comment(command, program)
        if isinstance(command, Loop):
            depth += 1


def command_text(command: Command) -> str:
    """One command, without its comment."""
    return f"{command.mnemonic} {fields_text(command)}".rstrip()


def fields_text(value: Any) -> str:
    """`name=value` for the fields of a dataclass that do not have their default value."""
    s = record(cast("type[Any]", type(value)))
    ordered = sorted(s.fields, key=lambda f: f.name in COMMON) if isinstance(value, Command) else s.fields
    return " ".join(
        f"{f.name}={value_text(getattr(value, f.name), f.schema)}"
        for f in ordered
        if not f.has_default or repr(getattr(value, f.name)) != repr(f.default)
    )


def value_text(value: Any, s: Schema) -> str:
    match s:
        case Scalar():
            return _scalar(s.type(value))
        case Enumeration():
            return s.type(value).name.lower()
        case Sequence():
            return _list(value_text(v, s.element) for v in value)
        case Fixed():
            return f"({', '.join(value_text(v, e) for v, e in zip(value, s.elements, strict=True))})"
        case Optional():
            return "none" if value is None else value_text(value, s.element)
        case Json():
            return json.dumps(value, sort_keys=True)
        case Record():
            short_form = SHORT_FORMS.get(s.type)
            return short_form(value) if short_form is not None else f"{{{fields_text(value)}}}"
        case _:
            return f"{{{command_text(cast(Command, value))}}}"


def _list(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"


def _scalar(value: float | str | bytes) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bytes):
        return f'x"{value.hex()}"'
    if isinstance(value, float) and value != value:
        # All 64 bits: there are many NaNs.
        return f"nan:{pack('>d', value).hex()}"
    return repr(value)


def _string(text: str) -> str:
    return json.dumps(text)


def _comment(command: Command, program: Program) -> str:
    """The layer's name behind a command that does something for it."""
    if isinstance(command, Loop | End | Halt) or not 0 <= command.layer < len(program.layers):
        return ""
    name = program.layers[command.layer].name
    return " ; " + "".join(c if c.isprintable() else "?" for c in name)


def _sum(terms: Iterable[tuple[str, int]], const: int) -> str:
    """`2*a + b - 1`. A term of coefficient 0 stays, a constant 0 only alone."""
    text = ""
    for name, coef in terms:
        factor = name if abs(coef) == 1 else f"{abs(coef)}*{name}"
        text += (" - " if coef < 0 else " + ") + factor
    if const != 0 or not text:
        text += (" - " if const < 0 else " + ") + str(abs(const))
    return text[3:] if text.startswith(" + ") else f"-{text[3:]}"


def _coord(c: Coord) -> str:
    tiles = [(f"T{i}", coef) for i, coef in enumerate(c.tiles) if coef != 0]
    return _sum([*((f"L{depth}", coef) for depth, coef in c.loops), *tiles], c.const)


def _affine(e: AffineExpr) -> str:
    return _sum(((f"d{dim}", coef) for dim, coef in e.terms), e.const)


def _operand(o: Operand | Block) -> str:
    return f"m{o.map}{_list(_coord(c) for c in o.start)}"


def _block(b: Block) -> str:
    if len(b.axes) != len(b.steps):
        raise ProgramError(f"a block of map {b.map} has {len(b.axes)} axes and {len(b.steps)} steps")
    if b.axes == tuple(range(len(b.start))) and all(step == 1 for step in b.steps):
        return _operand(b)
    walk = (str(a) if step == 1 else f"{a} step {step}" for a, step in zip(b.axes, b.steps, strict=True))
    return f"{_operand(b)} along {_list(walk)}"


def _clip(c: Clip) -> str:
    return f"d{c.dim} < {c.limit} - ({_coord(c.start)})"


def _micro_op(op: MicroOp) -> str:
    text = f"{op.opcode.name.lower()}.{op.dtype.name.lower()}({', '.join(f'r{a}' for a in op.args)})"
    has_immediate = op.opcode is MicroOpcode.CONSTANT or repr(float(op.immediate)) != "0.0"
    if has_immediate:
        text += f" {_scalar(float(op.immediate))}"
    return f"{text} {_list(map(str, op.integers))}" if op.integers else text


SHORT_FORMS: dict[type[Any], Callable[[Any], str]] = {
    Coord: _coord,
    AffineExpr: _affine,
    Access: lambda a: _list(_affine(e) for e in a.exprs),
    Operand: _operand,
    Block: _block,
    TileRange: lambda t: f"g{t.group}[{t.first}:{t.n0}x{t.n1}]",
    SemOp: lambda op: f"s{op.semaphore} x {op.count}",
    Clip: _clip,
    MicroOp: _micro_op,
}
