"""Made-up inputs, for models that come without: the same in every run, and valid for what the model does with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

import torch
from torch import nn
from torch.fx import Node

if TYPE_CHECKING:
    from torch.export import ExportedProgram


def random_input(
    name: str, shape: tuple[int, ...], dtype: torch.dtype | None = None, below: int | None = None
) -> torch.Tensor:
    """Values that depend on the name and shape only: normal floats, true bools, integers from 0 to `below` - 1.

    Integers of unknown range are zeros, which are valid as any index.
    """
    dtype = dtype or torch.float32
    if dtype == torch.bool:
        return torch.ones(shape, dtype=dtype)
    generator = torch.Generator().manual_seed(crc32(f"{name}{shape}".encode()))
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    return torch.randint(0, below or 1, shape, generator=generator).to(dtype)


def input_of_shape(name: str, model: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    """An input for a model that takes one: token ids where it runs on integers and not on floats."""
    tables = [m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding)]
    if tables and not _runs(model, torch.empty(shape)) and _runs(model, torch.zeros(shape, dtype=torch.int64)):
        return random_input(name, shape, torch.int64, min(tables))
    return random_input(name, shape)


def _runs(model: nn.Module, x: torch.Tensor) -> bool:
    """Whether the model takes such a tensor; shapes and types are worked out without values."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    try:
        with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
            model(mode.from_tensor(x))
    except Exception:  # whatever the model raises
        return False
    return True


def program_inputs(name: str, program: ExportedProgram) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The inputs saved with a program, by position and by name, or made-up ones of the same types."""
    from torch.export.graph_signature import ConstantArgument, InputKind
    from torch.utils._pytree import tree_unflatten

    if program.example_inputs is not None:
        return tuple(program.example_inputs[0]), dict(program.example_inputs[1])
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    leaves = [
        spec.arg.value if isinstance(spec.arg, ConstantArgument) else _input_for(name, nodes[spec.arg.name])
        for spec in program.graph_signature.input_specs
        if spec.kind == InputKind.USER_INPUT
    ]
    args, kwargs = (leaves, {}) if (tree := program.call_spec.in_spec) is None else tree_unflatten(leaves, tree)
    return tuple(args), dict(kwargs)


def _input_for(name: str, node: Node) -> torch.Tensor:
    fake = node.meta["val"]
    embedding = torch.ops.aten.embedding.default
    tables = [user.args[0] for user in node.users if user.target is embedding and user.args[1] is node]
    sizes = [table.meta["val"].shape[0] for table in tables if isinstance(table, Node)]
    return random_input(name, tuple(int(d) for d in fake.shape), fake.dtype, min(sizes, default=None))
