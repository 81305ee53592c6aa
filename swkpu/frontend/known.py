"""Values that no input decides: torch evaluates them while the program is imported."""

from __future__ import annotations

import operator
from collections.abc import Container
from typing import Any

import torch
import torch.ao.quantization.fx._decomposed  # pyright: ignore[reportUnusedImport]  # defines the operators
from torch._ops import OpOverload
from torch.fx import Node
from torch.fx.node import map_arg
from torch.utils import _pytree as pytree

from swkpu.errors import ModelError

aten = torch.ops.aten

SHAPED_LIKE = frozenset(
    {
        aten.full_like.default,
        aten.empty_like.default,
        aten.zeros_like.default,
        aten.ones_like.default,
        aten.new_full.default,
        aten.new_zeros.default,
        aten.new_ones.default,
        aten.new_empty.default,
        aten.new_empty_strided.default,
    }
)
"""Operators that take from their first operand its shape and type only."""
DEQUANTIZE = frozenset(
    getattr(packet, overload)
    for packet in (
        torch.ops.quantized_decomposed.dequantize_per_tensor,
        torch.ops.quantized_decomposed.dequantize_per_channel,
        torch.ops.quantized_decomposed.dequantize_per_channel_group,
    )
    for overload in packet.overloads()
)
"""Operators whose rules keep the integers that they are given."""


def is_constant(node: Node, known: Container[Node]) -> bool:
    """Whether a call has the same result in every run, given those whose results are known."""
    target = node.target
    if _is_empty(node):
        return True
    if target in DEQUANTIZE or (not isinstance(target, OpOverload) and target is not operator.getitem):
        return False
    if isinstance(target, OpOverload) and torch.Tag.nondeterministic_seeded in target.tags:
        return False
    needed = node.all_input_nodes[1:] if target in SHAPED_LIKE else node.all_input_nodes
    return all(operand in known for operand in needed)


def _is_empty(node: Node) -> bool:
    """Whether a node's results are tensors without elements."""
    fakes = pytree.tree_leaves(node.meta.get("val"))
    return bool(fakes) and all(isinstance(f, torch.Tensor) and _is_plain(f) and _has_none(f) for f in fakes)


def _has_none(fake: torch.Tensor) -> bool:
    sizes: list[Any] = list(fake.shape)  # numbers, or symbols in a program that will be refused
    return any(isinstance(size, int) and size == 0 for size in sizes)


class Known:
    """The values known so far: constants, tensors without elements, and all that is computed from these only."""

    def __init__(self) -> None:
        self.values: dict[Node, Any] = {}

    def __contains__(self, node: Node) -> bool:
        return node in self.values

    def note_empty(self, node: Node) -> bool:
        """Know a node whose tensors have no elements; returns whether it is one."""
        if not _is_empty(node):
            return False
        self.values[node] = pytree.tree_map(_empty, node.meta["val"])
        return True

    def evaluate(self, node: Node) -> bool:
        """Evaluate a call whose operands are all known; returns whether that could be done. Raises ModelError."""
        target = node.target
        if self.note_empty(node):
            return True
        if not is_constant(node, self.values) or not callable(target):
            return False
        values = self.values
        if target in SHAPED_LIKE and isinstance(node.args[0], Node):
            values = {**values, node.args[0]: _empty(node.args[0].meta["val"])}
        args, kwargs = map_arg((node.args, node.kwargs), lambda operand: values[operand])
        try:
            self.values[node] = target(*args, **kwargs)
        except Exception as error:  # whatever torch raises
            raise ModelError(f"torch cannot evaluate {target} on the constants of the model: {error}") from error
        return True


def _is_plain(fake: torch.Tensor) -> bool:
    return fake.layout == torch.strided


def _empty(fake: torch.Tensor) -> torch.Tensor:
    """A tensor of the shape and type, with whatever elements."""
    return torch.empty(tuple(fake.shape), dtype=fake.dtype)
