"""Evaluate what is constant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.interpreter import Interpreter
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from swkpu.dialects.nn import ConstantOp, NNOp


@dataclass(frozen=True)
class NnFoldConstantsPass(ModulePass):
    """Replace every nn op whose operands are all constants by its value.

    Values of up to 16 elements are written in the IR; larger ones become weights named by their content.
    """

    name = "nn-fold-constants"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        fold_constants(op)


def fold_constants(module: ModuleOp) -> None:
    """The pass, for other passes to use. Constants that nothing uses (any more) are removed."""
    foldable = [op for op in module.walk() if isinstance(op, NNOp) and op.operands]
    interpreter: Interpreter | None = None
    for op in foldable:
        if not all(isinstance(v.owner, ConstantOp) for v in op.operands):
            continue
        if interpreter is None:
            from swkpu.interp import interpreter_of

            interpreter = interpreter_of(module)
        _fold(op, interpreter)
    erase_unused(v for op in module.walk() if isinstance(op, ConstantOp) for v in op.results)


def _fold(op: NNOp, interpreter: Interpreter) -> None:
    import torch

    from swkpu.interp.constants import constant
    from swkpu.types import to_numpy

    with torch.no_grad():
        arguments = [interpreter.run_op(v.owner)[0] for v in op.operands if isinstance(v.owner, ConstantOp)]
        (result,) = interpreter.run_op(op, tuple(arguments))
    folded = constant(to_numpy(result))
    folded.location = op.location
    folded.result.name_hint = op.results[0].name_hint
    Rewriter.replace_op(op, folded)


def erase_unused(values: Iterable[SSAValue]) -> None:
    """Erase the nn ops that make these values, where nothing uses them, and what only they used."""
    for value in list(values):
        op = value.owner
        if not isinstance(op, Operation) or not isinstance(op, ConstantOp | NNOp):
            continue
        if op.parent is None or any(r.first_use is not None for r in op.results):
            continue
        operands = list(op.operands)
        Rewriter.erase_op(op)
        erase_unused(operands)
