"""Epilogue regions and their machine form: one `arith` or `math` op is one micro-op."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap

from swkpu.affine import linear_map
from swkpu.dialects.df import Domain, YieldOp
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
    arith.ExtFOp: MicroOpcode.EXTF,
    arith.TruncFOp: MicroOpcode.TRUNCF,
    math.AbsFOp: MicroOpcode.ABSF,
    math.ExpOp: MicroOpcode.EXP,
    math.LogOp: MicroOpcode.LOG,
    math.SqrtOp: MicroOpcode.SQRT,
    math.RsqrtOp: MicroOpcode.RSQRT,
    math.TanhOp: MicroOpcode.TANH,
    math.ErfOp: MicroOpcode.ERF,
    math.FloorOp: MicroOpcode.FLOOR,
    math.CeilOp: MicroOpcode.CEIL,
    math.PowFOp: MicroOpcode.POWF,
    math.SinOp: MicroOpcode.SIN,
    math.CosOp: MicroOpcode.COS,
}


def micro_ops(epilogue: Region) -> tuple[tuple[MicroOp, ...], int]:
    """The micro-ops of an epilogue and the register it yields. Raises IRError for an op with no machine form."""
    block = epilogue.block
    registers: dict[SSAValue, int] = {arg: i for i, arg in enumerate(block.args)}
    out: list[MicroOp] = []
    result = -1
    for op in block.ops:
        if isinstance(op, YieldOp):
            result = registers[op.value]
            continue
        if isinstance(op, arith.ConstantOp):
            micro = MicroOp(MicroOpcode.CONSTANT, dtype_of(op.result.type), (), _constant(op))
        elif type(op) in MICRO_OPS:
            args = tuple(registers[v] for v in op.operands)
            micro = MicroOp(MICRO_OPS[type(op)], dtype_of(op.results[0].type), args)
        else:
            raise IRError(f"the drain and vector units have no operation for {op.name}")
        registers[op.results[0]] = len(registers)
        out.append(micro)
    return tuple(out), result


def _constant(op: arith.ConstantOp) -> float:
    if isinstance(op.value, FloatAttr | IntegerAttr):
        return float(op.value.value.data)
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

    ops, result = micro_ops(epilogue)
    return FabricProgram(
        name=name,
        dims=domain.names,
        parallel=domain.parallel,
        inputs=COMBINERS[combiner],
        accesses=tuple(access(m) for m in maps),
        combiner=Combiner[combiner.upper()],
        acc_dtype=dtype_of(accumulator),
        micro_ops=ops,
        result=result,
        rows=tuple(domain.index(d) for d in rows),
        cols=tuple(domain.index(d) for d in cols),
        dataflow=dataflow,
    )
