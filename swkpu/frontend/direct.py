"""Programs that can be imported as torch.export captured them.

`run_decompositions` makes any program functional and breaks down what has no rule, and takes as long as the export
itself. Most programs do not need it: all their operators have rules, and what they change in place, nobody else sees.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
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


def direct_rules(ep: ExportedProgram, rules: Mapping[OpOverload, Rule]) -> dict[Node, Rule] | None:
    """The rule of each call, or None where torch has to make the program functional or break operators down."""
    chosen: dict[Node, Rule] = {}
    known = _constants(ep)
    fresh: set[Node] = set()
    for node in ep.graph.nodes:
        if node.op in ("placeholder", "output"):
            continue
        if node.op != "call_function":
            return None
        if is_constant(node, known):
            known.add(node)
        if node.target is operator.getitem:
            continue
        target = functional(node, fresh)
        if target is None:
            return None
        found = _rule_of(node, target, rules)
        if found is not None:
            chosen[node] = found
        elif node not in known:
            return None
        if node.target is not target or _makes_new(node.target, found):
            fresh.add(node)
    return chosen


def _constants(ep: ExportedProgram) -> set[Node]:
    names = {s.arg.name for s in ep.graph_signature.input_specs if s.kind == InputKind.CONSTANT_TENSOR}
    return {node for node in ep.graph.nodes if node.op == "placeholder" and node.name in names}


def functional(node: Node, fresh: set[Node]) -> OpOverload | None:
    """The operator that gives the call's result. For one that changes its operand in place that is the one that does
    not, if the operand is new and nothing else uses it.
    """
    target = node.target
    if not isinstance(target, OpOverload):
        return None
    if not schema_of(target).is_mutable:
        return target
    operand = node.args[0] if node.args else None
    if not isinstance(operand, Node) or operand not in fresh or len(operand.users) > 1:
        return None
    name, _, overload = str(target).removeprefix("aten.").partition(".")
    return getattr(getattr(aten, name[:-1], None), overload, None) if name.endswith("_") else None


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
