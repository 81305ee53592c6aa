"""Models to compile by name: plain PyTorch definitions with deterministic weights, no downloads.

A package can add models through the entry-point group `swkpu.zoo`: each entry point names a `ModelInfo`. Importing
this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast
from zlib import crc32

from swkpu.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

ENTRY_POINT_GROUP = "swkpu.zoo"


@dataclass(frozen=True)
class ModelInfo:
    """A model of the zoo. `macs` is for batch 1 of `input_shape` (N, C, H, W): convolutions and linear layers.

    `definition` is `module:callable`; the callable takes nothing and returns an `nn.Module` with its weights.
    """

    name: str
    family: str
    parameters: int
    macs: int
    input_shape: tuple[int, ...]
    description: str
    definition: str


_IMAGE = (1, 3, 224, 224)

BUILT_IN = (
    ModelInfo(
        name="resnet18",
        family="resnet",
        parameters=11_689_512,
        macs=1_814_073_344,
        input_shape=_IMAGE,
        description="ResNet-18: 8 basic blocks",
        definition="swkpu.zoo.resnet:resnet18",
    ),
    ModelInfo(
        name="resnet34",
        family="resnet",
        parameters=21_797_672,
        macs=3_663_761_408,
        input_shape=_IMAGE,
        description="ResNet-34: 16 basic blocks",
        definition="swkpu.zoo.resnet:resnet34",
    ),
    ModelInfo(
        name="resnet50",
        family="resnet",
        parameters=25_557_032,
        macs=4_089_184_256,
        input_shape=_IMAGE,
        description="ResNet-50 v1.5: 16 bottlenecks",
        definition="swkpu.zoo.resnet:resnet50",
    ),
    ModelInfo(
        name="resnet101",
        family="resnet",
        parameters=44_549_160,
        macs=7_801_405_440,
        input_shape=_IMAGE,
        description="ResNet-101 v1.5: 33 bottlenecks",
        definition="swkpu.zoo.resnet:resnet101",
    ),
    ModelInfo(
        name="resnet152",
        family="resnet",
        parameters=60_192_808,
        macs=11_513_626_624,
        input_shape=_IMAGE,
        description="ResNet-152 v1.5: 50 bottlenecks",
        definition="swkpu.zoo.resnet:resnet152",
    ),
    ModelInfo(
        name="mobilenet_v2",
        family="mobilenet",
        parameters=3_504_872,
        macs=300_774_272,
        input_shape=_IMAGE,
        description="MobileNetV2: 17 inverted residuals, depthwise convolutions",
        definition="swkpu.zoo.mobilenet:mobilenet_v2",
    ),
)


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
    """The model in eval mode, fp32, without gradients. A built-in one has weights that depend on nothing but its name.

    Raises ModelError for a name that is not in the zoo.
    """
    module_name, _, function = info(name).definition.partition(":")
    definition = cast("Callable[[], nn.Module]", getattr(import_module(module_name), function))
    return definition().eval().requires_grad_(False)


def example_input(name: str, batch: int = 1) -> torch.Tensor:
    """A deterministic (batch, ...) fp32 input: for a model of images, smooth random ones at the scale of normalised
    photographs.

    Raises ModelError for a name that is not in the zoo, or a batch below 1.
    """
    import torch

    if batch < 1:
        raise ModelError(f"batch = {batch}: expected a whole number from 1")
    shape = (batch, *info(name).input_shape[1:])
    generator = torch.Generator().manual_seed(seed(name, "input"))
    if len(shape) != 4:
        return torch.randn(shape, generator=generator)
    from swkpu.zoo.weights import images

    return images((shape[0], shape[1], shape[2], shape[3]), generator).float()


def seed(model: str, part: str) -> int:
    """The seed of one part of a model, the same in every process."""
    return crc32(f"{model}/{part}".encode())
