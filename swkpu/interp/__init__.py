"""Every level of tensor IR runs: `run_module` evaluates a module of nn or df ops on torch tensors."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import ModuleOp, StringAttr, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.interpreter import Interpreter
from xdsl.interpreters.func import FuncFunctions
from xdsl.traits import SymbolTable
from xdsl.utils.exceptions import InterpretationError

from swkpu.errors import InputError, IRError

if TYPE_CHECKING:
    import torch


def interpreter_of(module: ModuleOp) -> Interpreter:
    """An interpreter of all tensor dialects."""
    from swkpu.interp.nn import NNFunctions

    interpreter = Interpreter(module)
    interpreter.register_implementations(FuncFunctions())
    interpreter.register_implementations(NNFunctions())
    if find_spec("swkpu.interp.df") is not None:
        from swkpu.interp.df import DFFunctions

        interpreter.register_implementations(DFFunctions())
    return interpreter


def run_module(module: ModuleOp, inputs: Sequence[torch.Tensor], function: str = "main") -> list[torch.Tensor]:
    """The function's results. Inputs have exactly its types: who calls rounds to a storage type.

    Raises InputError for inputs that do not fit, IRError for a module that cannot run.
    """
    import torch

    entry = SymbolTable.lookup_symbol(module, function)
    if not isinstance(entry, FuncOp):
        raise IRError(f"the module has no function @{function} to run")
    check_inputs(entry, inputs)
    try:
        with torch.no_grad():
            return list(interpreter_of(module).call_op(entry, tuple(inputs)))
    except InterpretationError as error:
        raise IRError(f"cannot run @{function}: {error}") from None


def call_module(module: ModuleOp, *args: object, **kwargs: object) -> Any:
    """Call an imported module as its model is called, and get what the model returns. Raises as `run_module`."""
    from swkpu.signature import Signature

    text = module.attributes.get("nn.signature")
    if not isinstance(text, StringAttr):
        raise IRError("the module does not say how its model is called; it was not imported from a model")
    signature = Signature.parse(text.data)
    return signature.restored(run_module(module, signature.tensors(args, kwargs)))


def check_inputs(entry: FuncOp, inputs: Sequence[torch.Tensor]) -> None:
    """Raise InputError unless there is one tensor of the right shape and type per argument."""
    import torch

    from swkpu.types import dtype_of, torch_dtype

    arguments = entry.body.block.args
    if len(inputs) != len(arguments):
        raise InputError(f"@{entry.sym_name.data} takes {len(arguments)} inputs, got {len(inputs)}")
    for index, (argument, value) in enumerate(zip(arguments, inputs)):
        name = f'input {index} "{argument.name_hint}"' if argument.name_hint else f"input {index}"
        if not isinstance(argument.type, TensorType):
            raise IRError(f"{name} is of type {argument.type}; only tensors can be given")
        if not isinstance(value, torch.Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"{name}: expected a torch.Tensor, got {type(value).__name__}")
        shape, dtype = argument.type.get_shape(), torch_dtype(dtype_of(argument.type.element_type))
        if tuple(value.shape) != shape or value.dtype != dtype:
            raise InputError(
                f"{name}: expected {str(dtype).removeprefix('torch.')}{list(shape)}, "
                f"got {str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
            )
