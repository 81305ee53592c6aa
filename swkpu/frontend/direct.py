"""Programs that can be imported as torch.export captured them.

`run_decompositions` makes any program functional and breaks down what has no rule, and takes as long as the export
itself. Most programs do not need it: all their operators have rules, and what they change in place, nobody else sees.
"""

from __future__ import annotations

import operator
from collections.abc import Container, Mapping
from typing import Any

import torch
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node
from xdsl.ir import SSAValue

from swkpu.frontend.builder import NodeBuilder
from swkpu.frontend.known import is_constant
from swkpu.frontend.rules.normalization import batch_norm
from swkpu.frontend.table import Rule

aten = torch.ops.aten

COMPUTING = ("attention", "contraction", "convolution", "normalization", "resize", "window")
"""Modules whose rules are of operators that always make a new tensor, although torch does not declare it of some."""

SAME_AS: dict[OpOverload, OpOverload] = {
    aten.__and__.Tensor: aten.bitwise_and.Tensor,
    aten.__and__.Scalar: aten.bitwise_and.Scalar,
    aten.__or__.Tensor: aten.bitwise_or.Tensor,
    aten.__or__.Scalar: aten.bitwise_or.Scalar,
    aten.__xor__.Tensor: aten.bitwise_xor.Tensor,
    aten.__xor__.Scalar: aten.bitwise_xor.Scalar,
}
"""Operators by another name."""


def direct_rules(ep: ExportedProgram, rules: Mapping[OpOverload, Rule]) -> dict[Node, Rule] | None:
    """The rule of each call, or None where torch has to make the program functional or break operators down."""
    chosen: dict[Node, Rule] = {}
    known, memory = _constants(ep), _Memory()
    for node in ep.graph.nodes:
        if node.op in ("placeholder", "output"):
            continue
        if node.op != "call_function":
            return None
        if is_constant(node, known):
            known.add(node)
        if node.target is operator.getitem:
            continue
        target = functional(node, memory, known)
        if target is None:
            return None
        found = _rule_of(node, target, rules)
        if found is not None:
            chosen[node] = found
        elif node not in known:
            return None
        memory.note(node, found)
    return chosen


def _constants(ep: ExportedProgram) -> set[Node]:
    names = {s.arg.name for s in ep.graph_signature.input_specs if s.kind == InputKind.CONSTANT_TENSOR}
    return {node for node in ep.graph.nodes if node.op == "placeholder" and node.name in names}


class _Memory:
    """Which results are of memory that the program itself made: `fresh` ones share it with no other result, `owned`
    ones may be views.
    """

    def __init__(self) -> None:
        self.fresh: set[Node] = set()
        self.owned: set[Node] = set()

    def note(self, node: Node, found: Rule | None) -> None:
        first = node.args[0] if node.args else None
        if _makes_new(node.target, found) or (is_in_place(node.target) and first in self.fresh):
            self.fresh.add(node)
            self.owned.add(node)
        elif first in self.owned:
            self.owned.add(node)


def functional(node: Node, memory: _Memory, known: Container[Node]) -> OpOverload | None:
    """The operator that gives the call's result; None where that takes torch. For one that changes its operand in place
    that is the one that does not, if nothing else sees the operand. Constants are evaluated as the program does it.
    """
    target = node.target
    if not isinstance(target, OpOverload):
        return None
    if target in SAME_AS:
        return SAME_AS[target]
    if not is_in_place(target):
        return target
    if target is aten.dropout_.default and node.args[2] is False:
        return aten.dropout.default
    operand = node.args[0] if node.args else None
    if node in known:
        return target if operand in memory.owned else None
    if not isinstance(operand, Node) or operand not in memory.fresh or len(operand.users) > 1:
        return None
    name, _, overload = str(target).removeprefix("aten.").partition(".")
    return getattr(getattr(aten, name[:-1], None), overload, None) if name.endswith("_") else None


def is_in_place(target: Any) -> bool:
    """Whether an operator changes an operand."""
    return isinstance(target, OpOverload) and schema_of(target).is_mutable


def schema_of(target: OpOverload) -> Any:
    return target._schema  # pyright: ignore[reportPrivateUsage]


def _makes_new(target: Any, found: Rule | None) -> bool:
    """Whether an operator's result is a tensor that shares its memory with no other."""
    if any(result.alias_info is not None for result in schema_of(target).returns):
        return False
    if not target._can_decompose() or found is _whole_batch_norm:
        return True
    return found is not None and found.__module__.rpartition(".")[2] in COMPUTING


def _rule_of(node: Node, target: OpOverload, rules: Mapping[OpOverload, Rule]) -> Rule | None:
    if target is aten.batch_norm.default and node.args[5] is False and None not in node.args[3:5]:
        return _whole_batch_norm
    if target is aten.dropout.default and node.args[2] is False:
        return _whole_dropout
    return rules.get(target)


def _whole_batch_norm(b: NodeBuilder, x: SSAValue, *args: Any) -> SSAValue:
    """nn.batch_norm, of the operator that torch otherwise breaks down"""
    weight, bias, mean, variance, _, momentum, eps, *_ = args
    return batch_norm(b, x, weight, bias, mean, variance, momentum, eps)[0]


def _whole_dropout(b: NodeBuilder, x: SSAValue, *_: Any) -> SSAValue:
    """nothing: inference drops nothing"""
    return x
