"""Samples as a module takes them: items of any batch, as arrays, tensors, tuples or dicts, regrouped into its runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr

from swkpu.dialects.nn import shape_of, type_of
from swkpu.errors import CalibrationError
from swkpu.quant.names import entry_of, value_names
from swkpu.types import dtype_of, torch_dtype

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ModelInput:
    """A tensor that a module takes."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def __str__(self) -> str:
        return f"{self.name}: {_dtype_text(self.dtype)}{list(self.shape)}"


@dataclass(frozen=True)
class Run:
    """The inputs of one run, and the number of its first sample, from 0."""

    first_sample: int
    tensors: list[torch.Tensor]


def inputs_of(module: ModuleOp) -> list[ModelInput]:
    """The inputs by the names that the model's own have, where the module has kept those."""
    entry = entry_of(module)
    given = module.attributes.get("nn.input_names")
    names = [value_names(entry)[a] for a in entry.args]
    if isinstance(given, ArrayAttr) and len(given) == len(names):
        names = [cast(StringAttr, name).data for name in given]
    return [
        ModelInput(name, shape_of(a), torch_dtype(dtype_of(type_of(a).element_type)))
        for name, a in zip(names, entry.args)
    ]


def batch_of(inputs: Sequence[ModelInput]) -> int | None:
    """How many samples a run has: the first dim, where all inputs have the same; else None, and an item is a run."""
    sizes = {x.shape[0] if x.shape else None for x in inputs}
    return sizes.pop() if len(sizes) == 1 else None


def items_of(samples: Iterable[Any]) -> Iterable[Any]:
    """Samples as items: an array, a tensor or a dict by itself is one item, of all samples at once."""
    import torch

    return [samples] if isinstance(samples, np.ndarray | torch.Tensor | Mapping) else samples


def runs(items: Iterable[Any], inputs: Sequence[ModelInput]) -> Iterator[Run]:
    """The runs that the items make. Their samples are taken as they come and regrouped into the module's batch.

    An item is an array or tensor for a model of one input, a tuple of them in order, or a dict by the inputs' names.
    Raises CalibrationError for what does not fit, for NaN and infinity, and for a last run that is not complete.
    """
    import torch

    batch = batch_of(inputs)
    waiting: list[torch.Tensor] = []
    start = waiting_count = 0
    for item in items:
        first = start + waiting_count
        tensors = [_converted(x, value, first) for x, value in zip(inputs, _values(item, inputs, first))]
        count = _samples(tensors, inputs, batch, first)
        for x, tensor in zip(inputs, tensors):
            _check_finite(x, tensor, first, batch)
        if batch is None:
            yield Run(start, tensors)
            start += 1
            continue
        waiting = [torch.cat(pair) for pair in zip(waiting, tensors)] if waiting_count else tensors
        waiting_count += count
        while waiting_count >= batch:
            yield Run(start, [tensor[:batch] for tensor in waiting])
            waiting = [tensor[batch:] for tensor in waiting]
            start, waiting_count = start + batch, waiting_count - batch
    if waiting_count:
        raise CalibrationError(
            f"{start + waiting_count} samples do not divide into runs of {batch}, the module's batch: "
            f"give {start or batch} or another multiple of {batch}"
        )


def _values(item: Any, inputs: Sequence[ModelInput], sample: int) -> list[Any]:
    """What an item has for each input."""
    import torch
    from torch.utils._pytree import tree_leaves

    takes = ", ".join(map(str, inputs))
    if isinstance(item, Mapping):
        named = cast("Mapping[Any, Any]", item)
        if missing := [x.name for x in inputs if x.name not in named]:
            has = ", ".join(map(str, named)) or "nothing"
            raise CalibrationError(f"sample {sample}: nothing for the input {missing[0]}; it has {has}")
        if unknown := [name for name in named if name not in {x.name for x in inputs}]:
            raise CalibrationError(f"sample {sample}: there is no input {unknown[0]}; the model takes {takes}")
        return [named[x.name] for x in inputs]
    values: list[Any] = [item]
    if isinstance(item, tuple | list):
        values = [leaf for leaf in tree_leaves(item) if leaf is not None]
    if len(values) != len(inputs):
        raise CalibrationError(f"sample {sample}: got {len(values)} arrays; the model takes {takes}")
    for value in values:
        if not isinstance(value, np.ndarray | torch.Tensor):
            raise CalibrationError(
                f"sample {sample}: expected an array, a tensor, a tuple or a dict of them, found {type(value).__name__}"
            )
    return values


def _converted(x: ModelInput, value: Any, sample: int) -> torch.Tensor:
    """The value as a tensor of the input's type, where its own is of the same kind."""
    import torch

    from swkpu.types import to_torch

    try:
        tensor: torch.Tensor = value.detach() if isinstance(value, torch.Tensor) else to_torch(value)
    except TypeError:  # numpy's strings, objects and the like
        raise CalibrationError(f"sample {sample}: the model takes {x}, got an array of {value.dtype}") from None
    if _kind(tensor.dtype) != _kind(x.dtype):
        raise CalibrationError(f"sample {sample}: the model takes {x}, got {_dtype_text(tensor.dtype)}")
    return tensor.to("cpu", x.dtype)


def _samples(tensors: Sequence[torch.Tensor], inputs: Sequence[ModelInput], batch: int | None, sample: int) -> int:
    """How many samples an item has. Raises CalibrationError for shapes that are not those of samples."""
    sizes: set[int] = set()
    for x, tensor in zip(inputs, tensors):
        fits = tensor.dim() > 0 and tuple(tensor.shape[1:]) == x.shape[1:] if batch else tuple(tensor.shape) == x.shape
        if not fits:
            wanted = x if batch is None else ModelInput(x.name, (-1, *x.shape[1:]), x.dtype)
            text = str(wanted).replace("[-1", "[N")
            raise CalibrationError(f"sample {sample}: the model takes {text}, got an array of {list(tensor.shape)}")
        sizes.add(tensor.shape[0] if batch else 1)
    if len(sizes) > 1:
        raise CalibrationError(f"sample {sample}: inputs of {' and '.join(map(str, sorted(sizes)))} samples at once")
    return sizes.pop() if sizes else 1


def _check_finite(x: ModelInput, tensor: torch.Tensor, sample: int, batch: int | None) -> None:
    import torch

    if not tensor.is_floating_point() or bool(torch.isfinite(tensor).all()):
        return
    index = torch.nonzero(~torch.isfinite(tensor))[0].tolist()
    value = tensor[tuple(index)].item()
    row = index[0] if batch is not None else 0
    raise CalibrationError(f"sample {sample + row}: input {x.name} has {value} at {index[1:] if batch else index}")


def _kind(dtype: torch.dtype) -> str:
    import torch

    if dtype == torch.bool:
        return "bool"
    return "float" if dtype.is_floating_point else "integer"


def _dtype_text(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
