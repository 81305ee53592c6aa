"""One place that relates the element types of IR, numpy, torch, the program and the target files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import (
    BFloat16Type,
    Float16Type,
    Float32Type,
    Float64Type,
    IntegerType,
    TensorType,
    bf16,
    f16,
    f32,
)
from xdsl.ir import Attribute

from swkpu.dialects.quantized_type import QuantizedType
from swkpu.errors import IRError
from swkpu.program.model import DType

if TYPE_CHECKING:
    import torch

i1, i4, i8, i32, i64 = (IntegerType(n) for n in (1, 4, 8, 32, 64))

_IR_TO_DTYPE: dict[Attribute, DType] = {
    i1: DType.I1, i4: DType.I4, i8: DType.I8, i32: DType.I32, i64: DType.I64, f16: DType.F16, bf16: DType.BF16, f32:
    DType.F32,
}  # fmt: skip
_DTYPE_TO_IR = {v: k for k, v in _IR_TO_DTYPE.items()}
_NUMPY: dict[DType, Any] = {
    DType.I1: np.bool_, DType.I4: ml_dtypes.int4, DType.I8: np.int8, DType.I32: np.int32, DType.I64: np.int64,
    DType.F16: np.float16, DType.BF16: ml_dtypes.bfloat16, DType.F32: np.float32,
}  # fmt: skip
PRECISIONS: dict[str, Attribute] = {"int8": i8, "int4": i4, "fp16": f16, "bf16": bf16, "fp32": f32}
"""The names users type, and the storage type of each."""


def dtype_of(element: Attribute) -> DType:
    """The storage type of an IR element type. Raises IRError for a type the KPU does not store."""
    element = storage_of(element)
    if element not in _IR_TO_DTYPE:
        raise IRError(f"the KPU has no storage type {element}; it has {', '.join(str(t) for t in _IR_TO_DTYPE)}")
    return _IR_TO_DTYPE[element]


def storage_of(element: Attribute) -> Attribute:
    """The type in which elements are stored: that of a quantized type, else the type itself."""
    return element.storage if isinstance(element, QuantizedType) else element


def element_of(dtype: DType) -> Attribute:
    return _DTYPE_TO_IR[dtype]


def numpy_dtype(dtype: DType) -> np.dtype[Any]:
    return np.dtype(_NUMPY[dtype])


def dtype_of_numpy(dtype: np.dtype[Any]) -> DType:
    for d, n in _NUMPY.items():
        if np.dtype(n) == dtype:
            return d
    raise IRError(
        f"no storage type for arrays of {dtype}; accepted are {', '.join(str(np.dtype(n)) for n in _NUMPY.values())}"
    )


def torch_dtype(dtype: DType) -> torch.dtype:
    import torch

    return {
        DType.I1: torch.bool, DType.I4: torch.int8, DType.I8: torch.int8, DType.I32: torch.int32,
        DType.I64: torch.int64, DType.F16: torch.float16, DType.BF16: torch.bfloat16, DType.F32: torch.float32,
    }[dtype]  # fmt: skip


def contiguous(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A row-major array; unlike np.ascontiguousarray it leaves an array without dims without dims."""
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def to_torch(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """A torch view of a numpy array, bf16 included; torch has no int4, and gets a copy in int8."""
    import torch

    array = contiguous(array if array.dtype != ml_dtypes.int4 else array.astype(np.int8))
    if not array.flags.writeable:
        array = array.copy()
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def to_numpy(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """A numpy view of a torch tensor, bf16 included."""
    import torch

    tensor = tensor.detach().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def is_float(element: Attribute) -> bool:
    return isinstance(element, BFloat16Type | Float16Type | Float32Type | Float64Type)


def tensor_type(shape: tuple[int, ...] | list[int], element: Attribute) -> TensorType[Any]:
    return TensorType(element, shape)
