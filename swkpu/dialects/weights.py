"""`#nn.weight<"file", "key">`: a large constant that lives beside the `.mlir` file, in safetensors.

The attribute names the tensor; equality and printing see only the name. In memory it also carries the array (or how
to load it), so that there is no side table from names to arrays: whoever holds the IR holds the weights. Weights
that a pass makes are named by their content, so the same fold always gives the same name. The files have no type for
i4: such a tensor is one of int8 there, with values from -8 to 7, and the IR says that it is i4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Data
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer

from swkpu.errors import IRError
from swkpu.files import write_whole
from swkpu.types import contiguous

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Payload:
    """An array, or the means to load it on first use."""

    array: Array | None = None
    load: Callable[[], Array] | None = None

    def get(self) -> Array | None:
        if self.array is None and self.load is not None:
            self.array = self.load()
        return self.array


@dataclass(frozen=True)
class WeightRef:
    file: str
    key: str
    payload: Payload = field(default_factory=Payload, compare=False, repr=False)


@irdl_attr_definition
class WeightAttr(Data[WeightRef]):
    """Syntax: `#nn.weight<"resnet18.safetensors", "conv1.weight">`."""

    name = "nn.weight"

    @staticmethod
    def from_array(array: Array, key: str | None = None, file: str = "") -> WeightAttr:
        """A weight in memory; without a key it is named by its content."""
        array = contiguous(array)
        return WeightAttr(WeightRef(file, key if key is not None else content_key(array), Payload(array)))

    def array(self) -> Array:
        """The tensor. Raises IRError where it was never bound or its file lacks it."""
        array = self.data.payload.get()
        if array is None:
            raise IRError(
                f'weight "{self.data.key}" of "{self.data.file}" is not available: the file was not found or not read'
            )
        return array

    def array_as(self, dtype: np.dtype[Any]) -> Array:
        """The tensor; an int8 one of a file that is declared as int4 becomes that. Raises IRError."""
        array = self.array()
        if dtype != ml_dtypes.int4 or array.dtype != np.int8:
            return array
        if array.size and not (array.min() >= -8 and array.max() <= 7):
            raise IRError(
                f'weight "{self.data.key}" has values from {array.min()} to {array.max()}; those of i4 are -8 to 7'
            )
        return array.astype(dtype)

    def array_for(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """The tensor, which must have this shape and type. Raises IRError."""
        array = self.array_as(dtype)
        if array.shape != shape or array.dtype != dtype:
            raise IRError(
                f'weight "{self.data.key}" is {array.dtype.name} of shape {array.shape}, '
                f"but the IR declares {dtype.name} of shape {shape}"
            )
        return array

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> WeightRef:
        with parser.in_angle_brackets():
            file = parser.parse_str_literal()
            parser.parse_punctuation(",")
            key = parser.parse_str_literal()
        return WeightRef(file, key)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string_literal(self.data.file)
            printer.print_string(", ")
            printer.print_string_literal(self.data.key)


def content_key(array: Array) -> str:
    """A name from the array's type, shape and bytes."""
    digest = hashlib.sha256(f"{array.dtype.name}{array.shape}".encode())
    digest.update(contiguous(array).reshape(-1).view(np.uint8).data)
    return "sha256-" + digest.hexdigest()[:24]


_NUMPY = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip


def read_safetensors(path: Path) -> dict[str, Array]:
    """All tensors of a file, bf16 included (safetensors' own numpy loader refuses it)."""
    import safetensors

    try:
        entries = safetensors.deserialize(path.read_bytes())
    except OSError as e:
        raise IRError(f"cannot read weights from {path}: {e.strerror}") from None
    except Exception as e:  # the library raises its own exception type from native code
        raise IRError(f"{path} is not a safetensors file: {e}") from None
    out: dict[str, Array] = {}
    for key, view in entries:
        if view["dtype"] not in _NUMPY:
            raise IRError(f'{path}: tensor "{key}" has type {view["dtype"]}, which swkpu does not use')
        out[key] = np.frombuffer(view["data"], dtype=_NUMPY[view["dtype"]]).reshape(view["shape"])
    return out


def _in_file(array: Array) -> Array:
    return array.astype(np.int8) if array.dtype == ml_dtypes.int4 else array


def write_safetensors(tensors: dict[str, Array], path: Path) -> None:
    """Write tensors in key order, through a temporary file."""
    from safetensors.numpy import save

    data = save({k: contiguous(tensors[k]) for k in sorted(tensors)})
    write_whole(path, [data], IRError)


def weights_of(module: ModuleOp) -> list[WeightAttr]:
    """Every weight the module names, each once, in program order."""
    seen: dict[WeightAttr, None] = {}
    for op in module.walk():
        for attr in (*op.properties.values(), *op.attributes.values()):
            if isinstance(attr, WeightAttr):
                seen.setdefault(attr)
    return list(seen)


def bind_weights(module: ModuleOp, directory: Path) -> None:
    """Connect parsed weights to their files, whose paths are relative to `directory`. Files are read on first use."""
    files: dict[str, dict[str, Array]] = {}

    def loader(file: str, key: str) -> Callable[[], Array]:
        def load() -> Array:
            if file not in files:
                files[file] = read_safetensors(directory / file)
            if key not in files[file]:
                raise IRError(f'{directory / file} has no tensor "{key}"')
            return files[file][key]

        return load

    for attr in weights_of(module):
        payload = attr.data.payload
        if payload.array is None and payload.load is None and attr.data.file:
            payload.load = loader(attr.data.file, attr.data.key)
    _share_payloads(module)


def _share_payloads(module: ModuleOp) -> None:
    """Equal weights parsed at two places share one payload."""
    first: dict[WeightAttr, WeightAttr] = {}
    for op in module.walk():
        for attrs in (op.properties, op.attributes):
            for name, attr in attrs.items():
                if isinstance(attr, WeightAttr):
                    attrs[name] = first.setdefault(attr, attr)


def save_weights(module: ModuleOp, path: Path) -> None:
    """Write every weight of the module to `path` and make the module name that file."""
    tensors: dict[str, Array] = {}
    renamed: dict[WeightAttr, WeightAttr] = {}
    for attr in weights_of(module):
        key = attr.data.key
        if key in tensors and not np.array_equal(tensors[key], _in_file(attr.array())):
            key = content_key(attr.array())
        tensors[key] = _in_file(attr.array())
        renamed[attr] = WeightAttr(WeightRef(path.name, key, attr.data.payload))
    if not tensors:
        return
    write_safetensors(tensors, path)
    for op in module.walk():
        for attrs in (op.properties, op.attributes):
            for name, attr in attrs.items():
                if isinstance(attr, WeightAttr):
                    attrs[name] = renamed[attr]
