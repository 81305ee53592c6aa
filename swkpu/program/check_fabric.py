"""Checks of fabric programs."""

from __future__ import annotations

from swkpu.errors import ProgramError
from swkpu.program.limits import MAX_DOMAIN_DIMS, MAX_VALUE, expect, expect_index
from swkpu.program.micro_ops import INTEGERS, MULTIPLIERS, SHIFTS, TABLE_ENTRIES, MicroOpcode, signature
from swkpu.program.model import MAX_RANK, Access, Combiner, DType, FabricProgram, MicroOp, Stage

INPUTS = {c: {Combiner.NONE: 0, Combiner.MAC: 2}.get(c, 1) for c in Combiner}
"""How many operands a combiner reads."""


def check_fabric(fabric: FabricProgram, where: str) -> None:
    """What can be said of a fabric program without its operands."""
    try:
        _check_domain(fabric)
        _check_accesses(fabric)
        _check_micro_ops(fabric)
    except ProgramError as e:
        raise ProgramError(f"{where}: {e}") from None


def _check_domain(fabric: FabricProgram) -> None:
    rank = len(fabric.dims)
    expect(1 <= rank <= MAX_DOMAIN_DIMS, f"{rank} dims, expected 1 to {MAX_DOMAIN_DIMS}")
    expect(len(set(fabric.dims)) == rank, f"two dims of {fabric.dims} have the same name")
    expect(0 <= fabric.parallel <= rank, f"{fabric.parallel} parallel dims of {rank}")
    expect(
        fabric.parallel == rank or fabric.combiner is not Combiner.NONE,
        "reduction dims, and no combiner to reduce them",
    )
    on_array = fabric.rows + fabric.cols
    expect(
        len(set(on_array)) == len(on_array) and all(0 <= d < fabric.parallel for d in on_array),
        f"rows {fabric.rows} and cols {fabric.cols} are not distinct parallel dims, 0 to {fabric.parallel - 1}",
    )


def _check_accesses(fabric: FabricProgram) -> None:
    expected = INPUTS[fabric.combiner]
    expect(fabric.inputs == expected, f"{fabric.inputs} inputs, and {fabric.combiner.name.lower()} combines {expected}")
    expect(
        fabric.epilogue_operands >= 0,
        f"{len(fabric.accesses)} accesses, expected {fabric.inputs} for the inputs and one for the result at least",
    )
    for i, access in enumerate(fabric.accesses):
        # Epilogue operands are read, and the result is written, when the reduction is over.
        dims = len(fabric.dims) if i < fabric.inputs else fabric.parallel
        _check_access(access, dims, f"access {i}")


def _check_access(access: Access, dims: int, where: str) -> None:
    expect(len(access.exprs) <= MAX_RANK, f"{where}: rank {len(access.exprs)}, expected at most {MAX_RANK}")
    for expr in access.exprs:
        used = [dim for dim, _ in expr.terms]
        expect(
            len(set(used)) == len(used) and all(0 <= d < dims for d in used),
            f"{where}: an expression over the dims {used}, expected distinct ones from 0 to {dims - 1}",
        )
        for value in (expr.const, *(coef for _, coef in expr.terms)):
            expect(abs(value) <= MAX_VALUE, f"{where}: {value} is too large")


def first_micro_register(fabric: FabricProgram) -> int:
    """The register of the first micro-op: the accumulator, if any, and the epilogue operands come before."""
    return (fabric.combiner is not Combiner.NONE) + fabric.epilogue_operands


def _check_micro_ops(fabric: FabricProgram) -> None:
    registers = first_micro_register(fabric)
    for i, op in enumerate(fabric.micro_ops):
        where = f"micro-op {i} ({op.opcode.name.lower()})"
        arity = signature(op.opcode).arity
        expect(len(op.args) == arity, f"{where}: {len(op.args)} arguments, expected {arity}")
        for arg in op.args:
            expect(
                0 <= arg < registers + i, f"{where}: register {arg}, expected an earlier one (below {registers + i})"
            )
        integers = INTEGERS.get(op.opcode, ())
        expect(
            len(op.integers) == len(integers),
            f"{where}: {len(op.integers)} integers, expected {', '.join(integers) or 'none'}",
        )
        if op.opcode is MicroOpcode.TABLE:
            _check_table(fabric, op, where)
        if op.opcode is MicroOpcode.RESCALE:
            _check_scale(fabric, op, registers, where)
    registers += len(fabric.micro_ops)
    expect(0 <= fabric.result < registers, f"the result is register {fabric.result}, and there are {registers}")


def _check_table(fabric: FabricProgram, op: MicroOp, where: str) -> None:
    [number] = op.integers
    expect_index(number, fabric.tables, f"{where}: table")
    size = TABLE_ENTRIES * op.dtype.bytes
    expect(
        len(fabric.tables[number]) == size,
        f"{where}: table {number} has {len(fabric.tables[number])} bytes, expected {size}: "
        f"{TABLE_ENTRIES} of {op.dtype.name.lower()}",
    )


def _check_scale(fabric: FabricProgram, op: MicroOp, first: int, where: str) -> None:
    """A multiplier and a shift that are constants; those of operands are known when they are read."""
    for what, arg, (low, high) in zip(("multiplier", "shift"), op.args[1:], (MULTIPLIERS, SHIFTS)):
        source = fabric.micro_ops[arg - first] if arg >= first else None
        if source is not None and source.opcode is MicroOpcode.CONSTANT:
            expect(low <= source.immediate <= high, f"{where}: {what} {source.immediate}, expected {low} to {high}")


def _check_accumulator(fabric: FabricProgram, dtype: DType) -> None:
    """Sums and products are of f32 or of i32 (i64), the largest and the least value of the input's type."""
    if fabric.combiner in (Combiner.MAX, Combiner.MIN):
        accepted = [dtype]
    else:
        accepted = [DType.F32] if dtype.is_float else [DType.I32, DType.I64]
    expect(
        fabric.acc_dtype in accepted,
        f"fabric program {fabric.name!r}: {fabric.combiner.name.lower()} of {dtype.name.lower()} in "
        f"{fabric.acc_dtype.name.lower()}, expected {' or '.join(d.name.lower() for d in accepted)}",
    )


def check_types(fabric: FabricProgram, operands: tuple[DType, ...], stage: Stage = Stage.WHOLE) -> None:
    """The accumulator holds what the inputs are reduced to, every micro-op gets the types that the `arith` op of its
    name asks for, and what is stored is of the result's type; `operands` are the types of the maps that the stage has
    operands for, in the order of the accesses."""
    numbers = fabric.operands_of(stage)
    if fabric.combiner is not Combiner.NONE and stage is not Stage.FINISH:
        _check_accumulator(fabric, operands[0])
    if stage is not Stage.PARTIAL:
        _check_epilogue_types(fabric, operands[fabric.inputs - numbers.start :])


def _check_epilogue_types(fabric: FabricProgram, operands: tuple[DType, ...]) -> None:
    registers = list(operands[:-1])
    if fabric.combiner is not Combiner.NONE:
        registers.insert(0, fabric.acc_dtype)
    for i, op in enumerate(fabric.micro_ops):
        where = f"fabric program {fabric.name!r}, micro-op {i}"
        arguments = [registers[a] for a in op.args]
        expected = signature(op.opcode)
        expect(
            expected.accepts(arguments, op.dtype),
            f"{where}: no {op.opcode.name.lower()} from {', '.join(a.name.lower() for a in arguments) or 'nothing'} "
            f"to {op.dtype.name.lower()}; its types are {expected}",
        )
        if op.opcode is MicroOpcode.CONSTANT:
            expect(op.dtype.represents(op.immediate), f"{where}: {op.immediate} is no {op.dtype.name.lower()}")
        if op.opcode is MicroOpcode.RESCALE:
            for dtype, zero_point in zip((arguments[0], op.dtype), op.integers):
                expect(dtype.represents(zero_point), f"{where}: zero point {zero_point} is no {dtype.name.lower()}")
        registers.append(op.dtype)
    stored = registers[fabric.result]
    expect(
        stored is operands[-1],
        f"fabric program {fabric.name!r} stores {stored.name.lower()} in a map of {operands[-1].name.lower()}",
    )
