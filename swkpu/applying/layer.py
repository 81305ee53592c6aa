"""A mapped recurrence as a layer: its loops, buffers, transfers and executions."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from xdsl.builder import Builder
from xdsl.ir import Attribute, Block, SSAValue
from xdsl.rewriter import InsertPoint

from swkpu.affine import Linear
from swkpu.dialects import df, kpu
from swkpu.dialects.df import RecurrenceOp
from swkpu.dialects.kpu import BufferType, TilesAttr, buffer_type
from swkpu.dialects.location import layer_name
from swkpu.dialects.mapping import Mapping, Part
from swkpu.dialects.nn import type_of
from swkpu.errors import IRError
from swkpu.mapping.geometry import Axis, PartGeometry, Spread, layer_geometry
from swkpu.mapping.problem import axis_step, local_access, reads_outside
from swkpu.mapping.views import View, read_views, write_view
from swkpu.program.model import Space, Stage
from swkpu.target import Machine


class Surroundings(Protocol):
    """What a layer needs of the program that it is part of."""

    machine: Machine

    def view(self, buffer: SSAValue, view: View) -> SSAValue:
        """A buffer as a recurrence's transfers see it."""
        ...

    def fabric(self, op: RecurrenceOp, part: Part) -> str:
        """The symbol of the fabric program of a part."""
        ...


def row_major(shape: Sequence[int]) -> list[Linear]:
    """The origin of a block."""
    return [Linear(0) for _ in shape]


@dataclass
class Scope:
    """Where the next ops go, and the start coordinate of every domain dim there."""

    builder: Builder
    start: list[Linear]
    depth: int = 0


@dataclass
class Streamed:
    """An operand or result that goes through an L2 buffer: the buffer, and the domain start it was filled at."""

    buffer: SSAValue
    start: list[Linear]


@dataclass(frozen=True)
class Tiles:
    """A range of tiles, and the axes of what each of them does."""

    range: TilesAttr
    axes: tuple[Axis, ...]

    @staticmethod
    def of(part: Part, spread: PartGeometry | Spread) -> Tiles:
        return Tiles(TilesAttr.of(part.group, 0, *spread.tiles), spread.axes)

    @property
    def box(self) -> list[int]:
        """Points per domain dim of one exec."""
        return [a.points for a in self.axes]


@dataclass(frozen=True)
class Results:
    """A block of results in L1, and its accumulators where it takes several execs."""

    block: SSAValue
    accumulator: SSAValue | None


class PartState:
    """A part while its code is made: its geometry, and the L1 blocks that are in scope."""

    def __init__(self, geometry: PartGeometry):
        self.part, self.loops = geometry.part, geometry.loops
        self.whole = Tiles.of(geometry.part, geometry)
        self.finish = Tiles.of(geometry.part, geometry.finish) if geometry.finish is not None else None
        self.blocks: dict[int, SSAValue] = {}
        self.results: Results | None = None

    @property
    def last(self) -> Tiles:
        """The tiles that run the epilogue."""
        return self.whole if self.finish is None else self.finish


class LayerLowering:
    """Makes the body of one layer."""

    def __init__(self, op: RecurrenceOp, mapping: Mapping, buffers: dict[SSAValue, SSAValue], program: Surroundings):
        self.op, self.mapping, self.program = op, mapping, program
        self.domain = op.domain
        self.extents = op.domain.extents
        views = [*read_views(op), write_view(op)]
        self.maps = [v.exprs for v in views]
        self.values = [v for v, _ in op.reads]
        self.views = views
        self.sources = {
            i: program.view(buffers[v], view) for i, (v, view) in enumerate(zip(self.values, views)) if v in buffers
        }
        self.streamed: dict[int, Streamed] = {}
        self.reduction_depths: list[int] = []
        geometry = layer_geometry(op, mapping, program.machine)
        self.l2_size, self.l2_loops = geometry.l2_size, geometry.l2_loops
        self.parts = [PartState(p) for p in geometry.parts]
        reduced = [a for p in self.parts for a in p.whole.axes if a.dim >= self.domain.parallel]
        self.overruns = any(a.covered > a.extent for a in reduced)
        self.result_space = Space.L1
        if op.result in buffers:
            self.target = program.view(buffers[op.result], views[-1])
            self.result_space = buffer_type(buffers[op.result]).memory

    # -- geometry --

    def _dims(self, operand: int) -> set[int]:
        return {d for e in self.maps[operand] for d in e.dims if self.extents[d] > 1}

    def _origin(self, operand: int, start: list[Linear]) -> list[Linear]:
        values = dict(enumerate(start))
        return [e.substitute(values) for e in self.maps[operand]]

    def _steps(self, operand: int) -> list[int]:
        return [axis_step(e, self.domain) for e in self.maps[operand]]

    def _block_shape(self, operand: int, sizes: Sequence[int]) -> list[int]:
        """Elements per axis that a domain box of `sizes` reads, in units of the step."""
        out: list[int] = []
        for e in self.maps[operand]:
            local = local_access(e, self.domain)
            if any(c < 0 for _, c in local.terms):
                raise IRError(f"'{layer_name(self.op)}': an access that runs backwards has no block form")
            out.append(local.span(sizes))
        return out

    def _level_in_l2(self, operand: int) -> int:
        """How many L2 loops stand around the operand's transfers."""
        dims = self._dims(operand)
        return max((i + 1 for i, (d, _) in enumerate(self.l2_loops) if d in dims), default=0)

    def _level_in_l1(self, operand: int, state: PartState) -> int:
        dims = self._dims(operand)
        return max((i + 1 for i, a in enumerate(state.loops) if a.dim in dims), default=0)

    # -- code --

    def emit(self, body: Block) -> None:
        scope = Scope(Builder(InsertPoint.at_end(body)), [Linear(0) for _ in self.extents])
        self._emit_l2(scope, 0)

    @contextmanager
    def _loop(self, scope: Scope, dim: int, trips: int, step: int) -> Generator[Scope]:
        loop = kpu.ForOp(trips)
        scope.builder.insert(loop)
        start = list(scope.start)
        start[dim] = start[dim] + Linear.of(0, {scope.depth: step})
        yield Scope(Builder(InsertPoint.at_end(loop.body.block)), start, scope.depth + 1)

    def _emit_l2(self, scope: Scope, level: int) -> None:
        sizes = [self.l2_size.get(d, e) for d, e in enumerate(self.extents)]
        for i, source in self.sources.items():
            if buffer_type(source).memory is Space.DRAM and self._level_in_l2(i) == level:
                self._load(scope, i, sizes)
        stores = self.result_space is Space.DRAM and self._level_in_l2(len(self.values)) == level
        if stores:
            self._open_store(scope, sizes)
        for state in self.parts:
            for i in range(len(self.values)):
                if self._level_in_l2(i) == level and self._level_in_l1(i, state) == 0:
                    self._push(scope, i, state, in_loop=level > 0)
        innermost = level == len(self.l2_loops)
        opens = not innermost and self._reduces(level) and not (level and self._reduces(level - 1))
        if opens:
            for state in self.parts:
                state.results = self._open_results(scope, state)
        if innermost:
            for state in self.parts:
                self._emit_l1(scope, state, 0)
        else:
            dim, size = self.l2_loops[level]
            if self._reduces(level):
                self.reduction_depths.append(scope.depth)
            with self._loop(scope, dim, ceil(self.extents[dim] / size), size) as inner:
                self._emit_l2(inner, level + 1)
        if opens:
            for state in self.parts:
                assert state.results is not None
                self._close_results(scope, state, state.results)
        if stores:
            self._close_store(scope)

    def _reduces(self, level: int) -> bool:
        """Is an L2 loop over a reduction dim?"""
        return self.l2_loops[level][0] >= self.domain.parallel

    def _open_store(self, scope: Scope, sizes: Sequence[int]) -> None:
        """The L2 buffer of a result that goes to DRAM."""
        result = len(self.values)
        shape = self._block_shape(result, sizes)
        alloc = self._alloc(scope, shape, type_of(self.op.result).element_type, Space.L2, scope.depth > 0)
        self.streamed[result] = Streamed(alloc, scope.start)

    def _close_store(self, scope: Scope) -> None:
        result = len(self.values)
        buffer = self.streamed[result].buffer
        shape = buffer_type(buffer).extents
        origin = self._origin(result, scope.start)
        scope.builder.insert(kpu.StoreOp(buffer, row_major(shape), self.target, origin, shape))

    def _emit_l1(self, scope: Scope, state: PartState, level: int) -> None:
        parallel = sum(a.dim < self.domain.parallel for a in state.loops)
        if level > 0:
            for i in range(len(self.values)):
                if self._level_in_l1(i, state) == level:
                    self._push(scope, i, state, in_loop=True)
        if level == parallel:
            self._emit_results(scope, state, level)
            return
        axis = state.loops[level]
        with self._loop(scope, axis.dim, axis.pieces, axis.size) as inner:
            self._emit_l1(inner, state, level + 1)

    def _emit_results(self, scope: Scope, state: PartState, level: int) -> None:
        """One block of results: its buffer, the reduction, the way out; the first and last where no loop around it has
        done so.
        """
        results = state.results or self._open_results(scope, state)
        inner, depths = scope, list(self.reduction_depths)
        for k, axis in enumerate(state.loops[level:]):
            depths.append(inner.depth)
            loop = kpu.ForOp(axis.pieces)
            inner.builder.insert(loop)
            start = list(inner.start)
            start[axis.dim] = start[axis.dim] + Linear.of(0, {inner.depth: axis.size})
            inner = Scope(Builder(InsertPoint.at_end(loop.body.block)), start, inner.depth + 1)
            for i in range(len(self.values)):
                if self._level_in_l1(i, state) == level + k + 1:
                    self._push(inner, i, state, in_loop=True)
        operands = [state.blocks[i] for i in range(len(self.values))]
        if state.finish is None:
            self._exec(inner, state, state.whole, [*operands, results.block], results.accumulator, depths)
        else:
            inputs = operands[: len(self.op.inputs)]
            self._exec(inner, state, state.whole, inputs, results.accumulator, depths, Stage.PARTIAL)
        if state.results is None:
            self._close_results(scope, state, results)

    def _open_results(self, scope: Scope, state: PartState) -> Results:
        """The L1 buffers of one block of results, and of its accumulators between execs."""
        result = len(self.values)
        shape = self._block_shape(result, state.last.box)
        block = self._alloc(scope, shape, type_of(self.op.result).element_type, Space.L1, scope.depth > 0, state)
        reduced = any(a.dim >= self.domain.parallel for a in state.loops)
        if not (reduced or state.finish is not None or any(map(self._reduces, range(len(self.l2_loops))))):
            return Results(block, None)
        shape = self._block_shape(result, state.whole.box)
        return Results(block, self._alloc(scope, shape, self.op.accumulator_type, Space.L1, False, state))

    def _close_results(self, scope: Scope, state: PartState, results: Results) -> None:
        """Combine the partial sums of tiles, where there are any, and send a block out."""
        if state.finish is not None:
            assert results.accumulator is not None
            total = self._reduce(scope, state, state.finish, results.accumulator)
            extras = [state.blocks[i] for i in range(len(self.op.inputs), len(self.values))]
            self._exec(scope, state, state.finish, [*extras, results.block], total, (), Stage.FINISH)
        self._pull(scope, state.last, results.block)

    def _reduce(self, scope: Scope, state: PartState, finish: Tiles, partial: SSAValue) -> SSAValue:
        """The accumulators of a group of tiles combined: a slice in each of those that finish."""
        result = self.maps[len(self.values)]
        shape = self._block_shape(len(self.values), finish.box)
        total = self._alloc(scope, shape, self.op.accumulator_type, Space.L1, False, state)
        slices = {a.dim: a.slice for a in finish.axes if a.slice}
        start = [Linear.of(0, {kpu.T0: sum(slices.get(d, 0) for d in e.dims)}) for e in result]
        scope.builder.insert(
            kpu.ReduceOp(
                "add" if self.op.combiner == "mac" else self.op.combiner,
                (partial, start),
                (total, row_major(shape)),
                shape,
                finish.range.range.data[1],
                state.whole.range,
            )
        )
        return total

    def _alloc(
        self,
        scope: Scope,
        shape: Sequence[int],
        element: Attribute,
        space: Space,
        in_loop: bool,
        state: PartState | None = None,
    ) -> SSAValue:
        count = (state.part.buffers if state is not None else self.mapping.stream_buffers) if in_loop else 1
        group = state.part.group if state is not None else None
        alloc = kpu.AllocOp(BufferType.of(shape, element, space), count, group)
        return scope.builder.insert(alloc).result

    def _load(self, scope: Scope, operand: int, sizes: Sequence[int]) -> None:
        value = self.values[operand]
        shape = self._block_shape(operand, sizes)
        in_loop = scope.depth > 0
        buffer = self._alloc(scope, shape, type_of(value).element_type, Space.L2, in_loop)
        load = kpu.LoadOp(
            self.sources[operand],
            self._origin(operand, scope.start),
            buffer,
            row_major(shape),
            shape,
            steps=self._steps(operand),
            pad=self._pad(operand),
        )
        scope.builder.insert(load)
        self.streamed[operand] = Streamed(buffer, scope.start)

    def _pad(self, operand: int) -> float:
        if operand >= len(self.op.inputs):
            return 0.0
        view = self.views[operand]
        if reads_outside(view.exprs, view.extents, self.extents):
            return self.op.pad_values[operand]
        return df.NEUTRAL[self.op.combiner] if self.overruns else 0.0

    def _start_of(self, scope: Scope, tiles: Tiles) -> list[Linear]:
        """Start of a tile's piece of the domain, or of its slice of a piece."""
        out: list[Linear] = []
        for axis, start in zip(tiles.axes, scope.start):
            start = start + axis.offset
            if axis.tile_coordinate is not None:
                start = start + Linear.of(0, {axis.tile_coordinate: axis.pieces * axis.size})
            if axis.slice:
                start = start + Linear.of(0, {kpu.T0: axis.slice})
            out.append(start)
        return out

    def _push(self, scope: Scope, operand: int, state: PartState, in_loop: bool) -> None:
        value = self.values[operand]
        tiles = state.whole if operand < len(self.op.inputs) else state.last
        shape = self._block_shape(operand, tiles.box)
        block = self._alloc(scope, shape, type_of(value).element_type, Space.L1, in_loop, state)
        origin = self._origin(operand, self._start_of(scope, tiles))
        steps = self._steps(operand)
        source, pad = self.sources[operand], self._pad(operand)
        if operand in self.streamed:
            stream = self.streamed[operand]
            base = self._origin(operand, stream.start)
            origin = [_divide(o - b, s) for o, b, s in zip(origin, base, steps)]
            source, steps = stream.buffer, [1] * len(steps)
        push = kpu.PushOp(source, origin, block, row_major(shape), shape, steps=steps, pad=pad, tiles=tiles.range)
        scope.builder.insert(push)
        state.blocks[operand] = block

    def _exec(
        self,
        scope: Scope,
        state: PartState,
        tiles: Tiles,
        blocks: Sequence[SSAValue],
        accumulator: SSAValue | None,
        depths: Sequence[int],
        stage: Stage = Stage.WHOLE,
    ) -> None:
        start = self._start_of(scope, tiles)
        clips: list[tuple[int, Linear, int]] = []
        for axis in tiles.axes:
            d, full = axis.dim, self.extents[axis.dim]
            if d in self.l2_size:
                if ceil(full / self.l2_size[d]) * self.l2_size[d] > full or axis.covered > axis.extent:
                    clips.append((d, start[d], full))
            elif axis.covered > axis.extent and d < self.domain.parallel:
                clips.append((d, start[d], axis.offset + axis.extent))
        fabric = self.program.fabric(self.op, state.part)
        exec_op = kpu.ExecOp(
            fabric,
            tiles.range,
            blocks,
            [row_major(buffer_type(b).extents) for b in blocks],
            tiles.box,
            clips,
            accumulator,
            depths,
            stage,
        )
        scope.builder.insert(exec_op)

    def _pull(self, scope: Scope, tiles: Tiles, block: SSAValue) -> None:
        result = len(self.values)
        origin = self._origin(result, self._start_of(scope, tiles))
        target = self.target
        if result in self.streamed:
            stream = self.streamed[result]
            origin = [o - b for o, b in zip(origin, self._origin(result, stream.start))]
            target = stream.buffer
        extents = buffer_type(target).extents
        within = list(extents)
        for position, e in enumerate(self.maps[result]):
            axis = tiles.axes[e.dims[0]]
            if axis.covered > axis.extent and axis.offset + axis.extent < within[position]:
                within[position] = axis.offset + axis.extent
        shape = buffer_type(block).extents
        pull = kpu.PullOp(
            block,
            row_major(shape),
            target,
            origin,
            shape,
            within=None if within == list(extents) else within,
            tiles=tiles.range,
        )
        scope.builder.insert(pull)


def _divide(expr: Linear, by: int) -> Linear:
    assert expr.const % by == 0 and all(c % by == 0 for _, c in expr.terms)
    return Linear(expr.const // by, tuple((d, c // by) for d, c in expr.terms))
