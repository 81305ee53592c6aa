"""A mapping checked against its recurrence and machine, and turned into loops: what `convert-df-to-kpu` applies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from swkpu.dialects.df import RecurrenceOp
from swkpu.dialects.kpu_types import MAX_LOOPS, T0
from swkpu.dialects.location import layer_name, source_of
from swkpu.dialects.mapping import Mapping, Part, Sizes
from swkpu.errors import MappingError
from swkpu.mapping.problem import may_overrun
from swkpu.mapping.views import read_views
from swkpu.target import Machine

SLOTS = (1, 2, 3, 4, 6, 12)
"""Numbers of buffers that a schedule supports: the divisors of a free semaphore's tokens."""


@dataclass(frozen=True)
class Axis:
    """One domain dim within one part: `tiles` blocks of `pieces` pieces of `size` points, from `offset` on.

    `tile_coordinate` says which of t0 and t1 counts the blocks. Behind a `reduce` an axis may have a `slice`: the
    points of a piece that one tile finishes, counted by t0.
    """

    dim: int
    offset: int
    extent: int
    tiles: int
    pieces: int
    size: int
    tile_coordinate: int | None
    slice: int | None = None

    @property
    def points(self) -> int:
        """Points that one exec handles."""
        return self.size if self.slice is None else self.slice

    @property
    def covered(self) -> int:
        """Points of all blocks; those beyond `extent` are clipped."""
        return self.tiles * self.pieces * self.size


@dataclass(frozen=True)
class Spread:
    """What the tiles of a range do: their axes, one per domain dim."""

    axes: tuple[Axis, ...]
    tiles: tuple[int, int]


@dataclass(frozen=True)
class PartGeometry:
    """A part's axes, one per domain dim, its loops from the outermost, and its tile range. `finish` says who finishes a
    reduction that is split over tiles; t0 then counts the shares of the reduction.
    """

    part: Part
    axes: tuple[Axis, ...]
    loops: tuple[Axis, ...]
    tiles: tuple[int, int]
    finish: Spread | None = None


@dataclass(frozen=True)
class LayerGeometry:
    """L2 tile sizes by dim, the L2 loops from the outermost as (dim, size), and the parts."""

    l2_size: dict[int, int]
    l2_loops: tuple[tuple[int, int], ...]
    parts: tuple[PartGeometry, ...]


class _Checker:
    def __init__(self, op: RecurrenceOp, mapping: Mapping, machine: Machine):
        self.op, self.mapping, self.machine = op, mapping, machine
        self.domain, self.extents = op.domain, op.domain.extents
        self.inputs = [(v.exprs, v.extents) for v in read_views(op)[: len(op.inputs)]]

    def fail(self, message: str) -> MappingError:
        where = f" ({source_of(self.op)})" if source_of(self.op) else ""
        return MappingError(f"mapping of '{layer_name(self.op)}'{where}: {message}")

    def dims(self, field: str, names: Sequence[str]) -> list[int]:
        """Dims by name, each known and named once."""
        for i, name in enumerate(names):
            if name not in self.domain.names:
                raise self.fail(f"`{field}` names '{name}', which is not a dim of the domain {self.domain}")
            if name in names[:i]:
                raise self.fail(f"`{field}` names '{name}' twice")
        return [self.domain.index(n) for n in names]

    def sizes(self, field: str, sizes: Sizes) -> dict[int, int]:
        return dict(zip(self.dims(field, [n for n, _ in sizes]), (s for _, s in sizes)))

    def slots(self, field: str, count: int) -> None:
        if count not in SLOTS:
            raise self.fail(f"`{field}` is {count}; a schedule supports {', '.join(map(str, SLOTS))}")

    def parallel(self, field: str, dims: Sequence[int]) -> None:
        for d in dims:
            if d >= self.domain.parallel:
                raise self.fail(f"`{field}` names reduction dim '{self.domain.names[d]}'; it takes parallel dims")

    def layer(self) -> LayerGeometry:
        l2_size = self.sizes("l2", self.mapping.l2)
        self.slots("stream_buffers", self.mapping.stream_buffers)
        loops = tuple((d, s) for d, s in l2_size.items() if ceil(self.extents[d] / s) > 1)
        self.shares(l2_size)
        parts = tuple(self.part(p, l2_size, len(loops)) for p in self.mapping.parts)
        self.reductions(loops, parts)
        return LayerGeometry(l2_size, loops, parts)

    def reductions(self, loops: Sequence[tuple[int, int]], parts: Sequence[PartGeometry]) -> None:
        """Where a reduction goes through L2 tile by tile, every tile has one block of results, which waits for the
        last.
        """
        reduced = [(d, s) for d, s in loops if d >= self.domain.parallel]
        if not reduced:
            return
        names = self.domain.names
        if list(loops[-len(reduced) :]) != reduced:
            raise self.fail("reduction dims come last in `l2`: an accumulator holds one block of results")
        for d, size in reduced:
            if self.extents[d] % size:
                raise self.fail(
                    f"`l2` cuts the {self.extents[d]} points of '{names[d]}' into tiles of {size}, not exactly"
                )
        for part in parts:
            cut = [names[a.dim] for a in part.loops if a.dim < self.domain.parallel]
            if cut or part.finish is not None:
                what = f"cuts {', '.join(cut)} into pieces" if cut else "splits a reduction over tiles"
                raise self.fail(f"`l2` names a reduction dim, and the part on '{part.part.group}' {what}")

    def shares(self, l2_size: dict[int, int]) -> None:
        """Shares of the parts follow each other and cover the split dim; one part alone needs none."""
        split, parts = self.mapping.split, self.mapping.parts
        if split is None:
            if len(parts) > 1 or any(p.share is not None for p in parts):
                raise self.fail("several parts, or a share, need a `split` dim")
            return
        dim = self.dims("split", [split])[0]
        self.parallel("split", [dim])
        extent, at = l2_size.get(dim, self.extents[dim]), 0
        for part in parts:
            if part.share is None or part.share[0] != at or part.share[1] <= at:
                raise self.fail(f"shares of '{split}' follow each other from 0 to {extent}; at {at} got {part.share}")
            at = part.share[1]
        if at != extent:
            raise self.fail(f"the shares of '{split}' cover {at} points, but an L2 tile has {extent}")

    def part(self, part: Part, l2_size: dict[int, int], l2_loops: int) -> PartGeometry:
        group = next((g for g in self.machine.tile_groups if g.kind == part.group), None)
        if group is None:
            kinds = ", ".join(g.kind for g in self.machine.tile_groups)
            raise self.fail(f"target {self.machine.name} has no tile group '{part.group}'; it has {kinds}")
        space, pieces = self.space(part), self.sizes("l1", part.l1)
        for field, names in (("rows", part.rows), ("cols", part.cols)):
            self.parallel(field, self.dims(field, names))
        if part.tiles > group.count or len(space) > 2:
            raise self.fail(
                f"{part.tiles} tiles over {len(space)} dims; '{part.group}' has {group.count}, over at most 2 dims"
            )
        self.slots("buffers", part.buffers)
        coordinates = {d: T0 + i for i, d in enumerate(space)}
        axes = tuple(
            self.axis(d, part, l2_size, space.get(d, 1), coordinates.get(d), pieces.get(d))
            for d in range(self.domain.rank)
        )
        tiles = self.tile_range(space)
        return PartGeometry(part, axes, self.loops(part, axes, l2_loops), tiles, self.finish(part, axes, tiles))

    def space(self, part: Part) -> dict[int, int]:
        """Tiles by dim, a reduced dim first."""
        space = self.sizes("space", part.space)
        reduced = sorted(d for d in space if d >= self.domain.parallel)
        if len(reduced) > 1:
            names = "' and '".join(self.domain.names[d] for d in reduced)
            raise self.fail(f"`space` names the reduction dims '{names}'; a reduction is split along one")
        return {d: space[d] for d in sorted(space, key=lambda d: d not in reduced)}

    def finish(self, part: Part, axes: Sequence[Axis], tiles: tuple[int, int]) -> Spread | None:
        """What is left to do for the tiles of a reduction that is split over them."""
        slices = self.sizes("finish", part.finish)
        self.parallel("finish", list(slices))
        members = next((a.tiles for a in axes if a.dim >= self.domain.parallel and a.tiles > 1), 1)
        if slices and members == 1:
            raise self.fail("`finish` is for a reduction that is split over tiles, and `space` names no reduction dim")
        if len(slices) > 1:
            raise self.fail(f"`finish` names {len(slices)} dims; a piece is cut along one")
        receivers = 1
        for dim, points in slices.items():
            piece, name = axes[dim].size, self.domain.names[dim]
            receivers = piece // points
            if piece % points or receivers > members:
                raise self.fail(
                    f"`finish` cuts the {piece} points of '{name}' in a piece into slices of {points}; "
                    f"they are as many as divide it exactly, and no more than the {members} tiles of a group"
                )
        if members == 1:
            return None
        finishing = tuple(
            replace(a, tile_coordinate=None, slice=0)
            if a.dim >= self.domain.parallel
            else replace(a, slice=slices.get(a.dim))
            for a in axes
        )
        return Spread(finishing, (receivers, tiles[1]))

    def tile_range(self, space: dict[int, int]) -> tuple[int, int]:
        n0, n1 = [*space.values(), 1, 1][:2]
        return n0, n1

    def axis(
        self, dim: int, part: Part, l2_size: dict[int, int], tiles: int, coordinate: int | None, piece: int | None
    ) -> Axis:
        full = self.extents[dim]
        extent, offset = l2_size.get(dim, full), 0
        name = self.domain.names[dim]
        if name == self.mapping.split and part.share is not None:
            offset, extent = part.share[0], part.share[1] - part.share[0]
        size = min(piece if piece is not None else ceil(extent / tiles), extent)
        axis = Axis(dim, offset, extent, tiles, ceil(extent / (tiles * size)), size, coordinate)
        looped = dim in l2_size and ceil(full / l2_size[dim]) > 1
        reduced = dim >= self.domain.parallel
        if axis.covered != extent and (looped or (reduced and not may_overrun(self.inputs, self.extents, dim))):
            raise self.fail(
                f"{tiles} tiles of {axis.pieces} pieces of {size} do not divide the {extent} points of '{name}' exactly"
            )
        return axis

    def loops(self, part: Part, axes: Sequence[Axis], l2_loops: int) -> tuple[Axis, ...]:
        order = self.dims("order", part.order)
        loops = tuple(axes[d] for d in order if axes[d].pieces > 1)
        missing = [self.domain.names[a.dim] for a in axes if a.pieces > 1 and a.dim not in order]
        if missing:
            raise self.fail(f"dims {', '.join(missing)} are cut into pieces but not in `order`")
        reductions = [a.dim >= self.domain.parallel for a in loops]
        if reductions != sorted(reductions):
            raise self.fail("reduction dims come last in `order`: an accumulator holds one block of results")
        if len(loops) + l2_loops > MAX_LOOPS:
            raise self.fail(f"{len(loops) + l2_loops} loops; the machine nests {MAX_LOOPS}")
        return loops


def layer_geometry(op: RecurrenceOp, mapping: Mapping, machine: Machine) -> LayerGeometry:
    """The loops that a mapping means. Raises MappingError where it does not fit the recurrence or the machine."""
    return _Checker(op, mapping, machine).layer()
