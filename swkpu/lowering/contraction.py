"""Convolutions and matrix products to `mac` recurrences."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation
from xdsl.ir.affine import AffineExpr, AffineMap

from swkpu.dialects import nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import shape_of, type_of
from swkpu.lowering.structure import affine, contraction, dims
from swkpu.lowering.table import lowering

OUTPUT_NAMES = {1: ("ow",), 2: ("oh", "ow"), 3: ("od", "oh", "ow")}
KERNEL_NAMES = {1: ("kw",), 2: ("kh", "kw"), 3: ("kd", "kh", "kw")}


@lowering(nn.Conv2dOp, nn.Conv3dOp)
def lower_conv(op: nn.ConvOp) -> list[Operation]:
    stride, padding, dilation, groups = op.window
    n = shape_of(op.input)[0]
    outputs, per_group, *kernel = shape_of(op.weight)
    out = shape_of(op.result)[2:]
    spatial = len(out)
    depthwise = per_group == 1 and outputs == groups
    each = outputs // groups
    feature_names: tuple[str, ...] = ("c",) if depthwise else ("oc",) if groups == 1 else ("g", "oc")
    features: tuple[int, ...] = (groups,) if depthwise else (outputs,) if groups == 1 else (groups, each)
    reduced_names, reduced = ((), ()) if depthwise else (("ic",), (per_group,))
    domain = Domain(
        ("n", *OUTPUT_NAMES[spatial], *feature_names, *KERNEL_NAMES[spatial], *reduced_names),
        (n, *out, *features, *kernel, *reduced),
        1 + spatial + len(features),
    )
    d = {name: AffineExpr.dimension(i) for i, name in enumerate(domain.names)}
    at = [
        d[o] * s + d[k] * step - before
        for o, k, s, step, before in zip(
            OUTPUT_NAMES[spatial], KERNEL_NAMES[spatial], stride, dilation, padding[::2], strict=True
        )
    ]
    taps = [d[k] for k in KERNEL_NAMES[spatial]]
    places = [d[o] for o in OUTPUT_NAMES[spatial]]
    if depthwise:
        x, w, y = [d["n"], d["c"], *at], [d["c"], 0, *taps], [d["n"], d["c"], *places]
    elif groups == 1:
        x, w, y = [d["n"], d["ic"], *at], [d["oc"], d["ic"], *taps], [d["n"], d["oc"], *places]
    else:
        feature = d["g"] * each + d["oc"]
        x, w = [d["n"], d["g"] * per_group + d["ic"], *at], [feature, d["ic"], *taps]
        y = [d["n"], feature, *places]
    rank = domain.rank
    result = type_of(op.result)
    return [contraction(domain, (op.input, affine(rank, x)), (op.weight, affine(rank, w)), affine(rank, y), result)]


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
