"""Convolutions and their transposes. One spatial dim is imported as the last of two."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch._ops import OpOverload
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder, both_sides, spread
from swkpu.frontend.table import Rule, Unsupported, rule

aten = torch.ops.aten
Ints = int | Sequence[int]

_CONV: dict[int, type[nn.ConvOp]] = {2: nn.Conv2dOp, 3: nn.Conv3dOp}
_TRANSPOSED: dict[int, type[nn.ConvTransposeOp]] = {2: nn.ConvTranspose2dOp, 3: nn.ConvTranspose3dOp}
Convolve = Callable[[SSAValue, SSAValue, int], nn.ConvolutionOp]
"""Makes the op from input, weight and the number of unit dims put before the spatial dims."""


def _convolve(b: NodeBuilder, x: SSAValue, weight: SSAValue, bias: SSAValue | None, make: Convolve) -> SSAValue:
    """Emit the op for an input with or without batch dim, in any number of spatial dims, and add the bias."""
    b.float_only(x)
    channels_at = len(nn.shape_of(x)) - len(nn.shape_of(weight)) + 1
    more = max(0, 4 - len(nn.shape_of(weight)))
    if len(nn.shape_of(weight)) + more > 5:
        raise Unsupported(f"in {len(nn.shape_of(weight)) - 2} spatial dims")
    batch, (channels, *sizes) = nn.shape_of(x)[:channels_at] or (1,), nn.shape_of(x)[channels_at:]
    out, each, *kernel = nn.shape_of(weight)
    x = b.reshape(x, (*batch, channels, *(1,) * more, *sizes))
    y = b.emit(make(x, b.reshape(weight, (out, each, *(1,) * more, *kernel)), more))
    if bias is not None:
        features = nn.shape_of(y)[1]
        y = b.emit(nn.AddOp(y, b.reshape(b.f32(bias), (1, features, *(1,) * (len(nn.shape_of(y)) - 2)))))
    return b.reshape(y, b.shape)


def _conv(
    b: NodeBuilder,
    x: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None,
    stride: Ints,
    padding: Sequence[int],
    dilation: Ints,
    groups: int,
) -> SSAValue:
    """`padding` is before and after of each spatial dim."""
    rank = len(nn.shape_of(weight)) - 2

    def make(x: SSAValue, w: SSAValue, more: int) -> nn.ConvolutionOp:
        ones = (1,) * more
        steps, gaps = (*ones, *spread(stride, rank)), (*ones, *spread(dilation, rank))
        return _CONV[rank + more](x, w, steps, (*(0,) * (2 * more), *padding), gaps, groups)

    return _convolve(b, x, weight, bias, make)


def _transposed(
    b: NodeBuilder,
    x: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    groups: int,
    dilation: Ints,
) -> SSAValue:
    rank = len(nn.shape_of(weight)) - 2

    def make(x: SSAValue, w: SSAValue, more: int) -> nn.ConvolutionOp:
        ones, zeros = (1,) * more, (0,) * more
        return _TRANSPOSED[rank + more](
            x,
            w,
            (*ones, *spread(stride, rank)),
            (*zeros, *zeros, *both_sides(padding, rank)),
            (*zeros, *spread(output_padding, rank)),
            (*ones, *spread(dilation, rank)),
            groups,
        )

    return _convolve(b, x, weight, bias, make)


def _rule_of_conv(rank: int) -> Rule:
    def import_conv(
        b: NodeBuilder,
        x: SSAValue,
        weight: SSAValue,
        bias: SSAValue | None = None,
        stride: Ints = 1,
        padding: Ints = 0,
        dilation: Ints = 1,
        groups: int = 1,
    ) -> SSAValue:
        return _conv(b, x, weight, bias, stride, both_sides(padding, rank), dilation, groups)

    import_conv.__doc__ = _summary(f"nn.conv{max(rank, 2)}d")
    return import_conv


def _rule_of_padded_conv(rank: int) -> Rule:
    def import_conv(
        b: NodeBuilder,
        x: SSAValue,
        weight: SSAValue,
        bias: SSAValue | None = None,
        stride: Ints = 1,
        padding: str = "valid",
        dilation: Ints = 1,
        groups: int = 1,
    ) -> SSAValue:
        kernel, steps = nn.shape_of(weight)[2:], spread(dilation, rank)
        total = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, steps)]
        sides = [side for t in total for side in (t // 2, t - t // 2)]
        return _conv(b, x, weight, bias, stride, sides, dilation, groups)

    import_conv.__doc__ = _summary(f"nn.conv{max(rank, 2)}d") + '; "same" puts an odd element of padding at the end'
    return import_conv


def _rule_of_transposed(rank: int) -> Rule:
    def import_conv_transpose(
        b: NodeBuilder,
        x: SSAValue,
        weight: SSAValue,
        bias: SSAValue | None = None,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        dilation: Ints = 1,
    ) -> SSAValue:
        return _transposed(b, x, weight, bias, stride, padding, output_padding, groups, dilation)

    import_conv_transpose.__doc__ = _summary(f"nn.conv_transpose{max(rank, 2)}d")
    return import_conv_transpose


def _summary(name: str) -> str:
    return f"{name}, then nn.add of the bias"


_OVERLOADS: tuple[tuple[int, OpOverload, OpOverload, OpOverload], ...] = (
    (1, aten.conv1d.default, aten.conv1d.padding, aten.conv_transpose1d.default),
    (2, aten.conv2d.default, aten.conv2d.padding, aten.conv_transpose2d.input),
    (3, aten.conv3d.default, aten.conv3d.padding, aten.conv_transpose3d.input),
)
for _rank, _plain, _padded, _transpose in _OVERLOADS:
    rule(_plain)(_rule_of_conv(_rank))
    rule(_padded)(_rule_of_padded_conv(_rank))
    rule(_transpose)(_rule_of_transposed(_rank))


@rule(aten.convolution.default, aten._convolution.default)
def convolution(
    b: NodeBuilder,
    x: SSAValue,
    weight: SSAValue,
    bias: SSAValue | None,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    transposed: bool,
    output_padding: Ints,
    groups: int,
    *_: bool,
) -> SSAValue:
    """nn.conv2d or nn.conv3d, or their transposes, then nn.add of the bias"""
    if transposed:
        return _transposed(b, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return _conv(b, x, weight, bias, stride, both_sides(padding, len(nn.shape_of(weight)) - 2), dilation, groups)
