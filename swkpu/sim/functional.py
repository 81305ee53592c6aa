"""Function: what a program computes.

Streams run in any order that their semaphores allow; a program without races gives the same values in all of them.
DRAM and L2 are byte arrays with a writer tag per 16-byte granule: reading what nobody wrote, or what another buffer's
owner has overwritten since, is an error that names both commands. L1 holds whole blocks, one per buffer slot and tile
range; a block that another overlaps is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch

from swkpu.errors import InputError, SimulationError
from swkpu.program.loops import placed, steps, stream_name
from swkpu.program.model import (
    Block,
    Command,
    Coord,
    Exec,
    Gather,
    Load,
    Operand,
    Program,
    Pull,
    Push,
    Reduce,
    Stage,
    Store,
    Stream,
    Symbol,
    TensorMap,
    TileRange,
)
from swkpu.quantized_arrays import dequantized, quantized
from swkpu.sim.blocks import GRANULE, Window, Words
from swkpu.sim.gather import gathered
from swkpu.sim.recurrence import evaluate, finish
from swkpu.sim.reduce import reduced
from swkpu.target import Machine
from swkpu.types import numpy_dtype, to_numpy, torch_dtype

Array = np.ndarray[Any, np.dtype[Any]]
EXTERNAL = -2
"""Writer of granules that were filled before the program started."""
NOBODY = -1


def words_of(tensor: torch.Tensor) -> Words:
    """A tensor's bits as unsigned words."""
    array = to_numpy(tensor)
    return array.view(np.dtype(f"u{array.dtype.itemsize}"))


def tensor_of(words: Words, map: TensorMap) -> torch.Tensor:
    """Raw words as a tensor of the map's storage type (a view)."""
    if words.dtype.itemsize == 1:
        return torch.from_numpy(words).view(torch_dtype(map.dtype))
    signed = words.view(np.dtype(f"i{words.dtype.itemsize}"))
    return torch.from_numpy(signed).view(torch_dtype(map.dtype))


class Memory:
    """DRAM or L2: bytes, and who wrote each granule last."""

    def __init__(self, name: str, size: int):
        self.name = name
        self.bytes = np.zeros(-(-size // GRANULE) * GRANULE, np.uint8)
        granules = len(self.bytes) // GRANULE
        self.writer = np.full(granules, NOBODY, np.int32)
        self.buffer = np.full(granules, NOBODY, np.int32)


@dataclass
class L1Block:
    """What the tiles of a range hold at one place of their L1."""

    low: int
    high: int
    tiles: TileRange
    words: Words
    writer: int


@dataclass
class Streamed:
    """A stream that runs: its commands, and where its generator stands."""

    stream: Stream
    steps: Iterator[tuple[int, Command, list[int]]]
    waiting: tuple[int, Command, list[int]] | None = None


class FunctionalSimulator:
    """Runs one program. Make one per run."""

    def __init__(self, program: Program, machine: Machine):
        self.program, self.machine = program, machine
        dram = max((m.end for m in program.maps if m.space == 0), default=0)
        l2 = max((m.end for m in program.maps if m.space == 1), default=0)
        self.memories = {0: Memory("DRAM", dram), 1: Memory("L2", l2)}
        self.l1: list[list[L1Block]] = [[] for _ in machine.tile_groups]
        self.commands: list[tuple[str, int, Command]] = []
        self.ids: dict[int, int] = {}
        for stream in program.streams:
            for index, command in enumerate(stream.commands):
                self.ids[id(command)] = len(self.commands)
                self.commands.append((stream_name(stream), index, command))
        self.windows: dict[tuple[int, str], Window] = {}
        self.tokens = list(program.semaphores)
        self.trips = {id(p.command): p.loops for s in program.streams for p in placed(s) if isinstance(p.command, Exec)}
        self._fill_constants()

    # -- the host's side --

    def _fill_constants(self) -> None:
        memory = self.memories[0]
        constants = np.frombuffer(self.program.constants, np.uint8)
        for s in self.program.segments:
            memory.bytes[s.address : s.address + s.size] = constants[s.offset : s.offset + s.size]
            memory.writer[s.address // GRANULE : -(-(s.address + s.size) // GRANULE)] = EXTERNAL
        for map in self.program.maps:
            if map.space == 0:
                span = slice(map.begin // GRANULE, -(-map.end // GRANULE))
                constant = memory.writer[span] == EXTERNAL
                memory.buffer[span][constant] = map.buffer

    def _window_of(self, symbol: Symbol) -> tuple[TensorMap, Window]:
        map = self.program.maps[symbol.map]
        zero = tuple(Coord() for _ in map.extents)
        rank = map.rank
        return map, Window(map, zero, tuple(range(rank)), (1,) * rank, map.extents, 1, 1)

    def write_input(self, symbol: Symbol, array: Array) -> None:
        map, window = self._window_of(symbol)
        memory = self.memories[0]
        words = np.ascontiguousarray(array).view(np.dtype(f"u{array.dtype.itemsize}")).reshape(1, 1, *map.extents)
        origin = [0] * map.rank
        window.write(memory.bytes, origin, words)
        granules = window.granules(origin, False)
        memory.writer[granules], memory.buffer[granules] = EXTERNAL, map.buffer

    def read_output(self, symbol: Symbol) -> Array:
        map, window = self._window_of(symbol)
        origin = [0] * map.rank
        self._check_read(window, origin, f"output '{symbol.name}'")
        words = window.read(self.memories[0].bytes, origin)[0, 0]
        array = words.view(numpy_dtype(map.dtype)).reshape(symbol.shape)
        if symbol.is_quantized:
            return dequantized(array, symbol.scale, symbol.zero_point)
        return array.astype(numpy_dtype(symbol.dtype), copy=False)

    # -- running --

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name. Raises InputError for inputs that do not fit, SimulationError for an illegal program."""
        for symbol in self.program.inputs:
            storage = numpy_dtype(self.program.maps[symbol.map].dtype)
            self.write_input(symbol, stored(symbol, check_input(symbol, inputs, storage), storage))
        streams = [Streamed(s, steps(s)) for s in self.program.streams]
        live = list(streams)
        while live:
            progress = False
            for s in list(live):
                if self._advance(s):
                    progress = True
                if s.waiting is None:
                    live.remove(s)
            if not progress and live:
                raise SimulationError("deadlock: " + "; ".join(self._blocked(s) for s in live))
        return {symbol.name: self.read_output(symbol) for symbol in self.program.outputs}

    def _advance(self, s: Streamed) -> bool:
        """Run a stream until it waits or ends. True if anything ran."""
        progress = False
        step = s.waiting if s.waiting is not None else next(s.steps, None)
        while step is not None:
            _, command, counters = step
            if any(self.tokens[a.semaphore] < a.count for a in command.acquire):
                s.waiting = step
                return progress
            for a in command.acquire:
                self.tokens[a.semaphore] -= a.count
            self._execute(command, counters)
            for r in command.release:
                self.tokens[r.semaphore] += r.count
            progress = True
            step = next(s.steps, None)
        s.waiting = None
        return progress

    def _blocked(self, s: Streamed) -> str:
        assert s.waiting is not None
        index, command, _ = s.waiting
        missing = next(a for a in command.acquire if self.tokens[a.semaphore] < a.count)
        return (
            f"{stream_name(s.stream)} command {index} ({command.mnemonic}) waits for {missing.count} of semaphore "
            f"{missing.semaphore}, which has {self.tokens[missing.semaphore]}"
        )

    def describe(self, number: int) -> str:
        """A command for an error message."""
        if number == EXTERNAL:
            return "the host"
        if number == NOBODY:
            return "nobody"
        stream, index, command = self.commands[number]
        layer = self.program.layers[command.layer].name if command.layer < len(self.program.layers) else "?"
        return f"{stream} command {index} ({command.mnemonic}, layer '{layer}')"

    def _execute(self, command: Command, counters: list[int]) -> None:
        match command:
            case Load() | Store():
                self._move(command, counters)
            case Gather():
                self._gather(command, counters)
            case Push():
                self._push(command, counters)
            case Pull():
                self._pull(command, counters)
            case Exec():
                self._exec(command, counters)
            case Reduce():
                self._reduce(command, counters)
            case _:
                pass

    # -- transfers --

    def _window(self, command: Load | Store | Gather | Push | Pull, side: str) -> Window:
        key = (id(command), side)
        if key not in self.windows:
            block: Block = getattr(command, side)
            n0, n1 = (command.tiles.n0, command.tiles.n1) if isinstance(command, Push | Pull) else (1, 1)
            map = self.program.maps[block.map]
            self.windows[key] = Window(map, block.start, block.axes, block.steps, command.box, n0, n1)
        return self.windows[key]

    def _check_read(self, window: Window, origin: Sequence[int], reader: str) -> None:
        memory = self.memories[window.map.space]
        granules = window.granules(origin, False)
        owners = memory.buffer[granules]
        if (owners == window.map.buffer).all():
            return
        exact = window.granules(origin, True)
        assert isinstance(exact, np.ndarray)
        self._check_granules(exact, window.map, reader)

    def _check_granules(self, granules: np.ndarray[Any, np.dtype[np.int64]], map: TensorMap, reader: str) -> None:
        memory = self.memories[map.space]
        wrong = np.nonzero(memory.buffer[granules] != map.buffer)[0]
        if len(wrong) == 0:
            return
        granule = int(granules[wrong[0]])
        writer = self.describe(int(memory.writer[granule]))
        what = "was never written" if memory.writer[granule] == NOBODY else f"now holds what {writer} wrote there"
        raise SimulationError(f"{reader} reads {memory.name} address {granule * GRANULE:#x}, which {what}")

    def _mark(self, window: Window, origin: Sequence[int], command: Command) -> None:
        memory = self.memories[window.map.space]
        granules = window.granules(origin, not window.dense)
        memory.writer[granules], memory.buffer[granules] = self.ids[id(command)], window.map.buffer

    def _move(self, command: Load | Store, counters: list[int]) -> None:
        src, dst = self._window(command, "src"), self._window(command, "dst")
        origin, target = src.origin(counters), dst.origin(counters)
        self._check_read_clipped(src, origin, dst, target, command)
        words = src.read(self.memories[src.map.space].bytes, origin)
        dst.write(self.memories[dst.map.space].bytes, target, words)
        self._mark(dst, target, command)

    def _gather(self, command: Gather, counters: list[int]) -> None:
        windows = src, index, dst = tuple(self._window(command, side) for side in ("src", "index", "dst"))
        origins = [w.origin(counters) for w in windows]
        who = self.describe(self.ids[id(command)])
        self._check_read_clipped(index, origins[1], dst, origins[2], command)
        indices = index.read(self.memories[index.map.space].bytes, origins[1])
        chosen = gathered(src, index, dst, origins, command.dim, indices, who)
        self._check_granules(chosen.granules(), src.map, who)
        dst.write(self.memories[dst.map.space].bytes, origins[2], chosen.read(self.memories[src.map.space].bytes))
        self._mark(dst, origins[2], command)

    def _check_read_clipped(
        self, src: Window, origin: Sequence[int], dst: Window, target: Sequence[int], command: Command
    ) -> None:
        """Check the part of the box that lies in both maps: the rest is not moved."""
        box = list(src.box)
        for k, axis in enumerate(dst.axes):
            room = dst.map.extents[axis] - target[axis]
            step = dst.steps[k]
            box[k] = max(0, min(box[k], -(-room // step)))
        if 0 in box:
            return
        clipped = (
            src if box == list(src.box) else Window(src.map, src.start, src.axes, src.steps, tuple(box), src.n0, src.n1)
        )
        self._check_read(clipped, origin, self.describe(self.ids[id(command)]))

    def _push(self, command: Push, counters: list[int]) -> None:
        src, dst = self._window(command, "src"), self._window(command, "dst")
        origin = src.origin(counters)
        self._check_read(src, origin, self.describe(self.ids[id(command)]))
        words = src.read(self.memories[1].bytes, origin)
        self._l1_write(command, command.tiles, dst, dst.origin(counters), words)

    def _pull(self, command: Pull, counters: list[int]) -> None:
        src, dst = self._window(command, "src"), self._window(command, "dst")
        words = self._l1_read(command, command.tiles, src.map, src.origin(counters), src)
        t0, t1 = dst.tiles
        words = np.broadcast_to(words, (t0, t1, *words.shape[2:]))
        target = dst.origin(counters)
        dst.write(self.memories[1].bytes, target, words)
        self._mark(dst, target, command)

    # -- L1 --

    def _place(self, map: TensorMap, origin: Sequence[int], rank: int) -> tuple[int, int, tuple[int, ...]]:
        """First byte, one past the last, and shape of the block of the trailing `rank` dims that an origin selects."""
        lead = map.rank - rank
        low = map.base + sum((origin[d] % map.moduli[d]) * map.strides[d] for d in range(lead))
        shape = tuple(min(e, m) for e, m in zip(map.extents[lead:], map.moduli[lead:]))
        high = low + sum((n - 1) * s for n, s in zip(shape, map.strides[lead:])) + map.dtype.step
        return low // map.dtype.addresses_per_byte, -(-high // map.dtype.addresses_per_byte), shape

    def _lead(self, map: TensorMap) -> int:
        """Leading slot dims: those that wrap around."""
        lead = 0
        while lead < map.rank and map.moduli[lead] < map.extents[lead]:
            lead += 1
        return lead

    def _l1_write(self, command: Command, tiles: TileRange, dst: Window, origin: Sequence[int], words: Words) -> None:
        lead = self._lead(dst.map)
        rank = dst.map.rank - lead
        low, high, shape = self._place(dst.map, origin, rank)
        inner = origin[lead:]
        whole = all(o == 0 for o in inner) and tuple(dst.box) == shape and dst.axes == tuple(range(lead, dst.map.rank))
        if not whole:
            words = self._patch(tiles, dst, origin, low, high, shape, words)
        self._l1_put(command, tiles, low, high, words)

    def _patch(
        self,
        tiles: TileRange,
        dst: Window,
        origin: Sequence[int],
        low: int,
        high: int,
        shape: tuple[int, ...],
        words: Words,
    ) -> Words:
        """A block with part of it replaced; what was there before stays."""
        lead = self._lead(dst.map)
        old = next((b for b in self.l1[tiles.group] if (b.low, b.high) == (low, high) and b.tiles == tiles), None)
        if old is not None and (old.words.dtype != words.dtype or prod(old.words.shape[2:]) != prod(shape)):
            old = None  # of other elements: nothing that is read as these
        t0, t1 = np.broadcast_shapes(words.shape[:2], old.words.shape[:2] if old is not None else (1, 1))
        block = np.zeros((t0, t1, *shape), words.dtype)
        if old is not None:
            block[...] = old.words.reshape(*old.words.shape[:2], *shape)
        index: list[Any] = [slice(None), slice(None), *(o for o in origin[lead:])]
        order: list[int] = []
        for k, axis in enumerate(dst.axes):
            at, step, size = origin[axis], dst.steps[k], dst.box[k]
            index[2 + axis - lead] = slice(at, at + step * (size - 1) + 1, step)
            order.append(axis)
        target = block[tuple(index)]
        rank_order = [2 + sorted(order).index(a) for a in order]
        source = np.empty(0)
        inverse = [0, 1, *(rank_order.index(2 + i) + 2 for i in range(len(order)))]
        source = words.transpose(inverse)
        clip = tuple(slice(0, n) for n in target.shape[2:])
        target[...] = source[(slice(None), slice(None), *clip)]
        return block

    def _l1_put(self, command: Command, tiles: TileRange, low: int, high: int, words: Words) -> None:
        blocks = self.l1[tiles.group]
        first, last = tiles.first, tiles.first + tiles.count
        keep: list[L1Block] = []
        for b in blocks:
            apart = b.high <= low or high <= b.low or b.tiles.first + b.tiles.count <= first or last <= b.tiles.first
            if apart:
                keep.append(b)
        keep.append(L1Block(low, high, tiles, words, self.ids[id(command)]))
        self.l1[tiles.group] = keep

    def _l1_find(self, command: Command, tiles: TileRange, low: int, high: int) -> L1Block:
        for b in self.l1[tiles.group]:
            if b.low <= low and high <= b.high and b.tiles == tiles:
                return b
        overlapping = [b for b in self.l1[tiles.group] if b.low < high and low < b.high]
        holder = f"holds what {self.describe(overlapping[-1].writer)} wrote" if overlapping else "was never written"
        raise SimulationError(
            f"{self.describe(self.ids[id(command)])} reads L1 addresses {low:#x}..{high:#x} of its tiles, "
            f"which {holder}"
        )

    def _l1_block(self, command: Command, tiles: TileRange, map: TensorMap, origin: Sequence[int]) -> Words:
        lead = self._lead(map)
        low, high, shape = self._place(map, origin, map.rank - lead)
        block = self._l1_find(command, tiles, low, high)
        return block.words.reshape(*block.words.shape[:2], *shape)

    def _l1_read(
        self, command: Command, tiles: TileRange, map: TensorMap, origin: Sequence[int], window: Window
    ) -> Words:
        words = self._l1_block(command, tiles, map, origin)
        lead = self._lead(map)
        index: list[Any] = [slice(None), slice(None), *(o for o in origin[lead:])]
        for axis, step, size in zip(window.axes, window.steps, window.box):
            at = origin[axis]
            index[2 + axis - lead] = slice(at, at + step * (size - 1) + 1, step)
        picked = words[tuple(index)]
        order = sorted(window.axes)
        return picked.transpose(0, 1, *(2 + order.index(a) for a in window.axes))

    def _operand(self, command: Exec, operand: Operand, counters: Sequence[int]) -> torch.Tensor:
        map = self.program.maps[operand.map]
        origin = [c.const + sum(k * counters[d] for d, k in c.loops) for c in operand.start]
        words = self._l1_block(command, command.tiles, map, origin)
        lead = self._lead(map)
        inner = origin[lead:]
        tensor = tensor_of(np.ascontiguousarray(words), map)
        if any(inner):
            tensor = tensor[(slice(None), slice(None), *(slice(o, None) for o in inner))]
        return tensor

    # -- execution --

    def _exec(self, command: Exec, counters: list[int]) -> None:
        fabric = self.program.fabrics[command.fabric]
        loops = [d for d in range(len(counters)) if command.reduction_loops >> d & 1]
        trips = self.trips[id(command)] if loops else ()
        first = all(counters[d] == 0 for d in loops)
        final = command.stage is not Stage.PARTIAL and all(counters[d] == trips[d] - 1 for d in loops)
        finishes = command.stage is Stage.FINISH
        read = command.operands[:-1] if final else command.operands[: fabric.inputs]
        operands = [self._operand(command, operand, counters) for operand in read]
        order = [e.terms[0][0] if e.terms else 0 for e in fabric.accesses[-1].exprs]
        accumulator = None
        if (finishes or not first) and command.accumulator is not None:
            stored = self._operand(command, command.accumulator, counters)
            accumulator = stored.permute(0, 1, *(2 + order.index(d) for d in range(fabric.parallel)))
        if finishes:
            value = finish(fabric, command.box, operands, accumulator)
        else:
            value = evaluate(fabric, command.box, operands, accumulator, final)
        if final:
            self._store(command, command.operands[-1], counters, value)
        else:
            assert command.accumulator is not None
            self._store(command, command.accumulator, counters, value.permute(0, 1, *(2 + d for d in order)))

    def _reduce(self, command: Reduce, counters: list[int]) -> None:
        src, dst, tiles = command.src, command.dst, command.receiving
        map = self.program.maps[src.map]
        origin = [c.const + sum(k * counters[d] for d, k in c.loops) for c in src.start]
        words = self._l1_block(command, command.tiles, map, origin)
        lead = self._lead(map)
        partials = tensor_of(np.ascontiguousarray(words), map)
        value = reduced(
            partials.expand(command.tiles.n0, command.tiles.n1, *words.shape[2:]),
            src.start[lead:],
            origin[lead:],
            [a - lead for a in src.axes],
            src.steps,
            command.box,
            command.receivers,
            command.combiner,
        )
        window = Window(self.program.maps[dst.map], dst.start, dst.axes, dst.steps, command.box, tiles.n0, tiles.n1)
        self._l1_write(command, tiles, window, window.origin(counters), words_of(value))

    def _store(self, command: Exec, operand: Operand, counters: Sequence[int], value: torch.Tensor) -> None:
        map = self.program.maps[operand.map]
        origin = [c.const + sum(k * counters[d] for d, k in c.loops) for c in operand.start]
        lead = self._lead(map)
        axes = tuple(range(lead, map.rank))
        box = tuple(value.shape[2:])
        window = Window(map, operand.start, axes, (1,) * len(axes), box, command.tiles.n0, command.tiles.n1)
        words = words_of(value.to(torch_dtype(map.dtype)))
        self._l1_write(command, command.tiles, window, origin, words)


def stored(symbol: Symbol, array: Array, storage: np.dtype[Any]) -> Array:
    """An input as memory has it. Raises InputError for integers that do not fit."""
    if array.dtype == storage:
        return array
    if symbol.is_quantized:
        return quantized(array, symbol.scale, symbol.zero_point, storage)
    limits = np.iinfo(storage)
    if array.size and not limits.min <= int(array.min()) <= int(array.max()) <= limits.max:
        raise InputError(f"Input '{symbol.name}' has values outside {limits.min} to {limits.max}, the KPU's integers")
    return array.astype(storage)


def check_input(symbol: Symbol, inputs: Mapping[str, Array], storage: np.dtype[Any]) -> Array:
    """The array for an input as the host has it; a quantized input may come as it is stored. Raises InputError naming
    what was expected.
    """
    if symbol.name not in inputs:
        raise InputError(f"no input named '{symbol.name}' was given; got {', '.join(inputs) or 'none'}")
    array = np.asarray(inputs[symbol.name])
    if array.shape != symbol.shape:
        raise InputError(f"Input shape mismatch: expected {symbol.shape}, got {array.shape}")
    expected = numpy_dtype(symbol.dtype)
    if array.dtype == expected or (symbol.is_quantized and array.dtype == storage):
        return array
    if symbol.dtype.is_float and (array.dtype.kind == "f" or array.dtype.name == "bfloat16"):
        return array.astype(expected)
    raise InputError(f"Input dtype mismatch: '{symbol.name}' takes {expected.name}, got {array.dtype.name}")


def run_program(program: Program, machine: Machine, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs of a program by name; inputs by name, floats are rounded to the input's storage type."""
    return FunctionalSimulator(program, machine).run(inputs)
