"""`kpu-assign-memory`: addresses in DRAM, L2 and L1 for every buffer, by lifetime.

Lifetimes are counted in layers. A tensor between layers lives from the layer that writes it to the last that reads
it. A layer's own buffers are needed in that layer, and had from an earlier one on where there is room, so that loads
and pushes of constants can run ahead (`swkpu/placement`).
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.passes import ModulePass

from swkpu.dialects import kpu
from swkpu.dialects.kpu import AllocOp, buffer_type
from swkpu.errors import IRError, MemoryError
from swkpu.mapping.packing import pack
from swkpu.placement.l1 import assign_l1
from swkpu.placement.l2 import L2Assignment, set_address
from swkpu.program.model import Space
from swkpu.target import Machine, load_target

DRAM_ALIGNMENT = 64


def check_target(program: kpu.ProgramOp, machine: Machine) -> None:
    """Raises IRError where a program was lowered for another target."""
    if program.target.data != machine.name:
        raise IRError(f"the program was lowered for target {program.target.data}, not {machine.name}")


def assign_dram(program: kpu.ProgramOp, machine: Machine) -> int:
    """Constants, inputs and DRAM tensors one after the other. Returns the bytes used."""
    at = 0
    for op in program.body.block.ops:
        if isinstance(op, kpu.ConstantOp | kpu.InputOp | AllocOp) and buffer_type(op.results[0]).memory is Space.DRAM:
            set_address(op, at)
            at += -(-buffer_type(op.results[0]).bytes // DRAM_ALIGNMENT) * DRAM_ALIGNMENT
    if at > machine.dram.capacity_bytes:
        raise MemoryError("DRAM", at, machine.dram.capacity_bytes)
    return at


@dataclass(frozen=True)
class KpuAssignMemoryPass(ModulePass):
    """Give every buffer an address in its memory."""

    name = "kpu-assign-memory"

    target: str = "kpu-t64"
    profile: str | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = load_target(self.target, self.profile)
        for program in [o for o in op.walk() if isinstance(o, kpu.ProgramOp)]:
            check_target(program, machine)
            layers = [o for o in program.body.block.ops if isinstance(o, kpu.LayerOp)]
            dram = assign_dram(program, machine)
            l2 = L2Assignment(program, layers, machine.l2.capacity_bytes, pack).run()
            facts = {"peak_dram_bytes": dram, "peak_l2_bytes": l2.peak, "peak_l1_bytes": assign_l1(layers, machine)}
            info = program.info.data | {k: IntegerAttr(v, i64) for k, v in facts.items()}
            program.properties["info"] = type(program.info)(info)
