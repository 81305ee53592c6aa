"""Sizes that depend on constants only: `x[mask]` and `nonzero(mask)` of masks that belong to the model.

torch.export does not look at the values of a model's tensors, and gives such results a size that varies. The masks are
evaluated here and the program is captured again, with places in the place of masks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node
from torch.utils import _pytree as pytree

from swkpu.errors import ModelError
from swkpu.frontend.capture import quiet
from swkpu.frontend.examples import program_inputs
from swkpu.frontend.known import Known, is_constant

aten = torch.ops.aten

_BY_MASK = (aten.index.Tensor, aten.masked_select.default)
_ASSERTIONS = (aten._assert_scalar.default, aten.sym_constrain_range_for_size.default, aten.sym_constrain_range.default)


def with_constant_sizes(ep: ExportedProgram) -> ExportedProgram:
    """The program without sizes that only constants decide; itself where it has none."""
    makers = [node for node in ep.graph.nodes if node.op == "call_function" and _has_symbols(node)]
    if not makers:
        return ep
    known = _evaluated(ep)
    module = ep.module(check_guards=False)
    graph = module.graph
    changed = False
    for node in list(graph.nodes):
        if node.target in _ASSERTIONS:
            graph.erase_node(node)
        elif node.target in _BY_MASK:
            changed |= _without_masks(module, node, known)
        elif _has_symbols(node) and (value := _value(module, node, known)) is not None:
            node.replace_all_uses_with(_constant(module, node, value))
            changed = True
    if not changed:
        return ep
    graph.eliminate_dead_code()
    module.recompile()
    args, kwargs = program_inputs("masks", ep)
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(module, args, kwargs, strict=False)
    except Exception as error:  # whatever torch raises
        raise ModelError(f"torch.export could not capture the model with its masks evaluated: {error}") from error


def _has_symbols(node: Node) -> bool:
    leaves = pytree.tree_leaves(node.meta.get("val"))
    return any(isinstance(d, torch.SymInt) for leaf in leaves if isinstance(leaf, torch.Tensor) for d in leaf.shape)


def _evaluated(ep: ExportedProgram) -> dict[str, Any]:
    """The values, by name, of all that depends on the model's own tensors only."""
    mutated = {s.target for s in ep.graph_signature.output_specs if s.kind == OutputKind.BUFFER_MUTATION}
    own = {s.arg.name: s for s in ep.graph_signature.input_specs if s.kind != InputKind.USER_INPUT}
    known = Known()
    for node in ep.graph.nodes:
        if node.op == "placeholder" and node.name in own and own[node.name].target not in mutated:
            key = str(own[node.name].target)
            tensor = ep.state_dict.get(key, ep.constants.get(key))
            if isinstance(tensor, torch.Tensor):
                known.values[node] = tensor.detach().clone()
        elif node.op == "call_function" and is_constant(node, known.values):
            with torch.no_grad():
                known.evaluate(node)
    return {node.name: value for node, value in known.values.items()}


def _without_masks(module: fx.GraphModule, node: Node, known: dict[str, Any]) -> bool:
    """Give an indexing call the places where its masks are true; returns whether there were masks that are known."""
    if node.target is aten.masked_select.default:
        x, mask = node.args
        value = _value(module, mask, known)
        if value is None or not isinstance(x, Node) or x.meta["val"].shape != value.shape:
            return False
        node.target, node.args = aten.index.Tensor, (x, [mask])
    indices: list[Any] = []
    changed = False
    for index in node.args[1]:  # pyright: ignore[reportGeneralTypeIssues, reportOptionalIterable]
        value = _value(module, index, known)
        if value is not None and value.dtype == torch.bool:
            indices += [_constant(module, node, places) for places in value.nonzero(as_tuple=True)]
            changed = True
        else:
            indices.append(index)
    if changed:
        node.args = (node.args[0], indices)
    return changed


def _value(module: fx.GraphModule, node: Any, known: dict[str, Any]) -> torch.Tensor | None:
    """What a node is in every run."""
    if not isinstance(node, Node):
        return None
    value = known.get(node.name)
    if node.op == "get_attr":
        owner, _, name = str(node.target).rpartition(".")
        value = getattr(module.get_submodule(owner), name)
    return value.detach() if isinstance(value, torch.Tensor) else None


def _constant(module: fx.GraphModule, before: Node, value: torch.Tensor) -> Node:
    """A tensor of the module, read before a node."""
    count = sum(name.startswith("_places_") for name, _ in module.named_buffers())
    module.register_buffer(f"_places_{count}", value)
    with module.graph.inserting_before(before):
        return module.graph.get_attr(f"_places_{count}")
