"""`kpu-schedule`: one stream of commands per engine, ordered only by semaphores.

The sequential program is projected on each engine: a stream keeps the engine's commands and the loops around them.
Two kinds of semaphores put back the order that matters:

*Channels*, inside a layer. A buffer that one engine fills and another empties is a channel of `buffers` slots: the
producer takes a `free` token per iteration and gives a `full` one, the consumer the reverse. A command in a deeper
loop is represented by the loop: it acquires on entry and releases on exit. A free semaphore starts with 12 tokens
and an iteration takes 12 / slots of them, so that one semaphore serves layers with different numbers of slots, and
always ends where it began.

*Timelines*, between layers. For an ordered pair of engines (X, Y) one counting semaphore says how many of its
layers X has finished, as far as Y must know: Y reads what X wrote, or writes where X's buffers were. What Y already
knows, directly or through others, is not waited for again.

A machine has a fixed number of semaphores. Where there are too many pairs of engines, the timelines that are used
least go over a *relay*: at the beginning of a layer the store engine, which seldom has anything to do, waits for
the one engine and tells the other.

No order can deadlock: the sequential program is one that satisfies every wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, ModuleOp, StringAttr
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.affine import Linear, linear_map
from swkpu.dialects import kpu
from swkpu.dialects.kpu import AllocOp, BufferType, CommandOp, ForOp, buffer_type, coordinate_map, storage
from swkpu.dialects.nn import ints
from swkpu.errors import IRError, MappingError
from swkpu.passes.kpu_assign_memory import check_target
from swkpu.program.model import MAX_SEMAPHORE_OPS, Space, Stage
from swkpu.target import load_target

TOKENS = 12
"""Tokens of a free semaphore: divisible by 1, 2, 3, 4 and 6 slots."""

Engine = tuple[str, str]
"""(kind, tile group); the DMA engines have no group."""

_KINDS: dict[type[Operation], str] = {
    kpu.LoadOp: "dma_in",
    kpu.GatherOp: "dma_in",
    kpu.PushOp: "bm_in",
    kpu.ExecOp: "fabric",
    kpu.ReduceOp: "fabric",
    kpu.PullOp: "bm_out",
    kpu.StoreOp: "dma_out",
}
_PIPELINE = tuple(dict.fromkeys(_KINDS.values()))
"""Engines in the order in which a layer's data passes through them."""


def engine_of(op: Operation) -> Engine:
    """The engine that carries out a command."""
    tiles = op.properties.get("tiles")
    return _KINDS[type(op)], tiles.group.data if isinstance(tiles, kpu.TilesAttr) else ""


def commands_in(op: Operation) -> Iterator[Operation]:
    return (o for o in op.walk() if type(o) in _KINDS)


@dataclass(frozen=True)
class Access:
    command: Operation
    engine: Engine
    writes: bool


def accesses_of(command: Operation) -> Iterator[tuple[SSAValue, bool]]:
    """(buffer, is written) for every buffer a command touches."""
    if isinstance(command, kpu.ExecOp):
        for value in command.sources:
            yield storage(value), False
        if command.result is not None:
            yield storage(command.result), True
        if command.accumulator is not None:
            yield storage(command.accumulator), command.stage is not Stage.FINISH
        return
    assert isinstance(command, kpu.TransferOp | kpu.GatherOp | kpu.ReduceOp)
    yield storage(command.src), False
    if isinstance(command, kpu.GatherOp):
        yield storage(command.index), False
    yield storage(command.dst), True


@dataclass
class Tokens:
    """acquire and release lists of a statement in one engine's stream: semaphore to count."""

    acquire: dict[int, int] = field(default_factory=dict[int, int])
    release: dict[int, int] = field(default_factory=dict[int, int])


def statement_in(block: Block, op: Operation) -> Operation:
    """The op of `block` that is, or contains, `op`."""
    while op.parent is not block:
        parent = op.parent_op()
        assert parent is not None
        op = parent
    return op


RELAY: Engine = ("dma_out", "")


class Scheduler:
    def __init__(self, program: kpu.ProgramOp, relayed: frozenset[tuple[Engine, Engine]] = frozenset()):
        self.program, self.relayed = program, relayed
        self.relays: dict[int, Tokens] = {}
        self.timeline_uses: dict[tuple[Engine, Engine], int] = {}
        self.layers = [o for o in program.body.block.ops if isinstance(o, kpu.LayerOp)]
        self.accesses: dict[SSAValue, list[Access]] = {}
        self.layer_of: dict[Operation, int] = {}
        self.semaphores: dict[tuple[object, ...], int] = {}
        self.initial: list[int] = []
        self.tokens: dict[tuple[Operation, Engine], Tokens] = {}
        self.position: dict[Operation, int] = {}
        for i, layer in enumerate(self.layers):
            for n, op in enumerate(layer.walk()):
                self.position[op] = n
                if type(op) not in _KINDS:
                    continue
                self.layer_of[op] = i
                for value, writes in accesses_of(op):
                    self.accesses.setdefault(value, []).append(Access(op, engine_of(op), writes))

    # -- semaphores --

    def semaphore(self, *key: object, initial: int = 0) -> int:
        if key not in self.semaphores:
            self.semaphores[key] = len(self.initial)
            self.initial.append(initial)
        return self.semaphores[key]

    def _tokens(self, statement: Operation, engine: Engine) -> Tokens:
        return self.tokens.setdefault((statement, engine), Tokens())

    def acquire(self, statement: Operation, engine: Engine, semaphore: int, count: int) -> None:
        _add(self._tokens(statement, engine).acquire, semaphore, count)

    def release(self, statement: Operation, engine: Engine, semaphore: int, count: int) -> None:
        _add(self._tokens(statement, engine).release, semaphore, count)

    # -- channels --

    def channels(self) -> dict[int, set[tuple[Engine, Engine]]]:
        """Order producers and consumers inside every layer. Returns each layer's (producer, consumer) pairs."""
        pairs: dict[int, set[tuple[Engine, Engine]]] = {}
        for i, layer in enumerate(self.layers):
            roles: dict[tuple[Engine, Engine], int] = {}
            for (_, producer, consumer, slots), allocs in self._channel_groups(layer).items():
                pairs.setdefault(i, set()).add((producer, consumer))
                for together in self._compatible(allocs, producer, consumer):
                    role = roles[producer, consumer] = roles.get((producer, consumer), -1) + 1
                    self._channel(together, producer, consumer, slots, role)
        return pairs

    def _compatible(self, allocs: list[AllocOp], producer: Engine, consumer: Engine) -> list[list[AllocOp]]:
        """One channel for all where everything is produced before anything is consumed, else one for each."""
        block = allocs[0].parent
        assert block is not None
        produced = [self._span(block, self.accesses[a.result], producer, True)[1] for a in allocs]
        consumed = [self._span(block, self.accesses[a.result], consumer, False)[0] for a in allocs]
        if max(self.position[o] for o in produced) < min(self.position[o] for o in consumed):
            return [allocs]
        return [[a] for a in allocs]

    def _channel_groups(self, layer: kpu.LayerOp) -> dict[tuple[Block, Engine, Engine, int], list[AllocOp]]:
        """Buffers of one scope that the same engines fill and empty, by scope, producer, consumer and slots."""
        groups: dict[tuple[Block, Engine, Engine, int], list[AllocOp]] = {}
        for op in layer.walk():
            if not isinstance(op, AllocOp):
                continue
            block = op.parent
            assert block is not None
            uses = self.accesses.get(op.result, [])
            producers = list(dict.fromkeys(u.engine for u in uses if u.writes))
            consumers = list(dict.fromkeys(u.engine for u in uses if not u.writes))
            for p in producers:
                for c in consumers:
                    if p != c:
                        groups.setdefault((block, p, c, op.buffer_count), []).append(op)
        return groups

    def _span(self, block: Block, uses: Sequence[Access], engine: Engine, writes: bool) -> tuple[Operation, Operation]:
        """First and last statement of the block in which an engine touches a buffer."""
        statements = [statement_in(block, u.command) for u in uses if u.engine == engine and u.writes == writes]
        return min(statements, key=self.position.__getitem__), max(statements, key=self.position.__getitem__)

    def _channel(self, allocs: Sequence[AllocOp], producer: Engine, consumer: Engine, slots: int, role: int) -> None:
        block = allocs[0].parent
        assert block is not None
        produced = [self._span(block, self.accesses[a.result], producer, True) for a in allocs]
        consumed = [self._span(block, self.accesses[a.result], consumer, False) for a in allocs]
        at = self.position.__getitem__
        first_in, last_in = min((s for s, _ in produced), key=at), max((s for _, s in produced), key=at)
        first_out, last_out = min((s for s, _ in consumed), key=at), max((s for _, s in consumed), key=at)
        full = self.semaphore("full", producer, consumer, role)
        self.release(last_in, producer, full, 1)
        self.acquire(first_out, consumer, full, 1)
        if isinstance(block.parent_op(), ForOp):
            if TOKENS % slots:
                raise IRError(f"{slots} buffers: a schedule supports 1, 2, 3, 4, 6 or 12")
            free = self.semaphore("free", producer, consumer, role, initial=TOKENS)
            self.acquire(first_in, producer, free, TOKENS // slots)
            self.release(last_out, consumer, free, TOKENS // slots)

    # -- timelines --

    def timelines(self, channels: dict[int, set[tuple[Engine, Engine]]]) -> None:
        """Order engines across layers, leaving out what is already known."""
        needs = self._needs()
        knows: dict[Engine, dict[Engine, int]] = {}
        at_end: dict[tuple[Engine, int], dict[Engine, int]] = {}
        for j, layer in enumerate(self.layers):
            here = list(dict.fromkeys(engine_of(c) for c in commands_in(layer)))
            here.sort(key=lambda e: _PIPELINE.index(e[0]))
            at_first: dict[Engine, dict[Engine, int]] = {}
            for engine in here:
                known = dict(knows.get(engine, {}))
                for producer, consumer in channels.get(j, ()):
                    # every command of these engines comes after a token of its producer; a bm_in may start without
                    if consumer == engine and engine[0] != "bm_in" and producer in at_first:
                        _learn(known, at_first[producer])
                own = needs.get((j, engine), {})
                first = min(self._statements(layer, engine), key=self.position.__getitem__)
                by_statement = sorted(own.items(), key=lambda item: self.position[item[0]])
                later: dict[Engine, int] = {}
                for statement, wanted in by_statement:
                    for other, i in sorted(wanted.items(), key=lambda item: (-item[1], item[0])):
                        if max(known.get(other, -1), later.get(other, -1)) >= i:
                            continue
                        semaphore = self.semaphore("timeline", *self._route(other, engine))
                        if (other, engine) in self.relayed:
                            learned = self._relay(j, other, i, knows, at_end)
                            _add(self.relays[j].release, semaphore, 1)
                        else:
                            self.release(self._last(i, other), other, semaphore, 1)
                            learned = at_end[other, i] | {other: i}
                        self.acquire(statement, engine, semaphore, 1)
                        _learn(known if statement is first else later, learned)
                at_first[engine] = dict(known)
                _learn(known, later)
                knows[engine] = known | {engine: j}
            for engine in here:
                at_end[engine, j] = dict(knows[engine])

    def _route(self, other: Engine, engine: Engine) -> tuple[Engine, Engine]:
        """The pair of engines whose timeline makes `engine` wait for `other`."""
        self.timeline_uses[other, engine] = self.timeline_uses.get((other, engine), 0) + 1
        return (RELAY, engine) if (other, engine) in self.relayed else (other, engine)

    def _relay(
        self,
        layer: int,
        other: Engine,
        finished: int,
        knows: dict[Engine, dict[Engine, int]],
        at_end: dict[tuple[Engine, int], dict[Engine, int]],
    ) -> dict[Engine, int]:
        """Let the relay wait, before its part of a layer, until another engine has finished an earlier one.

        Returns what those who then wait for the relay know.
        """
        known = knows.setdefault(RELAY, {})
        tokens = self.relays.setdefault(layer, Tokens())
        if known.get(other, -1) < finished:
            semaphore = self.semaphore("timeline", other, RELAY)
            self.release(self._last(finished, other), other, semaphore, 1)
            _add(tokens.acquire, semaphore, 1)
            _learn(known, at_end[other, finished] | {other: finished})
        return dict(known)

    def _last(self, layer: int, engine: Engine) -> Operation:
        return max(self._statements(self.layers[layer], engine), key=self.position.__getitem__)

    def _statements(self, layer: kpu.LayerOp, engine: Engine) -> list[Operation]:
        block = layer.body.block
        return [o for o in block.ops if any(engine_of(c) == engine for c in commands_in(o))]

    def _needs(self) -> dict[tuple[int, Engine], dict[Operation, dict[Engine, int]]]:
        """(layer, engine) to statement to {other engine: the layer it must have finished}."""
        needs: dict[tuple[int, Engine], dict[Operation, dict[Engine, int]]] = {}

        def need(access: Access, other: Engine, layer: int) -> None:
            j = self.layer_of[access.command]
            if other == access.engine or layer >= j:
                return
            statement = statement_in(self.layers[j].body.block, access.command)
            wanted = needs.setdefault((j, access.engine), {}).setdefault(statement, {})
            wanted[other] = max(wanted.get(other, -1), layer)

        for uses in self.accesses.values():
            writes = [u for u in uses if u.writes]
            for read in uses:
                if not read.writes:
                    for write in writes:
                        need(read, write.engine, self.layer_of[write.command])
            if len({self.layer_of[w.command] for w in writes}) > 1:  # several layers write into one destination
                for write in writes:
                    for use in uses:
                        need(write, use.engine, self.layer_of[use.command])
        for earlier, later in self._reuses():
            for write in self._first_writes(later):
                for use in self.accesses[earlier]:
                    need(write, use.engine, self.layer_of[use.command])
        return needs

    def _first_writes(self, value: SSAValue) -> list[Access]:
        first: dict[Engine, Access] = {}
        for use in self.accesses[value]:
            if use.writes:
                first.setdefault(use.engine, use)
        return list(first.values())

    def _reuses(self) -> Iterator[tuple[SSAValue, SSAValue]]:
        """Pairs of buffers of which the later is placed where the earlier was."""
        by_memory: dict[tuple[Space, str], list[tuple[int, int, int, int, SSAValue]]] = {}
        for value, uses in self.accesses.items():
            owner = value.owner
            if not isinstance(owner, AllocOp):
                continue
            if owner.address is None:
                raise IRError("a buffer has no address; run kpu-assign-memory first")
            low = owner.address.value.data
            layers = [self.layer_of[u.command] for u in uses]
            memory = (buffer_type(value).memory, owner.group.data if owner.group is not None else "")
            by_memory.setdefault(memory, []).append((min(layers), max(layers), low, low + owner.total_bytes, value))
        for items in by_memory.values():
            items.sort(key=lambda item: item[:3])
            for k, (start, _, low, high, later) in enumerate(items):
                for _, end, other_low, other_high, earlier in items[:k]:
                    if end < start and other_low < high and low < other_high:
                        yield earlier, later

    # -- streams --

    def streams(self) -> list[kpu.StreamOp]:
        used = {engine_of(c) for layer in self.layers for c in commands_in(layer)}
        used |= {RELAY} if self.relays else set()
        kinds = ("dma_in", "dma_out", "bm_in", "bm_out", "fabric")
        out: list[kpu.StreamOp] = []
        for engine in sorted(used, key=lambda e: (kinds.index(e[0]), e[1])):
            block = Block()
            for i, layer in enumerate(self.layers):
                if engine == RELAY and i in self.relays:
                    block.add_ops(_brackets(self.relays[i], layer.sym_name.data))
                self._project(layer.body.block, block, engine, layer.sym_name.data)
            out.append(kpu.StreamOp(engine[0], engine[1] or None, Region(block)))
        return out

    def _project(self, source: Block, target: Block, engine: Engine, layer: str) -> None:
        for op in source.ops:
            if isinstance(op, ForOp):
                body = Block()
                self._project(op.body.block, body, engine, layer)
                if body.ops:
                    self._add(target, ForOp(op.trips, Region(body)), op, engine, layer)
            elif type(op) in _KINDS and engine_of(op) == engine:
                self._add(target, op.clone(), op, engine, layer)

    def _add(self, target: Block, new: Operation, old: Operation, engine: Engine, layer: str) -> None:
        """Append a statement with its tokens; more of them than one command carries go on empty loops around it."""
        assert isinstance(new, CommandOp)
        tokens = self.tokens.get((old, engine), Tokens())
        *before, acquire = _chunks(tokens.acquire)
        release, *after = _chunks(tokens.release)
        for chunk in before:
            target.add_op(_bracket("acquire", chunk, layer))
        _set_tokens(new, "acquire", acquire)
        _set_tokens(new, "release", release)
        new.properties["layer"] = StringAttr(layer)
        target.add_op(new)
        for chunk in after:
            target.add_op(_bracket("release", chunk, layer))


def _add(tokens: dict[int, int], semaphore: int, count: int) -> None:
    tokens[semaphore] = tokens.get(semaphore, 0) + count


def _brackets(tokens: Tokens, layer: str) -> Iterator[ForOp]:
    """Empty loops that take all of some tokens and then give others."""
    for kind, wanted in (("acquire", tokens.acquire), ("release", tokens.release)):
        for chunk in _chunks(wanted):
            if chunk:
                yield _bracket(kind, chunk, layer)


def _learn(known: dict[Engine, int], news: dict[Engine, int]) -> None:
    for engine, layer in news.items():
        known[engine] = max(known.get(engine, -1), layer)


def _chunks(tokens: dict[int, int]) -> list[list[tuple[int, int]]]:
    items = sorted(tokens.items())
    return [items[i : i + MAX_SEMAPHORE_OPS] for i in range(0, len(items), MAX_SEMAPHORE_OPS)] or [[]]


def _set_tokens(op: CommandOp, kind: str, tokens: Iterable[tuple[int, int]]) -> None:
    for semaphore, count in tokens:
        op.add_tokens(kind, semaphore, count)


def _bracket(kind: str, tokens: Iterable[tuple[int, int]], layer: str) -> ForOp:
    op = ForOp(1)
    _set_tokens(op, kind, tokens)
    op.properties["layer"] = StringAttr(layer)
    return op


# ---- multi-buffering -----------------------------------------------------------------------------------------------


def _epoch(alloc: AllocOp) -> Linear:
    """The number of the current iteration of the loops around an alloc."""
    loops: list[ForOp] = []
    parent = alloc.parent_op()
    while parent is not None:
        if isinstance(parent, ForOp):
            loops.append(parent)
        parent = parent.parent_op()
    coefs: dict[int, int] = {}
    weight = 1
    for depth, loop in zip(range(len(loops) - 1, -1, -1), loops):
        coefs[depth] = weight
        weight *= loop.trips
    return Linear.of(0, coefs)


def hoist_buffers(program: kpu.ProgramOp, layers: Sequence[kpu.LayerOp]) -> None:
    """Move buffers to the program's scope; several copies become a leading slot dim, indexed by iteration."""
    for layer in layers:
        for alloc in [o for o in layer.walk() if isinstance(o, AllocOp)]:
            type_ = buffer_type(alloc.result)
            slots = alloc.buffer_count
            epoch = _epoch(alloc)
            shape = (slots, *type_.extents) if slots > 1 else type_.extents
            group = alloc.group.data if alloc.group is not None else None
            address = alloc.address.value.data if alloc.address is not None else None
            hoisted = AllocOp(BufferType.of(shape, type_.element, type_.memory), 1, group, address, slots)
            hoisted.result.name_hint = alloc.result.name_hint
            Rewriter.insert_op(hoisted, InsertPoint.before(layer))
            if slots > 1:
                for use in list(alloc.result.uses):
                    _index_slot(use.operation, use.index, epoch)
            alloc.result.replace_all_uses_with(hoisted.result)
            Rewriter.erase_op(alloc)


def _index_slot(command: Operation, operand: int, epoch: Linear) -> None:
    """Prepend the slot coordinate to a command's reference to its operand number `operand`."""

    def prepend(attr: AffineMapAttr) -> AffineMapAttr:
        return AffineMapAttr(coordinate_map([epoch, *linear_map(attr.data)]))

    if isinstance(command, kpu.ExecOp):
        if operand < len(command.blocks):
            starts = list(command.starts.data)
            starts[operand] = prepend(starts[operand])
            command.properties["starts"] = ArrayAttr(starts)
        else:
            assert command.accumulator_start is not None
            command.properties["accumulator_start"] = prepend(command.accumulator_start)
        return
    assert isinstance(command, kpu.TransferOp | kpu.GatherOp | kpu.ReduceOp)
    starts = [name for name in ("src_start", "index_start", "dst_start") if name in command.properties]
    attr = command.properties[starts[operand]]
    assert isinstance(attr, AffineMapAttr)
    command.properties[starts[operand]] = prepend(attr)


def _scheduler(program: kpu.ProgramOp, semaphores: int) -> Scheduler:
    """A schedule within the number of semaphores: the least used timelines are relayed, as many as it takes."""
    relayed: frozenset[tuple[Engine, Engine]] = frozenset()
    while True:
        scheduler = Scheduler(program, relayed)
        scheduler.timelines(scheduler.channels())
        excess = len(scheduler.initial) - semaphores
        if excess <= 0:
            return scheduler
        direct = [p for p in scheduler.timeline_uses if p not in relayed and RELAY not in p]
        if not direct:
            raise MappingError(f"the schedule needs {len(scheduler.initial)} semaphores; the target has {semaphores}")
        direct.sort(key=lambda p: (scheduler.timeline_uses[p], p))
        relayed |= frozenset(direct[: max(4, excess)])


def schedule(program: kpu.ProgramOp, semaphores: int) -> None:
    """Turn a sequential program with addresses into its scheduled form."""
    if any(isinstance(o, kpu.StreamOp) for o in program.body.block.ops):
        raise IRError("the program is scheduled already")
    scheduler = _scheduler(program, semaphores)
    hoist_buffers(program, scheduler.layers)
    streams = scheduler.streams()
    outputs = [o for o in program.body.block.ops if isinstance(o, kpu.OutputOp)]
    for stream in streams:
        if outputs:
            Rewriter.insert_op(stream, InsertPoint.before(outputs[0]))
        else:
            program.body.block.add_op(stream)
    for layer in scheduler.layers:
        for op in reversed(list(layer.body.block.ops)):
            Rewriter.erase_op(op)
    program.properties["semaphores"] = ints(scheduler.initial)


@dataclass(frozen=True)
class KpuSchedulePass(ModulePass):
    """Multi-buffering, prefetch across layers, queues and semaphores."""

    name = "kpu-schedule"

    target: str = "kpu-t64"
    profile: str | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = load_target(self.target, self.profile)
        for program in [o for o in op.walk() if isinstance(o, kpu.ProgramOp)]:
            check_target(program, machine)
            schedule(program, machine.queues.semaphores)
