"""Epilogue regions and their machine form: one `arith` or `math` op, rescale or table is one micro-op."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, i1
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap

from swkpu.affine import linear_map
from swkpu.dialects.df import Domain, RescaleOp, TableOp, YieldOp
from swkpu.errors import IRError
from swkpu.program.model import Access, AffineExpr, Combiner, Dataflow, FabricProgram, MicroOp, MicroOpcode
from swkpu.types import dtype_of

MICRO_OPS: dict[type[Operation], MicroOpcode] = {
    arith.AddfOp: MicroOpcode.ADDF,
    arith.SubfOp: MicroOpcode.SUBF,
    arith.MulfOp: MicroOpcode.MULF,
    arith.DivfOp: MicroOpcode.DIVF,
    arith.MaximumfOp: MicroOpcode.MAXIMUMF,
    arith.MinimumfOp: MicroOpcode.MINIMUMF,
    arith.NegfOp: MicroOpcode.NEGF,
    math.AbsFOp: MicroOpcode.ABSF,
    math.CopySignOp: MicroOpcode.COPYSIGN,
    math.FmaOp: MicroOpcode.FMA,
    math.ExpOp: MicroOpcode.EXP,
    math.Exp2Op: MicroOpcode.EXP2,
    math.ExpM1Op: MicroOpcode.EXPM1,
    math.LogOp: MicroOpcode.LOG,
    math.Log2Op: MicroOpcode.LOG2,
    math.Log10Op: MicroOpcode.LOG10,
    math.Log1pOp: MicroOpcode.LOG1P,
    math.SqrtOp: MicroOpcode.SQRT,
    math.RsqrtOp: MicroOpcode.RSQRT,
    math.PowFOp: MicroOpcode.POWF,
    math.SinOp: MicroOpcode.SIN,
    math.CosOp: MicroOpcode.COS,
    math.TanOp: MicroOpcode.TAN,
    math.AsinOp: MicroOpcode.ASIN,
    math.AcosOp: MicroOpcode.ACOS,
    math.AtanOp: MicroOpcode.ATAN,
    math.Atan2Op: MicroOpcode.ATAN2,
    math.SinhOp: MicroOpcode.SINH,
    math.CoshOp: MicroOpcode.COSH,
    math.TanhOp: MicroOpcode.TANH,
    math.AsinhOp: MicroOpcode.ASINH,
    math.AcoshOp: MicroOpcode.ACOSH,
    math.AtanhOp: MicroOpcode.ATANH,
    math.ErfOp: MicroOpcode.ERF,
    math.FloorOp: MicroOpcode.FLOOR,
    math.CeilOp: MicroOpcode.CEIL,
    math.TruncOp: MicroOpcode.TRUNC,
    math.RoundOp: MicroOpcode.ROUND,
    math.RoundEvenOp: MicroOpcode.ROUNDEVEN,
    arith.AddiOp: MicroOpcode.ADDI,
    arith.SubiOp: MicroOpcode.SUBI,
    arith.MuliOp: MicroOpcode.MULI,
    arith.DivSIOp: MicroOpcode.DIVSI,
    arith.FloorDivSIOp: MicroOpcode.FLOORDIVSI,
    arith.RemSIOp: MicroOpcode.REMSI,
    arith.MaxSIOp: MicroOpcode.MAXSI,
    arith.MinSIOp: MicroOpcode.MINSI,
    math.AbsIOp: MicroOpcode.ABSI,
    arith.AndIOp: MicroOpcode.ANDI,
    arith.OrIOp: MicroOpcode.ORI,
    arith.XOrIOp: MicroOpcode.XORI,
    arith.ShLIOp: MicroOpcode.SHLI,
    arith.ShRSIOp: MicroOpcode.SHRSI,
    arith.SelectOp: MicroOpcode.SELECT,
    arith.SIToFPOp: MicroOpcode.SITOFP,
    arith.UIToFPOp: MicroOpcode.UITOFP,
    arith.FPToSIOp: MicroOpcode.FPTOSI,
    arith.ExtFOp: MicroOpcode.EXTF,
    arith.TruncFOp: MicroOpcode.TRUNCF,
    arith.ExtSIOp: MicroOpcode.EXTSI,
    arith.ExtUIOp: MicroOpcode.EXTUI,
    arith.TruncIOp: MicroOpcode.TRUNCI,
    RescaleOp: MicroOpcode.RESCALE,
    TableOp: MicroOpcode.TABLE,
}


def opcode(op: Operation) -> MicroOpcode:
    """The micro-operation that an epilogue op is. Raises IRError for an op with no machine form."""
    if isinstance(op, arith.CmpfOp | arith.CmpiOp):
        predicate = _predicate(op)
        name = f"{op.name.removeprefix('arith.').upper()}_{predicate.upper()}"
        if name in MicroOpcode.__members__:
            return MicroOpcode[name]
        raise IRError(f"the drain and vector units have no {op.name} with predicate '{predicate}'")
    if type(op) not in MICRO_OPS:
        raise IRError(f"the drain and vector units have no operation for {op.name}")
    return MICRO_OPS[type(op)]


def _predicate(op: arith.CmpfOp | arith.CmpiOp) -> str:
    names = arith.CMPF_COMPARISON_OPERATIONS if isinstance(op, arith.CmpfOp) else arith.CMPI_COMPARISON_OPERATIONS
    return names[op.predicate.value.data]


@dataclass(frozen=True)
class Epilogue:
    """The machine form of an epilogue region; see `FabricProgram`."""

    micro_ops: tuple[MicroOp, ...]
    result: int
    tables: tuple[bytes, ...]


def machine_form(epilogue: Region) -> Epilogue:
    """The micro-ops of an epilogue. Raises IRError for an op with no machine form and for a table that is missing."""
    block = epilogue.block
    registers: dict[SSAValue, int] = {arg: i for i, arg in enumerate(block.args)}
    tables: dict[bytes, int] = {}
    out: list[MicroOp] = []
    result = -1
    for op in block.ops:
        if isinstance(op, YieldOp):
            result = registers[op.value]
            continue
        args = tuple(registers[v] for v in op.operands)
        out.append(_micro_op(op, args, tables))
        registers[op.results[0]] = len(registers)
    return Epilogue(tuple(out), result, tuple(tables))


def _micro_op(op: Operation, args: tuple[int, ...], tables: dict[bytes, int]) -> MicroOp:
    """One op; a table that is not among `tables` yet is added."""
    dtype = dtype_of(op.results[0].type)
    match op:
        case arith.ConstantOp():
            return MicroOp(MicroOpcode.CONSTANT, dtype, (), _constant(op))
        case RescaleOp():
            return MicroOp(opcode(op), dtype, args, integers=op.zero_points)
        case TableOp():
            entries = op.entries()
            content = entries.astype(entries.dtype.newbyteorder("<")).tobytes()
            return MicroOp(opcode(op), dtype, args, integers=(tables.setdefault(content, len(tables)),))
        case _:
            return MicroOp(opcode(op), dtype, args)


def _constant(op: arith.ConstantOp) -> float:
    if isinstance(op.value, IntegerAttr) and op.result.type == i1:
        return float(bool(op.value.value.data))  # true is -1 as a signed integer
    if isinstance(op.value, FloatAttr | IntegerAttr):
        number = op.value.value.data
        if isinstance(number, int) and int(float(number)) != number:
            raise IRError(f"an epilogue constant is kept as a double, which {number} is not")
        return float(number)
    raise IRError(f"an epilogue constant must be a number, got {op.value}")


def access(map: AffineMap) -> Access:
    return Access(tuple(AffineExpr(e.const, e.terms) for e in linear_map(map)))


def fabric_program(
    name: str,
    domain: Domain,
    combiner: str,
    maps: Sequence[AffineMap],
    accumulator: Attribute,
    epilogue: Region,
    rows: Sequence[str] = (),
    cols: Sequence[str] = (),
    dataflow: Dataflow = Dataflow.OS,
) -> FabricProgram:
    """The machine form of a recurrence; `maps` are those of the inputs, the epilogue operands and the result."""
    from swkpu.dialects.df import COMBINERS

    form = machine_form(epilogue)
    return FabricProgram(
        name=name,
        dims=domain.names,
        parallel=domain.parallel,
        inputs=COMBINERS[combiner],
        accesses=tuple(access(m) for m in maps),
        combiner=Combiner[combiner.upper()],
        acc_dtype=dtype_of(accumulator),
        micro_ops=form.micro_ops,
        result=form.result,
        rows=tuple(domain.index(d) for d in rows),
        cols=tuple(domain.index(d) for d in cols),
        dataflow=dataflow,
        tables=form.tables,
    )
