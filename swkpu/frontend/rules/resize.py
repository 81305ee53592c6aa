"""Upsampling and resizing. `interpolate` in mode "area" reaches the importer as an adaptive average pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch._ops import OpOverload
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder
from swkpu.frontend.table import Rule, rule

aten = torch.ops.aten
Factor = float | None


def _resize(b: NodeBuilder, x: SSAValue, mode: str, align_corners: bool, factors: Sequence[Factor] | None) -> SSAValue:
    """`factors` are the scale factors of a call that gave them: they, not the sizes, say where elements are read."""
    if not mode.startswith("nearest"):
        b.float_only(x)
    sizes, out = nn.shape_of(x)[2:], b.shape[2:]
    if sizes == out and (factors is None or all(f in (None, 1.0) for f in factors)):
        return x
    scales = [o / s if f is None else f for f, s, o in zip(factors or [None] * len(out), sizes, out)]
    plain = all(f == o / s for f, s, o in zip(scales, sizes, out))
    return b.emit(nn.ResizeOp(x, mode, out, align_corners, None if plain else scales))


def _rules(mode: str) -> tuple[Rule, Rule]:
    """The rules of an operator's two overloads: with a size, and with a size or factors."""

    def import_sized(b: NodeBuilder, x: SSAValue, size: Sequence[int], *factors: Factor) -> SSAValue:
        return _resize(b, x, mode, False, factors or None)

    def import_scaled(
        b: NodeBuilder, x: SSAValue, size: Sequence[int] | None, factors: Sequence[float] | None
    ) -> SSAValue:
        return _resize(b, x, mode, False, factors)

    def import_weighted(
        b: NodeBuilder, x: SSAValue, size: Sequence[int], align_corners: bool, *factors: Factor
    ) -> SSAValue:
        return _resize(b, x, mode, align_corners, factors or None)

    def import_weighted_scaled(
        b: NodeBuilder,
        x: SSAValue,
        size: Sequence[int] | None,
        align_corners: bool,
        factors: Sequence[float] | None,
    ) -> SSAValue:
        return _resize(b, x, mode, align_corners, factors)

    chosen = (import_sized, import_scaled) if mode.startswith("nearest") else (import_weighted, import_weighted_scaled)
    for function in chosen:
        function.__doc__ = f'nn.resize, mode "{mode}"'
    return chosen


_OPERATORS: dict[str, tuple[tuple[OpOverload, OpOverload], ...]] = {
    "nearest": (
        (aten.upsample_nearest1d.default, aten.upsample_nearest1d.vec),
        (aten.upsample_nearest2d.default, aten.upsample_nearest2d.vec),
        (aten.upsample_nearest3d.default, aten.upsample_nearest3d.vec),
    ),
    "nearest-exact": (
        (aten._upsample_nearest_exact1d.default, aten._upsample_nearest_exact1d.vec),
        (aten._upsample_nearest_exact2d.default, aten._upsample_nearest_exact2d.vec),
        (aten._upsample_nearest_exact3d.default, aten._upsample_nearest_exact3d.vec),
    ),
    "linear": (
        (aten.upsample_linear1d.default, aten.upsample_linear1d.vec),
        (aten.upsample_bilinear2d.default, aten.upsample_bilinear2d.vec),
        (aten.upsample_trilinear3d.default, aten.upsample_trilinear3d.vec),
    ),
    "cubic": ((aten.upsample_bicubic2d.default, aten.upsample_bicubic2d.vec),),
}
for _mode, _pairs in _OPERATORS.items():
    _sized, _scaled = _rules(_mode)
    for _default, _vec in _pairs:
        rule(_default)(_sized)
        rule(_vec)(_scaled)


def _smoothed(kernel: Callable[..., torch.Tensor]) -> Rule:
    """Antialiased resizing weighs as many elements as the scale says: a matrix for each of the two dims."""

    def import_smoothed(
        b: NodeBuilder, x: SSAValue, size: Sequence[int], align_corners: bool, *factors: Factor
    ) -> SSAValue:
        b.float_only(x)
        rows, columns = nn.shape_of(x)[2:]
        vertical, horizontal = factors or (None, None)
        left = kernel(torch.eye(rows)[None, None], [size[0], rows], align_corners, vertical, None)[0, 0]
        right = kernel(torch.eye(columns)[None, None], [columns, size[1]], align_corners, None, horizontal)[0, 0]
        y = b.emit(nn.MatmulOp(b.f32(x), b.constant(right.numpy())))
        return b.emit(nn.MatmulOp(b.constant(left.numpy()), y))

    import_smoothed.__doc__ = "nn.matmul of each dim with its weights"
    return import_smoothed


rule(aten._upsample_bilinear2d_aa.default)(_smoothed(aten._upsample_bilinear2d_aa.default))
rule(aten._upsample_bicubic2d_aa.default)(_smoothed(aten._upsample_bicubic2d_aa.default))
