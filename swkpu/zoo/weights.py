"""Deterministic weights that behave like trained ones.

Convolutions are He-initialised. Batch norms are then fitted, as training fits them: one pass over a few images sets
each running mean and variance to those of the channel it normalises. So activations keep their scale through any depth,
and differences between inputs survive to the logits, which random weights with made-up statistics do not give.

The pass runs in fp64 and the statistics are rounded to a coarse grid, so that the result does not depend on the
machine's order of additions.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from swkpu.zoo import seed

IMAGES = (4, 3, 96, 96)
"""Shape of the images that fit the batch norms."""
BRANCH_GAIN = 0.7
"""The batch norm that ends a residual branch is scaled by this over the square root of the number of branches. Larger
branches make a deep random network chaotic: the error of a rounding then grows from block to block."""
LEAST_VARIANCE = 0.25
"""Running variances are at least this part of their layer's mean, so that no channel is amplified noise."""
GRID = 64
"""Statistics are rounded to one part in this many."""


def with_weights(name: str, definition: Callable[[], nn.Module]) -> nn.Module:
    """The model that `definition` builds, in eval mode, every parameter from a generator seeded by `name` and its own
    name. The global random state is neither read nor changed."""
    with torch.device("meta"):
        model = definition()
    model = model.to_empty(device="cpu").eval()
    with torch.no_grad():
        for path, module in model.named_modules():
            _fill(module, lambda part, path=path: torch.Generator().manual_seed(seed(name, f"{path}.{part}")))
        ends = residual_ends(model)
        for end in ends:
            end.weight.mul_(BRANCH_GAIN / math.sqrt(len(ends)))
        _fit_batch_norms(model, torch.Generator().manual_seed(seed(name, "images")))
    return model


def residual_ends(model: nn.Module) -> list[nn.BatchNorm2d]:
    """The batch norms whose output is added to a skip connection; a block names its own in `residual_end`."""
    ends = (getattr(module, "residual_end", None) for module in model.modules())
    return [end for end in ends if isinstance(end, nn.BatchNorm2d)]


def _fill(module: nn.Module, generator: Callable[[str], torch.Generator]) -> None:
    match module:
        case nn.Conv2d():
            fan_in = module.weight[0].numel()
            module.weight.normal_(0.0, math.sqrt(2.0 / fan_in), generator=generator("weight"))
            if module.groups == module.in_channels:
                # A depthwise kernel of pure noise is often a difference of neighbours, which are nearly equal; trained
                # ones mostly have a dominant tap.
                module.weight[:, :, module.kernel_size[0] // 2, module.kernel_size[1] // 2] += 1.0
        case nn.Linear():
            module.weight.normal_(0.0, math.sqrt(4.0 / module.in_features), generator=generator("weight"))
            module.bias.normal_(0.0, 0.1, generator=generator("bias"))
        case nn.BatchNorm2d():
            module.weight.uniform_(0.7, 1.3, generator=generator("weight"))
            module.bias.normal_(0.0, 0.2, generator=generator("bias"))
            module.reset_running_stats()
        case _:
            if next(module.parameters(recurse=False), None) is not None:
                raise NotImplementedError(f"no initialisation for {type(module).__name__}")


def _fit_batch_norms(model: nn.Module, generator: torch.Generator) -> None:
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
    model.double()(images(IMAGES, generator))
    model.float()
    for hook in hooks:
        hook.remove()


def images(shape: tuple[int, int, int, int], generator: torch.Generator) -> torch.Tensor:
    """Random (N, C, H, W) fp64 images of about zero mean and unit deviation over all, like normalised photographs:
    each has its own brightness per channel and its own mix of spatial frequencies, the low ones stronger."""
    batch, channels, height, width = shape
    total = 0.6 * _normal((batch, channels, 1, 1), generator).expand(shape)
    for cells in (3, 8, 24, 96):
        octave = _normal((batch, channels, cells, cells), generator)
        strength = 0.35 * torch.exp(0.7 * _normal((batch, 1, 1, 1), generator))
        total = total + strength * nn.functional.interpolate(octave, (height, width), mode="bilinear")
    return total


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)
