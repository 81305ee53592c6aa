"""Reductions of the nn dialect: some dims of a tensor to one element each."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import I64, BoolAttr, IntegerAttr, TensorType, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from swkpu.dialects.nn_base import (
    IntsAttr,
    Kind,
    NNOp,
    Tensor,
    accumulator,
    check_dim,
    check_kind,
    ints,
    misfit,
    type_of,
)


class ReduceOp(NNOp, ABC):
    """Reduce the listed dims (not negative, ascending)."""

    input = operand_def(TensorType)
    dims = prop_def(IntsAttr)
    keepdim = prop_def(BoolAttr)
    result = result_def(TensorType)

    assembly_format = "$input `dims` $dims attr-dict `:` functional-type(operands, results)"

    ACCUMULATES: ClassVar[bool] = True
    """Whether the result is of the accumulator type; else it is of the operand's."""
    ACCEPTS: ClassVar[Kind] = Kind.NUMBER

    def __init__(self, input: SSAValue, dims: Sequence[int], keepdim: bool):
        x = type_of(input)
        super().__init__(
            operands=[input],
            properties={"dims": ints(dims), "keepdim": BoolAttr.from_bool(keepdim)},
            result_types=[TensorType(self._element(x), _reduced(x.get_shape(), dims, keepdim))],
        )

    @property
    def reduced(self) -> tuple[tuple[int, ...], bool]:
        """(dims, keepdim) as Python values."""
        return self.dims.data, bool(self.keepdim.value.data)

    def _element(self, x: Tensor) -> Attribute:
        return accumulator(x.element_type) if self.ACCUMULATES else x.element_type

    def infer(self) -> Tensor:
        x = type_of(self.input)
        check_kind(self, x, self.ACCEPTS)
        dims, keepdim = self.reduced
        if list(dims) != sorted(set(dims)) or any(not 0 <= d < len(x.get_shape()) for d in dims):
            raise misfit(f"dims must be ascending and within a tensor of rank {len(x.get_shape())}, got {list(dims)}")
        return TensorType(self._element(x), _reduced(x.get_shape(), dims, keepdim))


def _reduced(shape: Sequence[int], dims: Sequence[int], keepdim: bool) -> list[int]:
    return [1 if d in dims else s for d, s in enumerate(shape) if keepdim or d not in dims]


@irdl_op_definition
class SumOp(ReduceOp):
    """Sum over dims; 0 over none."""

    name = "nn.sum"


@irdl_op_definition
class MeanOp(ReduceOp):
    """Arithmetic mean over dims."""

    name = "nn.mean"


@irdl_op_definition
class ProdOp(ReduceOp):
    """Product over dims; 1 over none."""

    name = "nn.prod"


@irdl_op_definition
class MaxOp(ReduceOp):
    """Largest element over dims; NaN where there is one."""

    name = "nn.max"

    ACCUMULATES: ClassVar[bool] = False
    ACCEPTS: ClassVar[Kind] = Kind.ANY


@irdl_op_definition
class MinOp(ReduceOp):
    """Smallest element over dims; NaN where there is one."""

    name = "nn.min"

    ACCUMULATES: ClassVar[bool] = False
    ACCEPTS: ClassVar[Kind] = Kind.ANY


@irdl_op_definition
class AnyOp(ReduceOp):
    """Whether an element over dims holds. "All" is the not of any not."""

    name = "nn.any"

    ACCUMULATES: ClassVar[bool] = False
    ACCEPTS: ClassVar[Kind] = Kind.BOOL


class ArgReduceOp(NNOp, ABC):
    """The index, as i64, of an element along one dim; the first of equal ones. A NaN wins."""

    input = operand_def(TensorType)
    dim = prop_def(IntegerAttr[I64])
    keepdim = prop_def(BoolAttr)
    result = result_def(TensorType)

    assembly_format = "$input `dim` $dim attr-dict `:` functional-type(operands, results)"

    def __init__(self, input: SSAValue, dim: int, keepdim: bool):
        super().__init__(
            operands=[input],
            properties={"dim": IntegerAttr(dim, i64), "keepdim": BoolAttr.from_bool(keepdim)},
            result_types=[TensorType(i64, _reduced(type_of(input).get_shape(), [dim], keepdim))],
        )

    @property
    def reduced(self) -> tuple[int, bool]:
        """(dim, keepdim) as Python values."""
        return self.dim.value.data, bool(self.keepdim.value.data)

    def infer(self) -> Tensor:
        x = type_of(self.input)
        dim, keepdim = self.reduced
        check_dim(dim, x)
        return TensorType(i64, _reduced(x.get_shape(), [dim], keepdim))


@irdl_op_definition
class ArgMaxOp(ArgReduceOp):
    """Where the largest element along a dim is."""

    name = "nn.argmax"


@irdl_op_definition
class ArgMinOp(ArgReduceOp):
    """Where the smallest element along a dim is."""

    name = "nn.argmin"


REDUCE: tuple[type[ReduceOp], ...] = (SumOp, MeanOp, ProdOp, MaxOp, MinOp, AnyOp)
