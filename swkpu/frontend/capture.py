"""torch.export, with its many ways to fail told in one voice."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any, cast

import torch
from torch import nn
from torch.export import ExportedProgram

from swkpu.errors import ModelError
from swkpu.frontend.names import user_frame_of

LONGEST_REASON = 300


def capture(
    model: nn.Module, example_inputs: tuple[Any, ...], example_kwargs: Mapping[str, Any] | None = None
) -> ExportedProgram:
    """The model's graph for inputs of the example's shapes and types.

    A model in train mode is put in eval mode, with a warning. Raises ModelError when torch cannot capture it.
    """
    inputs = (example_inputs,) if isinstance(example_inputs, torch.Tensor) else tuple(example_inputs)
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"expected a torch.nn.Module, got {type(model).__name__}")
    if any(module.training for module in model.modules()):
        warnings.warn(f"{type(model).__name__} is in train mode; it is put in eval mode to be compiled", stacklevel=2)
        model.eval()
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(model, inputs, dict(example_kwargs or {}), strict=False)
    except Exception as error:  # whatever the model's own code or torch raises
        raise ModelError(_explain(model, describe(inputs, example_kwargs), error)) from error


@contextmanager
def quiet() -> Generator[None]:
    """torch prints and logs what it then raises; we report it once, ourselves."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        nowhere = StringIO()
        with redirect_stdout(nowhere), redirect_stderr(nowhere), warnings.catch_warnings(record=True) as seen:
            warnings.filterwarnings("ignore", category=FutureWarning)  # torch's own copies of its tree specs
            warnings.filterwarnings("ignore", message="The tensor attribute")  # of recurrent layers, whose they are
            yield
        for warning in seen:
            warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)
    finally:
        logging.disable(before)


def _explain(model: nn.Module, inputs: str, error: Exception) -> str:
    file, line = user_frame_of(error)
    where = f" at {file}:{line}" if line else ""
    reason = reason_of(error)
    name = type(model).__name__
    if is_data_dependent(error):
        return (
            f"{name} has control flow that depends on tensor values{where}: {reason}\n"
            "A KPU program does the same work for every input; use torch.where, or split the model there."
        )
    if (unknown := re.match(r"Found <class '(.*?)'> in output, which is not a known type", reason)) is not None:
        return (
            f"{name} returns a {unknown[1]}, which torch does not know as a container of tensors: return tensors, "
            "tuples, lists and dicts of them, or register the type with torch.utils._pytree. "
            "Models of transformers return no cache with config.use_cache = False"
        )
    return (
        f"torch.export could not capture {name} for inputs {inputs}{where}: "
        f"{type(error).__name__}: {reason}\n"
        "Check that the model runs on such inputs; code that leaves torch (numpy, item) cannot be captured."
    )


def reason_of(error: Exception) -> str:
    """The first line of what torch says, cut where it is a formula without end."""
    reason = (str(error).strip() or type(error).__name__).partition("\n")[0]
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}..."


def is_data_dependent(error: Exception) -> bool:
    """Whether torch failed because a shape or a branch depends on the values of tensors."""
    from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

    return isinstance(error, GuardOnDataDependentSymNode | DataDependentOutputException | DynamicOutputShapeException)


def describe(inputs: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None) -> str:
    """Types and shapes: "(float32[1, 3, 224, 224], mask = bool[1, 64])"."""
    named = [f"{name} = {_describe(value)}" for name, value in (kwargs or {}).items()]
    return f"({', '.join([*map(_describe, inputs), *named])})"


def _describe(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_describe, cast('Sequence[Any]', value)))})"
    return type(value).__name__
