"""`nn-narrow-integers`: the machine's integer is 32 bits wide, torch's is 64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, FunctionType, ModuleOp, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, BlockArgument, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from swkpu.dialects.location import source_of
from swkpu.dialects.nn import ConstantOp, shape_of
from swkpu.errors import IRError
from swkpu.interp.constants import array_of, constant
from swkpu.types import i32, i64

INPUT_TYPES = "nn.input_types"
OUTPUT_TYPES = "nn.output_types"


@dataclass(frozen=True)
class NnNarrowIntegersPass(ModulePass):
    """Store i64 tensors as i32; the function's own types stay known to the host.

    Constants outside the range of i32 saturate where they are the bounds of i64 (torch's "no limit"), and are refused
    otherwise. Arithmetic wraps at 32 bits. `nn.input_types` and `nn.output_types` of the module say what the host has.
    """

    name = "nn-narrow-integers"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.walk():
            if isinstance(function, FuncOp) and function.body.blocks and _has_wide_integers(function):
                types = function.function_type
                if function.sym_name.data == "main":
                    op.attributes[INPUT_TYPES] = ArrayAttr([_element(t) for t in types.inputs])
                    op.attributes[OUTPUT_TYPES] = ArrayAttr([_element(t) for t in types.outputs])
                narrow(function)


def _element(type: Attribute) -> Attribute:
    assert isinstance(type, TensorType)
    return type.element_type


def _is_wide(value: SSAValue) -> bool:
    return isinstance(value.type, TensorType) and value.type.element_type == i64


def _has_wide_integers(function: FuncOp) -> bool:
    values = [*function.args, *(r for op in function.walk() for r in op.results)]
    return any(_is_wide(v) for v in values)


def narrow(function: FuncOp) -> None:
    """Change the type of every i64 tensor of a function. Raises IRError for a constant that does not fit."""
    for argument in list(function.args):
        if _is_wide(argument):
            new = Rewriter.replace_value_with_new_type(argument, TensorType(i32, shape_of(argument)))
            assert isinstance(new, BlockArgument)
            new.location = argument.location
    for op in list(function.walk()):
        if isinstance(op, ConstantOp) and _is_wide(op.result):
            _narrow_constant(op)
            continue
        for result in op.results:
            if _is_wide(result):
                Rewriter.replace_value_with_new_type(result, TensorType(i32, shape_of(result)))
    returned = next(op for op in function.body.block.ops if isinstance(op, ReturnOp))
    function.properties["function_type"] = FunctionType.from_lists(
        [a.type for a in function.args], [v.type for v in returned.operands]
    )


def _narrow_constant(op: ConstantOp) -> None:
    array = array_of(op)
    wide, limits = np.iinfo(np.int64), np.iinfo(np.int32)
    outside = (array < limits.min) | (array > limits.max)
    unlimited = (array == wide.min) | (array == wide.max)
    if (outside & ~unlimited).any():
        value = array[outside & ~unlimited].flat[0]
        where = f" ({source_of(op)})" if source_of(op) else ""
        raise IRError(f"a constant{where} is {value}; the KPU's integers go from {limits.min} to {limits.max}")
    new = constant(np.clip(array, limits.min, limits.max).astype(np.int32))
    new.location = op.location
    new.result.name_hint = op.result.name_hint
    Rewriter.replace_op(op, new)
