"""The meaning of a fabric program on blocks of data: what the array, the drain unit and the vector unit compute.

Operands come as torch tensors of shape [T0, T1, *dims]: the block of every tile of a range at once, with T0 or T1
equal to 1 where all tiles along that coordinate hold the same block. A contraction over a whole range is then one
(batched) matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import torch

from swkpu.program.model import Access, Combiner, FabricProgram
from swkpu.sim.epilogue import run_epilogue
from swkpu.sim.integer_matmul import integer_matmul
from swkpu.types import torch_dtype

UNROLL_REDUCTION = 64
"""Up to this many reduction points, vector work and depthwise contractions go point by point over whole blocks."""


def evaluate(
    fabric: FabricProgram,
    box: Sequence[int],
    operands: Sequence[torch.Tensor],
    accumulator: torch.Tensor | None = None,
    final: bool = True,
) -> torch.Tensor:
    """Run the fabric program over a domain box.

    operands        the inputs, then the epilogue operands (these only when `final`), each [T0, T1, *operand dims]
    accumulator     raw accumulators [T0, T1, *parallel box] to resume from, or None to start from zero

    Returns [T0, T1, *result dims] in the result's type, or raw accumulators [T0, T1, *parallel box] when not final.
    """
    inputs = operands[: fabric.inputs]
    value: torch.Tensor | None = None
    if fabric.combiner is Combiner.MAC:
        value = _contract(fabric, box, inputs[0], inputs[1])
        if accumulator is not None:
            value = value + accumulator
    elif fabric.combiner is not Combiner.NONE:
        value = _reduce(fabric, box, inputs[0])
        if accumulator is not None:
            value = combine(fabric.combiner)(value, accumulator)
    if not final:
        assert value is not None
        return value
    return finish(fabric, box, operands[fabric.inputs :], value)


def finish(
    fabric: FabricProgram, box: Sequence[int], operands: Sequence[torch.Tensor], value: torch.Tensor | None
) -> torch.Tensor:
    """The epilogue on accumulators `value` [T0, T1, *parallel box], with its operands [T0, T1, *operand dims]."""
    extras = [
        _view(t, a, box, range(fabric.parallel), broadcast=True)
        for t, a in zip(operands, fabric.accesses[fabric.inputs : -1])
    ]
    registers = ([] if value is None else [value]) + extras
    del value
    tiles = np.broadcast_shapes(*(r.shape[:2] for r in registers), (1, 1))
    result = run_epilogue(fabric.micro_ops, fabric.result, registers, fabric.tables)
    result = result.expand(*tiles, *box[: fabric.parallel])
    order = [e.terms[0][0] for e in fabric.accesses[-1].exprs]
    return result.permute(0, 1, *(2 + d for d in order))


# ---- views ---------------------------------------------------------------------------------------------------------


def _view(
    t: torch.Tensor, access: Access, box: Sequence[int], dims: Sequence[int], broadcast: bool = False
) -> torch.Tensor:
    """[T0, T1, *dims] view of an operand along domain dims; a dim it does not depend on has stride 0 (or size 1)."""
    strides = t.stride()
    offset = t.storage_offset()
    steps = [0] * len(box)
    for axis, expr in enumerate(access.exprs):
        offset += expr.const * strides[2 + axis]
        for dim, coef in expr.terms:
            steps[dim] += coef * strides[2 + axis]
    used = {d for e in access.exprs for d, _ in e.terms}
    sizes = [1 if broadcast and d not in used else box[d] for d in dims]
    return t.as_strided((*t.shape[:2], *sizes), (*strides[:2], *(steps[d] for d in dims)), offset)


def _reduction_dims(fabric: FabricProgram) -> list[int]:
    return list(range(fabric.parallel, len(fabric.dims)))


# ---- combiners -----------------------------------------------------------------------------------------------------


def _contract(fabric: FabricProgram, box: Sequence[int], x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Sum of products over the reduction dims: [T0, T1, *parallel box] in the accumulator type."""
    points = prod(box[d] for d in _reduction_dims(fabric))
    acc = torch_dtype(fabric.acc_dtype)
    in_x, in_w = _used(fabric.accesses[0]), _used(fabric.accesses[1])
    only_w = [d for d in range(fabric.parallel) if d in in_w and d not in in_x and box[d] > 1]
    tiles_w = [w.shape[i] > 1 and x.shape[i] == 1 for i in (0, 1)]
    if not only_w and not any(tiles_w) and points <= UNROLL_REDUCTION:
        return _accumulate_points(fabric, box, x.to(acc), w.to(acc))
    if acc.is_floating_point:
        # Floats are widened once; int8 stays as it is until it is multiplied.
        x, w = x.to(acc), w.to(acc)
    return _matmul(fabric, box, x, w)


def _matrix_product(left: torch.Tensor, right: torch.Tensor, acc: torch.dtype) -> torch.Tensor:
    """`left @ right.T` per batch: [B, M, K] and [B, N, K] to [B, M, N]."""
    if not acc.is_floating_point:
        return integer_matmul(left, right, acc)
    if left.shape[0] == 1:
        return torch.matmul(left[0], right[0].T)[None]
    return torch.bmm(left, right.transpose(1, 2))


def _used(access: Access) -> set[int]:
    return {d for e in access.exprs for d, _ in e.terms}


def _accumulate_points(fabric: FabricProgram, box: Sequence[int], x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Depthwise and its like: one multiply-add of whole blocks per reduction point."""
    reduction = _reduction_dims(fabric)
    dims = [*reduction, *range(fabric.parallel)]
    sizes = [box[d] for d in reduction]
    xv = _view(x, fabric.accesses[0], box, dims, broadcast=False)
    wv = _view(w, fabric.accesses[1], box, dims, broadcast=True)
    tiles = np.broadcast_shapes(x.shape[:2], w.shape[:2])
    out = torch.zeros((*tiles, *(box[: fabric.parallel])), dtype=x.dtype)
    for flat in range(prod(sizes)):
        point = _unflatten(flat, sizes)
        at_w = tuple(0 if wv.shape[2 + i] == 1 else p for i, p in enumerate(point))
        torch.addcmul(out, xv[(slice(None), slice(None), *point)], wv[(slice(None), slice(None), *at_w)], out=out)
    return out


def _unflatten(flat: int, sizes: Sequence[int]) -> tuple[int, ...]:
    out: list[int] = []
    for size in reversed(sizes):
        flat, rest = divmod(flat, size)
        out.append(rest)
    return tuple(reversed(out))


def _matmul(fabric: FabricProgram, box: Sequence[int], x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """The contraction as one batched matrix product: batch dims in both operands, M only in x, N only in w."""
    in_x, in_w = _used(fabric.accesses[0]), _used(fabric.accesses[1])
    parallel, reduction = range(fabric.parallel), _reduction_dims(fabric)
    batch = [d for d in parallel if d in in_x and d in in_w]
    n_dims = [d for d in parallel if d in in_w and d not in in_x]
    m_dims = [d for d in parallel if d not in in_w]
    tiles = np.broadcast_shapes(x.shape[:2], w.shape[:2])
    # where each tile coordinate goes: batch, m or n
    tile_of = ["m" if w.shape[i] == 1 else ("n" if x.shape[i] == 1 else "b") for i in (0, 1)]

    def operand(t: torch.Tensor, access: Access, own: list[int], role: str) -> torch.Tensor:
        v = _view(t, access, box, [*batch, *own, *reduction])
        lead = [i for i in (0, 1) if tile_of[i] == "b"]
        mine = [i for i in (0, 1) if tile_of[i] == role]
        rest = [i for i in (0, 1) if i not in lead and i not in mine]
        b, o = len(batch), len(own)
        order = [*lead, *range(2, 2 + b), *mine, *range(2 + b, 2 + b + o), *range(2 + b + o, v.dim()), *rest]
        bsize = prod(v.shape[i] for i in lead) * prod(box[d] for d in batch)
        osize = prod(v.shape[i] for i in mine) * prod(box[d] for d in own)
        return v.permute(order).reshape(bsize, osize, prod(box[d] for d in reduction))

    left = operand(x, fabric.accesses[0], m_dims, "m")
    right = operand(w, fabric.accesses[1], n_dims, "n")
    out = _matrix_product(left, right, torch_dtype(fabric.acc_dtype))
    # axes of `out`: batch tiles, batch dims, m tiles, m dims, n tiles, n dims
    groups: list[tuple[str, list[int]]] = [("b", batch), ("m", m_dims), ("n", n_dims)]
    axes: list[tuple[str, int]] = []
    sizes: list[int] = []
    for role, dims in groups:
        for i in (0, 1):
            if tile_of[i] == role:
                axes.append(("tile", i))
                sizes.append(tiles[i])
        for d in dims:
            axes.append(("dim", d))
            sizes.append(box[d])
    wanted = [("tile", 0), ("tile", 1), *(("dim", d) for d in parallel)]
    return out.reshape(sizes).permute([axes.index(a) for a in wanted])


def combine(combiner: Combiner) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """What combines two accumulators."""
    return {
        Combiner.ADD: torch.add,
        Combiner.MUL: torch.mul,
        Combiner.MAX: torch.maximum,
        Combiner.MIN: torch.minimum,
    }[combiner]


def _reduce(fabric: FabricProgram, box: Sequence[int], x: torch.Tensor) -> torch.Tensor:
    """Sum, product, max or min over the reduction dims: [T0, T1, *parallel box] in the accumulator type."""
    x = x.to(torch_dtype(fabric.acc_dtype))
    reduction = _reduction_dims(fabric)
    sizes = [box[d] for d in reduction]
    if prod(sizes) <= UNROLL_REDUCTION:
        view = _view(x, fabric.accesses[0], box, [*reduction, *range(fabric.parallel)])
        both: Any = combine(fabric.combiner)
        out = view[(slice(None), slice(None), *([0] * len(sizes)))].clone()
        for flat in range(1, prod(sizes)):
            both(out, view[(slice(None), slice(None), *_unflatten(flat, sizes))], out=out)
        return out
    view = _view(x, fabric.accesses[0], box, range(len(fabric.dims)))
    dims = [2 + d for d in reduction]
    match fabric.combiner:
        case Combiner.ADD:
            return view.sum(dims, dtype=x.dtype)
        case Combiner.MUL:
            for dim in reversed(dims):
                view = view.prod(dim, dtype=x.dtype)
            return view
        case Combiner.MAX:
            return view.amax(dims)
        case _:
            return view.amin(dims)
