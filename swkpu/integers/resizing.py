"""Interpolation and average pools over windows of unequal size: along each dim, means weighted by small integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.dialects.nn import quantized_type_of, shape_of
from swkpu.integers.emitter import Emitter, checked
from swkpu.integers.forms import Affine, Array, Form, scalar, stored
from swkpu.integers.movement import move
from swkpu.integers.table import Result, integer_rule
from swkpu.lowering.resize import weights_of

MOST = 127
"""The largest weight that an i8 holds."""
LOW_DIGIT = 128
FINE_UNIT = 64 * LOW_DIGIT
"""What 1 is where no unit up to 127 is exact: weights have two digits then, each an i8."""
EXACT = 1e-3
"""How far from a whole number an exact weight may be: PyTorch computes weights in f32."""


@integer_rule(nn.ResizeOp)
def resize(e: Emitter, op: nn.ResizeOp, forms: list[Form | None]) -> Result:
    """Nearest moves elements. Cubic goes beyond its input's range, which i8 does not, and stays a float."""
    if op.mode.data.startswith("nearest"):
        return move(e, op, forms)
    if op.mode.data != "linear":
        return None
    sizes, outs = shape_of(op.input)[2:], op.size.data
    scales = op.scale_factors or (None,) * len(sizes)
    return weighted_means(
        e, forms[0], [whole_weights(weights_of("linear", s, o, op.corners, k)) for s, o, k in zip(sizes, outs, scales)]
    )


@integer_rule(nn.AdaptiveAvgPool2dOp, nn.AdaptiveAvgPool3dOp)
def average(e: Emitter, op: nn.AdaptivePoolOp, forms: list[Form | None]) -> Result:
    matrices: list[Array] = []
    for size, windows in zip(shape_of(op.input)[2:], op.windows):
        k = np.arange(size)
        matrices.append(np.array([(start <= k) & (k < end) for start, end in windows]).astype(np.int64))
    return weighted_means(e, forms[0], matrices)


def whole_weights(weights: Array) -> Array:
    """Weights [out, in], each row of sum 1, as whole numbers whose rows all have the same sum: the unit.

    The unit is the least up to 127 that is exact, such as 4 for twice the size and 16 for eight times; where there is
    none, 8192 with the nearest weights, so that constants stay what they are.
    """
    values = np.unique(weights.astype(np.float64))
    exact = (u for u in range(1, MOST + 1) if (np.abs(values * u - np.rint(values * u)) < EXACT).all())
    unit = next(exact, FINE_UNIT)
    whole = np.rint(weights.astype(np.float64) * unit).astype(np.int64)
    whole[np.arange(len(whole)), whole.argmax(1)] += unit - whole.sum(1)
    return whole


def weighted_means(e: Emitter, form: Form | None, matrices: Sequence[Array]) -> Affine | None:
    """Along each spatial dim of N, C, spatial..., result i is the mean of the inputs k weighted by `matrix[i, k]`.

    Sums are exact. Between two dims the means are rounded to the input's own type, which loses at most half a step:
    what is multiplied stays i8.
    """
    if not (isinstance(form, Affine) and form.is_stored):
        return None
    element = quantized_type_of(form.value)
    todo = [d for d, m in enumerate(matrices) if not np.array_equal(m, np.diag(m.diagonal()))]
    for n, d in enumerate(sorted(todo, key=lambda d: matrices[d].shape[0] / matrices[d].shape[1])):
        if n:
            assert element is not None
            form = stored(e.quantized(form, element))
        form = _along(e, form, d + 2, matrices[d])
    return form


def _along(e: Emitter, x: Affine, dim: int, matrix: Array) -> Affine:
    """All rows have weights of 0 or more, so that a mean is no larger than what it is of."""
    value: SSAValue | None = None
    for digit in _digits(matrix):
        product = _multiplied(e, x.value, dim, e.constant(digit))
        if value is None:
            value = product
        else:
            value = e.emit(nn.AddOp(e.emit(nn.MulOp(value, e.integers(scalar(LOW_DIGIT)))), product))
    assert value is not None
    behind = (1,) * (len(shape_of(value)) - 1 - dim)
    totals = matrix.sum(1).astype(np.float64)
    total = scalar(totals[0]) if (totals == totals[0]).all() else totals.reshape(-1, *behind)
    return checked(e, Affine(value, x.scale / total, x.offset * total, x.limit * total))


def _digits(matrix: Array) -> list[Array]:
    """i8 matrices, the most significant first, each worth 128 of the next."""
    if matrix.max(initial=0) <= MOST:
        return [matrix.astype(np.int8)]
    high = (matrix + LOW_DIGIT // 2) // LOW_DIGIT
    return [high.astype(np.int8), (matrix - high * LOW_DIGIT).astype(np.int8)]


def _multiplied(e: Emitter, x: SSAValue, dim: int, matrix: SSAValue) -> SSAValue:
    """Σ_k matrix[i, k] x[..., k, ...] in i32."""
    shape = shape_of(x)
    lead, behind = shape[:dim], shape[dim + 1 :]
    if not behind:
        return e.emit(nn.LinearOp(x, matrix))
    if len(behind) > 1:
        x = e.emit(nn.ReshapeOp(x, (*lead, shape[dim], int(np.prod(behind)))))
    product = e.emit(nn.MatmulOp(matrix, x))
    return e.emit(nn.ReshapeOp(product, (*lead, shape_of(matrix)[0], *behind))) if len(behind) > 1 else product
