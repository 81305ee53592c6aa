"""The arrays behind `nn.constant`, in both directions."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import BytesAttr, DenseIntOrFPElementsAttr
from xdsl.ir import SSAValue

from swkpu.dialects.nn import ConstantOp, shape_of, type_of
from swkpu.dialects.weights import Array, WeightAttr
from swkpu.errors import IRError
from swkpu.program.model import DType
from swkpu.types import dtype_of, dtype_of_numpy, element_of, numpy_dtype, tensor_type

INLINE_ELEMENTS = 16
"""Constants of up to this many elements are written in the IR."""


def array_of(op: ConstantOp) -> Array:
    """The constant's array, not to be changed. Raises IRError where it is not available or has another type."""
    dtype, shape = numpy_dtype(dtype_of(type_of(op.result).element_type)), shape_of(op.result)
    value = op.value
    array = value.array_as(dtype) if isinstance(value, WeightAttr) else dense_array(value)
    if array.shape != shape or array.dtype != dtype:
        raise IRError(f"{value} is a {array.dtype} array of shape {array.shape}, declared as {op.result.type}")
    return array


def dense_array(value: DenseIntOrFPElementsAttr) -> Array:
    dtype = dtype_of(value.get_element_type())
    if dtype in (DType.I1, DType.I4):  # xDSL stores a byte each
        array = np.frombuffer(value.data.data, dtype=np.int8).astype(numpy_dtype(dtype))
    else:
        array = np.frombuffer(value.data.data, dtype=numpy_dtype(dtype))
    return array.reshape(value.get_shape())


def constant_array(value: SSAValue) -> Array | None:
    """The array of a value that an `nn.constant` makes; None for any other."""
    return array_of(value.owner) if isinstance(value.owner, ConstantOp) else None


def inline_constant(array: Array) -> ConstantOp:
    """A constant written in the IR. Its elements are finite."""
    type_ = tensor_type(array.shape, element_of(dtype_of_numpy(array.dtype)))
    data = array.astype(np.int8) if array.dtype.itemsize == 1 else array
    return ConstantOp(DenseIntOrFPElementsAttr(type_, BytesAttr(np.ascontiguousarray(data).tobytes())), type_)


def constant(array: Array) -> ConstantOp:
    """A constant: in the IR when small, else a weight named by its content.

    Infinities and NaNs are always weights: xDSL 0.74 prints them in hexadecimal, and reads that back as integers.
    """
    if array.size <= INLINE_ELEMENTS and np.isfinite(array.astype(np.float64)).all():
        return inline_constant(array)
    type_ = tensor_type(array.shape, element_of(dtype_of_numpy(array.dtype)))
    return ConstantOp(WeightAttr.from_array(array), type_)
