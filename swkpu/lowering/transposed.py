"""Transposed convolutions: one convolution per phase of the result, each written in steps of the stride.

A result element at o sums x[i] * w[k] over all i * stride + k * dilation - before = o. Elements with the same o modulo
the stride (a phase) use the same taps k = k0, k0 + m, ... and read neighbours of x, so a phase is an ordinary
convolution with part of the kernel, turned round. Phases without taps are zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import gcd

from xdsl.builder import Builder
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineExpr

from swkpu.dialects import df, nn
from swkpu.dialects.df import Domain
from swkpu.dialects.nn import shape_of, type_of
from swkpu.lowering.contraction import KERNEL_NAMES, OUTPUT_NAMES
from swkpu.lowering.movement import flipped
from swkpu.lowering.structure import affine, constant, contraction, region
from swkpu.lowering.table import lowering


@dataclass(frozen=True)
class Phase:
    """One residue of a result dim: `count` elements from `first` on, each of `taps` products. Tap j is element
    `tap + j * tap_step` of the kernel turned round, and reads the input `start + j * step` after the element's number.
    """

    first: int
    count: int
    taps: int
    tap: int
    tap_step: int
    start: int
    step: int


def phases(out: int, kernel: int, stride: int, before: int, dilation: int) -> Iterator[Phase]:
    """The phases of one spatial dim, those without elements left out."""
    every = stride // gcd(stride, dilation)
    step = dilation // gcd(stride, dilation)
    for first in range(min(stride, out)):
        count = -(-(out - first) // stride)
        fitting = [k for k in range(kernel) if (first + before - k * dilation) % stride == 0]
        if not fitting:
            yield Phase(first, count, 0, 0, 1, 0, 1)
            continue
        last = fitting[-1]
        yield Phase(
            first, count, len(fitting), kernel - 1 - last, every, (first + before - last * dilation) // stride, step
        )


@lowering(nn.ConvTranspose2dOp, nn.ConvTranspose3dOp)
def lower_conv_transpose(op: nn.ConvTransposeOp) -> list[Operation]:
    stride, padding, dilation, _ = op.window
    kernel, out = shape_of(op.weight)[2:], shape_of(op.result)[2:]
    spatial = len(out)
    turned = flipped(op.weight, range(2, 2 + spatial))
    weight = turned[-1].results[0] if turned else op.weight
    empty = df.EmptyOp(op.result.type)
    done: SSAValue = empty.result
    ops: list[Operation] = [*turned, empty]
    for choice in product(*map(list, map(phases, out, kernel, stride, padding[::2], dilation))):
        made = _phase(op, weight, choice, done) if all(p.taps for p in choice) else _zeros(op, choice, done)
        ops.append(made)
        done = made.result
    return ops


def _places(choice: tuple[Phase, ...], stride: tuple[int, ...], names: dict[str, AffineExpr]) -> list[AffineExpr]:
    return [names[o] * s + p.first for o, s, p in zip(OUTPUT_NAMES[len(choice)], stride, choice)]


def _phase(op: nn.ConvTransposeOp, weight: SSAValue, choice: tuple[Phase, ...], into: SSAValue) -> df.RecurrenceOp:
    stride, _, _, groups = op.window
    spatial = len(choice)
    n, channels = shape_of(op.input)[:2]
    each = shape_of(op.weight)[1]
    group = (("g",), (groups,)) if groups > 1 else ((), ())
    domain = Domain(
        ("n", *OUTPUT_NAMES[spatial], *group[0], "oc", *KERNEL_NAMES[spatial], "ic"),
        (n, *(p.count for p in choice), *group[1], each, *(p.taps for p in choice), channels // groups),
        2 + spatial + len(group[0]),
    )
    d = {name: AffineExpr.dimension(i) for i, name in enumerate(domain.names)}
    kernel = KERNEL_NAMES[spatial]
    at = [d[o] + d[k] * p.step + p.start for o, k, p in zip(OUTPUT_NAMES[spatial], kernel, choice)]
    taps = [d[k] * p.tap_step + p.tap for k, p in zip(kernel, choice)]
    channel = d["ic"] if groups == 1 else d["g"] * (channels // groups) + d["ic"]
    feature = d["oc"] if groups == 1 else d["g"] * each + d["oc"]
    rank = domain.rank
    return contraction(
        domain,
        (op.input, affine(rank, [d["n"], channel, *at])),
        (weight, affine(rank, [channel, d["oc"], *taps])),
        affine(rank, [d["n"], feature, *_places(choice, stride, d)]),
        type_of(op.result),
        into,
    )


def _zeros(op: nn.ConvTransposeOp, choice: tuple[Phase, ...], into: SSAValue) -> df.RecurrenceOp:
    spatial = len(choice)
    n, features = shape_of(op.result)[:2]
    result: TensorType = type_of(op.result)  # pyright: ignore[reportMissingTypeArgument]
    domain = Domain(("n", *OUTPUT_NAMES[spatial], "oc"), (n, *(p.count for p in choice), features), 2 + spatial)
    d = {name: AffineExpr.dimension(i) for i, name in enumerate(domain.names)}
    written = affine(domain.rank, [d["n"], d["oc"], *_places(choice, op.window[0], d)])

    def zero(b: Builder, _: list[SSAValue]) -> SSAValue:
        return constant(b, 0.0, result.element_type)

    return df.RecurrenceOp(domain, "none", [], [], written, region([], zero), result, destination=into)
