"""`kpu-verify`: prove that a scheduled program fits the machine and has no race, deadlock or out-of-range address.

The proof is made on the binary program that the module translates to, by the same code that the loader uses. It holds
for all values, so the constants stay out of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from swkpu.emit import emit
from swkpu.program.check import check
from swkpu.program.races import check_races
from swkpu.target import load_target


@dataclass(frozen=True)
class KpuVerifyPass(ModulePass):
    """Prove the absence of races, deadlocks and out-of-range addresses; changes nothing."""

    name = "kpu-verify"

    target: str = "kpu-t64"
    profile: str | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = load_target(self.target, self.profile)
        program = emit(op, machine, values=False)
        check(program, machine)
        check_races(program)
