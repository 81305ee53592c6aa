"""What the drain unit does to a contraction's results on their way out of the array, free of charge."""

from __future__ import annotations

from swkpu.program.model import FabricProgram, MicroOpcode

DRAIN_UNIT_ARITHMETIC = 3
"""How many additions and multiplications by an operand or constant the drain unit applies to a result."""
DRAIN_UNIT_RESCALES = 3
"""How many RESCALEs: of the accumulator, of a second operand that is added to it, and of their sum."""
DRAIN_UNIT_TABLES = 1
"""How many table lookups."""

_CONVERSIONS = {MicroOpcode.EXTF, MicroOpcode.TRUNCF, MicroOpcode.EXTSI, MicroOpcode.TRUNCI}
_CLAMPS = {MicroOpcode.MAXIMUMF, MicroOpcode.MINIMUMF, MicroOpcode.MAXSI, MicroOpcode.MINSI}
_ARITHMETIC = {
    *(MicroOpcode.ADDF, MicroOpcode.SUBF, MicroOpcode.MULF),
    *(MicroOpcode.ADDI, MicroOpcode.SUBI),
}


def ops_beyond_drain_unit(fabric: FabricProgram) -> int:
    """How many micro-operations per result of a contraction are left for the vector lanes; docs/timing.md, "exec".

    The drain unit converts between widths, clamps against constants, and does as much arithmetic with epilogue
    operands or constants (integers are multiplied by constants only), as many rescales and table lookups as the limits
    above say. What is converted or rescaled of an operand (a constant) is an operand (a constant) still.
    """
    first_op = 1 + fabric.epilogue_operands
    operands = set(range(1, first_op))
    constants: set[int] = set()
    left = {"arithmetic": DRAIN_UNIT_ARITHMETIC, "rescale": DRAIN_UNIT_RESCALES, "table": DRAIN_UNIT_TABLES}
    on_lanes = 0

    def takes(what: str) -> bool:
        left[what] -= 1
        return left[what] >= 0

    for register, op in enumerate(fabric.micro_ops, start=first_op):
        given = operands | constants
        match op.opcode:
            case MicroOpcode.CONSTANT:
                constants.add(register)
                continue
            case opcode if opcode in _CONVERSIONS:
                drained = True
            case opcode if opcode in _CLAMPS:
                drained = not constants.isdisjoint(op.args)
            case opcode if opcode in _ARITHMETIC:
                drained = not given.isdisjoint(op.args) and takes("arithmetic")
            case MicroOpcode.MULI:
                drained = not constants.isdisjoint(op.args) and takes("arithmetic")
            case MicroOpcode.RESCALE:
                drained = given.issuperset(op.args[1:]) and takes("rescale")
            case MicroOpcode.TABLE:
                drained = takes("table")
            case _:
                drained = False
        on_lanes += not drained
        if drained and (op.opcode in _CONVERSIONS or op.opcode is MicroOpcode.RESCALE):
            for kind in (operands, constants):
                if op.args[0] in kind:
                    kind.add(register)
    return on_lanes
