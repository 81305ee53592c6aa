"""What the interpreters of all nn ops share."""

from __future__ import annotations

from typing import Any

import torch

from swkpu.dialects import nn
from swkpu.dialects.nn import type_of
from swkpu.types import dtype_of, torch_dtype

Args = tuple[Any, ...]
Tensor = torch.Tensor


def decoded(x: Tensor) -> Tensor:
    """Floats as the f32 they are computed in; integers as they are."""
    return x.float() if x.is_floating_point() else x


def result_dtype(op: nn.NNOp) -> torch.dtype:
    return torch_dtype(dtype_of(type_of(op.results[0]).element_type))
