"""What the micro-operations compute, on registers of whole blocks. `program.micro_ops` says what they mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from swkpu.program.micro_ops import MicroOpcode
from swkpu.program.model import MicroOp
from swkpu.sim.integer_epilogue import look_up, rescale, table_of
from swkpu.types import torch_dtype

Function = Callable[..., torch.Tensor]


def _in_double(function: Function) -> Function:
    """A function that torch evaluates differently in vectors and scalars: in double, so that a value's place in a block
    does not matter.
    """
    return lambda *args: function(*(a.double() for a in args)).to(args[0].dtype)


def _round_half_away(x: torch.Tensor) -> torch.Tensor:
    whole = torch.trunc(x)
    return torch.where((x - whole).abs() >= 0.5, whole + torch.copysign(torch.ones_like(x), x), whole)


def _quotient(rounding: str) -> Function:
    def divide(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        quotient = torch.div(a, _safe_divisor(b), rounding_mode=rounding)
        return torch.where(b == 0, -1, torch.where(b == -1, -a, quotient))

    return divide


def _remainder(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """It has the sign of a."""
    return torch.where(b == 0, a, torch.fmod(a, _safe_divisor(b)))


def _safe_divisor(b: torch.Tensor) -> torch.Tensor:
    """1 in place of the divisors that trap: 0, and -1 for the least dividend. Any remainder by -1 is 0, as by 1."""
    return torch.where((b == 0) | (b == -1), 1, b)


def _shift(function: Function, shifted_out: Function) -> Function:
    def shift(a: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
        bits = 8 * a.element_size()
        inside = (amount >= 0) & (amount < bits)
        return torch.where(inside, function(a, torch.where(inside, amount, 0)), shifted_out(a))

    return shift


def _to_integer(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    limits = torch.iinfo(dtype)
    # As doubles every limit but the largest i64 is exact; that one rounds up, and is compared with instead.
    whole = torch.nan_to_num(x.double(), nan=0.0)
    inside = (whole > limits.min) & (whole < limits.max)
    limited = torch.where(whole > 0, limits.max, limits.min).to(dtype)
    return torch.where(inside, torch.where(inside, whole, 0.0).to(dtype), limited)


def _unordered(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.isnan(a) | torch.isnan(b)


_COMPARISONS: dict[str, Function] = {
    "EQ": torch.eq, "NE": torch.ne, "LT": torch.lt, "LE": torch.le, "GT": torch.gt, "GE": torch.ge,
}  # fmt: skip


def _float_comparison(predicate: str) -> Function:
    """`O` predicates are false when an argument is NaN, `U` predicates true. torch's are ordered, except `ne`."""
    match predicate:
        case "ORD":
            return lambda a, b: ~_unordered(a, b)
        case "UNO":
            return _unordered
        case "ONE":
            return lambda a, b: torch.ne(a, b) & ~_unordered(a, b)
        case _:
            compare = _COMPARISONS[predicate[1:]]
            return compare if predicate[0] == "O" else lambda a, b: compare(a, b) | _unordered(a, b)


def _function(opcode: MicroOpcode) -> Function:
    kind, _, predicate = opcode.name.partition("_")
    if kind == "CMPF":
        return _float_comparison(predicate)
    if kind == "CMPI":
        return _COMPARISONS[predicate.removeprefix("S")]
    return _FUNCTIONS[opcode]


_FUNCTIONS: dict[MicroOpcode, Function] = {
    MicroOpcode.ADDF: torch.add,
    MicroOpcode.SUBF: torch.sub,
    MicroOpcode.MULF: torch.mul,
    MicroOpcode.DIVF: torch.div,
    MicroOpcode.MAXIMUMF: torch.maximum,
    MicroOpcode.MINIMUMF: torch.minimum,
    MicroOpcode.NEGF: torch.neg,
    MicroOpcode.ABSF: torch.abs,
    MicroOpcode.COPYSIGN: torch.copysign,
    MicroOpcode.FMA: _in_double(lambda a, b, c: a * b + c),
    MicroOpcode.EXP: torch.exp,
    MicroOpcode.EXP2: _in_double(torch.exp2),
    MicroOpcode.EXPM1: torch.expm1,
    MicroOpcode.LOG: torch.log,
    MicroOpcode.LOG2: torch.log2,
    MicroOpcode.LOG10: torch.log10,
    MicroOpcode.LOG1P: torch.log1p,
    MicroOpcode.SQRT: torch.sqrt,
    MicroOpcode.RSQRT: torch.rsqrt,
    MicroOpcode.POWF: _in_double(torch.pow),
    MicroOpcode.SIN: torch.sin,
    MicroOpcode.COS: torch.cos,
    MicroOpcode.TAN: torch.tan,
    MicroOpcode.ASIN: torch.asin,
    MicroOpcode.ACOS: torch.acos,
    MicroOpcode.ATAN: torch.atan,
    MicroOpcode.ATAN2: _in_double(torch.atan2),
    MicroOpcode.SINH: _in_double(torch.sinh),
    MicroOpcode.COSH: _in_double(torch.cosh),
    MicroOpcode.TANH: torch.tanh,
    MicroOpcode.ASINH: torch.asinh,
    MicroOpcode.ACOSH: torch.acosh,
    MicroOpcode.ATANH: _in_double(torch.atanh),
    MicroOpcode.ERF: torch.erf,
    MicroOpcode.FLOOR: torch.floor,
    MicroOpcode.CEIL: torch.ceil,
    MicroOpcode.TRUNC: torch.trunc,
    MicroOpcode.ROUND: _round_half_away,
    MicroOpcode.ROUNDEVEN: torch.round,
    MicroOpcode.ADDI: torch.add,
    MicroOpcode.SUBI: torch.sub,
    MicroOpcode.MULI: torch.mul,
    MicroOpcode.DIVSI: _quotient("trunc"),
    MicroOpcode.FLOORDIVSI: _quotient("floor"),
    MicroOpcode.REMSI: _remainder,
    MicroOpcode.MAXSI: torch.maximum,
    MicroOpcode.MINSI: torch.minimum,
    MicroOpcode.ABSI: torch.abs,
    MicroOpcode.ANDI: torch.bitwise_and,
    MicroOpcode.ORI: torch.bitwise_or,
    MicroOpcode.XORI: torch.bitwise_xor,
    MicroOpcode.SHLI: _shift(torch.bitwise_left_shift, torch.zeros_like),
    MicroOpcode.SHRSI: _shift(torch.bitwise_right_shift, lambda a: torch.where(a < 0, -1, torch.zeros_like(a))),
    MicroOpcode.SELECT: torch.where,
}
FUNCTIONS = {o: _function(o) for o in MicroOpcode if o in _FUNCTIONS or o.name.startswith("CMP")}
"""All but CONSTANT, RESCALE, TABLE and the conversions."""


def run_epilogue(
    micro_ops: Sequence[MicroOp], result: int, registers: list[torch.Tensor], tables: Sequence[bytes] = ()
) -> torch.Tensor:
    """Register `result` after the micro-ops; each op rounds to its own type.

    `registers` are taken over: a block is let go after its last use, for the next to take its memory.
    """
    rank = max((r.dim() for r in registers), default=2)
    last_use = {arg: i for i, op in enumerate(micro_ops) for arg in op.args}
    for i, op in enumerate(micro_ops):
        registers.append(_micro_op(op, [registers[a] for a in op.args], rank, tables))
        for arg in op.args:
            if last_use[arg] == i and arg != result:
                registers[arg] = RELEASED
    return registers[result]


RELEASED = torch.empty(0)
"""In place of a register that nothing reads any more."""


def _micro_op(op: MicroOp, args: Sequence[torch.Tensor], rank: int, tables: Sequence[bytes]) -> torch.Tensor:
    dtype = torch_dtype(op.dtype)
    match op.opcode:
        case MicroOpcode.CONSTANT:
            return torch.full([1] * rank, op.immediate, dtype=dtype)
        case MicroOpcode.FPTOSI:
            return _to_integer(args[0], dtype)
        case MicroOpcode.RESCALE:
            zero_point, output_zero_point = op.integers
            return rescale(args[0], args[1], args[2], zero_point, output_zero_point, dtype)
        case MicroOpcode.TABLE:
            return look_up(args[0], table_of(tables[op.integers[0]], op.dtype))
        case opcode if opcode in FUNCTIONS:
            return FUNCTIONS[opcode](*args).to(dtype)
        case _:
            # The conversions: torch rounds as they do.
            return args[0].to(dtype)
