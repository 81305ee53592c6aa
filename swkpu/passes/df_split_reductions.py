"""`df-split-reductions`: a reduction of many elements to few results becomes two, so that tiles can share it.

The longest reduction dim is cut into pieces, which are a parallel dim of the first recurrence; the second combines the
pieces' results and has the epilogue. There are as many pieces as it takes to occupy the tiles, and to stream the input
through L2. A contraction is cut only where not even what one result needs (a dilated window over many channels) goes
through L2: its pieces are summed. (Else its mapping may spread the reduction over tiles: no pass is needed for that.)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir.affine import AffineMap
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.affine import Linear, linear_map, map_of
from swkpu.dialects import df
from swkpu.dialects.df import Domain, RecurrenceOp
from swkpu.dialects.nn import shape_of, type_of
from swkpu.lowering.structure import affine, dims, region, yield_accumulator
from swkpu.mapping.problem import local_access, may_overrun, reads_outside
from swkpu.target import Machine, load_target
from swkpu.types import dtype_of

LEAST_POINTS = 1024
"""A piece has at least that many points: below, a tile's share is not worth another recurrence."""
LARGEST_PIECE = 1 / 16
"""How much of L2 a piece takes at most."""
LARGEST_WINDOW = 1 / 3
"""How much of L2 the operands of one result of a contraction take at most: there are two of each, and other tensors."""


@dataclass(frozen=True)
class Split:
    """Reduction dim `dim` in `pieces` of `size` points."""

    dim: int
    pieces: int
    size: int


def split_of(op: RecurrenceOp, machine: Machine) -> Split | None:
    """How to split a reduction, or None where one recurrence does."""
    domain = op.domain
    if op.combiner == "none" or domain.parallel == domain.rank:
        return None
    dim = _dim_to_cut(op)
    extent = domain.extents[dim]
    wanted = _pieces_of_contraction if op.combiner == "mac" else _pieces_of_reduction
    pieces = min(wanted(op, machine), extent)
    if pieces > 1 and _reach(op, dim):
        pieces = extent  # one tap of a dilated window at a time leaves out what lies between
    if pieces < 2:
        return None
    size = ceil(extent / pieces)
    reads = [(linear_map(m), shape_of(v)) for v, m in zip(op.inputs, op.input_maps)]
    if not may_overrun(reads, domain.extents, dim):
        # What lies beyond the end is other elements: only whole pieces.
        size = next(s for s in range(size, extent + 1) if extent % s == 0)
    return Split(dim, ceil(extent / size), size) if size < extent else None


def _reach(op: RecurrenceOp, dim: int) -> int:
    """How far a dilated window stretches what is read, along the axes that the dim shares with parallel dims."""
    own = [e for _, m in op.reads[: len(op.inputs)] for e in linear_map(m) if dim in e.dims and e.coef(dim) > 1]
    shared = [e.coef(dim) * (op.domain.extents[dim] - 1) for e in own if min(e.dims) < op.domain.parallel]
    return max(shared, default=0) if op.combiner == "mac" else 0


def _dim_to_cut(op: RecurrenceOp) -> int:
    """The dim whose window is dilated most, else the longest."""
    return max(op.domain.reduction_dims, key=lambda d: (_reach(op, d), op.domain.extents[d]))


def _pieces_of_reduction(op: RecurrenceOp, machine: Machine) -> int:
    results = prod(op.domain.extents[: op.domain.parallel])
    points = op.points // results
    tiles = sum(g.count for g in machine.tile_groups)
    shared = min(ceil(tiles / results), points // LEAST_POINTS)
    bytes_ = dtype_of(type_of(op.inputs[0]).element_type).bytes_of(points)
    return max(shared, ceil(bytes_ / (machine.l2.capacity_bytes * LARGEST_PIECE)))


def _pieces_of_contraction(op: RecurrenceOp, machine: Machine) -> int:
    one = [1 if d < op.domain.parallel else e for d, e in enumerate(op.domain.extents)]
    bytes_ = 0
    for value, map in op.reads[: len(op.inputs)]:
        block = prod(local_access(e, op.domain).span(one) for e in linear_map(map))
        bytes_ += dtype_of(type_of(value).element_type).bytes_of(block)
    return ceil(bytes_ / (machine.l2.capacity_bytes * LARGEST_WINDOW))


def split(op: RecurrenceOp, how: Split) -> tuple[RecurrenceOp, RecurrenceOp]:
    """The recurrence as two, not yet inserted."""
    domain, parallel = op.domain, op.domain.parallel
    partial = _partial(op, how)
    name = domain.names[how.dim]
    outer = Domain((*domain.names[:parallel], name), (*domain.extents[:parallel], how.pieces), parallel)
    at = dims(outer.rank)
    whole = affine(outer.rank, [at[-1], *at[:-1]] if op.combiner == "mac" else at)
    final = RecurrenceOp(
        outer,
        "add" if op.combiner == "mac" else op.combiner,
        [(partial.result, whole)],
        [(v, _moved(m, outer.rank)) for v, m in zip(op.extras, op.extra_maps)],
        _moved(op.result_map, outer.rank),
        op.detach_region(op.epilogue),
        op.result.type,
        destination=op.destination,
    )
    for new in (partial, final):
        new.attributes |= op.attributes
        new.location = op.location
    final.result.name_hint = op.result.name_hint
    return partial, final


def _partial(op: RecurrenceOp, how: Split) -> RecurrenceOp:
    """Accumulators of every piece, as they are: the parallel dims, then the pieces. The pieces of a contraction come
    first: they are what is best streamed one by one.
    """
    domain, parallel, dim = op.domain, op.domain.parallel, how.dim
    names, extents = list(domain.names), list(domain.extents)
    extents[dim] = how.size
    at = 0 if op.combiner == "mac" else parallel
    names.insert(at, f"{names[dim]}_piece")
    extents.insert(at, how.pieces)
    inner = Domain(tuple(names), tuple(extents), parallel + 1)
    # A dim keeps its place up to the new one, and comes one later behind it.
    values = {d: Linear.of(0, {d + (d >= at): 1}) for d in range(domain.rank)}
    values[dim] = values[dim] + Linear.of(0, {at: how.size})
    reads = [
        (v, map_of(inner.rank, [e.substitute(values) for e in linear_map(m)])) for v, m in zip(op.inputs, op.input_maps)
    ]
    shape = inner.extents[: parallel + 1]
    element = op.accumulator_type
    result = affine(inner.rank, dims(parallel + 1))
    beyond = list(op.pad_values)
    if how.pieces * how.size > domain.extents[dim]:
        for i, (value, map) in enumerate(zip(op.inputs, op.input_maps)):
            if not reads_outside(linear_map(map), shape_of(value), domain.extents):
                beyond[i] = df.NEUTRAL[op.combiner]
    body = region([element], yield_accumulator)
    return RecurrenceOp(inner, op.combiner, reads, [], result, body, TensorType(element, shape), beyond)


def _moved(map: AffineMap, rank: int) -> AffineMap:
    """A map over parallel dims only, among another number of dims."""
    return AffineMap(rank, 0, map.results)


@dataclass(frozen=True)
class DfSplitReductionsPass(ModulePass):
    """Cut reductions of many elements to few results in two, so that tiles can share them."""

    name = "df-split-reductions"

    target: str = "kpu-t64"
    profile: str | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = load_target(self.target, self.profile)
        for recurrence in [o for o in op.walk() if isinstance(o, RecurrenceOp)]:
            current = recurrence
            while (how := split_of(current, machine)) is not None:
                partial, final = split(current, how)
                Rewriter.insert_op([partial, final], InsertPoint.before(current))
                Rewriter.replace_op(current, [], [final.result])
                current = partial
