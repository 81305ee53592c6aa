"""The kpu dialect runs. Its sequential form is interpreted: every buffer is an array, every command happens when it
is met.

A scheduled program is its binary in another spelling, so it is translated and simulated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue

from swkpu.affine import linear_map
from swkpu.dialects import kpu
from swkpu.dialects.kpu import BufferType, buffer_type
from swkpu.emit import coords, emit, fabric_of, row_major_strides
from swkpu.errors import InputError, IRError
from swkpu.nibbles import array_of, memory_of
from swkpu.program.model import Combiner, FabricProgram, Space, Stage, TensorMap
from swkpu.sim.blocks import Window
from swkpu.sim.functional import run_program, tensor_of, words_of
from swkpu.sim.gather import gathered
from swkpu.sim.recurrence import evaluate, finish
from swkpu.sim.reduce import reduced
from swkpu.target import load_target
from swkpu.types import dtype_of, numpy_dtype, torch_dtype

Array = np.ndarray[Any, np.dtype[Any]]


def run_kpu(module: ModuleOp, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs by name of a module's kpu.program, in either form. Raises InputError, IRError, SimulationError."""
    program = next((o for o in module.body.block.ops if isinstance(o, kpu.ProgramOp)), None)
    if program is None:
        raise IRError("the module has no kpu.program")
    if any(isinstance(o, kpu.StreamOp) for o in program.body.block.ops):
        machine = load_target(program.target.data)
        return run_program(emit(module, machine), machine, inputs)
    return SequentialInterpreter(program).run(inputs)


class SequentialInterpreter:
    """Runs the sequential form. An L1 buffer holds one block per tile: its array has leading dims [T0, T1]."""

    def __init__(self, program: kpu.ProgramOp):
        self.program = program
        self.memory: dict[SSAValue, np.ndarray[Any, np.dtype[np.uint8]]] = {}
        self.blocks: dict[SSAValue, np.ndarray[Any, Any]] = {}
        self.fabrics: dict[str, FabricProgram] = {}
        self.windows: dict[tuple[Operation, str], Window] = {}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        outputs: dict[str, Array] = {}
        for op in self.program.body.block.ops:
            match op:
                case kpu.InputOp():
                    self._store(op.result, self._input(op, inputs))
                case kpu.ConstantOp():
                    self._store(op.result, op.array())
                case kpu.AllocOp():
                    self.memory[op.result] = np.zeros(buffer_type(op.result).bytes, np.uint8)
                case kpu.AliasOp() | kpu.ViewOp():
                    self.memory[op.result] = self.memory[op.source]
                case kpu.FabricOp():
                    self.fabrics[op.sym_name.data] = fabric_of(op)
                case kpu.LayerOp():
                    self._block(op.body.block, [])
                case kpu.OutputOp():
                    outputs[op.sym_name.data] = self._load(op.value)
                case _:
                    raise IRError(f"{op.name} cannot stand in a sequential program")
        return outputs

    def _input(self, op: kpu.InputOp, inputs: Mapping[str, Array]) -> Array:
        name, type_ = op.sym_name.data, buffer_type(op.result)
        if name not in inputs:
            raise InputError(f"no input named '{name}' was given; got {', '.join(inputs) or 'none'}")
        array = np.asarray(inputs[name])
        if array.shape != type_.extents:
            raise InputError(f"Input shape mismatch: expected {type_.extents}, got {array.shape}")
        return np.ascontiguousarray(array.astype(numpy_dtype(dtype_of(type_.element))))

    def _store(self, value: SSAValue, array: Array) -> None:
        self.memory[value] = memory_of(array, dtype_of(buffer_type(value).element)).copy()

    def _load(self, value: SSAValue) -> Array:
        type_ = buffer_type(value)
        return array_of(self.memory[value], dtype_of(type_.element), type_.extents)

    # -- commands --

    def _block(self, block: Block, counters: list[int]) -> None:
        for op in block.ops:
            match op:
                case kpu.ForOp():
                    for i in range(op.trips):
                        self._block(op.body.block, [*counters, i])
                case kpu.AllocOp():
                    if buffer_type(op.result).memory is not Space.L1:
                        self.memory[op.result] = np.zeros(buffer_type(op.result).bytes, np.uint8)
                case kpu.LoadOp() | kpu.StoreOp():
                    self._move(op, counters)
                case kpu.GatherOp():
                    self._gather(op, counters)
                case kpu.PushOp():
                    self._push(op, counters)
                case kpu.PullOp():
                    self._pull(op, counters)
                case kpu.ExecOp():
                    self._exec(op, counters)
                case kpu.ReduceOp():
                    self._reduce(op, counters)
                case _:
                    raise IRError(f"{op.name} cannot stand in a layer")

    def _window(self, op: kpu.TransferOp, side: str) -> Window:
        """One side of a transfer over the buffer's own array."""
        key = (op, side)
        if key not in self.windows:
            value, start = (op.src, op.src_start) if side == "src" else (op.dst, op.dst_start)
            rank = len(op.box.data)
            identity = tuple(range(rank))
            axes = op.src_axes.data if side == "src" and op.src_axes is not None else identity
            steps = op.steps.data if side == "src" and op.steps is not None else (1,) * rank
            extents = op.within.data if side == "dst" and op.within is not None else None
            n0, n1 = op.tiles.range.data[1:] if op.tiles is not None else (1, 1)
            map = _map_of(value, extents, op.pad_value)
            self.windows[key] = Window(map, coords(start.data), axes, steps, op.box.data, n0, n1)
        return self.windows[key]

    def _move(self, op: kpu.TransferOp, counters: Sequence[int]) -> None:
        src, dst = self._window(op, "src"), self._window(op, "dst")
        words = src.read(self.memory[op.src], src.origin(counters))
        dst.write(self.memory[op.dst], dst.origin(counters), words)

    def _gather(self, op: kpu.GatherOp, counters: Sequence[int]) -> None:
        rank = len(op.box.data)
        walks = (op.walked_dims, tuple(range(rank)), tuple(range(rank)))
        starts = (op.src_start, op.index_start, op.dst_start)
        src, index, dst = (
            Window(_map_of(value, None, op.pad_value), coords(start.data), axes, (1,) * rank, op.box.data, 1, 1)
            for value, start, axes in zip(op.operands, starts, walks)
        )
        origins = [w.origin(counters) for w in (src, index, dst)]
        indices = index.read(self.memory[op.index], origins[1])
        chosen = gathered(src, index, dst, origins, op.indexed_dim, indices, f"{op.name} in layer '{_layer(op)}'")
        dst.write(self.memory[op.dst], origins[2], chosen.read(self.memory[op.src]))

    def _push(self, op: kpu.PushOp, counters: Sequence[int]) -> None:
        src = self._window(op, "src")
        _check_whole_block(op, op.dst)
        self.blocks[op.dst] = src.read(self.memory[op.src], src.origin(counters))

    def _pull(self, op: kpu.PullOp, counters: Sequence[int]) -> None:
        _check_whole_block(op, op.src)
        dst = self._window(op, "dst")
        words = np.broadcast_to(self._l1(op, op.src), (*dst.tiles, *op.box.data))
        dst.write(self.memory[op.dst], dst.origin(counters), words)

    def _l1(self, op: Operation, value: SSAValue) -> np.ndarray[Any, Any]:
        if value not in self.blocks:
            raise IRError(f"{op.name} reads an l1 buffer that was never written")
        return self.blocks[value]

    def _exec(self, op: kpu.ExecOp, counters: Sequence[int]) -> None:
        name = op.fabric.root_reference.data
        if name not in self.fabrics:
            raise IRError(f"kpu.exec names fabric program '{name}', which the program does not have")
        fabric = self.fabrics[name]
        loops = list(zip(op.reduction_loops.data, self._trips(op)))
        first = all(counters[d] == 0 for d, _ in loops)
        final = op.stage is not Stage.PARTIAL and all(counters[d] == trips - 1 for d, trips in loops)
        finishes = op.stage is Stage.FINISH
        wanted = op.sources if final else op.sources[: fabric.inputs]
        operands = [tensor_of(np.ascontiguousarray(self._l1(op, v)), _whole_map(buffer_type(v))) for v in wanted]
        order = [e.terms[0][0] for e in fabric.accesses[-1].exprs]
        accumulator = None
        if (finishes or not first) and op.accumulator is not None:
            stored = tensor_of(self._l1(op, op.accumulator), _whole_map(buffer_type(op.accumulator)))
            accumulator = stored.permute(0, 1, *(2 + order.index(d) for d in range(fabric.parallel)))
        if finishes:
            value = finish(fabric, op.box.data, operands, accumulator)
        else:
            value = evaluate(fabric, op.box.data, operands, accumulator, final)
        if final:
            assert op.result is not None
            self._keep(op.result, value)
        else:
            assert op.accumulator is not None
            self._keep(op.accumulator, value.permute(0, 1, *(2 + d for d in order)))

    def _reduce(self, op: kpu.ReduceOp, counters: Sequence[int]) -> None:
        members, columns = op.tiles.range.data[1:]
        words = self._l1(op, op.src)
        partials = tensor_of(np.ascontiguousarray(words), _whole_map(buffer_type(op.src)))
        start, rank = coords(op.src_start.data), len(op.box.data)
        origin = [c.const + sum(k * counters[d] for d, k in c.loops) for c in start]
        value = reduced(
            partials.expand(members, columns, *words.shape[2:]),
            start,
            origin,
            range(rank),
            (1,) * rank,
            op.box.data,
            op.receivers.value.data,
            Combiner[op.combiner.data.upper()],
        )
        if op.box.data != buffer_type(op.dst).extents:
            raise IRError(f"{op.name} into a part of an l1 buffer runs only in the scheduled form")
        self._keep(op.dst, value)

    def _keep(self, value: SSAValue, tensor: torch.Tensor) -> None:
        dtype = torch_dtype(dtype_of(buffer_type(value).element))
        self.blocks[value] = words_of(tensor.to(dtype)).copy()

    def _trips(self, op: kpu.ExecOp) -> Iterator[int]:
        loops: list[kpu.ForOp] = []
        parent = op.parent_op()
        while parent is not None:
            if isinstance(parent, kpu.ForOp):
                loops.insert(0, parent)
            parent = parent.parent_op()
        return (loops[d].trips for d in op.reduction_loops.data)


def _layer(op: Operation) -> str:
    """The name of the layer an op stands in."""
    parent = op.parent_op()
    while parent is not None and not isinstance(parent, kpu.LayerOp):
        parent = parent.parent_op()
    return "" if parent is None else parent.sym_name.data


def _check_whole_block(op: kpu.TransferOp, block: SSAValue) -> None:
    start = op.dst_start if block is op.dst else op.src_start
    whole = op.box.data == buffer_type(block).extents and all(
        e.const == 0 and not e.terms for e in linear_map(start.data)
    )
    if not whole:
        raise IRError(f"{op.name} of a part of an l1 buffer runs only in the scheduled form")


def _map_of(value: SSAValue, extents: Sequence[int] | None, pad: float) -> TensorMap:
    """A buffer or view as a map of its storage's own bytes."""
    type_ = buffer_type(value)
    dtype = dtype_of(type_.element)
    offset, strides = kpu.layout_of(value)
    shape = type_.extents
    steps = tuple(s * dtype.step for s in strides)
    at = offset * dtype.step
    return TensorMap(type_.memory, at, dtype, tuple(extents or shape), steps, shape, dtype.clamped(pad), 0)


def _whole_map(type_: BufferType, extents: Sequence[int] | None = None, pad: float = 0.0) -> TensorMap:
    dtype = dtype_of(type_.element)
    shape = type_.extents
    return TensorMap(
        type_.memory, 0, dtype, tuple(extents or shape), tuple(row_major_strides(shape, dtype.step)), shape, pad, 0
    )
