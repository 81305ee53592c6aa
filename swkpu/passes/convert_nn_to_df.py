"""`convert-nn-to-df`: each nn op becomes recurrences, copies and reshapes, as `swkpu.lowering` says."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, PatternRewriteWalker, RewritePattern
from xdsl.rewriter import Rewriter

from swkpu.dialects import df
from swkpu.errors import IRError
from swkpu.lowering.quantized import store_plainly
from swkpu.lowering.table import load_lowerings


class _Lower(RewritePattern):
    def __init__(self):
        self.lowerings = load_lowerings()

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        lower = self.lowerings.get(type(op))
        if lower is None:
            if op.name.startswith("nn."):
                raise IRError(f"{op.name} has no lowering to df")
            return
        new = lower(op)
        for n in new:
            n.location = op.location
            if isinstance(n, df.RecurrenceOp):
                n.attributes["op"] = StringAttr(op.name.removeprefix("nn."))
        new[-1].results[0].name_hint = op.results[0].name_hint
        rewriter.replace(op, new)


@dataclass(frozen=True)
class ConvertNnToDfPass(ModulePass):
    """Lower every nn op to recurrences, copies and reshapes; quantized tensors become plain integers."""

    name = "convert-nn-to-df"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        PatternRewriteWalker(_Lower(), apply_recursively=False).rewrite_module(op)
        erase_unused_constants(op)
        store_plainly(op)


def erase_unused_constants(module: ModuleOp) -> None:
    for op in [o for o in module.walk() if isinstance(o, df.ConstantOp) and not o.result.has_one_use()]:
        if not any(True for _ in op.result.uses):
            Rewriter.erase_op(op)
