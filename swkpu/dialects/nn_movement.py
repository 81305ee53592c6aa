"""Constants and data movement of the nn dialect."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from xdsl.dialects.builtin import (
    I64,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    TensorType,
    f32,
    i64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure

from swkpu.dialects.nn_base import (
    IntsAttr,
    NNOp,
    Tensor,
    check_dim,
    ints,
    misfit,
    shape_of,
    type_of,
)
from swkpu.dialects.weights import WeightAttr
from swkpu.types import is_float


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A constant: `#nn.weight<...>` beside the file, or small dense data inline."""

    name = "nn.constant"

    value = prop_def(WeightAttr | DenseIntOrFPElementsAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())
    assembly_format = "$value attr-dict `:` type($result)"

    def __init__(self, value: WeightAttr | DenseIntOrFPElementsAttr, type: Attribute):
        super().__init__(properties={"value": value}, result_types=[type])


@irdl_op_definition
class ReshapeOp(NNOp):
    """The same elements in row-major order under another shape."""

    name = "nn.reshape"

    input = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue, shape: Sequence[int]):
        super().__init__(operands=[input], result_types=[TensorType(type_of(input).element_type, shape)])

    def infer(self) -> Tensor:
        if prod(shape_of(self.input)) != prod(shape_of(self.result)):
            raise misfit(f"{self.input.type} and {self.result.type} have different numbers of elements")
        return TensorType(type_of(self.input).element_type, shape_of(self.result))


@irdl_op_definition
class PermuteOp(NNOp):
    """Result dim i is input dim `dims[i]`."""

    name = "nn.permute"

    input = operand_def(TensorType)
    dims = prop_def(IntsAttr)
    result = result_def(TensorType)

    assembly_format = "$input `dims` $dims attr-dict `:` functional-type(operands, results)"

    def __init__(self, input: SSAValue, dims: Sequence[int]):
        x = type_of(input)
        super().__init__(
            operands=[input],
            properties={"dims": ints(dims)},
            result_types=[TensorType(x.element_type, [x.get_shape()[d] for d in dims])],
        )

    @property
    def order(self) -> tuple[int, ...]:
        return self.dims.data

    def infer(self) -> Tensor:
        x = type_of(self.input)
        if sorted(self.order) != list(range(len(x.get_shape()))):
            raise misfit(f"{list(self.order)} is not a permutation of the {len(x.get_shape())} dims of {x}")
        return TensorType(x.element_type, [x.get_shape()[d] for d in self.order])


@irdl_op_definition
class ExpandOp(NNOp):
    """Dims of size 1 repeated to another size; the rank stays."""

    name = "nn.expand"

    input = operand_def(TensorType)
    result = result_def(TensorType)

    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    def __init__(self, input: SSAValue, shape: Sequence[int]):
        super().__init__(operands=[input], result_types=[TensorType(type_of(input).element_type, shape)])

    def infer(self) -> Tensor:
        x, shape = type_of(self.input), shape_of(self.result)
        if len(shape) != len(x.get_shape()) or any(s not in (1, o) for s, o in zip(x.get_shape(), shape)):
            raise misfit(f"{x} does not expand to {list(shape)}: the rank stays, and only dims of size 1 are repeated")
        return TensorType(x.element_type, shape)


def _check_box(whole: Tensor, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]) -> None:
    """Raise VerifyException unless elements start, start + step, ... of each dim are in the tensor."""
    shape = whole.get_shape()
    if not len(starts) == len(sizes) == len(steps) == len(shape):
        raise misfit(f"expected a start, a size and a step for each of the {len(shape)} dims of {whole}")
    for dim, (extent, start, size, step) in enumerate(zip(shape, starts, sizes, steps)):
        if start < 0 or step < 1 or size < 0 or (size and start + (size - 1) * step >= extent):
            raise misfit(f"dim {dim} of {whole} has no {size} elements from {start} in steps of {step}")


@irdl_op_definition
class SliceOp(NNOp):
    """Elements `starts`, `starts + steps`, ...: `sizes` of them in each dim."""

    name = "nn.slice"

    input = operand_def(TensorType)
    starts = prop_def(IntsAttr)
    sizes = prop_def(IntsAttr)
    steps = prop_def(IntsAttr)
    result = result_def(TensorType)

    assembly_format = (
        "$input `starts` $starts `sizes` $sizes `steps` $steps attr-dict `:` functional-type(operands, results)"
    )

    def __init__(self, input: SSAValue, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]):
        super().__init__(
            operands=[input],
            properties={"starts": ints(starts), "sizes": ints(sizes), "steps": ints(steps)},
            result_types=[TensorType(type_of(input).element_type, sizes)],
        )

    def infer(self) -> Tensor:
        _check_box(type_of(self.input), self.starts.data, self.sizes.data, self.steps.data)
        return TensorType(type_of(self.input).element_type, self.sizes.data)


@irdl_op_definition
class InsertSliceOp(NNOp):
    """`dest` with elements `starts`, `starts + steps`, ... of each dim replaced by those of `src`."""

    name = "nn.insert_slice"

    dest = operand_def(TensorType)
    src = operand_def(TensorType)
    starts = prop_def(IntsAttr)
    steps = prop_def(IntsAttr)
    result = result_def(TensorType)

    assembly_format = "$dest `,` $src `starts` $starts `steps` $steps attr-dict `:` functional-type(operands, results)"

    def __init__(self, dest: SSAValue, src: SSAValue, starts: Sequence[int], steps: Sequence[int]):
        super().__init__(
            operands=[dest, src],
            properties={"starts": ints(starts), "steps": ints(steps)},
            result_types=[dest.type],
        )

    def infer(self) -> Tensor:
        dest, src = type_of(self.dest), type_of(self.src)
        if dest.element_type != src.element_type:
            raise misfit(f"operands differ in element type: {dest.element_type} and {src.element_type}")
        _check_box(dest, self.starts.data, src.get_shape(), self.steps.data)
        return dest


@irdl_op_definition
class ConcatOp(NNOp):
    """Tensors one after the other along a dim."""

    name = "nn.concat"

    inputs = var_operand_def(TensorType)
    dim = prop_def(IntegerAttr[I64])
    result = result_def(TensorType)

    assembly_format = "$inputs `dim` $dim attr-dict `:` functional-type(operands, results)"

    def __init__(self, inputs: Sequence[SSAValue], dim: int):
        first = type_of(inputs[0])
        shape = list(first.get_shape())
        shape[dim] = sum(shape_of(x)[dim] for x in inputs)
        super().__init__(
            operands=[inputs],
            properties={"dim": IntegerAttr(dim, i64)},
            result_types=[TensorType(first.element_type, shape)],
        )

    @property
    def along(self) -> int:
        return self.dim.value.data

    def infer(self) -> Tensor:
        if not self.inputs:
            raise misfit("expected at least one tensor")
        types, dim = [type_of(x) for x in self.inputs], self.along
        check_dim(dim, types[0])
        rest = [(t.element_type, t.get_shape()[:dim], t.get_shape()[dim + 1 :], len(t.get_shape())) for t in types]
        for (one, other), (a, b) in zip(pairwise(types), pairwise(rest)):
            if a != b:
                raise misfit(f"{one} and {other} differ in more than dim {dim}")
        first = types[0].get_shape()
        size = sum(t.get_shape()[dim] for t in types)
        return TensorType(types[0].element_type, (*first[:dim], size, *first[dim + 1 :]))


@irdl_op_definition
class PadOp(NNOp):
    """`low` elements of `value` before and `high` after each dim."""

    name = "nn.pad"

    input = operand_def(TensorType)
    low = prop_def(IntsAttr)
    high = prop_def(IntsAttr)
    value = prop_def(FloatAttr | IntegerAttr)
    result = result_def(TensorType)

    assembly_format = "$input `low` $low `high` $high `value` $value attr-dict `:` functional-type(operands, results)"

    def __init__(self, input: SSAValue, low: Sequence[int], high: Sequence[int], value: float | int):
        x = type_of(input)
        shape = [a + s + b for a, s, b in zip(low, x.get_shape(), high)]
        filler = FloatAttr(float(value), f32) if is_float(x.element_type) else IntegerAttr(int(value), i64)
        super().__init__(
            operands=[input],
            properties={"low": ints(low), "high": ints(high), "value": filler},
            result_types=[TensorType(x.element_type, shape)],
        )

    def infer(self) -> Tensor:
        x, low, high = type_of(self.input), self.low.data, self.high.data
        rank = len(x.get_shape())
        if not len(low) == len(high) == rank or any(p < 0 for p in (*low, *high)):
            raise misfit(f"low and high must be {rank} integers each, not negative, got {list(low)} and {list(high)}")
        if is_float(x.element_type) != isinstance(self.value, FloatAttr):
            raise misfit(f"the value {self.value} does not fit {x}: floats take an f32, the rest an i64")
        return TensorType(x.element_type, [a + s + b for a, s, b in zip(low, x.get_shape(), high)])


@irdl_op_definition
class FlipOp(NNOp):
    """Dims read backwards."""

    name = "nn.flip"

    input = operand_def(TensorType)
    dims = prop_def(IntsAttr)
    result = result_def(TensorType)

    assembly_format = "$input `dims` $dims attr-dict `:` functional-type(operands, results)"

    def __init__(self, input: SSAValue, dims: Sequence[int]):
        super().__init__(operands=[input], properties={"dims": ints(dims)}, result_types=[input.type])

    def infer(self) -> Tensor:
        x, dims = type_of(self.input), self.dims.data
        for dim in dims:
            check_dim(dim, x)
        if len(set(dims)) != len(dims):
            raise misfit(f"each dim is turned round once, got {list(dims)}")
        return x
