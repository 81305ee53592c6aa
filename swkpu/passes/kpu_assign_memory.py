"""`kpu-assign-memory`: addresses in DRAM, L2 and L1 for every buffer, by lifetime.

Lifetimes are counted in layers. A tensor between layers lives from the layer that writes it to the last that reads
it; a layer's own stream buffers live in that layer and, where there is room, already in the one before, so that its
first loads can run ahead. L1 is packed per layer, alternately from the bottom and from the top, so that a layer's
first blocks can arrive while the previous layer still computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from swkpu.dialects import kpu
from swkpu.dialects.kpu import AllocOp, aligned, buffer_type, storage
from swkpu.errors import IRError, MemoryError
from swkpu.mapping.packing import Placed, Request, pack, peak, place, stack
from swkpu.program.model import Space
from swkpu.target import Machine, load_target

DRAM_ALIGNMENT = 64


@dataclass
class _Life:
    alloc: AllocOp
    start: int
    end: int


def _set_address(op: Operation, address: int) -> None:
    op.properties["address"] = IntegerAttr(address, i64)


def check_target(program: kpu.ProgramOp, machine: Machine) -> None:
    """Raises IRError where a program was lowered for another target."""
    if program.target.data != machine.name:
        raise IRError(f"the program was lowered for target {program.target.data}, not {machine.name}")


def assign_dram(program: kpu.ProgramOp, machine: Machine) -> int:
    """Constants, inputs and DRAM tensors one after the other. Returns the bytes used."""
    at = 0
    for op in program.body.block.ops:
        if isinstance(op, kpu.ConstantOp | kpu.InputOp | AllocOp) and buffer_type(op.results[0]).memory is Space.DRAM:
            _set_address(op, at)
            at += -(-buffer_type(op.results[0]).bytes // DRAM_ALIGNMENT) * DRAM_ALIGNMENT
    if at > machine.dram.capacity_bytes:
        raise MemoryError("DRAM", at, machine.dram.capacity_bytes)
    return at


def _lifetimes(program: kpu.ProgramOp, layers: Sequence[kpu.LayerOp]) -> list[_Life]:
    """First and last layer that touches each buffer of the program's own scope."""
    lives: dict[SSAValue, _Life] = {}
    for i, layer in enumerate(layers):
        for op in layer.walk():
            for value in op.operands:
                owner = storage(value).owner
                if isinstance(owner, AllocOp) and owner.parent is program.body.block:
                    life = lives.setdefault(owner.result, _Life(owner, i, i))
                    life.end = i
    return list(lives.values())


def assign_l2(program: kpu.ProgramOp, layers: Sequence[kpu.LayerOp], machine: Machine) -> int:
    """Tensors between layers, then each layer's streams. Returns the most bytes in use at once."""
    capacity = machine.l2.capacity_bytes
    lives = [v for v in _lifetimes(program, layers) if buffer_type(v.alloc.result).memory is Space.L2]
    requests = [Request(v.alloc.total_bytes, v.start, v.end) for v in lives]
    offsets = pack(requests, capacity)
    if offsets is None:
        raise MemoryError("L2", sum(r.size for r in requests), capacity, "the tensors that stay in L2 between layers")
    placed = [Placed(r, o) for r, o in zip(requests, offsets)]
    for life, offset in zip(lives, offsets):
        _set_address(life.alloc, offset)
    for i, layer in enumerate(layers):
        streams = [o for o in layer.walk() if isinstance(o, AllocOp) and buffer_type(o.result).memory is Space.L2]
        for alloc in sorted(streams, key=lambda a: -a.total_bytes):
            for start in (i - 1, i):
                request = Request(alloc.total_bytes, max(start, 0), i)
                offset = place(request, placed, capacity, top=i % 2 == 1)
                if offset is not None:
                    break
            else:
                raise MemoryError("L2", alloc.total_bytes, capacity, f"a stream of layer '{layer.sym_name.data}'")
            _set_address(alloc, offset)
            placed.append(Placed(request, offset))
    return peak([p.request for p in placed])


def assign_l1(layers: Sequence[kpu.LayerOp], machine: Machine) -> int:
    """Each layer's blocks in its tile groups. Returns the largest use of one tile."""
    capacity = {g.kind: g.l1_bytes for g in machine.tile_groups}
    most = 0
    turn = dict.fromkeys(capacity, 0)
    for layer in layers:
        groups: dict[str, list[AllocOp]] = {}
        position = {op: i for i, op in enumerate(layer.walk())}
        for op in position:
            if isinstance(op, AllocOp) and op.group is not None:
                groups.setdefault(op.group.data, []).append(op)
        for kind, allocs in groups.items():
            if kind not in capacity:
                raise MemoryError("L1", sum(a.total_bytes for a in allocs), 0, f"there is no tile group '{kind}'")
            offsets = stack([Request(a.total_bytes, *_life_in_l1(a, position)) for a in allocs])
            total = max((o + a.total_bytes for o, a in zip(offsets, allocs)), default=0)
            if total > capacity[kind]:
                raise MemoryError("L1", total, capacity[kind], f"layer '{layer.sym_name.data}' on '{kind}' tiles")
            top = turn[kind] % 2 == 1
            turn[kind] += 1
            base = aligned(capacity[kind] - total - kpu.GRANULE + 1) if top else 0
            for alloc, offset in zip(allocs, offsets):
                _set_address(alloc, base + offset)
            most = max(most, total)
    return most


def _life_in_l1(alloc: AllocOp, position: Mapping[Operation, int]) -> tuple[int, int]:
    """When a block is in use. What only executions touch lives from the first to the last statement of its scope that
    uses it: the fabric's commands run in order. What a block mover touches may come early or go late, and lives as long
    as the layer.
    """
    users = [use.operation for use in alloc.result.uses]
    if not users or not all(isinstance(o, kpu.ExecOp) for o in users):
        return 0, len(position)
    statements = [_statement_beside(alloc, o) for o in users]
    return min(position[s] for s in statements), max(position[o] for s in statements for o in s.walk())


def _statement_beside(alloc: AllocOp, op: Operation) -> Operation:
    """The op of an alloc's block that is, or contains, `op`."""
    while op.parent is not alloc.parent:
        parent = op.parent_op()
        assert parent is not None
        op = parent
    return op


@dataclass(frozen=True)
class KpuAssignMemoryPass(ModulePass):
    """Give every buffer an address in its memory."""

    name = "kpu-assign-memory"

    target: str = "kpu-t64"
    profile: str | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = load_target(self.target, self.profile)
        for program in [o for o in op.walk() if isinstance(o, kpu.ProgramOp)]:
            check_target(program, machine)
            layers = [o for o in program.body.block.ops if isinstance(o, kpu.LayerOp)]
            peaks = {
                "peak_dram_bytes": assign_dram(program, machine),
                "peak_l2_bytes": assign_l2(program, layers, machine),
                "peak_l1_bytes": assign_l1(layers, machine),
            }
            info = program.info.data | {k: IntegerAttr(v, i64) for k, v in peaks.items()}
            program.properties["info"] = type(program.info)(info)
