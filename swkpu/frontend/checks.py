"""What a captured program must not have: sizes that vary, control flow, state, outputs that a program cannot make."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch._ops import HigherOrderOperator
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, ExportGraphSignature, OutputKind, TensorArgument
from torch.fx import Node
from torch.utils import _pytree as pytree
from xdsl.ir import SSAValue

from swkpu.dialects.nn import quantized_type_of
from swkpu.errors import ModelError
from swkpu.frontend.known import DEQUANTIZE
from swkpu.frontend.names import source_of
from swkpu.frontend.table import Unsupported

CONTROL_FLOW = ("cond", "while_loop", "scan", "map_impl", "associative_scan")
BY_VALUE = "a size or number in the model depends on the values of its inputs"


def check_static(ep: ExportedProgram) -> None:
    """Raise ModelError for symbolic shapes and for control flow kept in the graph."""
    for node in ep.graph.nodes:
        if isinstance(node.target, HigherOrderOperator) and node.target.name() in CONTROL_FLOW:
            raise ModelError(
                f"the model has control flow that depends on tensor values: torch.{node.target.name()} at "
                f"{source_of(ep.graph, node)}. "
                "A KPU program does the same work for every input; use torch.where, or split the model there."
            )
    for node in ep.graph.nodes:
        if any(_is_symbolic(d) for value in values_of(node.meta.get("val")) for d in _dims(value)):
            raise ModelError(_why_symbolic(ep, node))


def _why_symbolic(ep: ExportedProgram, node: Node) -> str:
    if node.op == "placeholder":
        shape = ", ".join(str(d) for d in _dims(node.meta["val"]))
        return (
            f'input "{node.name}" has the dynamic shape ({shape}); swkpu compiles for static shapes: '
            "export without dynamic_shapes, once per shape"
        )
    return (
        f"{BY_VALUE}: {node.target} at {source_of(ep.graph, node)}. "
        "A KPU program has static shapes and does the same work for every input."
    )


def values_of(meta: Any) -> Iterator[Any]:
    """The results of a call, one or several, as torch's fake tensors."""
    if isinstance(meta, list | tuple):
        yield from meta
    elif meta is not None:
        yield meta


def _dims(value: Any) -> tuple[Any, ...]:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else (value,)


def _is_symbolic(size: Any) -> bool:
    return isinstance(size, torch.SymInt | torch.SymFloat | torch.SymBool)


def check_quantized(node: Node, operands: Sequence[Any]) -> None:
    """Raise Unsupported for an operator other than dequantize on quantized values."""
    if node.target in DEQUANTIZE:
        return
    if any(isinstance(v, SSAValue) and quantized_type_of(v) is not None for v in pytree.tree_leaves(operands)):
        raise Unsupported("on quantized integers; accepted are operators on what is dequantized")


def check_outputs(signature: ExportGraphSignature) -> None:
    """Raise ModelError where the program would have to keep state or return what is not a tensor or constant."""
    for index, spec in enumerate(signature.output_specs):
        if spec.kind == OutputKind.BUFFER_MUTATION:
            raise ModelError(
                f'the model changes its buffer "{spec.target}" as it runs; swkpu compiles inference without state: '
                "put the model in eval mode before exporting it, or return the new value"
            )
        if spec.kind == OutputKind.USER_INPUT_MUTATION:
            warnings.warn(
                f'the model changes its input "{spec.target}" in place; the compiled program will not', stacklevel=4
            )
        elif not isinstance(spec.arg, TensorArgument | ConstantArgument):
            raise ModelError(f"output {index} of the model is a {type(spec.arg).__name__}; return tensors or constants")
