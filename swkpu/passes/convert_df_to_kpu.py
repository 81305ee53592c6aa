"""`convert-df-to-kpu`: apply the mappings. Each recurrence becomes a layer: loops, buffers, transfers and executions.

The loops of a layer are the mapping's L2 loops, then, per part, its L1 loops. Every operand is brought in just
outside the innermost loop it depends on, so what a loop does not change stays where it is. All coordinates are
affine in the loop counters and tile coordinates.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil

from xdsl.builder import Builder
from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, IntegerAttr, ModuleOp, StringAttr, i64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.affine import Linear, linear_map
from swkpu.dialects import df, kpu
from swkpu.dialects.df import RecurrenceOp
from swkpu.dialects.kpu import BufferType, TilesAttr, buffer_type
from swkpu.dialects.location import layer_name, source_of
from swkpu.dialects.mapping import Mapping, Part
from swkpu.dialects.nn import shape_of, type_of
from swkpu.errors import IRError, MappingError
from swkpu.mapping.geometry import PartGeometry, layer_geometry
from swkpu.mapping.problem import axis_step, local_access, local_maps
from swkpu.mapping.residency import bytes_of, plan, root
from swkpu.mapping.transfers import Walk, walk_of
from swkpu.mapping.views import View, read_views, write_view
from swkpu.passes.nn_narrow_integers import INPUT_TYPES, OUTPUT_TYPES
from swkpu.program.model import Dataflow, Space
from swkpu.target import Machine, load_target
from swkpu.types import dtype_of, i32, rate_key


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


class PartState:
    """A part while its code is made: its geometry, and the L1 blocks that are in scope."""

    def __init__(self, geometry: PartGeometry):
        self.part, self.axes, self.loops = geometry.part, geometry.axes, geometry.loops
        self.tiles = TilesAttr.of(geometry.part.group, 0, *geometry.tiles)
        self.blocks: dict[int, SSAValue] = {}


class LayerLowering:
    """Makes the body of one layer."""

    def __init__(self, op: RecurrenceOp, mapping: Mapping, buffers: dict[SSAValue, SSAValue], program: ProgramLowering):
        self.op, self.mapping, self.program = op, mapping, program
        self.domain = op.domain
        self.extents = op.domain.extents
        views = [*read_views(op), write_view(op)]
        self.maps = [v.exprs for v in views]
        self.values = [v for v, _ in op.reads]
        self.sources = [program.view(buffers[v], view) for v, view in zip(self.values, views)]
        self.target = program.view(buffers[op.result], views[-1])
        self.streamed: dict[int, Streamed] = {}
        geometry = layer_geometry(op, mapping, program.machine)
        self.l2_size, self.l2_loops = geometry.l2_size, geometry.l2_loops
        self.parts = [PartState(p) for p in geometry.parts]
        self.overruns = any(a.covered > a.extent for p in self.parts for a in p.axes if a.dim >= self.domain.parallel)
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
        for i, source in enumerate(self.sources):
            if buffer_type(source).memory is Space.DRAM and self._level_in_l2(i) == level:
                self._load(scope, i, sizes)
        result = len(self.values)
        stores = self.result_space is Space.DRAM and self._level_in_l2(result) == level
        if stores:
            shape = self._block_shape(result, sizes)
            alloc = self._alloc(scope, shape, type_of(self.op.result).element_type, Space.L2, level > 0)
            self.streamed[result] = Streamed(alloc, scope.start)
        innermost = level == len(self.l2_loops)
        for state in self.parts:
            for i in range(len(self.values)):
                if self._level_in_l2(i) == level and self._level_in_l1(i, state) == 0:
                    self._push(scope, i, state, in_loop=level > 0)
        if innermost:
            for state in self.parts:
                self._emit_l1(scope, state, 0)
        else:
            dim, size = self.l2_loops[level]
            with self._loop(scope, dim, ceil(self.extents[dim] / size), size) as inner:
                self._emit_l2(inner, level + 1)
        if stores:
            buffer = self.streamed[result].buffer
            target = self.target
            scope.builder.insert(
                kpu.StoreOp(
                    buffer,
                    row_major(buffer_type(buffer).extents),
                    target,
                    self._origin(result, scope.start),
                    buffer_type(buffer).extents,
                )
            )

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
        """One block of results: its buffer, the reduction, the way out."""
        result = len(self.values)
        sizes = [a.size for a in state.axes]
        shape = self._block_shape(result, sizes)
        in_loop = scope.depth > 0
        block = self._alloc(scope, shape, type_of(self.op.result).element_type, Space.L1, in_loop, state)
        reduction = state.loops[level:]
        accumulator = None
        if reduction:
            accumulator = self._alloc(scope, shape, self.op.accumulator_type, Space.L1, False, state)
        inner, depths = scope, []
        for k, axis in enumerate(reduction):
            depths.append(inner.depth)
            loop = kpu.ForOp(axis.pieces)
            inner.builder.insert(loop)
            start = list(inner.start)
            start[axis.dim] = start[axis.dim] + Linear.of(0, {inner.depth: axis.size})
            inner = Scope(Builder(InsertPoint.at_end(loop.body.block)), start, inner.depth + 1)
            for i in range(len(self.values)):
                if self._level_in_l1(i, state) == level + k + 1:
                    self._push(inner, i, state, in_loop=True)
        self._exec(inner, state, block, accumulator, depths)
        self._pull(scope, state, block)

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
        return df.NEUTRAL[self.op.combiner] if self.overruns else self.op.pad_values[operand]

    def _start_of(self, scope: Scope, state: PartState) -> list[Linear]:
        """Start of a tile's piece of the domain."""
        out: list[Linear] = []
        for axis, start in zip(state.axes, scope.start):
            start = start + axis.offset
            if axis.tile_coordinate is not None:
                start = start + Linear.of(0, {axis.tile_coordinate: axis.pieces * axis.size})
            out.append(start)
        return out

    def _push(self, scope: Scope, operand: int, state: PartState, in_loop: bool) -> None:
        value = self.values[operand]
        shape = self._block_shape(operand, [a.size for a in state.axes])
        block = self._alloc(scope, shape, type_of(value).element_type, Space.L1, in_loop, state)
        origin = self._origin(operand, self._start_of(scope, state))
        steps = self._steps(operand)
        source, pad = self.sources[operand], self._pad(operand)
        if operand in self.streamed:
            stream = self.streamed[operand]
            base = self._origin(operand, stream.start)
            origin = [_divide(o - b, s) for o, b, s in zip(origin, base, steps)]
            source, steps = stream.buffer, [1] * len(steps)
        push = kpu.PushOp(source, origin, block, row_major(shape), shape, steps=steps, pad=pad, tiles=state.tiles)
        scope.builder.insert(push)
        state.blocks[operand] = block

    def _exec(
        self, scope: Scope, state: PartState, block: SSAValue, accumulator: SSAValue | None, depths: Sequence[int]
    ) -> None:
        start = self._start_of(scope, state)
        clips: list[tuple[int, Linear, int]] = []
        for axis in state.axes:
            d, full = axis.dim, self.extents[axis.dim]
            if d in self.l2_size:
                if ceil(full / self.l2_size[d]) * self.l2_size[d] > full or axis.covered > axis.extent:
                    clips.append((d, start[d], full))
            elif axis.covered > axis.extent and d < self.domain.parallel:
                clips.append((d, start[d], axis.offset + axis.extent))
        blocks = [state.blocks[i] for i in range(len(self.values))] + [block]
        fabric = self.program.fabric(self.op, state.part)
        exec_op = kpu.ExecOp(
            fabric,
            state.tiles,
            blocks,
            [row_major(buffer_type(b).extents) for b in blocks],
            [a.size for a in state.axes],
            clips,
            accumulator,
            depths,
        )
        scope.builder.insert(exec_op)

    def _pull(self, scope: Scope, state: PartState, block: SSAValue) -> None:
        result = len(self.values)
        origin = self._origin(result, self._start_of(scope, state))
        target = self.target
        if result in self.streamed:
            stream = self.streamed[result]
            origin = [o - b for o, b in zip(origin, self._origin(result, stream.start))]
            target = stream.buffer
        extents = buffer_type(target).extents
        within = list(extents)
        for position, e in enumerate(self.maps[result]):
            axis = state.axes[e.dims[0]]
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
            tiles=state.tiles,
        )
        scope.builder.insert(pull)


def _loops_over(builder: Builder, extents: Sequence[int], box: Sequence[int]) -> tuple[Builder, list[Linear]]:
    """Loops that walk a tensor box by box: where the next ops go, and the start of the box there."""
    at = [Linear(0) for _ in extents]
    for depth, d in enumerate(d for d, e in enumerate(extents) if box[d] < e):
        loop = builder.insert(kpu.ForOp(ceil(extents[d] / box[d])))
        builder = Builder(InsertPoint.at_end(loop.body.block))
        at[d] = Linear.of(0, {depth: box[d]})
    return builder, at


def _divide(expr: Linear, by: int) -> Linear:
    assert expr.const % by == 0 and all(c % by == 0 for _, c in expr.terms)
    return Linear(expr.const // by, tuple((d, c // by) for d, c in expr.terms))


class ProgramLowering:
    """Turns a function of mapped recurrences into a kpu.program."""

    def __init__(self, func: FuncOp, machine: Machine, module: ModuleOp):
        self.func, self.machine, self.module = func, machine, module
        self.body = Block()
        self.builder = Builder(InsertPoint.at_end(self.body))
        self.buffers: dict[SSAValue, SSAValue] = {}
        self.fabrics: dict[object, str] = {}
        self.names: dict[str, int] = {}
        self.residency = plan(func, machine.l2.capacity_bytes)

    def run(self) -> kpu.ProgramOp:
        ops = list(self.func.body.block.ops)
        self._inputs()
        returned = next(o for o in ops if isinstance(o, ReturnOp))
        for op in ops:
            if isinstance(op, df.ConstantOp):
                type_ = BufferType.of(shape_of(op.result), type_of(op.result).element_type, Space.DRAM)
                constant = kpu.ConstantOp(op.value, op.permuted, type_)
                constant.result.name_hint = op.result.name_hint
                self.buffers[op.result] = self.builder.insert(constant).result
        for op in ops:
            match op:
                case RecurrenceOp():
                    self._recurrence(op)
                case df.CopyOp():
                    self._copy(op)
                case df.GatherOp():
                    self._gather(op)
                case df.EmptyOp():
                    memory = Space.DRAM if self.residency.is_dram(op.result) else Space.L2
                    self._result_buffer(op, memory)
                case df.ReshapeOp():
                    source = self.buffers[op.input]
                    old = buffer_type(source)
                    alias = kpu.AliasOp(source, BufferType.of(shape_of(op.result), old.element, old.memory))
                    self.buffers[op.result] = self.builder.insert(alias).result
                case df.ConstantOp() | ReturnOp():
                    pass
                case _:
                    raise IRError(f"{op.name} has no lowering to kpu; run convert-nn-to-df first")
        for i, value in enumerate(returned.operands):
            buffer = self.buffers[value]
            if buffer_type(buffer).memory is not Space.DRAM:
                raise IRError(f"result {i} of the function is not in DRAM")
            host = self._host_type(OUTPUT_TYPES, i, value)
            self.builder.insert(kpu.OutputOp(self._output_name(i), buffer, host))
        info = self._info(returned)
        return kpu.ProgramOp(self.func.sym_name.data, self.machine.name, info, Region(self.body))

    def _inputs(self) -> None:
        for i, arg in enumerate(self.func.args):
            name = arg.name_hint or f"input{i}"
            type_ = BufferType.of(shape_of(arg), type_of(arg).element_type, Space.DRAM)
            op = kpu.InputOp(name, type_, self._host_type(INPUT_TYPES, i, arg))
            op.result.name_hint = arg.name_hint
            self.buffers[arg] = self.builder.insert(op).result

    def _host_type(self, key: str, index: int, value: SSAValue) -> Attribute | None:
        """The element type that the host has for an input or output, where it is another than the tensor's."""
        types = self.module.attributes.get(key)
        if not isinstance(types, ArrayAttr) or self.func.sym_name.data != "main":
            return None
        host = types.data[index]
        return host if host == i64 and type_of(value).element_type == i32 else None

    def _output_name(self, index: int) -> str:
        return f"output{index}" if index else "output"

    def _info(self, returned: ReturnOp) -> dict[str, Attribute]:
        constants = [o.result for o in self.func.body.block.ops if isinstance(o, df.ConstantOp)]
        boundary = {root(v) for v in (*self.func.args, *returned.operands)}
        activations = [o.results[0] for o in self.func.body.block.ops if isinstance(o, RecurrenceOp | df.CopyOp)]
        weights = sum(bytes_of(v) for v in constants)
        return {
            "profile": StringAttr(self.machine.profile.name),
            "weight_bytes": IntegerAttr(weights, i64),
            "activation_bytes": IntegerAttr(sum(bytes_of(v) for v in activations), i64),
            "compulsory_dram_bytes": IntegerAttr(weights + sum(bytes_of(v) for v in boundary), i64),
        } | {
            k: v
            for k, v in self.module.attributes.items()
            if k in ("nn.model", "nn.precision", "nn.batch", "nn.signature")
        }

    def _result_buffer(self, op: Operation, space: Space) -> SSAValue:
        value = op.results[0]
        if isinstance(op, RecurrenceOp) and op.destination is not None:
            self.buffers[value] = self.buffers[op.destination]
            return self.buffers[value]
        type_ = BufferType.of(shape_of(value), type_of(value).element_type, space)
        alloc = kpu.AllocOp(type_)
        alloc.result.name_hint = value.name_hint
        self.buffers[value] = self.builder.insert(alloc).result
        return self.buffers[value]

    def view(self, buffer: SSAValue, view: View) -> SSAValue:
        """A buffer as a recurrence's transfers see it."""
        if view.is_whole:
            return buffer
        old = buffer_type(buffer)
        type_ = BufferType.of(view.extents, old.element, old.memory)
        return self.builder.insert(kpu.ViewOp(buffer, view.offset, view.strides, type_)).result

    def _layer(self, op: Operation, body: Block, info: dict[str, Attribute]) -> None:
        base = layer_name(op, f"layer{len(self.names)}")
        count = self.names[base] = self.names.get(base, 0) + 1
        name = base if count == 1 else f"{base}#{count}"
        values = [v for v in op.operands if isinstance(v.owner, df.ConstantOp | Block)]
        compulsory = sum(bytes_of(v) for v in values)
        if any(isinstance(use.operation, ReturnOp) for use in op.results[0].uses):
            compulsory += bytes_of(op.results[0])
        info = {
            **info,
            "source": StringAttr(source_of(op)),
            "compulsory_dram_bytes": IntegerAttr(compulsory, i64),
        }
        layer = kpu.LayerOp(name, info, Region(body))
        layer.location = op.location
        self.builder.insert(layer)

    def _recurrence(self, op: RecurrenceOp) -> None:
        if op.mapping is None:
            raise MappingError(f"'{layer_name(op)}' has no mapping; run df-choose-mapping, or write one")
        mapping = op.mapping.data
        self._result_buffer(op, Space[mapping.result.upper()])
        body = Block()
        LayerLowering(op, mapping, self.buffers, self).emit(body)
        kind = op.attributes.get("op")
        mac = op.combiner == "mac" and all(p.dataflow is not Dataflow.VECTOR for p in mapping.parts)
        element = dtype_of(type_of(op.inputs[0]).element_type) if mac else None
        self._layer(
            op,
            body,
            {
                "op": kind if isinstance(kind, StringAttr) else StringAttr(op.combiner),
                "macs": IntegerAttr(op.points if mac else 0, i64),
                "mac_type": StringAttr(rate_key(element) if element is not None else ""),
                "estimated_cycles": IntegerAttr(mapping.cycles or 0, i64),
                "mapping": op.mapping,
            },
        )

    def _copy(self, op: df.CopyOp) -> None:
        """A copy out of DRAM is a load with another order of dims; one out of L2 a store."""
        walk = walk_of(op)
        if walk is None:
            raise IRError(f"df.copy with access {op.map.data} is not a single transfer; run df-lower-copies")
        source = self.buffers[op.input]
        in_l2 = buffer_type(source).memory is Space.L2
        body = Block()
        builder = Builder(InsertPoint.at_end(body))
        if not in_l2 and self.residency.is_dram(op.result):
            self._copy_through_l2(op, builder, walk)
        else:
            target = self._result_buffer(op, Space.DRAM if in_l2 else Space.L2)
            extents = op.domain.extents
            origin = [Linear(e.const) for e in linear_map(op.map.data)]
            transfer = kpu.StoreOp if in_l2 else kpu.LoadOp
            builder.insert(
                transfer(
                    source,
                    origin,
                    target,
                    row_major(extents),
                    extents,
                    src_axes=walk.axes,
                    steps=walk.steps,
                    pad=op.pad_value,
                )
            )
        self._layer(op, body, {"op": StringAttr("copy")})

    def _copy_through_l2(self, op: df.CopyOp, builder: Builder, walk: Walk) -> None:
        """DRAM to DRAM box by box, through a double buffer in L2. The outermost dims are cut first."""
        source, target = self.buffers[op.input], self._result_buffer(op, Space.DRAM)
        extents = op.domain.extents
        box = self._slice(op, extents)
        builder, at = _loops_over(builder, extents, box)
        looped = box != list(extents)
        element = type_of(op.result).element_type
        buffer = builder.insert(kpu.AllocOp(BufferType.of(box, element, Space.L2), 2 if looped else 1)).result
        origin = [e.substitute(dict(enumerate(at))) for e in linear_map(op.map.data)]
        transfer = kpu.LoadOp(
            source, origin, buffer, row_major(box), box, src_axes=walk.axes, steps=walk.steps, pad=op.pad_value
        )
        builder.insert(transfer)
        builder.insert(kpu.StoreOp(buffer, row_major(box), target, at, box))

    def _gather(self, op: df.GatherOp) -> None:
        """One gather into L2, or, where the result is in DRAM, box by box through a double buffer."""
        extents, axis = op.domain.extents, op.axis.value.data
        to_dram = self.residency.is_dram(op.result)
        target = self._result_buffer(op, Space.DRAM if to_dram else Space.L2)
        at_axis = linear_map(op.map.data)[axis]
        if at_axis.terms:
            raise IRError(f"df.gather '{layer_name(op)}': the indexed axis takes a constant, got {op.map.data}")
        source = self._walked(op.source, op.map.data, extents, axis)
        indices = self._walked(op.indices, op.index_map.data, extents)
        body = Block()
        builder = Builder(InsertPoint.at_end(body))
        box, at = list(extents), [Linear(0) for _ in extents]
        buffer = target
        if to_dram:
            box = self._slice(op, extents)
            builder, at = _loops_over(builder, extents, box)
            slots = 2 if box != list(extents) else 1
            alloc = kpu.AllocOp(BufferType.of(box, type_of(op.result).element_type, Space.L2), slots)
            buffer = builder.insert(alloc).result
        start = (source, [Linear(at_axis.const), *at])
        builder.insert(kpu.GatherOp(start, 0, (indices, at), (buffer, row_major(box)), box))
        if to_dram:
            builder.insert(kpu.StoreOp(buffer, row_major(box), target, at, box))
        self._layer(op, body, {"op": StringAttr("gather")})

    def _walked(self, value: SSAValue, map: AffineMap, extents: Sequence[int], axis: int | None = None) -> SSAValue:
        """A view of a buffer with a dim per dim of the domain, after the indexed axis if there is one."""
        buffer = self.buffers[value]
        old, exprs = buffer_type(buffer), linear_map(map)
        strides = kpu.element_strides(old.extents)
        own = [(e, s) for i, (e, s) in enumerate(zip(exprs, strides)) if i != axis]
        offset = sum(e.const * s for e, s in own)
        walks = [sum(e.coef(d) * s for e, s in own) for d in range(len(extents))]
        lead = [] if axis is None else [axis]
        shape = [*(old.extents[a] for a in lead), *extents]
        type_ = BufferType.of(shape, old.element, old.memory)
        return self.builder.insert(kpu.ViewOp(buffer, offset, [*(strides[a] for a in lead), *walks], type_)).result

    def _slice(self, op: Operation, extents: Sequence[int]) -> list[int]:
        """The largest box of a result, cut from the outermost dim on, of which L2 has room for two at this step."""
        room = self.residency.budget[self.residency.steps.index(op)] // 2 - kpu.GRANULE
        box, size = list(extents), bytes_of(op.results[0])
        for d, e in enumerate(extents):
            if size > room:
                size //= e
                box[d] = max(1, min(e, room // size))
                size *= box[d]
        return box

    def fabric(self, op: RecurrenceOp, part: Part) -> str:
        """The symbol of the fabric program of a part; equal programs share one."""
        domain = op.domain
        accumulator = op.accumulator_type if not op.is_elementwise else type_of(op.result).element_type
        maps = local_maps(op)
        rows, cols = ([domain.index(d) for d in dims] for dims in (part.rows, part.cols))
        new = kpu.FabricOp(
            f"f{len(self.fabrics)}",
            domain,
            op.combiner,
            accumulator,
            maps,
            rows,
            cols,
            part.dataflow,
            op.epilogue.clone(),
        )
        from swkpu.dialects.epilogue import fabric_program

        key = fabric_program(
            "",
            df.Domain(domain.names, tuple(0 for _ in domain.extents), domain.parallel),
            op.combiner,
            maps,
            accumulator,
            op.epilogue,
            part.rows,
            part.cols,
            part.dataflow,
        )
        if key not in self.fabrics:
            self.fabrics[key] = new.sym_name.data
            Builder(InsertPoint.at_start(self.body)).insert(new)
        return self.fabrics[key]


@dataclass(frozen=True)
class ConvertDfToKpuPass(ModulePass):
    """Apply every recurrence's mapping: loops, buffers, transfers and executions."""

    name = "convert-df-to-kpu"

    target: str = "kpu-t64"
    profile: str | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = load_target(self.target, self.profile)
        for func in [o for o in op.body.block.ops if isinstance(o, FuncOp) and not o.is_declaration]:
            program = ProgramLowering(func, machine, op).run()
            Rewriter.insert_op(program, InsertPoint.before(func))
            Rewriter.erase_op(func)
