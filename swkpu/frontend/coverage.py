"""Which operators the models of the zoo call, and which of them have import rules."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._ops import OpOverload
from torch.export import ExportedProgram

from swkpu import zoo
from swkpu.frontend.capture import capture
from swkpu.frontend.importer import decomposed
from swkpu.frontend.known import Known
from swkpu.frontend.table import load_rules


@dataclass(frozen=True)
class Coverage:
    """Calls in a model's graph, as it is imported, and how many are of an operator that has a rule.

    Constants, which are evaluated at import and need no rule, are left out.
    """

    calls: int
    supported_calls: int
    operators: dict[str, dict[str, Any]]
    """Of each operator: `calls`, and whether it is `supported`."""


def coverage(ep: ExportedProgram) -> Coverage:
    """The operators of a captured program, after what has no rule was broken down. Raises ModelError."""
    rules, ep = load_rules(), decomposed(ep)
    known = _constants(ep)
    calls: Counter[Any] = Counter(
        node.target
        for node in ep.graph.nodes
        if node.op == "call_function" and isinstance(node.target, OpOverload) and not known.evaluate(node)
    )
    rows = {str(operator): {"calls": count, "supported": operator in rules} for operator, count in calls.items()}
    supported = sum(count for operator, count in calls.items() if operator in rules)
    return Coverage(calls.total(), supported, dict(sorted(rows.items())))


def _constants(ep: ExportedProgram) -> Known:
    known, lifted = Known(), ep.graph_signature.inputs_to_lifted_tensor_constants
    for node in ep.graph.nodes:
        if node.op == "placeholder" and node.name in lifted:
            known.values[node] = ep.constants[lifted[node.name]]
    return known


def zoo_coverage(name: str) -> Coverage:
    """The coverage of a model of the zoo. Raises ModelError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are for who compiles the model
        return coverage(capture(_without_weights(name), zoo.example_inputs(name)))


def _without_weights(name: str) -> nn.Module:
    """The model with whatever memory holds for weights, where that is enough: a graph does not depend on them."""
    if zoo.info(name) not in zoo.BUILT_IN:
        return zoo.build(name)  # it need not know the meta device
    with torch.device("meta"):
        return zoo.build(name).to_empty(device="cpu")
