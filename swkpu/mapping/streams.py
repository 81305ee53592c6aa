"""What a recurrence brings through L2: the loops over L2 tiles, whether their buffers fit, and their DRAM traffic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import ceil

from swkpu.dialects.kpu import MAX_LOOPS
from swkpu.mapping.blocks import aligned_size, block_elements, span_of
from swkpu.mapping.problem import OperandAccess, Problem, axis_step, local_access
from swkpu.target import cost
from swkpu.target.machine import Machine


@dataclass(frozen=True)
class Nest:
    """The loops that bring DRAM operands through L2: (dim, tile size) from the outermost."""

    tiles: tuple[tuple[int, int], ...] = ()

    def size(self, dim: int, extent: int) -> int:
        return dict(self.tiles).get(dim, extent)

    def trips(self, dim: int, extent: int) -> int:
        return ceil(extent / self.size(dim, extent))


def l2_bytes_of(operand: OperandAccess, problem: Problem, nest: Nest) -> tuple[int, int]:
    """(bytes of one L2 block of a streamed operand or result, how often it is moved)."""
    extents = problem.domain.extents
    sizes = [nest.size(d, e) for d, e in enumerate(extents)]
    elements = int(block_elements(operand, problem, sizes))
    dims = problem.dims_of(operand)
    count = running = 1
    for d, _ in nest.tiles:
        running *= nest.trips(d, extents[d])
        if d in dims:
            count = running
    return operand.dtype.bytes_of(elements), count


def nest_fits(problem: Problem, nest: Nest, buffers: int = 2) -> bool:
    """Do the streamed operands' L2 buffers fit the budget?"""
    total = 0
    for operand in (*problem.operands, problem.result):
        if operand.dram:
            size, count = l2_bytes_of(operand, problem, nest)
            total += aligned_size(size) * (buffers if count > 1 else 1)
    return total <= problem.l2_budget


def dram_cycles(problem: Problem, machine: Machine, nest: Nest) -> tuple[int, int]:
    """(cycles of all DRAM traffic, cycles of the first block of every streamed operand), in whole bursts per row."""
    sizes = [nest.size(d, e) for d, e in enumerate(problem.domain.extents)]
    total = first = 0
    for operand in (*problem.operands, problem.result):
        if operand.dram:
            size, count = l2_bytes_of(operand, problem, nest)
            row = min(_row_bytes(operand, problem, sizes), size)
            charged = cost.dram_charged_bytes(row, ceil(size / row), machine.dram.burst_bytes)
            cycles = int(cost.dram_cycles(machine, charged))
            total += cycles * count
            first += cycles
    return total, first


def _row_bytes(operand: OperandAccess, problem: Problem, sizes: Sequence[int]) -> int:
    """Bytes of a block that are contiguous in DRAM: trailing dims, up to the first that is not taken whole."""
    row = 1
    for expr, size in zip(reversed(operand.exprs), reversed(operand.shape)):
        if axis_step(expr, problem.domain) > 1:
            break
        taken = min(int(span_of(local_access(expr, problem.domain).terms, sizes)), size)
        row *= taken
        if taken < size:
            break
    return operand.dtype.bytes_of(row)


def nests(problem: Problem, grain: int, wave: int) -> list[Nest]:
    """L2 loop nests to consider: none; over the dims that only constants have; over those that activations have.

    Tile sizes of constants are multiples of `grain` (the columns of an array), one of them of `wave` (the columns of
    all arrays together).
    """
    domain = problem.domain
    streamed = [o for o in problem.operands if o.dram]
    weights = [problem.dims_of(o) for o in streamed if o.constant and o.is_input]
    moving = [problem.dims_of(o) for o in (*problem.operands, problem.result) if o.dram and not o.constant]
    parallel = set(domain.parallel_dims)
    others = [problem.dims_of(o) for o in problem.operands if not (o.constant and o.is_input) and o.is_input]
    weight_dims = {d for dims in weights for d in dims & parallel} - {d for dims in others for d in dims}
    moving_dims = {d for dims in moving for d in dims & parallel} - weight_dims
    out = [Nest()] if nest_fits(problem, Nest()) else []

    def cuts(dims: set[int], unit: int) -> list[tuple[int, int]]:
        if not dims:
            return []
        dim = max(dims, key=lambda d: (domain.extents[d], -d))
        sizes: dict[int, None] = {}
        for n in (2, 3, 4, 6, 8, 12, 16, 24, 32, 56, 64, 112, 128, 256, 512, 1024):
            size = ceil(domain.extents[dim] / n)
            if unit > 1 and size > unit:
                size = ceil(size / unit) * unit
            if size < domain.extents[dim]:
                sizes.setdefault(size)
        return [(dim, s) for s in sizes]

    by_weight = cuts(weight_dims, grain)
    rows = moving_dims - ({max(moving_dims)} if len(moving_dims) > 2 else set())
    by_rows = cuts({min(rows, key=lambda d: (domain.extents[d] == 1, d))} if rows else set(), 1)
    waves = [(d, wave * n) for d in {d for d, _ in by_weight} for n in (2, 1) if wave * n < domain.extents[d]]
    fitting = [Nest((c,)) for c in waves if nest_fits(problem, Nest((c,)))][:1]
    fitting += [Nest((c,)) for c in by_weight if nest_fits(problem, Nest((c,))) and Nest((c,)) not in fitting][
        : 2 if out else 3
    ]
    fitting += [Nest((c,)) for c in by_rows if nest_fits(problem, Nest((c,)))][: 1 if out else 3]
    if not out and not fitting:
        both = [Nest((r, w)) for r in by_rows for w in by_weight if nest_fits(problem, Nest((r, w)))]
        fitting += both[:3]
    out += fitting
    return out


def fine_nests(problem: Problem) -> list[Nest]:
    """Nests for what no other fits: dims are halved, the outermost first or the most effective first, until the L2
    blocks fit, and further.
    """
    outer = _halved(problem, lambda d, _: d)
    best = _halved(problem, lambda _, saved: -saved)
    return list(dict.fromkeys(n for pair in zip_longest(outer, best) for n in pair if n is not None))


def _halved(problem: Problem, rank: Callable[[int, int], int], more: int = 4) -> list[Nest]:
    """Nests that fit, from the coarsest on; `rank(dim, bytes saved)` says which dim to halve next."""
    extents = problem.domain.extents
    sizes = {d: extents[d] for d in problem.domain.parallel_dims}
    out: list[Nest] = []
    while len(out) < more:
        nest = Nest(tuple((d, s) for d, s in sizes.items() if s < extents[d]))
        if len(nest.tiles) >= MAX_LOOPS:
            break
        if nest_fits(problem, nest):
            out.append(nest)
        before = _l2_bytes(problem, nest)
        choices: list[tuple[int, int]] = []
        for d, size in sizes.items():
            if size > 1:
                smaller = Nest(tuple((e, _half(s) if e == d else s) for e, s in sizes.items()))
                saved = before - _l2_bytes(problem, smaller)
                if saved > 0:
                    choices.append((rank(d, saved), d))
        if not choices:
            break
        dim = min(choices)[1]
        sizes[dim] = _half(sizes[dim])
    return out


def _half(size: int) -> int:
    """About half, as a multiple of 8 where it is large."""
    half = -(-size // 2)
    return -(-half // 8) * 8 if half > 16 else half


def _l2_bytes(problem: Problem, nest: Nest) -> int:
    return sum(l2_bytes_of(o, problem, nest)[0] for o in (*problem.operands, problem.result) if o.dram)
