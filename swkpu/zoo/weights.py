"""Deterministic weights that behave like trained ones.

Convolutions are He-initialised. Batch norms are then fitted, as training fits them: one pass over a few images sets
each running mean and variance to those of the channel it normalises. So activations keep their scale through any depth,
and differences between inputs survive to the logits, which random weights with made-up statistics do not give.

The pass runs in fp64 and the statistics are rounded to a coarse grid, so that the result does not depend on the
machine's order of additions.

A module of the zoo with parameters or buffers of its own fills them in `fill_weights`; a block names the modules whose
results are added to a skip connection in `residual_ends`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import nn

from swkpu.zoo import seed
from swkpu.zoo.inputs import images

IMAGES = (4, 3, 96, 96)
"""Shape of the images that fit the batch norms, unless a model says otherwise."""
BRANCH_GAIN = 0.7
"""The layer that ends a residual branch is scaled by this over the square root of the number of branches. Larger
branches make a deep random network chaotic: the error of a rounding then grows from block to block."""
LEAST_VARIANCE = 0.25
"""Running variances are at least this part of their layer's mean, so that no channel is amplified noise."""
GRID = 64
"""Statistics are rounded to one part in this many."""

Generators = Callable[[str], torch.Generator]
"""From a parameter's name in its module to the generator that is seeded for it."""


def with_weights(
    name: str,
    definition: Callable[[], nn.Module],
    *,
    linear_variance: float = 4.0,
    norm_bias: float = 0.0,
    fit_on: tuple[int, int, int, int] = IMAGES,
) -> nn.Module:
    """The model that `definition` builds, in eval mode, every parameter from a generator seeded by `name` and its own
    name. The global random state is neither read nor changed.

    Under `torch.device("meta")` the model has no weights, only their shapes.

    linear_variance  what a linear layer makes of inputs of unit variance: 4 is for a classifier, whose inputs are means
                     over an image; 1 for transformers, whose inputs are normalised
    norm_bias        mean of the batch norms' biases. Without skip connections, the error of a rounding grows in each
                     layer, the more the activation cuts off; a positive bias has it cut off less
    fit_on           (N, C, H, W) of the images that fit the batch norms
    """
    if torch.get_default_device().type == "meta":
        return definition().eval()
    with torch.device("meta"):
        model = definition()
    model = model.to_empty(device="cpu").eval()
    with torch.no_grad():
        for path, module in reversed(list(model.named_modules())):  # a module of ours after those that it consists of
            _fill(module, partial(_generator, name, path), linear_variance, norm_bias)
        ends = residual_ends(model)
        for end in ends:
            _tensor(end, "weight").mul_(BRANCH_GAIN / math.sqrt(len(ends)))
        if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
            _fit_batch_norms(model, fit_on, torch.Generator().manual_seed(seed(name, "images")))
    return model


def residual_ends(model: nn.Module) -> list[nn.Module]:
    """The layers whose output is added to a skip connection."""
    return [end for module in model.modules() for end in getattr(module, "residual_ends", ())]


def _generator(name: str, path: str, part: str) -> torch.Generator:
    return torch.Generator().manual_seed(seed(name, f"{path}.{part}"))


def _tensor(module: nn.Module, name: str) -> torch.Tensor:
    found = getattr(module, name)
    assert isinstance(found, torch.Tensor)
    return found


def _fill(module: nn.Module, generator: Generators, linear_variance: float, norm_bias: float) -> None:
    match module:
        case _ if hasattr(module, "fill_weights"):
            cast("Callable[[Generators], None]", module.fill_weights)(generator)
        case nn.Conv1d() | nn.Conv2d():
            fan_in = module.weight[0].numel()
            module.weight.normal_(0.0, math.sqrt(2.0 / fan_in), generator=generator("weight"))
            if module.groups == module.in_channels > 1:
                # A depthwise kernel of pure noise is often a difference of neighbours, which are nearly equal; trained
                # ones mostly have a dominant tap.
                module.weight[(..., *(size // 2 for size in module.kernel_size))] += 1.0
            _fill_bias(module.bias, generator)
        case nn.ConvTranspose2d():
            fan_in = module.weight[:, 0].numel() / math.prod(module.stride)
            module.weight.normal_(0.0, math.sqrt(2.0 / fan_in), generator=generator("weight"))
            _fill_bias(module.bias, generator)
        case nn.Linear():
            deviation = math.sqrt(linear_variance / module.in_features)
            module.weight.normal_(0.0, deviation, generator=generator("weight"))
            _fill_bias(module.bias, generator)
        case nn.Embedding():
            module.weight.normal_(0.0, module.embedding_dim**-0.5, generator=generator("weight"))
        case nn.LSTM():
            for part, parameter in module.named_parameters():
                parameter.normal_(0.0, module.hidden_size**-0.5, generator=generator(part))
        case nn.BatchNorm2d() | nn.LayerNorm() | nn.RMSNorm():
            _tensor(module, "weight").uniform_(0.7, 1.3, generator=generator("weight"))
            if isinstance(module, nn.LayerNorm):
                module.bias.normal_(0.0, 0.2, generator=generator("bias"))
            if isinstance(module, nn.BatchNorm2d):
                module.bias.normal_(norm_bias, 0.2, generator=generator("bias"))
                module.reset_running_stats()
        case _:
            if (
                next(module.parameters(recurse=False), None) is not None
                or next(module.buffers(False), None) is not None
            ):
                raise NotImplementedError(f"no initialisation for {type(module).__name__}")


def _fill_bias(bias: torch.Tensor | None, generator: Generators) -> None:
    if bias is not None:
        bias.normal_(0.0, 0.1, generator=generator("bias"))


def _fit_batch_norms(model: nn.Module, shape: tuple[int, int, int, int], generator: torch.Generator) -> None:
    """Set the running statistics of every batch norm of `model` in one forward pass, each before it is applied."""

    def fit(module: nn.BatchNorm2d, args: tuple[torch.Tensor]) -> None:
        variance, mean = torch.var_mean(args[0], (0, 2, 3))
        variance = variance.clamp_min(LEAST_VARIANCE * float(variance.mean()))
        scale = torch.exp2(torch.floor(torch.log2(variance)))
        variance = torch.round(variance / scale * GRID) / GRID * scale
        deviation = torch.exp2(torch.floor(torch.log2(variance) / 2))
        module.running_var = variance
        module.running_mean = torch.round(mean / deviation * GRID) / GRID * deviation

    hooks = [m.register_forward_pre_hook(fit) for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    model.double()(images(shape, generator))
    model.float()
    for hook in hooks:
        hook.remove()
