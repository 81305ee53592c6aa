"""Resizing of the nn dialect."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    BoolAttr,
    DenseArrayBase,
    Float64Type,
    StringAttr,
    TensorType,
    f64,
)
from xdsl.ir import SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
)

from swkpu.dialects.nn_base import (
    IntsAttr,
    NNOp,
    Tensor,
    accumulator,
    ints,
    misfit,
    shape_of,
    type_of,
)
from swkpu.types import is_float

MODES = ("nearest", "nearest-exact", "linear", "cubic")


@irdl_op_definition
class ResizeOp(NNOp):
    """Resample the spatial dims of an N, C, spatial... input to `size`.

    Result element i reads around input coordinate c(i): i * r for nearest, (i + 0.5) * r for nearest-exact, and for
    linear and cubic (i + 0.5) * r - 0.5, or i * (in - 1) / (out - 1) with `align_corners`. r is in / out, or one over
    the dim's scale where `scales` gives them. Nearest takes the element at floor(c) and rounds nothing; linear and
    cubic (a = -0.75) weigh 2 and 4 elements per dim, the edge repeated, in the accumulator type.
    """

    name = "nn.resize"

    input = operand_def(TensorType)
    mode = prop_def(StringAttr)
    size = prop_def(IntsAttr)
    align_corners = prop_def(BoolAttr)
    scales = opt_prop_def(DenseArrayBase[Float64Type])
    result = result_def(TensorType)

    assembly_format = "$input `mode` $mode `size` $size attr-dict `:` functional-type(operands, results)"

    def __init__(
        self,
        input: SSAValue,
        mode: str,
        size: Sequence[int],
        align_corners: bool = False,
        scales: Sequence[float] | None = None,
    ):
        x = type_of(input)
        element = x.element_type if mode.startswith("nearest") else accumulator(x.element_type)
        super().__init__(
            operands=[input],
            properties={
                "mode": StringAttr(mode),
                "size": ints(size),
                "align_corners": BoolAttr.from_bool(align_corners),
                "scales": None if scales is None else DenseArrayBase.from_list(f64, list(scales)),
            },
            result_types=[TensorType(element, (*x.get_shape()[:2], *size))],
        )

    @property
    def corners(self) -> bool:
        return bool(self.align_corners.value.data)

    @property
    def scale_factors(self) -> tuple[float, ...] | None:
        """Result over input size, dim by dim, where they are not just the ratio of the sizes."""
        return None if self.scales is None else self.scales.get_values()

    @property
    def ratios(self) -> tuple[float, ...]:
        """r of each spatial dim: how far the input coordinate moves per result element, without `align_corners`."""
        sizes = zip(shape_of(self.input)[2:], self.size.data)
        scales = self.scale_factors
        return tuple(1 / s for s in scales) if scales is not None else tuple(i / o for i, o in sizes)

    def infer(self) -> Tensor:
        x, size, mode = type_of(self.input), self.size.data, self.mode.data
        if mode not in MODES:
            raise misfit(f'unknown mode "{mode}"; expected one of {", ".join(MODES)}')
        rank = len(x.get_shape()) - 2
        if rank < 1 or len(size) != rank or min(size) < 1 or 0 in x.get_shape():
            raise misfit(f"expected N, C and as many spatial dims as positive sizes, got {x} and {list(size)}")
        scales = self.scale_factors
        if scales is not None and (len(scales) != rank or min(scales) <= 0):
            raise misfit(f"expected {rank} positive scales, got {list(scales)}")
        if mode.startswith("nearest"):
            if self.corners:
                raise misfit(f'mode "{mode}" has no align_corners')
            return TensorType(x.element_type, (*x.get_shape()[:2], *size))
        if not is_float(x.element_type):
            raise misfit(f'mode "{mode}" weighs elements of a floating type, got {x}')
        return TensorType(accumulator(x.element_type), (*x.get_shape()[:2], *size))
