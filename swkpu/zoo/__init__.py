"""Models to compile by name: plain PyTorch definitions with deterministic weights, no downloads.

A package can add models through the entry-point group `swkpu.zoo`: each entry point names a `ModelInfo`. Importing
this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast
from zlib import crc32

from swkpu.errors import ModelError
from swkpu.zoo.catalog import BUILT_IN
from swkpu.zoo.info import InputSpec, ModelInfo

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = [
    "BUILT_IN",
    "ENTRY_POINT_GROUP",
    "InputSpec",
    "ModelInfo",
    "build",
    "example_input",
    "example_inputs",
    "info",
    "models",
    "names",
    "seed",
]

ENTRY_POINT_GROUP = "swkpu.zoo"


@cache
def models() -> dict[str, ModelInfo]:
    """All models by name: the built-in ones, then those of installed packages, which cannot replace the former.

    Raises ModelError when an entry point cannot be loaded or is not a ModelInfo.
    """
    found = {info.name: info for info in BUILT_IN}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            loaded: object = entry.load()
        except Exception as error:  # whatever the other package's import raises
            raise ModelError(f"entry point {ENTRY_POINT_GROUP}: {entry.name} = {entry.value}: {error}") from error
        if not isinstance(loaded, ModelInfo):
            raise ModelError(
                f"entry point {ENTRY_POINT_GROUP}: {entry.name} = {entry.value}: expected a swkpu.zoo.ModelInfo, "
                f"got {type(loaded).__name__}"
            )
        found.setdefault(loaded.name, loaded)
    return found


def names() -> list[str]:
    """Names that `build` accepts."""
    return list(models())


def info(name: str) -> ModelInfo:
    """Raises ModelError for a name that is not in the zoo."""
    found = models()
    if name not in found:
        close = get_close_matches(name, found, 1)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        raise ModelError(f"unknown model '{name}'{hint}; the zoo has: {', '.join(found)}")
    return found[name]


def build(name: str) -> nn.Module:
    """The model in eval mode, fp32, without gradients. A built-in one has weights that depend on nothing but its name;
    under `torch.device("meta")` it has none, only their shapes, and takes no time.

    Raises ModelError for a name that is not in the zoo.
    """
    module_name, _, function = info(name).definition.partition(":")
    definition = cast("Callable[[], nn.Module]", getattr(import_module(module_name), function))
    return definition().eval().requires_grad_(False)


def example_inputs(
    name: str, batch: int = 1, variant: int = 0, shape: tuple[int, ...] | None = None
) -> tuple[torch.Tensor, ...]:
    """Deterministic inputs of one call at a batch: for a model of images, smooth random ones at the scale of normalised
    photographs. Each `variant` has its own values. `shape` is another one for the first input.

    Raises ModelError for a name that is not in the zoo, or a batch below 1.
    """
    import torch

    if batch < 1:
        raise ModelError(f"batch = {batch}: expected a whole number from 1")
    specs = info(name).inputs
    from swkpu.zoo.inputs import example

    if shape is not None:
        specs = (replace(specs[0], shape=shape), *specs[1:])
        batch = shape[0]
    generator = torch.Generator().manual_seed(seed(name, f"input {variant}" if variant else "input"))
    return tuple(example(spec, batch, generator) for spec in specs)


def example_input(name: str, batch: int = 1) -> torch.Tensor:
    """The example input of a model that has one.

    Raises ModelError as `example_inputs`, and for a model with several.
    """
    first, *others = example_inputs(name, batch)
    if others:
        takes = ", ".join(spec.name for spec in info(name).inputs)
        raise ModelError(f"{name} has {1 + len(others)} inputs ({takes}); example_inputs has them all")
    return first


def seed(model: str, part: str) -> int:
    """The seed of one part of a model, the same in every process."""
    return crc32(f"{model}/{part}".encode())
