"""Softmax and the norms of the nn dialect. Floats of any storage type in, f32 out, as of all that accumulates."""

from __future__ import annotations

from abc import ABC

from xdsl.dialects.builtin import I64, FloatAttr, IntegerAttr, TensorType, f32, i64
from xdsl.ir import SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    prop_def,
    result_def,
)

from swkpu.dialects.nn_base import Kind, NNOp, Tensor, check_dim, check_kind, misfit, shape_of, type_of


class SoftmaxBaseOp(NNOp, ABC):
    """Base of the softmaxes: over one dim."""

    input = operand_def(TensorType)
    dim = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)

    assembly_format = "$input `dim` $dim attr-dict `:` functional-type(operands, results)"

    def __init__(self, input: SSAValue, dim: int):
        super().__init__(
            operands=[input],
            properties={"dim": IntegerAttr(dim, i64)},
            result_types=[TensorType(f32, shape_of(input))],
        )

    @property
    def along(self) -> int:
        return self.dim.value.data

    def infer(self) -> Tensor:
        x = type_of(self.input)
        check_kind(self, x, Kind.FLOAT)
        check_dim(self.along, x)
        return TensorType(f32, x.get_shape())


@irdl_op_definition
class SoftmaxOp(SoftmaxBaseOp):
    """e^(x - max) / sum of e^(x - max), maximum and sum over a dim"""

    name = "nn.softmax"


@irdl_op_definition
class LogSoftmaxOp(SoftmaxBaseOp):
    """(x - max) - log(sum of e^(x - max)), maximum and sum over a dim"""

    name = "nn.log_softmax"


class NormOp(NNOp, ABC):
    """Base of the norms: statistics of `input` over some of its dims, then an optional scale and shift."""

    input = operand_def(TensorType)
    weight = opt_operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    result = result_def(TensorType)

    irdl_options = (*NNOp.irdl_options, AttrSizedOperandSegments(as_property=True))

    def parameter_shape(self) -> tuple[int, ...]:
        """The shape that weight and bias have. Raises VerifyException where input and attributes do not fit."""
        raise NotImplementedError

    def infer(self) -> Tensor:
        x = type_of(self.input)
        check_kind(self, x, Kind.FLOAT)
        shape = self.parameter_shape()
        for value in (self.weight, self.bias):
            if value is not None and shape_of(value) != shape:
                raise misfit(f"expected weight and bias of shape {shape}, got {value.type}")
            if value is not None:
                check_kind(self, type_of(value), Kind.FLOAT)
        return TensorType(f32, x.get_shape())


_NORM_FORMAT = (
    "(`weight` $weight^ `:` type($weight))? (`bias` $bias^ `:` type($bias))? "
    "attr-dict `:` type($input) `to` type($result)"
)


class TrailingNormOp(NormOp, ABC):
    """Norm over the last `dims` dims, whose sizes weight and bias have."""

    dims = prop_def(IntegerAttr[I64])
    eps = prop_def(FloatAttr)

    assembly_format = "$input `dims` $dims " + _NORM_FORMAT

    def __init__(
        self, input: SSAValue, dims: int, eps: float, weight: SSAValue | None = None, bias: SSAValue | None = None
    ):
        super().__init__(
            operands=[input, weight, bias],
            properties={"dims": IntegerAttr(dims, i64), "eps": FloatAttr(eps, f32)},
            result_types=[TensorType(f32, shape_of(input))],
        )

    def parameter_shape(self) -> tuple[int, ...]:
        shape, count = shape_of(self.input), self.dims.value.data
        if not 1 <= count <= len(shape):
            raise misfit(f"expected 1 to {len(shape)} trailing dims of {self.input.type}, got {count}")
        return shape[-count:]


@irdl_op_definition
class LayerNormOp(TrailingNormOp):
    """(x - mean) / sqrt(variance + eps) * weight + bias, statistics over the last `dims` dims"""

    name = "nn.layer_norm"


@irdl_op_definition
class RmsNormOp(TrailingNormOp):
    """x / sqrt(mean(x²) + eps) * weight + bias, the mean over the last `dims` dims"""

    name = "nn.rms_norm"


@irdl_op_definition
class GroupNormOp(NormOp):
    """(x - mean) / sqrt(variance + eps) * weight + bias of [N, C, ...], weight and bias per channel.

    Channels are cut into `groups` groups of neighbours; statistics are over a group and all that follows dim 1.
    """

    name = "nn.group_norm"

    groups = prop_def(IntegerAttr[I64])
    eps = prop_def(FloatAttr)

    assembly_format = "$input `groups` $groups " + _NORM_FORMAT

    def __init__(
        self, input: SSAValue, groups: int, eps: float, weight: SSAValue | None = None, bias: SSAValue | None = None
    ):
        super().__init__(
            operands=[input, weight, bias],
            properties={"groups": IntegerAttr(groups, i64), "eps": FloatAttr(eps, f32)},
            result_types=[TensorType(f32, shape_of(input))],
        )

    def parameter_shape(self) -> tuple[int, ...]:
        shape, groups = shape_of(self.input), self.groups.value.data
        if len(shape) < 2 or groups < 1 or shape[1] % groups:
            raise misfit(f"cannot cut the channels (dim 1) of {self.input.type} into {groups} groups")
        return (shape[1],)
