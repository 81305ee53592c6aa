"""A group of recurrences as one layer: shared loops, and in each iteration all members' executions on blocks in L1."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from math import ceil

from xdsl.builder import Builder
from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.ir import Attribute, Block, SSAValue
from xdsl.rewriter import InsertPoint

from swkpu.affine import Linear
from swkpu.applying.layer import LayerLowering, PartState, Scope, Streamed, Surroundings
from swkpu.dialects import kpu
from swkpu.dialects.df import RecurrenceOp
from swkpu.dialects.kpu import buffer_type
from swkpu.dialects.nn import type_of
from swkpu.mapping.group_geometry import GroupGeometry
from swkpu.program.model import Space


class Member(LayerLowering):
    """A recurrence of a group: the pieces of its layer one by one."""

    @property
    def result(self) -> int:
        """The number of the result, after those of the operands."""
        return len(self.values)

    @property
    def is_stored(self) -> bool:
        return self.result_space is Space.DRAM

    def l2_sizes(self) -> list[int]:
        return [self.l2_size.get(d, e) for d, e in enumerate(self.extents)]

    def level_in_l2(self, operand: int) -> int:
        return self._level_in_l2(operand)

    def level_in_l1(self, operand: int, state: PartState) -> int:
        return self._level_in_l1(operand, state)

    def load(self, operand: int, scope: Scope, known: dict[object, SSAValue]) -> None:
        """Bring an operand into L2, unless another member has brought the same block there."""
        sizes = self.l2_sizes()
        key = self._block_key(operand, scope.start, sizes)
        if key not in known:
            self._load(scope, operand, sizes)
            known[key] = self.streamed[operand].buffer
        self.streamed[operand] = Streamed(known[key], scope.start)

    def push(self, operand: int, scope: Scope, part: int, known: dict[object, SSAValue]) -> None:
        """Bring a block into L1, unless another member has brought the same one there."""
        state = self.parts[part]
        key = part, self._block_key(operand, self._start_of(scope, state.whole), state.whole.box)
        if key not in known:
            self._push(scope, operand, state, scope.depth > 0)
            known[key] = state.blocks[operand]
        state.blocks[operand] = known[key]

    def _block_key(self, operand: int, start: list[Linear], sizes: Sequence[int]) -> object:
        view = self.views[operand]
        return (
            self.values[operand],
            (view.extents, view.strides, view.offset),
            tuple(self._origin(operand, start)),
            (tuple(self._steps(operand)), tuple(self._block_shape(operand, sizes)), self._pad(operand)),
        )

    def open_store(self, scope: Scope) -> None:
        self._open_store(scope, self.l2_sizes())

    def close_store(self, scope: Scope) -> None:
        self._close_store(scope)

    def execute(self, scope: Scope, state: PartState) -> None:
        """One block of results, left in L1 or sent out. One that stays needs no second buffer."""
        is_kept = self.result_space is Space.L1
        shape = self._block_shape(self.result, state.whole.box)
        element = type_of(self.op.result).element_type
        block = self._alloc(scope, shape, element, Space.L1, scope.depth > 0 and not is_kept, state)
        state.blocks[self.result] = block
        blocks = [state.blocks[i] for i in range(self.result)] + [block]
        self._exec(scope, state, state.whole, blocks, None, [])
        if not is_kept:
            self._pull(scope, state.whole, block)


class GroupLowering:
    """Makes the body of a group's layer. Each member sees the loops in its own dims: a scope per member."""

    def __init__(self, group: GroupGeometry, buffers: dict[SSAValue, SSAValue], program: Surroundings):
        self.handed = group.handed
        self.members = [Member(op, op.mapping.data, buffers, program) for op in group.members if op.mapping is not None]
        self.external = [
            (m, i) for m, member in enumerate(self.members) for i in range(member.result) if (m, i) not in self.handed
        ]
        self.loaded: dict[object, SSAValue] = {}
        self.pushed: dict[object, SSAValue] = {}

    def emit(self, body: Block) -> None:
        builder = Builder(InsertPoint.at_end(body))
        self._emit_l2([Scope(builder, [Linear(0) for _ in m.extents]) for m in self.members], 0)

    @contextmanager
    def _loop(self, scopes: Sequence[Scope], dims: Sequence[int], trips: int, step: int) -> Generator[list[Scope]]:
        loop = kpu.ForOp(trips)
        scopes[0].builder.insert(loop)
        builder = Builder(InsertPoint.at_end(loop.body.block))
        inner: list[Scope] = []
        for scope, dim in zip(scopes, dims):
            start = list(scope.start)
            start[dim] = start[dim] + Linear.of(0, {scope.depth: step})
            inner.append(Scope(builder, start, scope.depth + 1))
        yield inner

    def _emit_l2(self, scopes: Sequence[Scope], level: int) -> None:
        for m, i in self.external:
            member = self.members[m]
            if buffer_type(member.sources[i]).memory is Space.DRAM and member.level_in_l2(i) == level:
                member.load(i, scopes[m], self.loaded)
        stored = [(s, m) for s, m in zip(scopes, self.members) if m.is_stored and m.level_in_l2(m.result) == level]
        for scope, member in stored:
            member.open_store(scope)
        model = self.members[-1]
        for part in range(len(model.parts)):
            self._push_all(scopes, part, level, 0)
        if level == len(model.l2_loops):
            for part in range(len(model.parts)):
                self._emit_l1(scopes, part, 0)
        else:
            dims = [m.l2_loops[level][0] for m in self.members]
            dim, size = model.l2_loops[level]
            with self._loop(scopes, dims, ceil(model.extents[dim] / size), size) as inner:
                self._emit_l2(inner, level + 1)
        for scope, member in stored:
            member.close_store(scope)

    def _push_all(self, scopes: Sequence[Scope], part: int, l2_level: int, l1_level: int) -> None:
        """The pushes that belong at a level of the loops: just outside the innermost that moves the block."""
        for m, i in self.external:
            member = self.members[m]
            own = member.level_in_l1(i, member.parts[part])
            if own == l1_level and (own > 0 or member.level_in_l2(i) == l2_level):
                member.push(i, scopes[m], part, self.pushed)

    def _emit_l1(self, scopes: Sequence[Scope], part: int, level: int) -> None:
        states = [m.parts[part] for m in self.members]
        if level > 0:
            self._push_all(scopes, part, 0, level)
        if level == len(states[-1].loops):
            for m, member in enumerate(self.members):
                for (reader, operand), maker in self.handed.items():
                    if reader == m:
                        states[m].blocks[operand] = states[maker].blocks[self.members[maker].result]
                member.execute(scopes[m], states[m])
            return
        axis = states[-1].loops[level]
        dims = [s.loops[level].dim for s in states]
        with self._loop(scopes, dims, axis.pieces, axis.size) as inner:
            self._emit_l1(inner, part, level + 1)


def member_names(members: Sequence[RecurrenceOp]) -> Attribute:
    """What a layer's info says of a group's members: the operator that each is part of, in order."""
    kinds = (op.attributes.get("op") for op in members)
    names = [k.data if isinstance(k, StringAttr) else op.combiner for op, k in zip(members, kinds)]
    return ArrayAttr([StringAttr(name) for name in names])
