"""Which L2 loops to consider for a recurrence, the most promising first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product, zip_longest
from math import ceil, prod

from swkpu.dialects.kpu import MAX_LOOPS
from swkpu.mapping.problem import Problem
from swkpu.mapping.streams import Nest, dram_time, l2_bytes_of, nest_fits
from swkpu.target.machine import Machine, TileGroup

AHEAD = Fraction(1, 2)
"""How much of its budget a layer's streams take where they can: the rest is for what comes ahead of the next layer."""

CROWDED = Fraction(1, 8)
"""How much slower a layer is taken to be that leaves the next no room."""
KEPT = 4
PARTS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 192, 256, 512, 1024)


def nests(problem: Problem, machine: Machine, groups: Sequence[TileGroup]) -> list[Nest]:
    """No loops where everything streamed takes no more than its share of the budget, so that the next layer's can come in
    beside it; else loops over a dim that only constants have, over one that activations have, or over both.
    """
    if nest_fits(problem, Nest(), AHEAD):
        return [Nest()]
    grain = max(g.cols for g in groups)
    constants, activations = _dims(problem)
    by_constants = [(constants, s) for s in _sizes(problem, constants, grain)] if constants is not None else []
    by_activations = [(activations, s) for s in _sizes(problem, activations, 1)] if activations is not None else []
    single = [Nest((c,)) for c in (*by_constants, *by_activations)]
    double = [Nest(pair) for a, c in product(by_activations, by_constants) for pair in ((a, c), (c, a))]
    rough: dict[Nest, tuple[Fraction, int]] = {}
    for nest in (Nest(), *single, *double):
        if nest_fits(problem, nest):
            cycles, iterations = _rough_cycles(problem, machine, groups, nest)
            crowded = not nest_fits(problem, nest, AHEAD)
            rough[nest] = (cycles * (1 + crowded * CROWDED), iterations)
    return sorted(rough, key=rough.__getitem__)[:KEPT]


def _dims(problem: Problem) -> tuple[int | None, int | None]:
    """The longest parallel dim that only weights have, and the outermost that streamed activations have."""
    domain = problem.domain
    streamed = [o for o in problem.operands if o.dram]
    parallel = set(domain.parallel_dims)
    others = [problem.dims_of(o) for o in problem.operands if not (o.constant and o.is_input) and o.is_input]
    weights = {d for o in streamed if o.constant and o.is_input for d in problem.dims_of(o) & parallel}
    weights -= {d for dims in others for d in dims}
    moving = [o for o in (*problem.operands, problem.result) if o.dram and not o.constant]
    rows = {d for o in moving for d in problem.dims_of(o) & parallel} - weights
    rows -= {max(rows)} if len(rows) > 2 else set()
    longest = max(weights, key=lambda d: (domain.extents[d], -d), default=None)
    return longest, min(rows, default=None)


def _sizes(problem: Problem, dim: int, unit: int) -> list[int]:
    """Tile sizes of a dim: multiples of a unit where they are larger than that."""
    extent = problem.domain.extents[dim]
    sizes = [ceil(extent / n) for n in PARTS]
    return [s for s in dict.fromkeys(ceil(s / unit) * unit if s > unit else s for s in sizes) if s < extent]


def _rough_cycles(problem: Problem, machine: Machine, groups: Sequence[TileGroup], nest: Nest) -> tuple[Fraction, int]:
    """The longer of the DRAM's and the arrays' time, where an L2 tile takes no less time for having fewer results than
    there are processing elements, and columns come in whole arrays; then, the fewest iterations.
    """
    domain = problem.domain
    sizes = [nest.size(d, e) for d, e in enumerate(domain.extents)]
    trips = prod(nest.trips(d, e) for d, e in enumerate(domain.extents))
    elements = sum(g.count * g.rows * g.cols for g in groups)
    results = prod(sizes[: domain.parallel])
    grain = max(g.cols for g in groups)
    rounded = Fraction(1)
    constants, _ = _dims(problem)
    if constants is not None:
        rounded = Fraction(ceil(sizes[constants] / grain) * grain, sizes[constants])
    rate = sum(g.count * max(g.macs_per_pe.values()) * g.rows * g.cols for g in groups)
    compute = trips * prod(sizes) * Fraction(max(results, elements), results) * rounded / Fraction(rate)
    dram = dram_time(problem, machine, nest)
    return max(Fraction(dram.constants + dram.activations), compute), trips


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
