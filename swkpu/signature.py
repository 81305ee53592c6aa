"""How a model is called and what it returns, around the plain tensors that a program takes and gives.

A program has tensors in, tensors out. A model may take keyword arguments and nested containers, return dicts or
dataclasses with constants and None among the tensors, and use types that are computed as others (float64 as float32).
The signature says how to go from one to the other. In the IR and in a program it is a line of Python:

    (float32, [int64, None], mask=bool) -> {'logits': float32, 'states': (float32, float32)}
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from swkpu.errors import InputError, ProgramError

COMPUTED_AS = {"float64": "float32", "uint8": "int32", "int16": "int32", "uint16": "int32"}
"""Types of tensors that the IR has under another type; the caller's values are converted, in and out."""

Constant = None | bool | int | float | str


@dataclass(frozen=True)
class Leaf:
    """A tensor of a torch type, or else a constant."""

    type: str | None = None
    value: Constant = None

    @property
    def is_tensor(self) -> bool:
        return self.type is not None

    def __str__(self) -> str:
        return self.type or repr(self.value).replace("inf", "1e999")


@dataclass(frozen=True)
class Container:
    """A tuple, list or dict, or a type that torch's pytree knows by its full name. Dicts, and types whose parts have
    names, have `keys`; a type's other facts are in `context`, as torch writes them.
    """

    type: str
    parts: tuple[Structure, ...]
    keys: tuple[Any, ...] | None = None
    context: str | None = None

    def __str__(self) -> str:
        parts = [str(part) for part in self.parts]
        if self.type == "list":
            return f"[{', '.join(parts)}]"
        if self.type == "tuple":
            return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
        if self.type == "dict":
            return f"{{{', '.join(f'{k!r}: {p}' for k, p in zip(self.keys or (), parts))}}}"
        if self.keys is not None:
            return f"{self.type}({', '.join(f'{k}={p}' for k, p in zip(self.keys, parts))})"
        return f"{self.type}({', '.join([repr(self.context), *parts])})"


Structure = Leaf | Container


@dataclass(frozen=True)
class Signature:
    """What a model takes, by position and by name, and what it returns."""

    arguments: tuple[Structure, ...]
    keywords: Mapping[str, Structure]
    result: Structure

    def __str__(self) -> str:
        named = [f"{name}={value}" for name, value in self.keywords.items()]
        return f"({', '.join([*map(str, self.arguments), *named])}) -> {self.result}"

    def tensors(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """The tensors of a call, in the program's order and types. Raises InputError."""
        from torch.utils._pytree import tree_leaves

        for name in kwargs:
            if name not in self.keywords:
                accepted = ", ".join(self.keywords) or "none; the model was compiled with inputs by position"
                raise InputError(f"unknown input '{name}'; accepted by name are {accepted}")
        ordered = [kwargs[name] for name in self.keywords if name in kwargs]
        values = tree_leaves((tuple(args), ordered))
        leaves = [leaf for part in (*self.arguments, *self.keywords.values()) for leaf in leaves_of(part)]
        if len(values) == len(leaves):
            return [_taken(leaf, value) for leaf, value in zip(leaves, values) if _is_input(leaf, value)]
        values = [value for value in values if value is not None]
        leaves = [leaf for leaf in leaves if leaf.is_tensor]
        if len(values) != len(leaves):
            raise InputError(
                f"the program takes {len(leaves)} inputs, got {len(values)}: its model is called as {self}"
            )
        return [_taken(leaf, value) for leaf, value in zip(leaves, values)]

    def restored(self, tensors: Sequence[Any]) -> Any:
        """A program's outputs in the model's types and structure."""
        rest = iter(tensors)
        return _built(
            self.result, [_given(leaf, next(rest)) if leaf.is_tensor else leaf.value for leaf in leaves_of(self.result)]
        )

    @staticmethod
    def parse(text: str) -> Signature:
        """Raises ProgramError."""
        taken, arrow, returned = text.partition(" -> ")
        try:
            call, result = ast.parse(f"f{taken}", mode="eval").body, ast.parse(returned, mode="eval").body
            if not arrow or not isinstance(call, ast.Call):
                raise ValueError("expected (inputs) -> result")
            return Signature(
                tuple(map(_parsed, call.args)),
                {keyword.arg or "": _parsed(keyword.value) for keyword in call.keywords},
                _parsed(result),
            )
        except (SyntaxError, ValueError, RecursionError) as error:
            raise ProgramError(f"'{text}' is not a model's signature: {error}") from None


def leaves_of(structure: Structure) -> Iterator[Leaf]:
    """In torch's order."""
    if isinstance(structure, Leaf):
        yield structure
        return
    for part in structure.parts:
        yield from leaves_of(part)


def _is_input(leaf: Leaf, value: Any) -> bool:
    """Whether the leaf is a tensor. Raises InputError for another constant than the model was compiled for."""
    if not leaf.is_tensor and value is not None and value != leaf.value:
        raise InputError(f"the model was compiled for the constant {leaf} among its inputs, got {value!r}")
    return leaf.is_tensor


def _taken(leaf: Leaf, value: Any) -> Any:
    """An input in the type that the program takes."""
    return _converted(value, COMPUTED_AS[leaf.type]) if leaf.type in COMPUTED_AS else value


def _given(leaf: Leaf, value: Any) -> Any:
    """An output in the type that the model gives."""
    return _converted(value, leaf.type) if leaf.type in COMPUTED_AS else value


def _converted(value: Any, type_name: str) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return value.to(getattr(torch, type_name))
    return np.asarray(value).astype(type_name, copy=False)


def _built(structure: Structure, leaves: list[Any]) -> Any:
    """The structure with its leaves replaced; takes them off the list."""
    if isinstance(structure, Leaf):
        return leaves.pop(0)
    parts = [_built(part, leaves) for part in structure.parts]
    match structure.type:
        case "tuple":
            return tuple(parts)
        case "list":
            return parts
        case "dict":
            return dict(zip(structure.keys or (), parts))
        case _:
            return _registered(structure, parts)


def _registered(structure: Container, parts: list[Any]) -> Any:
    """A value of a type that torch's pytree knows; where that type's package is not here, a dict or tuple."""
    from torch.utils._pytree import tree_structure, tree_unflatten, treespec_dumps, treespec_loads

    version, leaf = json.loads(treespec_dumps(tree_structure(0)))
    context = structure.context if structure.keys is None else json.dumps(list(structure.keys))
    node = {"type": structure.type, "context": context, "children_spec": [leaf] * len(parts)}
    try:
        return tree_unflatten(parts, treespec_loads(json.dumps([version, node])))
    except (KeyError, NotImplementedError):
        return tuple(parts) if structure.keys is None else dict(zip(structure.keys, parts))


def _parsed(node: ast.expr) -> Structure:
    match node:
        case ast.Name(id=name):
            return Leaf(name)
        case ast.Tuple(elts=parts):
            return Container("tuple", tuple(map(_parsed, parts)))
        case ast.List(elts=parts):
            return Container("list", tuple(map(_parsed, parts)))
        case ast.Dict(keys=keys, values=parts):
            names = tuple(ast.literal_eval(key) for key in keys if key is not None)
            return Container("dict", tuple(map(_parsed, parts)), names)
        case ast.Call(func=func, args=[ast.Constant(value=str() | None as context), *parts], keywords=[]):
            return Container(ast.unparse(func), tuple(map(_parsed, parts)), None, context)
        case ast.Call(func=func, args=[], keywords=named):
            parts = tuple(_parsed(keyword.value) for keyword in named)
            return Container(ast.unparse(func), parts, tuple(keyword.arg for keyword in named))
        case _:
            return Leaf(None, ast.literal_eval(node))
