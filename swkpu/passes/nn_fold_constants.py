"""Evaluate what is constant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.interpreter import Interpreter
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.dialects.nn import ConstantOp, DequantizeWeightOp, NNOp, shape_of, type_of
from swkpu.program.dtypes import DType


@dataclass(frozen=True)
class NnFoldConstantsPass(ModulePass):
    """Replace every nn op whose operands are all constants by its value.

    A tensor without elements is a constant, wherever it comes from. Values of up to 16 elements are written in the IR;
    larger ones become weights named by their content. Quantized weights stay integers and their scales, unless
    `weights` is given.
    """

    name = "nn-fold-constants"

    weights: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        fold_constants(op, self.weights)


def fold_constants(module: ModuleOp, weights: bool = False) -> None:
    """The pass, for other passes to use. Constants that nothing uses (any more) are removed."""
    _fold_empty_tensors(module)
    kept = () if weights else (DequantizeWeightOp,)
    foldable = [op for op in module.walk() if isinstance(op, NNOp) and op.operands and not isinstance(op, kept)]
    interpreter: Interpreter | None = None
    for op in foldable:
        if not all(isinstance(v.owner, ConstantOp) for v in op.operands):
            continue
        if interpreter is None:
            from swkpu.interp import interpreter_of

            interpreter = interpreter_of(module)
        _fold(op, interpreter)
    erase_unused(v for op in module.walk() if isinstance(op, ConstantOp) for v in op.results)


def _fold_empty_tensors(module: ModuleOp) -> None:
    """Arguments and results without elements become constants."""
    for function in [o for o in module.walk() if isinstance(o, FuncOp) and o.body.blocks]:
        for argument in function.args:
            if _is_empty(argument) and argument.first_use is not None:
                empty = _empty(argument)
                Rewriter.insert_op(empty, InsertPoint.at_start(function.body.block))
                argument.replace_all_uses_with(empty.result)
    for op in [o for o in module.walk() if isinstance(o, NNOp) and _is_empty(o.results[0])]:
        empty = _empty(op.results[0])
        empty.location = op.location
        Rewriter.replace_op(op, empty)


def _is_empty(value: SSAValue) -> bool:
    return isinstance(value.type, TensorType) and 0 in value.type.get_shape()


def _empty(like: SSAValue) -> ConstantOp:
    from swkpu.interp.constants import constant
    from swkpu.types import dtype_of, numpy_dtype

    return constant(np.zeros(shape_of(like), numpy_dtype(dtype_of(type_of(like).element_type))))


def _fold(op: NNOp, interpreter: Interpreter) -> None:
    import torch

    from swkpu.interp.constants import constant
    from swkpu.types import i4, numpy_dtype, to_numpy

    with torch.no_grad():
        arguments = [interpreter.run_op(v.owner)[0] for v in op.operands if isinstance(v.owner, ConstantOp)]
        (result,) = interpreter.run_op(op, tuple(arguments))
    array = to_numpy(result)
    if type_of(op.results[0]).element_type == i4:  # which torch does not have
        array = array.astype(numpy_dtype(DType.I4))
    folded = constant(array)
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
