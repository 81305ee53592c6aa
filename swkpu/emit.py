"""A scheduled kpu.program and the binary program: the same thing in two forms.

`emit` is a translation without decisions: every op becomes one command, every (buffer, view) one tensor map.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from xdsl.dialects.builtin import ArrayAttr, ModuleOp
from xdsl.ir import Attribute, Block, SSAValue
from xdsl.ir.affine import AffineMap

from swkpu import __version__
from swkpu.affine import Linear, linear_map
from swkpu.dialects import kpu
from swkpu.dialects.epilogue import fabric_program
from swkpu.dialects.kpu import MAX_LOOPS, aligned, buffer_type, info_int, info_str, storage
from swkpu.dialects.mapping import MappingAttr
from swkpu.dialects.quantized_type import QuantizedType
from swkpu.errors import IRError
from swkpu.nibbles import memory_of
from swkpu.program import model as m
from swkpu.program.dtypes import DType
from swkpu.target import Machine
from swkpu.types import dtype_of

UNBOUNDED = 1 << 30
"""Logical extent of a slot dim: it counts iterations, and wraps around in storage."""
CONSTANT_ALIGNMENT = 64


def coord(expr: Linear) -> m.Coord:
    loops = tuple((d, c) for d, c in expr.terms if d < MAX_LOOPS)
    return m.Coord(expr.const, loops, (expr.coef(kpu.T0), expr.coef(kpu.T1)))


def coords(map: AffineMap) -> tuple[m.Coord, ...]:
    return tuple(coord(e) for e in linear_map(map))


def row_major_strides(shape: Sequence[int], size: int) -> list[int]:
    out = [size] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        out[axis] = out[axis + 1] * shape[axis + 1]
    return out


def fabric_of(op: kpu.FabricOp) -> m.FabricProgram:
    """The fabric program that a kpu.fabric spells out."""
    names = op.domain.names
    rows, cols = ([names[d] for d in dims.data] for dims in (op.rows, op.cols))
    return fabric_program(
        op.sym_name.data,
        op.domain,
        op.combiner.data,
        op.access_maps,
        op.accumulator,
        op.epilogue,
        rows,
        cols,
        op.dataflow,
    )


class Emitter:
    def __init__(self, program: kpu.ProgramOp, machine: Machine, values: bool = True):
        self.op, self.machine, self.values = program, machine, values
        self.group_index = {g.kind: i for i, g in enumerate(machine.tile_groups)}
        self.maps: dict[m.TensorMap, int] = {}
        self.known_maps: dict[tuple[SSAValue, tuple[int, ...] | None, float], int] = {}
        self.buffer_ids: dict[SSAValue, int] = {}
        self.fabrics: dict[str, tuple[int, m.FabricProgram]] = {}
        self.layers: dict[str, int] = {}

    def run(self) -> m.Program:
        ops = list(self.op.body.block.ops)
        for op in ops:
            match op:
                case kpu.FabricOp():
                    self._fabric(op)
                case kpu.LayerOp():
                    self.layers[op.sym_name.data] = len(self.layers)
                case _:
                    pass
        streams = tuple(self._stream(op) for op in ops if isinstance(op, kpu.StreamOp))
        if not streams and self.layers:
            raise IRError("the program is not scheduled; run kpu-schedule before translating it to a binary")
        segments, constants = self._constants([op for op in ops if isinstance(op, kpu.ConstantOp)])
        inputs = tuple(self._symbol(op.sym_name.data, op.result, op.host) for op in ops if isinstance(op, kpu.InputOp))
        outputs = tuple(self._symbol(op.sym_name.data, op.value, op.host) for op in ops if isinstance(op, kpu.OutputOp))
        layers = tuple(_layer(op) for op in ops if isinstance(op, kpu.LayerOp))
        info = self.op.info
        metadata = m.Metadata(
            model=info_str(info, "nn.model", self.op.sym_name.data),
            precision=info_str(info, "nn.precision", "fp32"),
            batch=info_int(info, "nn.batch", 1),
            profile=info_str(info, "profile", self.machine.profile.name),
            compiler=f"swkpu {__version__}",
            compulsory_dram_bytes=info_int(info, "compulsory_dram_bytes"),
            estimated_cycles=sum(layer.estimated_cycles for layer in layers),
            weight_bytes=info_int(info, "weight_bytes"),
            activation_bytes=info_int(info, "activation_bytes"),
            peak_l1_bytes=info_int(info, "peak_l1_bytes"),
            peak_l2_bytes=info_int(info, "peak_l2_bytes"),
            peak_dram_bytes=info_int(info, "peak_dram_bytes"),
            signature=info_str(info, "nn.signature"),
        )
        return m.Program(
            target=self.machine.name,
            target_digest=self.machine.digest,
            streams=streams,
            maps=tuple(self.maps),
            fabrics=tuple(f for _, f in self.fabrics.values()),
            semaphores=self.op.semaphores.data if self.op.semaphores is not None else (),
            segments=segments,
            constants=constants,
            inputs=inputs,
            outputs=outputs,
            layers=layers,
            metadata=metadata,
        )

    # -- data --

    def _constants(self, ops: Sequence[kpu.ConstantOp]) -> tuple[tuple[m.Segment, ...], bytes]:
        chunks: list[bytes | memoryview] = []
        segments: list[m.Segment] = []
        at = 0
        for op in ops:
            type_ = buffer_type(op.result)
            dtype = dtype_of(type_.element)
            size = dtype.bytes_of(prod(type_.extents))
            segments.append(m.Segment(_address(op), at, size))
            padding = -size % CONSTANT_ALIGNMENT
            if self.values:
                chunks += [memory_of(op.array(), dtype).data, bytes(padding)]
            at += size + padding
        return tuple(segments), b"".join(chunks) if self.values else bytes(at)

    def _symbol(self, name: str, value: SSAValue, host: Attribute | None) -> m.Symbol:
        type_ = buffer_type(value)
        if isinstance(host, QuantizedType):
            return m.Symbol(name, self.map(value), type_.extents, DType.F32, host.scale, host.zero_point)
        return m.Symbol(name, self.map(value), type_.extents, dtype_of(host or type_.element))

    def map(self, value: SSAValue, extents: Sequence[int] | None = None, pad: float = 0.0) -> int:
        """The number of the tensor map of a view of a buffer: its own extents, or fewer. That of a scalar has a dim."""
        key = value, None if extents is None else tuple(extents), pad
        if key not in self.known_maps:
            self.known_maps[key] = self._map(value, extents, pad)
        return self.known_maps[key]

    def _map(self, value: SSAValue, extents: Sequence[int] | None, pad: float) -> int:
        type_, root = buffer_type(value), storage(value)
        dtype = dtype_of(type_.element)
        slots = kpu.slot_dims(root)
        inner = type_.extents[slots:] or (1,)
        offset, steps = kpu.layout_of(value)
        strides = [s * dtype.step for s in steps[slots:] or (1,)]
        shape = list(extents or inner)
        moduli = [max(n, 1) for n in inner]
        if slots:
            strides.insert(0, aligned(dtype.bytes_of(prod(inner))) * dtype.addresses_per_byte)
            shape.insert(0, UNBOUNDED)
            moduli.insert(0, type_.extents[0])
        owner = root.owner
        assert not isinstance(owner, Block)
        tensor_map = m.TensorMap(
            type_.memory,
            _address(owner) * dtype.addresses_per_byte + offset * dtype.step,
            dtype,
            tuple(shape),
            tuple(strides),
            tuple(moduli),
            dtype.clamped(pad),
            self.buffer_ids.setdefault(root, len(self.buffer_ids)),
        )
        return self.maps.setdefault(tensor_map, len(self.maps))

    def start(self, value: SSAValue, at: AffineMap) -> tuple[m.Coord, ...]:
        """Where a block of a buffer starts, a coordinate per dim of its map."""
        is_scalar = len(buffer_type(value).extents) == kpu.slot_dims(storage(value))
        return (*coords(at), m.Coord()) if is_scalar else coords(at)

    # -- code --

    def _fabric(self, op: kpu.FabricOp) -> None:
        fabric = fabric_of(op)
        self.fabrics[fabric.name] = (len(self.fabrics), fabric)

    def _stream(self, op: kpu.StreamOp) -> m.Stream:
        commands: list[m.Command] = []
        self._block(op.body.block, commands)
        commands.append(m.Halt())
        group = self._group(op.group.data) if op.group is not None else 0
        return m.Stream(m.Engine[op.engine.data.upper()], group, tuple(commands))

    def _group(self, kind: str) -> int:
        if kind not in self.group_index:
            raise IRError(
                f"target {self.machine.name} has no tile group '{kind}'; it has {', '.join(self.group_index)}"
            )
        return self.group_index[kind]

    def _block(self, block: Block, out: list[m.Command]) -> None:
        for op in block.ops:
            common = self._common(op)
            match op:
                case kpu.ForOp():
                    layer = common["layer"]
                    out.append(m.Loop(count=op.trips, acquire=common["acquire"], layer=layer))
                    self._block(op.body.block, out)
                    out.append(m.End(release=common["release"], layer=layer))
                case kpu.LoadOp():
                    out.append(m.Load(**self._transfer(op), **common))
                case kpu.StoreOp():
                    out.append(m.Store(**self._transfer(op), **common))
                case kpu.GatherOp():
                    out.append(self._gather(op, common))
                case kpu.PushOp():
                    out.append(m.Push(tiles=self._tiles(op.tiles), **self._transfer(op), **common))
                case kpu.PullOp():
                    out.append(m.Pull(tiles=self._tiles(op.tiles), **self._transfer(op), **common))
                case kpu.ExecOp():
                    out.append(self._exec(op, common))
                case kpu.ReduceOp():
                    out.append(self._reduce(op, common))
                case _:
                    raise IRError(f"{op.name} cannot stand in a stream")

    def _common(self, op: Any) -> dict[str, Any]:
        tokens: dict[str, Any] = {}
        for kind in ("acquire", "release"):
            attr = op.properties.get(kind)
            data = attr.data if isinstance(attr, kpu.SemaphoresAttr) else ()
            tokens[kind] = tuple(m.SemOp(s, n) for s, n in data)
        name = op.layer.data if op.layer is not None else None
        if name is not None and name not in self.layers:
            raise IRError(f"{op.name} names layer '{name}', which the program does not have")
        tokens["layer"] = self.layers[name] if name is not None else 0
        return tokens

    def _tiles(self, tiles: kpu.TilesAttr | None) -> m.TileRange:
        assert tiles is not None
        return m.TileRange(self._group(tiles.group.data), *tiles.range.data)

    def _transfer(self, op: kpu.TransferOp) -> dict[str, Any]:
        """Operands of a transfer. Box dims are put in the order of the DRAM side, so that its rows are contiguous."""
        box = op.box.data or (1,)
        rank = len(box)
        src_slots, dst_slots = (kpu.slot_dims(storage(v)) for v in (op.src, op.dst))
        src_axes = op.src_axes.data if op.src_axes is not None and op.box.data else tuple(range(rank))
        steps = op.steps.data if op.steps is not None else (1,) * rank
        order = list(range(rank))
        if isinstance(op, kpu.LoadOp):
            order.sort(key=lambda k: src_axes[k])
        src = m.Block(
            self.map(op.src, pad=op.pad_value),
            self.start(op.src, op.src_start.data),
            tuple(src_axes[k] + src_slots for k in order),
            tuple(steps[k] for k in order),
        )
        within = op.within.data if op.within is not None else None
        dst = m.Block(
            self.map(op.dst, within),
            self.start(op.dst, op.dst_start.data),
            tuple(k + dst_slots for k in order),
            (1,) * rank,
        )
        return {"src": src, "dst": dst, "box": tuple(box[k] for k in order)}

    def _gather(self, op: kpu.GatherOp, common: dict[str, Any]) -> m.Gather:
        """Box dims that choose an index come first, then the dims of a row, so that rows are contiguous."""
        box = op.box.data or (1,)
        rank = len(box)
        slots = [kpu.slot_dims(storage(v)) for v in op.operands]
        walked = op.walked_dims or (op.indexed_dim,)
        chooses = kpu.layout_of(op.index)[1][slots[1] :] or (0,)
        strides = kpu.layout_of(op.src)[1][slots[0] :]
        order = sorted(range(rank), key=lambda k: (chooses[k] == 0, -chooses[k], -strides[walked[k]]))

        def block(value: SSAValue, start: AffineMap, axes: Sequence[int], slot: int, pad: float = 0.0) -> m.Block:
            walks = tuple(axes[k] + slot for k in order)
            return m.Block(self.map(value, pad=pad), self.start(value, start), walks, (1,) * rank)

        return m.Gather(
            src=block(op.src, op.src_start.data, walked, slots[0], op.pad_value),
            index=block(op.index, op.index_start.data, range(rank), slots[1]),
            dst=block(op.dst, op.dst_start.data, range(rank), slots[2]),
            box=tuple(box[k] for k in order),
            dim=op.indexed_dim + slots[0],
            **common,
        )

    def _exec(self, op: kpu.ExecOp, common: dict[str, Any]) -> m.Exec:
        name = op.fabric.root_reference.data
        if name not in self.fabrics:
            raise IRError(f"kpu.exec names fabric program '{name}', which the program does not have")
        operands = tuple(m.Operand(self.map(v), self.start(v, s)) for v, s in zip(op.blocks, op.block_starts))
        clips = tuple(
            m.Clip(d, coord(s), limit)
            for d, s, limit in zip(op.clip_dims.data, linear_map(op.clip_starts.data), op.limits.data)
        )
        accumulator = None
        if op.accumulator is not None and op.accumulator_start is not None:
            accumulator = m.Operand(self.map(op.accumulator), self.start(op.accumulator, op.accumulator_start.data))
        return m.Exec(
            tiles=self._tiles(op.tiles),
            fabric=self.fabrics[name][0],
            operands=operands,
            box=op.box.data,
            clips=clips,
            reduction_loops=sum(1 << d for d in op.reduction_loops.data),
            accumulator=accumulator,
            stage=op.stage,
            **common,
        )

    def _reduce(self, op: kpu.ReduceOp, common: dict[str, Any]) -> m.Reduce:
        box = op.box.data or (1,)

        def block(value: SSAValue, start: AffineMap) -> m.Block:
            slots = kpu.slot_dims(storage(value))
            axes = tuple(k + slots for k in range(len(box)))
            return m.Block(self.map(value), self.start(value, start), axes, (1,) * len(box))

        return m.Reduce(
            tiles=self._tiles(op.tiles),
            src=block(op.src, op.src_start.data),
            dst=block(op.dst, op.dst_start.data),
            box=box,
            receivers=op.receivers.value.data,
            combiner=m.Combiner[op.combiner.data.upper()],
            **common,
        )


def _address(op: Any) -> int:
    if op.address is None:
        raise IRError(f"{op.name} has no address; run kpu-assign-memory first")
    return op.address.value.data


def _layer(op: kpu.LayerOp) -> m.Layer:
    info = op.info
    mapping, alternatives = info.data.get("mapping"), info.data.get("alternatives")
    return m.Layer(
        name=op.sym_name.data,
        op=info_str(info, "op"),
        source=info_str(info, "source"),
        macs=info_int(info, "macs"),
        mac_type=info_str(info, "mac_type"),
        compulsory_dram_bytes=info_int(info, "compulsory_dram_bytes"),
        estimated_cycles=info_int(info, "estimated_cycles"),
        tiling=_tiling(mapping) if isinstance(mapping, MappingAttr) else {},
        alternatives=tuple(
            {"cycles": a.data.cycles or 0, **_tiling(a)}
            for a in (alternatives if isinstance(alternatives, ArrayAttr) else ())
            if isinstance(a, MappingAttr)
        ),
    )


def _tiling(attr: MappingAttr) -> dict[str, Any]:
    """The mapping as JSON values."""
    mapping = attr.data
    parts = [
        {
            "group": p.group,
            "share": list(p.share) if p.share is not None else None,
            "space": dict(p.space),
            "l1": dict(p.l1),
            "order": list(p.order),
            "rows": list(p.rows),
            "cols": list(p.cols),
            "dataflow": p.dataflow.name.lower(),
            "buffers": p.buffers,
        }
        | ({"finish": dict(p.finish)} if p.finish else {})
        for p in mapping.parts
    ]
    return {"l2": dict(mapping.l2), "result": mapping.result, "split": mapping.split, "parts": parts}


def emit(module: ModuleOp, machine: Machine, values: bool = True) -> m.Program:
    """The binary program of a module's one scheduled kpu.program; without `values` its constants are zeros.

    Raises IRError where there is no such program.
    """
    programs = [o for o in module.body.block.ops if isinstance(o, kpu.ProgramOp)]
    if len(programs) != 1:
        raise IRError(f"expected one kpu.program in the module, found {len(programs)}")
    if programs[0].target.data != machine.name:
        raise IRError(f"the program was made for target {programs[0].target.data}, not {machine.name}")
    return Emitter(programs[0], machine, values).run()
