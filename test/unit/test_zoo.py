"""Naming, building and feeding the zoo's models."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from swkpu import zoo
from swkpu.errors import ModelError
from swkpu.frontend.resolve import resolve_model


def test_there_are_thirty():
    assert len(zoo.BUILT_IN) >= 30
    assert len({info.name for info in zoo.BUILT_IN}) == len(zoo.BUILT_IN)


def test_importing_the_zoo_does_not_import_torch():
    script = "import sys; from swkpu import zoo; zoo.names(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# ---- inputs ----


@pytest.mark.parametrize("name", ["resnet18", "yolov8n", "lenet"])
def test_images(name: str):
    x = zoo.example_input(name, 2)
    assert torch.equal(x, zoo.example_input(name, 2))
    assert x.shape == (2, *zoo.info(name).input_shape[1:]) and x.dtype == torch.float32
    assert 0.3 < x.std() < 3 and x.abs().max() < 20
    assert not torch.equal(x[0], x[1])


def test_tokens_and_masks():
    tokens, mask = zoo.example_inputs("bert_base", 3)
    assert tokens.shape == mask.shape == (3, 128)
    assert tokens.dtype == mask.dtype == torch.int64
    assert 0 <= tokens.min() < 2000 and 28000 < tokens.max() < 30522
    assert not torch.equal(tokens[0], tokens[1])
    lengths = mask.sum(1)
    assert torch.equal(mask, (torch.arange(128) < lengths[:, None]).long())  # ones, then zeros
    assert lengths.min() >= 64 and lengths.max() < 128 and len(set(lengths.tolist())) > 1


def test_caches():
    token, keys, values = zoo.example_inputs("gpt2", 2)
    assert token.shape == (2, 1) and token.dtype == torch.int64
    assert keys.shape == values.shape == (2, 12, 12, 127, 64) and keys.dtype == torch.float32
    assert not torch.equal(keys, values) and 0.9 < keys.std() < 1.1
    assert all(torch.equal(a, b) for a, b in zip((token, keys, values), zoo.example_inputs("gpt2", 2)))


def test_user_errors():
    with pytest.raises(
        ModelError, match=r"unknown model 'resnet19' \(did you mean 'resnet18'\?\); the zoo has: resnet18"
    ):
        zoo.build("resnet19")
    with pytest.raises(ModelError, match="batch = 0: expected a whole number from 1"):
        zoo.example_input("resnet18", 0)
    with pytest.raises(ModelError, match=r"bert_base has 2 inputs \(input_ids, attention_mask\)"):
        zoo.example_input("bert_base")


# ---- as a MODEL of the command line ----


def test_resolving_a_model_of_several_inputs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(zoo, "build", lambda name: nn.Identity())
    inputs = resolve_model("gpt2", 2).example_inputs
    assert [tuple(x.shape) for x in inputs] == [(2, 1), (2, 12, 12, 127, 64), (2, 12, 12, 127, 64)]
    assert len(resolve_model("gpt2", None, (1, 1)).example_inputs) == 3
    with pytest.raises(
        ModelError, match=r"several inputs, of fixed shapes: input_ids 1,128, attention_mask 1,128; only"
    ):
        resolve_model("bert_base", None, (1, 64))


# ---- models of other packages ----


class _Entry:
    def __init__(self, loaded: object):
        self.name, self.value, self.loaded = "tiny", "package:tiny", loaded

    def load(self) -> object:
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


def tiny() -> nn.Module:
    return nn.Linear(3, 2)


def _with_entry(monkeypatch: pytest.MonkeyPatch, loaded: object) -> None:
    zoo.models.cache_clear()
    monkeypatch.setattr(zoo, "entry_points", lambda group: [_Entry(loaded)] if group == "swkpu.zoo" else [])


def test_entry_points(monkeypatch: pytest.MonkeyPatch):
    inputs = (zoo.InputSpec("input", (1, 3)),)
    info = zoo.ModelInfo("tiny", "test", 8, 6, inputs, "a linear layer", f"{__name__}:tiny")
    try:
        _with_entry(monkeypatch, info)
        assert zoo.names() == [*(built_in.name for built_in in zoo.BUILT_IN), "tiny"]
        assert zoo.build("tiny")(zoo.example_input("tiny", 4)).shape == (4, 2)
        _with_entry(monkeypatch, "nonsense")
        with pytest.raises(
            ModelError, match=r"swkpu\.zoo: tiny = package:tiny: expected a swkpu\.zoo\.ModelInfo, got str"
        ):
            zoo.names()
        _with_entry(monkeypatch, ImportError("no module named x"))
        with pytest.raises(ModelError, match="no module named x"):
            zoo.names()
    finally:
        zoo.models.cache_clear()
