"""Resizing: a matrix along each dim, or a choice of elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineExpr

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import shape_of, type_of
from swkpu.lowering.movement import taken
from swkpu.lowering.structure import affine, contraction, inline_constant
from swkpu.lowering.table import lowering
from swkpu.types import dtype_of, numpy_dtype

Matrix = np.ndarray[Any, Any]


def applied(value: SSAValue, matrices: Sequence[Matrix]) -> list[Operation]:
    """Each spatial dim of an N, C, spatial... value multiplied by a matrix [out, in]; sums in f32.

    Dims whose matrix is the identity are left alone; the result is f32 in any case. The dim that shrinks most comes
    first.
    """
    ops: list[Operation] = []
    todo = [d for d, m in enumerate(matrices) if m.shape[0] != m.shape[1] or not np.array_equal(m, np.eye(len(m)))]
    for d in sorted(todo or [0], key=lambda d: matrices[d].shape[0] / matrices[d].shape[1]):
        made = _along(value, d + 2, matrices[d])
        ops += made
        value = made[-1].results[0]
    return ops


def _along(value: SSAValue, axis: int, matrix: Matrix) -> list[Operation]:
    shape, element = shape_of(value), type_of(value).element_type
    out = [*shape[:axis], matrix.shape[0], *shape[axis + 1 :]]
    stored = matrix.astype(numpy_dtype(dtype_of(element)))
    weights = inline_constant(stored, TensorType(element, matrix.shape))
    rank = len(shape)
    domain = Domain((*(f"d{d}" for d in range(rank)), "k"), (*out, shape[axis]), rank)
    d = [AffineExpr.dimension(i) for i in range(rank + 1)]
    read = affine(rank + 1, [d[rank] if i == axis else d[i] for i in range(rank)])
    product = contraction(
        domain,
        (value, read),
        (weights.result, affine(rank + 1, [d[axis], d[rank]])),
        affine(rank + 1, d[:rank]),
        TensorType(f32, out),
    )
    return [weights, product]


def weights_of(mode: str, size: int, out: int, align_corners: bool, scale: float | None) -> Matrix:
    """What each of `size` elements contributes to each of `out`: torch's own kernel applied to the identity."""
    import torch

    identity = torch.eye(size)
    if mode == "linear":
        result = torch.ops.aten.upsample_linear1d(identity[None], [out], align_corners, scale)[0]
    else:
        image = identity[None, :, :, None]
        result = torch.ops.aten.upsample_bicubic2d(image, [out, 1], align_corners, scale, None)[0, :, :, 0]
    return result.T.contiguous().numpy()


def chosen(mode: str, size: int, out: int, scale: float | None) -> Matrix:
    """The index of the element that each of `out` takes: torch's own kernel applied to the indices."""
    import torch

    indices = torch.arange(size, dtype=torch.float32)[None, None]
    kernel = torch.ops.aten.upsample_nearest1d if mode == "nearest" else torch.ops.aten._upsample_nearest_exact1d
    return kernel(indices, [out], scale)[0, 0].numpy().astype(np.int32)


@lowering(nn.ResizeOp)
def lower_resize(op: nn.ResizeOp) -> list[Operation]:
    sizes, outs, mode = shape_of(op.input)[2:], op.size.data, op.mode.data
    scales = op.scale_factors or (None,) * len(sizes)
    if mode.startswith("nearest"):
        return _nearest(op.input, [chosen(mode, s, o, k) for s, o, k in zip(sizes, outs, scales)])
    return applied(op.input, [weights_of(mode, s, o, op.corners, k) for s, o, k in zip(sizes, outs, scales)])


def _nearest(value: SSAValue, indices: Sequence[Matrix]) -> list[Operation]:
    """Elements repeated a whole number of times are a copy with a dim for the repetitions; others are gathered."""
    sizes = shape_of(value)[2:]
    factors = [len(i) // s for i, s in zip(indices, sizes)]
    if all(np.array_equal(i, np.arange(s).repeat(f)) for i, s, f in zip(indices, sizes, factors)):
        return _repeated(value, factors)
    ops: list[Operation] = []
    for dim, (index, size) in enumerate(zip(indices, sizes), start=2):
        if not np.array_equal(index, np.arange(size)):
            ops += taken(value, dim, index)
            value = ops[-1].results[0]
    return ops


def _repeated(value: SSAValue, factors: Sequence[int]) -> list[Operation]:
    shape = shape_of(value)
    spatial = range(len(factors))
    names = ("n", "c", *(n for i in spatial for n in (f"d{i}", f"r{i}")))
    extents = (*shape[:2], *(e for i in spatial for e in (shape[2 + i], factors[i])))
    domain = Domain(names, extents, len(names))
    d = {name: AffineExpr.dimension(i) for i, name in enumerate(names)}
    read = affine(domain.rank, [d["n"], d["c"], *(d[f"d{i}"] for i in spatial)])
    written = affine(domain.rank, [d["n"], d["c"], *(d[f"d{i}"] * factors[i] + d[f"r{i}"] for i in spatial)])
    out = TensorType(type_of(value).element_type, (*shape[:2], *(shape[2 + i] * factors[i] for i in spatial)))
    empty = df.EmptyOp(out)
    return [empty, df.CopyOp(value, domain, read, into=(empty.result, written))]
