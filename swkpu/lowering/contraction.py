"""Convolutions and matrix products to `mac` recurrences."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation
from xdsl.ir.affine import AffineExpr, AffineMap

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import shape_of, type_of
from swkpu.lowering.structure import (
    affine,
    contraction,
    dims,
)
from swkpu.lowering.table import lowering


@lowering(nn.Conv2dOp)
def lower_conv2d(op: nn.Conv2dOp) -> list[Operation]:
    (sh, sw), (top, _, left, _), (dh, dw), groups = op.window
    n, channels, _, _ = shape_of(op.input)
    outputs, per_group, kh, kw = shape_of(op.weight)
    _, _, oh, ow = shape_of(op.result)
    result = type_of(op.result)
    if groups == 1:
        domain = Domain(("n", "oh", "ow", "oc", "kh", "kw", "ic"), (n, oh, ow, outputs, kh, kw, channels), 4)
        dn, dh_, dw_, do, dkh, dkw, di = dims(7)
        x = affine(7, [dn, di, dh_ * sh + dkh * dh - top, dw_ * sw + dkw * dw - left])
        w = affine(7, [do, di, dkh, dkw])
        return [contraction(domain, (op.input, x), (op.weight, w), affine(7, [dn, do, dh_, dw_]), result)]
    if per_group == 1 and outputs == groups:
        domain = Domain(("n", "oh", "ow", "c", "kh", "kw"), (n, oh, ow, groups, kh, kw), 4)
        dn, dh_, dw_, dc, dkh, dkw = dims(6)
        x = affine(6, [dn, dc, dh_ * sh + dkh * dh - top, dw_ * sw + dkw * dw - left])
        w = affine(6, [dc, 0, dkh, dkw])
        return [contraction(domain, (op.input, x), (op.weight, w), affine(6, [dn, dc, dh_, dw_]), result)]
    each = outputs // groups
    extents = (n, oh, ow, groups, each, kh, kw, per_group)
    domain = Domain(("n", "oh", "ow", "g", "oc", "kh", "kw", "ic"), extents, 5)
    dn, dh_, dw_, dg, do, dkh, dkw, di = dims(8)
    x = affine(8, [dn, dg * per_group + di, dh_ * sh + dkh * dh - top, dw_ * sw + dkw * dw - left])
    w = affine(8, [dg * each + do, di, dkh, dkw])
    grouped = TensorType(result.element_type, (n, groups, each, oh, ow))
    product = contraction(domain, (op.input, x), (op.weight, w), affine(8, [dn, dg, do, dh_, dw_]), grouped)
    return [product, df.ReshapeOp(product.result, result.get_shape())]


@lowering(nn.LinearOp)
def lower_linear(op: nn.LinearOp) -> list[Operation]:
    lead = shape_of(op.input)[:-1]
    outputs, inputs = shape_of(op.weight)
    names = {0: (), 1: ("n",), 2: ("b", "t")}.get(len(lead), tuple(f"d{i}" for i in range(len(lead))))
    rank = len(lead) + 2
    domain = Domain((*names, "o", "i"), (*lead, outputs, inputs), rank - 1)
    d = dims(rank)
    x, w = affine(rank, [*d[:-2], d[-1]]), affine(rank, [d[-2], d[-1]])
    return [contraction(domain, (op.input, x), (op.weight, w), affine(rank, d[:-1]), type_of(op.result))]


@lowering(nn.MatmulOp)
def lower_matmul(op: nn.MatmulOp) -> list[Operation]:
    a, b, out = shape_of(op.lhs), shape_of(op.rhs), shape_of(op.result)
    batch = len(out) - 2
    rank = batch + 3
    domain = Domain((*(f"b{i}" for i in range(batch)), "m", "n", "k"), (*out, a[-1]), rank - 1)
    d = dims(rank)
    m, n, k = d[batch], d[batch + 1], d[batch + 2]

    def operand(shape: Sequence[int], tail: list[AffineExpr]) -> AffineMap:
        own = len(shape) - 2
        lead = [0 if shape[i] == 1 and out[batch - own + i] != 1 else d[batch - own + i] for i in range(own)]
        return affine(rank, [*lead, *tail])

    x, w = operand(a, [m, k]), operand(b, [k, n])
    return [contraction(domain, (op.lhs, x), (op.rhs, w), affine(rank, d[:-1]), type_of(op.result))]
