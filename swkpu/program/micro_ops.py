"""The operations of the drain and vector units on one value, and the types each takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

from swkpu.program.dtypes import DType


class MicroOpcode(IntEnum):
    """Operations on the drained value; each is the `arith`/`math` op of the same name, RESCALE and TABLE those of TOSA.

    A comparison is `CMPF_` or `CMPI_` and the predicate of `arith.cmpf` or `arith.cmpi`. What `arith` leaves open:
    integers wrap around; x / 0 is -1 and its remainder x, the least value / -1 is itself and its remainder 0 (as in
    RISC-V); a shift by an amount outside 0 to bits - 1 shifts everything out; FPTOSI saturates and takes NaN to 0.

    `RESCALE(x, multiplier, shift) [zx, z]` is `(x - zx) * multiplier / 2**shift`, rounded half up, plus z, saturated,
    without overflow on the way; a shift outside 2 to 62 acts as the nearer of them. `TABLE(x) [t]` is entry x + 128 of
    table t of the fabric program.
    """

    CONSTANT = 0
    ADDF = 1
    SUBF = 2
    MULF = 3
    DIVF = 4
    MAXIMUMF = 5
    MINIMUMF = 6
    NEGF = 7
    ABSF = 8
    EXP = 9
    LOG = 10
    SQRT = 11
    RSQRT = 12
    TANH = 13
    ERF = 14
    EXTF = 15
    TRUNCF = 16
    FLOOR = 17
    CEIL = 18
    POWF = 19
    SIN = 20
    COS = 21
    TAN = 22
    ASIN = 23
    ACOS = 24
    ATAN = 25
    SINH = 26
    COSH = 27
    ASINH = 28
    ACOSH = 29
    ATANH = 30
    EXP2 = 31
    EXPM1 = 32
    LOG2 = 33
    LOG10 = 34
    LOG1P = 35
    ROUND = 36
    ROUNDEVEN = 37
    TRUNC = 38
    ATAN2 = 39
    COPYSIGN = 40
    FMA = 41
    ADDI = 48
    SUBI = 49
    MULI = 50
    DIVSI = 51
    FLOORDIVSI = 52
    REMSI = 53
    MAXSI = 54
    MINSI = 55
    ABSI = 56
    ANDI = 57
    ORI = 58
    XORI = 59
    SHLI = 60
    SHRSI = 61
    SELECT = 64
    SITOFP = 65
    UITOFP = 66
    FPTOSI = 67
    EXTSI = 68
    EXTUI = 69
    TRUNCI = 70
    CMPI_EQ = 72
    CMPI_NE = 73
    CMPI_SLT = 74
    CMPI_SLE = 75
    CMPI_SGT = 76
    CMPI_SGE = 77
    CMPF_OEQ = 80
    CMPF_OGT = 81
    CMPF_OGE = 82
    CMPF_OLT = 83
    CMPF_OLE = 84
    CMPF_ONE = 85
    CMPF_ORD = 86
    CMPF_UEQ = 87
    CMPF_UGT = 88
    CMPF_UGE = 89
    CMPF_ULT = 90
    CMPF_ULE = 91
    CMPF_UNE = 92
    CMPF_UNO = 93
    RESCALE = 96
    TABLE = 97


def _is_integer(dtype: DType) -> bool:
    return dtype in (DType.I8, DType.I32, DType.I64)


INTEGERS = {MicroOpcode.RESCALE: ("input zero point", "output zero point"), MicroOpcode.TABLE: ("table",)}
"""The integers that belong to a micro-operation; to others none."""
MULTIPLIERS = (0, (1 << 31) - 1)
"""Least and largest number that a RESCALE multiplies by."""
SHIFTS = (2, 62)
"""Least and largest number of bits that it shifts by."""
TABLE_ENTRIES = 256
"""One per value of an i8."""

_CLASSES = {
    "f": lambda d: d.is_float,
    "i": _is_integer,
    "b": lambda d: d is DType.I1,
    "l": lambda d: d is DType.I1 or _is_integer(d),
    "t": lambda d: d is not DType.I4,
    "c": lambda d: d is DType.I8,
    "w": lambda d: d is DType.I32,
    "q": lambda d: d in (DType.I8, DType.I32),
    "e": lambda d: d in (DType.I8, DType.I32, DType.F32),
}
"""What the letters of a signature stand for."""
LETTERS = (
    "`f` is a floating type, `i` i8, i32 or i64, `b` i1, `l` `i` or `b`, `t` any, `c` i8, `w` i32, `q` i8 or i32, "
    "`e` i8, i32 or f32"
)


@dataclass(frozen=True)
class Signature:
    """Types of a micro-operation's arguments and result: `b t t -> t`.

    Every place of a letter has the same type, but `q'` is any `q`; `f+` is a wider float than `f`, `i-` a narrower
    integer than `i`.
    """

    arguments: tuple[str, ...]
    result: str

    @property
    def arity(self) -> int:
        return len(self.arguments)

    @property
    def uses_floats(self) -> bool:
        return any(letter.startswith("f") for letter in (*self.arguments, self.result))

    def accepts(self, arguments: Sequence[DType], result: DType) -> bool:
        if len(arguments) != self.arity:
            return False
        bound: dict[str, DType] = {}
        for letter, dtype in zip((*self.arguments, self.result), (*arguments, result), strict=True):
            if not _CLASSES[letter[0]](dtype):
                return False
            first = bound.setdefault(letter[0], dtype)
            match letter[1:]:
                case "+":
                    fits = dtype.bits > first.bits
                case "-":
                    fits = dtype.bits < first.bits
                case "'":
                    fits = True
                case _:
                    fits = dtype is first
            if not fits:
                return False
        return True

    def __str__(self) -> str:
        return " ".join((*self.arguments, "->", self.result))


@cache
def signature(opcode: MicroOpcode) -> Signature:
    arguments, _, result = _SIGNATURES.get(opcode, _default(opcode)).partition("->")
    return Signature(tuple(arguments.split()), result.strip())


def _default(opcode: MicroOpcode) -> str:
    """By its kind: comparisons, integer operations, functions of one float."""
    if opcode.name.startswith("CMPF"):
        return "f f -> b"
    if opcode.name.startswith("CMPI"):
        return "i i -> b"
    return "i i -> i" if opcode.name.endswith("I") else "f -> f"


_SIGNATURES = {
    MicroOpcode.CONSTANT: "-> t",
    **dict.fromkeys(
        (
            MicroOpcode.ADDF, MicroOpcode.SUBF, MicroOpcode.MULF, MicroOpcode.DIVF, MicroOpcode.MAXIMUMF,
            MicroOpcode.MINIMUMF, MicroOpcode.POWF, MicroOpcode.ATAN2, MicroOpcode.COPYSIGN,
        ),
        "f f -> f",
    ),
    MicroOpcode.FMA: "f f f -> f",
    MicroOpcode.ABSI: "i -> i",
    **dict.fromkeys((MicroOpcode.ANDI, MicroOpcode.ORI, MicroOpcode.XORI), "l l -> l"),
    **dict.fromkeys((MicroOpcode.CMPI_EQ, MicroOpcode.CMPI_NE), "l l -> b"),
    MicroOpcode.SELECT: "b t t -> t",
    MicroOpcode.EXTF: "f -> f+",
    MicroOpcode.TRUNCF: "f -> f-",
    MicroOpcode.SITOFP: "i -> f",
    MicroOpcode.UITOFP: "b -> f",
    MicroOpcode.FPTOSI: "f -> i",
    MicroOpcode.EXTSI: "i -> i+",
    MicroOpcode.EXTUI: "b -> i",
    MicroOpcode.TRUNCI: "i -> i-",
    MicroOpcode.RESCALE: "q w w -> q'",
    MicroOpcode.TABLE: "c -> e",
}  # fmt: skip
