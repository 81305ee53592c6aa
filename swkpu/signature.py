"""How a model is called and what it returns, around the plain tensors that a program takes and gives.

A program has tensors in, tensors out. A model may take keyword arguments and nested containers, return dicts or
dataclasses with constants and None among the tensors, and use types that are computed as others (float64 as float32).
The signature says how to go from one to the other. It is kept as JSON in the module and in the program.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from swkpu.errors import InputError

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


@dataclass(frozen=True)
class Signature:
    """Leaves are in torch's order. `structure` and `tree` say the same: the one in plain containers, the other as torch
    writes it, for containers that only torch knows ("" where it has no written form).
    """

    arguments: tuple[Leaf, ...]
    keywords: tuple[str, ...]
    results: tuple[Leaf, ...]
    structure: Any
    tree: str = ""

    # -- in --

    def tensors(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """The tensors of a call, in the program's order. Raises InputError."""
        from torch.utils._pytree import tree_leaves

        unknown = [k for k in kwargs if k not in self.keywords]
        if unknown:
            accepted = ", ".join(self.keywords) or "none: the model was compiled with positional inputs"
            raise InputError(f"unknown keyword input '{unknown[0]}'; accepted are {accepted}")
        missing = [k for k in self.keywords if k not in kwargs]
        if kwargs and missing:
            raise InputError(f"missing keyword input '{missing[0]}'")
        leaves = tree_leaves((tuple(args), {k: kwargs[k] for k in self.keywords if k in kwargs}))
        if len(leaves) == len(self.arguments):
            return [self._tensor(leaf, value) for leaf, value in zip(self.arguments, leaves) if _given(leaf, value)]
        given = [value for value in leaves if value is not None]
        expected = [leaf for leaf in self.arguments if leaf.is_tensor]
        if len(given) != len(expected):
            raise InputError(f"the program takes {len(expected)} inputs, got {len(given)}")
        return [self._tensor(leaf, value) for leaf, value in zip(expected, given)]

    def _tensor(self, leaf: Leaf, value: Any) -> Any:
        """A value in the type that the program takes."""
        return converted(value, COMPUTED_AS[leaf.type]) if leaf.type in COMPUTED_AS else value

    # -- out --

    def restored(self, tensors: Sequence[Any]) -> Any:
        """A program's outputs in the model's types and structure."""
        rest = iter(tensors)
        leaves = [self._result(leaf, next(rest)) if leaf.is_tensor else leaf.value for leaf in self.results]
        if self.tree:
            from torch.utils._pytree import tree_unflatten, treespec_loads

            try:
                return tree_unflatten(leaves, treespec_loads(self.tree))
            except (KeyError, NotImplementedError, ValueError, ImportError, AttributeError):
                pass  # a container of a package that is not here
        return _built(self.structure, leaves)

    def _result(self, leaf: Leaf, value: Any) -> Any:
        return converted(value, leaf.type) if leaf.type in COMPUTED_AS else value

    # -- as text --

    def to_json(self) -> str:
        return json.dumps(
            {
                "arguments": [_leaf_to_json(leaf) for leaf in self.arguments],
                "keywords": self.keywords,
                "results": [_leaf_to_json(leaf) for leaf in self.results],
                "structure": self.structure,
                "tree": self.tree,
            }
        )

    @staticmethod
    def from_json(text: str) -> Signature:
        data = json.loads(text)
        return Signature(
            tuple(map(_leaf_of_json, data["arguments"])),
            tuple(data["keywords"]),
            tuple(map(_leaf_of_json, data["results"])),
            data["structure"],
            data["tree"],
        )


def _given(leaf: Leaf, value: Any) -> bool:
    """Whether a leaf of a call is a tensor of the program. Raises InputError for another constant than compiled for."""
    if leaf.is_tensor:
        return True
    if value is not None and value != leaf.value:
        raise InputError(f"the model was compiled for the constant {leaf.value!r} among its inputs, got {value!r}")
    return False


def converted(value: Any, type_name: str) -> Any:
    """A torch tensor or numpy array in another type. Raises InputError for integers that do not fit it."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.to(getattr(torch, type_name))
    array = np.asarray(value)
    dtype = np.dtype(ml_dtypes.bfloat16 if type_name == "bfloat16" else type_name)
    return array.astype(dtype, copy=False)


def structure_of(spec: Any, first: int = 0) -> Any:
    """A torch TreeSpec as plain containers of leaf numbers: {"dict": [[key, ...], ...]}, {"tuple": [...]}, 3.

    Containers of other types become a dict where they have names for their parts, else a tuple.
    """
    if spec.is_leaf():
        return first
    parts: list[Any] = []
    for child in spec.children():
        parts.append(structure_of(child, first))
        first += child.num_leaves
    if spec.type in (tuple, list):
        return {spec.type.__name__: parts}
    names = spec.context
    if isinstance(names, list | tuple) and len(names) == len(parts) and all(isinstance(n, str | int) for n in names):
        return {"dict": [list(pair) for pair in zip(names, parts)]}
    return {"tuple": parts}


def _built(structure: Any, leaves: Sequence[Any]) -> Any:
    if isinstance(structure, int):
        return leaves[structure]
    ((kind, parts),) = structure.items()
    if kind == "dict":
        return {key: _built(part, leaves) for key, part in parts}
    return (tuple if kind == "tuple" else list)(_built(part, leaves) for part in parts)


def _leaf_to_json(leaf: Leaf) -> Any:
    return {"type": leaf.type} if leaf.is_tensor else {"value": leaf.value}


def _leaf_of_json(data: Mapping[str, Any]) -> Leaf:
    return Leaf(data.get("type"), data.get("value"))
