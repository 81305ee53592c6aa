"""What tests of single nn ops share: random tensors, and one op run by the interpreter."""

import torch
from xdsl.dialects.builtin import ModuleOp, bf16, f16, f32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region

from swkpu.interp import run_module
from swkpu.types import dtype_of, i1, i8, i32, i64, tensor_type, torch_dtype

FLOATS = [f32, bf16, f16]


def rand(*shape: int, element: Attribute = f32, seed: int = 0) -> torch.Tensor:
    """Normal floats; integers from the range of i8."""
    dtype = torch_dtype(dtype_of(element))
    generator = torch.Generator().manual_seed(seed)
    if not dtype.is_floating_point:
        return torch.randint(-128, 128, shape, generator=generator).to(dtype)
    return torch.randn(shape, generator=generator).to(dtype)


def element(x: torch.Tensor) -> Attribute:
    return next(e for e in (*FLOATS, i1, i8, i32, i64) if torch_dtype(dtype_of(e)) == x.dtype)


def run(op_type: type[Operation], *inputs: torch.Tensor, **arguments: object) -> torch.Tensor:
    """One op of the given inputs and attributes."""
    block = Block(arg_types=[tensor_type(tuple(x.shape), element(x)) for x in inputs])
    return run_op(op_type(*block.args, **arguments), block, inputs)


def run_variadic(op_type: type[Operation], inputs: list[torch.Tensor], **arguments: object) -> torch.Tensor:
    """One op that takes its operands as a list."""
    block = Block(arg_types=[tensor_type(tuple(x.shape), element(x)) for x in inputs])
    return run_op(op_type(block.args, **arguments), block, inputs)


def run_op(op: Operation, block: Block, inputs: tuple[torch.Tensor, ...] | list[torch.Tensor]) -> torch.Tensor:
    """The result of an op on the block's arguments, which has the type that the op says."""
    op.verify()
    block.add_ops([op, ReturnOp(*op.results)])
    function = FuncOp("main", ([a.type for a in block.args], [r.type for r in op.results]), Region(block))
    (result,) = run_module(ModuleOp([function]), inputs)
    type_ = op.results[0].type
    assert tuple(result.shape) == type_.get_shape()
    assert result.dtype == torch_dtype(dtype_of(type_.element_type))
    return result
