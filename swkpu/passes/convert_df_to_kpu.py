"""`convert-df-to-kpu`: apply the mappings. Each recurrence becomes a layer: loops, buffers, transfers and executions.

The loops of a layer are the mapping's L2 loops, then, per part, its L1 loops. Every operand is brought in just
outside the innermost loop it depends on, so what a loop does not change stays where it is. All coordinates are
affine in the loop counters and tile coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.applying.program import ProgramLowering
from swkpu.target import load_target


@dataclass(frozen=True)
class ConvertDfToKpuPass(ModulePass):
    """Apply every recurrence's mapping: loops, buffers, transfers and executions."""

    name = "convert-df-to-kpu"

    target: str = "kpu-t64"
    profile: str | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = load_target(self.target, self.profile)
        for func in [o for o in op.body.block.ops if isinstance(o, FuncOp) and not o.is_declaration]:
            program = ProgramLowering(func, machine, op).run()
            Rewriter.insert_op(program, InsertPoint.before(func))
            Rewriter.erase_op(func)
