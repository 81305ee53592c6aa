"""A model's signature: its text, and calls through it."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swkpu.errors import InputError, ProgramError
from swkpu.signature import Container, Leaf, Signature, Structure

TYPES = st.sampled_from(["float32", "int64", "bool", "float64"])
CONSTANTS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)
LEAVES = st.builds(Leaf, TYPES) | st.builds(lambda v: Leaf(None, v), CONSTANTS)


def containers(parts: st.SearchStrategy[Structure]) -> st.SearchStrategy[Structure]:
    lists = st.lists(parts, max_size=3).map(tuple)
    return (
        st.builds(Container, st.sampled_from(["tuple", "list"]), lists)
        | lists.map(lambda p: Container("dict", p, tuple(f"k{i}" if i % 2 else i for i in range(len(p)))))
        | lists.filter(bool).map(lambda p: Container("collections.OrderedDict", p, tuple("abc"[: len(p)])))
    )


STRUCTURES = st.recursive(LEAVES, containers, max_leaves=8)


@given(st.lists(STRUCTURES, max_size=3), st.dictionaries(st.sampled_from("xyz"), STRUCTURES), STRUCTURES)
def test_text_parses_back(arguments: list[Structure], keywords: dict[str, Structure], result: Structure) -> None:
    signature = Signature(tuple(arguments), keywords, result)
    assert Signature.parse(str(signature)) == signature


@pytest.mark.parametrize("text", ["", "(float32)", "(float32) -> ", "float32 -> float32", "(f(", "(a + b) -> c"])
def test_wrong_text(text: str) -> None:
    with pytest.raises(ProgramError, match="is not a model's signature"):
        Signature.parse(text)


SIGNATURE = (
    "(float32, [float32, None, 3], mask=bool, scale=float64) -> collections.OrderedDict(a=float32, b=(float64, None))"
)


def test_call() -> None:
    signature = Signature.parse(SIGNATURE)
    x, mask = torch.zeros(2), torch.tensor(True)
    scale = torch.tensor(2.0, dtype=torch.float64)
    tensors = signature.tensors((x, [x, None, 3]), {"scale": scale, "mask": mask})
    assert [t.dtype for t in tensors] == [torch.float32, torch.float32, torch.bool, torch.float32]
    assert len(signature.tensors((x, x), {"scale": scale, "mask": mask})) == 4
    result = signature.restored([x, x])
    assert isinstance(result, OrderedDict)
    assert list(result) == ["a", "b"]
    assert result["b"][0].dtype == torch.float64 and result["b"][1] is None
    assert signature.restored([np.zeros(2), np.zeros(2, np.float32)])["b"][0].dtype == np.float64


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((1,), {"size": 1}, "unknown input 'size'; accepted by name are mask, scale"),
        ((1,), {}, "takes 4 inputs, got 1: its model is called as"),
        ((1, [2, None, 4]), {"mask": 5, "scale": 6}, "compiled for the constant 3 among its inputs, got 4"),
    ],
)
def test_wrong_call(args: tuple[object, ...], kwargs: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Signature.parse(SIGNATURE).tensors(args, kwargs)


def test_containers_of_packages_that_are_not_here() -> None:
    assert Signature.parse("() -> away.Output(a=1, b=2)").restored([]) == {"a": 1, "b": 2}
    assert Signature.parse("() -> away.Output('x', 1, 2)").restored([]) == (1, 2)
