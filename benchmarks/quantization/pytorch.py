"""PyTorch's own static quantization: PT2E, which lives in torchao."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.fx import GraphModule

from swkpu.frontend.capture import quiet

Tensors = tuple[torch.Tensor, ...]


@contextmanager
def silence() -> Generator[None]:
    """torchao tells of kernels that it does not find, and of what it will rename."""
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def xnnpack(is_per_channel: bool = True) -> Any:
    """int8 everywhere: activations asymmetric per tensor, weights symmetric in -127 to 127; operators between too."""
    with silence():
        from torchao.testing.pt2e._xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config

        return XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=is_per_channel))


def x86() -> Any:
    """uint8 activations of convolutions and linear layers, int8 weights per channel; all else is in floats."""
    with silence():
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

        return x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())


QUANTIZERS: dict[str, Callable[[], Any]] = {"xnnpack": xnnpack, "x86": x86}


def quantized(model: nn.Module, batches: Sequence[Tensors], quantizer: Any = None) -> GraphModule:
    """The model with quantize and dequantize operators, calibrated on `batches`, for inputs of their shapes.

    `quantizer` is XNNPACK's unless given. Batches have one shape: the graph is captured for that of the first.
    """
    quantizer = quantizer or xnnpack()
    with silence(), torch.no_grad():
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        exported = torch.export.export(model.eval(), batches[0])
        prepared = prepare_pt2e(exported.module(check_guards=False), quantizer)
        for batch in batches:
            prepared(*batch)
        return convert_pt2e(prepared)
