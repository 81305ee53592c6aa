"""The signature of an exported program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.utils import _pytree as pytree

from swkpu.frontend.elements import short
from swkpu.signature import Container, Leaf, Signature, Structure


def signature_of(ep: ExportedProgram) -> Signature:
    """How the program's model is called, and what it returns."""
    types = {node.name: node.meta["val"].dtype for node in ep.graph.nodes if hasattr(node.meta.get("val"), "dtype")}

    def leaf(argument: Any) -> Leaf:
        is_constant = isinstance(argument, ConstantArgument)
        return Leaf(None, argument.value) if is_constant else Leaf(short(types[argument.name]))

    graph, call = ep.graph_signature, ep.call_spec
    taken = [leaf(s.arg) for s in graph.input_specs if s.kind == InputKind.USER_INPUT]
    given = [leaf(s.arg) for s in graph.output_specs if s.kind == OutputKind.USER_OUTPUT]
    inputs = iter(taken)
    positional, named = (_flat(taken), {}) if call.in_spec is None else _inputs(call.in_spec, inputs)
    result = Container("tuple", _flat(given)) if call.out_spec is None else structure_of(call.out_spec, iter(given))
    return Signature(positional, named, result)


def _flat(leaves: list[Leaf]) -> tuple[Structure, ...]:
    return tuple(leaves)


def _inputs(spec: pytree.TreeSpec, leaves: Iterator[Leaf]) -> tuple[tuple[Structure, ...], dict[str, Structure]]:
    args, kwargs = spec.children()
    positional = tuple(structure_of(child, leaves) for child in args.children())
    return positional, {name: structure_of(child, leaves) for name, child in zip(kwargs.context, kwargs.children())}


def structure_of(spec: pytree.TreeSpec, leaves: Iterator[Leaf]) -> Structure:
    """A torch TreeSpec with its leaves."""
    if spec.is_leaf():
        return next(leaves)
    parts = tuple(structure_of(child, leaves) for child in spec.children())
    if spec.type in (tuple, list):
        return Container(spec.type.__name__, parts)
    if spec.type is dict:
        return Container("dict", parts, tuple(spec.context))
    try:
        _, node = json.loads(pytree.treespec_dumps(spec))
    except Exception:  # a container without a written form
        return Container("tuple", parts)
    names = json.loads(node["context"]) if isinstance(node["context"], str) else None
    if isinstance(names, list) and len(names) == len(parts) and all(_is_name(n) for n in names):
        return Container(node["type"], parts, tuple(names))
    return Container(node["type"], parts, None, node["context"])


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and text.isidentifier()
