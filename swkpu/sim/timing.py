"""When every command starts and ends: event-driven, exact to docs/timing.md.

The only events are arrivals. A command's service intervals, its end and its completion are known the moment it
arrives, because every shared resource serves in order of arrival; so the loop takes the earliest arrival among the
streams, serves it, posts its tokens (with the time they become available), and asks when the stream's next command
arrives. A stream whose tokens are not posted yet sleeps until they are.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from swkpu.errors import SimulationError
from swkpu.program.model import End, Engine, Loop, Program, SemOp
from swkpu.sim.unroll import RESOURCES, Array, UnrolledStream, unroll

if TYPE_CHECKING:
    from swkpu.target.machine import Machine


@dataclass(frozen=True)
class CommandTiming:
    """All instances of one static command, `index` of the program's stream number `stream`.

    `first_start` is the first arrival, `last_end` the last completion, `busy_cycles` the engine's occupancy without
    waiting for shared ports.
    """

    stream: int
    index: int
    layer: int
    instances: int
    first_start: int
    last_end: int
    busy_cycles: int


@dataclass(frozen=True)
class EngineTiming:
    """One stream: `busy + semaphore_stall + port_stall + idle = total cycles` of the program.

    semaphore_stall_cycles  the engine was free and waited for tokens
    port_stall_cycles       a transfer took longer because others used the same resources
    """

    name: str
    engine: Engine
    group: int
    instances: int
    busy_cycles: int
    semaphore_stall_cycles: int
    port_stall_cycles: int
    idle_cycles: int


@dataclass(frozen=True)
class LayerTiming:
    """Cycles of a layer's first start and last completion, of anything and of its execs (-1: none)."""

    start: int
    end: int
    exec_start: int
    exec_end: int


@dataclass(frozen=True)
class StreamEvents:
    """Arrival, end of occupancy and completion of every item of a stream, in order (loop and end included)."""

    arrival: Array
    end: Array
    completion: Array


@dataclass(frozen=True)
class Events:
    """The timeline, one entry per dynamic command, streams one after the other."""

    start: Array
    end: Array
    stream: Array
    command: Array
    layer: Array


@dataclass(frozen=True)
class Timing:
    """A program's timeline on a machine.

    `resource_busy_cycles` is the service time of each shared resource; `events` is there when it was asked for.
    """

    cycles: int
    commands: tuple[CommandTiming, ...]
    engines: tuple[EngineTiming, ...]
    layers: tuple[LayerTiming, ...]
    resource_busy_cycles: dict[str, int]
    streams: tuple[UnrolledStream, ...]
    stream_events: tuple[StreamEvents, ...]
    events: Events | None


def simulate_timing(program: Program, machine: Machine, contention: bool = True, trace: bool = False) -> Timing:
    """Run the program's commands through the timing model.

    `contention=False` is the mode `functional`: no resource is shared. `trace=True` keeps the timeline of all dynamic
    commands. Raises SimulationError when all remaining streams wait for each other.
    """
    streams = unroll(program, machine)
    arrivals, ends = _run(program, streams, contention)
    events = tuple(_completed(s, a, e) for s, a, e in zip(streams, arrivals, ends, strict=True))
    cycles = max((int(e.completion[-1]) for e in events if len(e.completion)), default=0)
    commands = tuple(_command_timings(program, streams, events))
    return Timing(
        cycles=cycles,
        commands=commands,
        engines=tuple(_engine_timing(s, e, cycles) for s, e in zip(streams, events, strict=True)),
        layers=_layer_timings(program, streams, commands),
        resource_busy_cycles=_resource_busy(streams),
        streams=streams,
        stream_events=events,
        events=_timeline(program, streams, events) if trace else None,
    )


def _run(
    program: Program, streams: tuple[UnrolledStream, ...], contention: bool
) -> tuple[list[array[int]], list[array[int]]]:
    """Arrival and end of occupancy of every item of every stream."""
    lengths = [len(s.command) for s in streams]
    arrivals = [array("q", bytes(8 * n)) for n in lengths]
    ends = [array("q", bytes(8 * n)) for n in lengths]
    # The loop below runs once per dynamic command: plain lists and ints only.
    command: list[list[int]] = [s.command.tolist() for s in streams]
    acquire = [[_pairs(c.acquire) for c in s.commands] for s in program.streams]
    release = [[_pairs(c.release) for c in s.commands] for s in program.streams]
    control = [[isinstance(c, Loop | End) for c in s.commands] for s in program.streams]
    own: list[list[int]] = [s.own.tolist() for s in streams]
    shared: list[list[tuple[int, list[int]]]] = [
        [(r, occupancy.tolist()) for r, occupancy in zip(s.resources, s.shared, strict=True) if occupancy.any()]
        for s in streams
    ]
    latency = [s.latency for s in streams]
    free = [0] * len(RESOURCES)
    next_item = [0] * len(streams)
    engine_free = [0] * len(streams)
    completed = [0] * len(streams)
    # Tokens become available in batches at non-decreasing times: batch b brings the number of tokens posted so far to
    # posted[b] at time posted_at[b]. The one acquirer has been promised `taken` of them, found in `batch` or before.
    posted = [[initial] for initial in program.semaphores]
    posted_at = [[0] for _ in program.semaphores]
    batch = [0] * len(program.semaphores)
    taken = [0] * len(program.semaphores)
    sleeper = [-1] * len(program.semaphores)
    arriving: list[tuple[int, int]] = []
    awake = list(range(len(streams)))
    while True:
        while awake:
            # When does this stream's next command arrive?
            stream = awake.pop()
            item = next_item[stream]
            if item == lengths[stream]:
                continue
            static = command[stream][item]
            arrival = engine_free[stream]
            for semaphore, tokens in acquire[stream][static]:
                wanted = taken[semaphore] + tokens
                totals = posted[semaphore]
                b = batch[semaphore]
                if totals[-1] < wanted:
                    sleeper[semaphore] = stream
                    break
                while totals[b] < wanted:
                    b += 1
                batch[semaphore] = b
                if posted_at[semaphore][b] > arrival:
                    arrival = posted_at[semaphore][b]
            else:
                for semaphore, tokens in acquire[stream][static]:
                    taken[semaphore] += tokens
                if not control[stream][static]:
                    heappush(arriving, (arrival, stream))
                    continue
                # A loop's acquire holds back what follows; an end's release waits for what came before.
                arrivals[stream][item] = ends[stream][item] = engine_free[stream] = arrival
                if completed[stream] < arrival:
                    completed[stream] = arrival
                next_item[stream] = item + 1
                awake.append(stream)
                for semaphore, tokens in release[stream][static]:
                    posted[semaphore].append(posted[semaphore][-1] + tokens)
                    posted_at[semaphore].append(completed[stream])
                    if sleeper[semaphore] >= 0:
                        awake.append(sleeper[semaphore])
                        sleeper[semaphore] = -1
        if not arriving:
            break
        # Serve the earliest arrival; ties go to the stream that comes first in the program.
        arrival, stream = heappop(arriving)
        item = next_item[stream]
        end = arrival + own[stream][item]
        for r, occupancies in shared[stream]:
            occupancy = occupancies[item]
            if occupancy:
                served = free[r] if contention and free[r] > arrival else arrival
                served += occupancy
                free[r] = served
                if served > end:
                    end = served
        completion = end + latency[stream]
        if completion > completed[stream]:
            completed[stream] = completion
        else:
            completion = completed[stream]
        arrivals[stream][item] = arrival
        ends[stream][item] = engine_free[stream] = end
        next_item[stream] = item + 1
        awake.append(stream)
        for semaphore, tokens in release[stream][command[stream][item]]:
            posted[semaphore].append(posted[semaphore][-1] + tokens)
            posted_at[semaphore].append(completion)
            if sleeper[semaphore] >= 0:
                awake.append(sleeper[semaphore])
                sleeper[semaphore] = -1
    available = [totals[-1] - used for totals, used in zip(posted, taken, strict=True)]
    blocked = [
        _blocked(program, s, s.command[item], available)
        for s, item, length in zip(streams, next_item, lengths, strict=True)
        if item < length
    ]
    if blocked:
        raise SimulationError("deadlock: no stream can go on\n" + "\n".join(blocked))
    return arrivals, ends


def _pairs(ops: tuple[SemOp, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((op.semaphore, op.count) for op in ops)


def _blocked(program: Program, stream: UnrolledStream, index: int, available: list[int]) -> str:
    """What the stream's command waits for."""
    commands = next(s.commands for s in program.streams if (s.engine, s.group) == (stream.engine, stream.group))
    command = commands[index]
    waits = ", ".join(
        f"{op.count} of semaphore {op.semaphore}, which has {available[op.semaphore]}"
        for op in command.acquire
        if available[op.semaphore] < op.count
    )
    layer = program.layers[command.layer].name if command.layer < len(program.layers) else command.layer
    return f"  {stream.name}: command {index} ({command.mnemonic}, layer '{layer}') waits for {waits}"


def _completed(stream: UnrolledStream, arrival: array[int], end: array[int]) -> StreamEvents:
    """Completions from ends: the latency, and in order."""
    starts = np.frombuffer(arrival, dtype=np.int64) if len(arrival) else np.zeros(0, dtype=np.int64)
    ends = np.frombuffer(end, dtype=np.int64) if len(end) else np.zeros(0, dtype=np.int64)
    completion = np.maximum.accumulate(ends + np.where(stream.is_control, 0, stream.latency))
    return StreamEvents(starts, ends, completion)


# ------------------------------------------------------------------------------------------------------- summaries


def _command_timings(
    program: Program, streams: tuple[UnrolledStream, ...], events: tuple[StreamEvents, ...]
) -> Iterator[CommandTiming]:
    for number, (stream, event) in enumerate(zip(streams, events, strict=True)):
        commands = program.streams[number].commands
        order = np.argsort(stream.command, kind="stable")
        bounds = np.searchsorted(stream.command[order], np.arange(len(commands) + 1))
        busy = np.concatenate([[0], np.cumsum(stream.uncontended[order])])
        for index, command in enumerate(commands):
            low, high = int(bounds[index]), int(bounds[index + 1])
            if low == high or isinstance(command, Loop | End):
                continue
            yield CommandTiming(
                stream=number,
                index=index,
                layer=command.layer,
                instances=high - low,
                first_start=int(event.arrival[order[low]]),
                last_end=int(event.completion[order[high - 1]]),
                busy_cycles=int(busy[high] - busy[low]),
            )


def _engine_timing(stream: UnrolledStream, event: StreamEvents, cycles: int) -> EngineTiming:
    busy = int(stream.uncontended.sum())
    occupied = int((event.end - event.arrival).sum())
    before = np.concatenate([[0], event.end[:-1]])
    waited = int((event.arrival - before[: len(event.arrival)]).sum())
    return EngineTiming(
        name=stream.name,
        engine=stream.engine,
        group=stream.group,
        instances=int((~stream.is_control).sum()),
        busy_cycles=busy,
        semaphore_stall_cycles=waited,
        port_stall_cycles=occupied - busy,
        idle_cycles=cycles - occupied - waited,
    )


def _layer_timings(
    program: Program, streams: tuple[UnrolledStream, ...], commands: tuple[CommandTiming, ...]
) -> tuple[LayerTiming, ...]:
    spans: list[list[CommandTiming]] = [[] for _ in program.layers]
    for command in commands:
        if command.layer < len(spans):
            spans[command.layer].append(command)
    layers: list[LayerTiming] = []
    for timings in spans:
        execs = [t for t in timings if streams[t.stream].engine is Engine.FABRIC]
        layers.append(
            LayerTiming(
                start=min((t.first_start for t in timings), default=-1),
                end=max((t.last_end for t in timings), default=-1),
                exec_start=min((t.first_start for t in execs), default=-1),
                exec_end=max((t.last_end for t in execs), default=-1),
            )
        )
    return tuple(layers)


def _resource_busy(streams: tuple[UnrolledStream, ...]) -> dict[str, int]:
    busy: dict[str, int] = dict.fromkeys(RESOURCES, 0)
    for stream in streams:
        for resource, occupancy in zip(stream.resources, stream.shared, strict=True):
            busy[RESOURCES[resource]] += int(occupancy.sum())
    return busy


def _timeline(program: Program, streams: tuple[UnrolledStream, ...], events: tuple[StreamEvents, ...]) -> Events:
    parts: list[tuple[Array, ...]] = []
    for number, (stream, event) in enumerate(zip(streams, events, strict=True)):
        kept = ~stream.is_control
        layers = np.array([c.layer for c in program.streams[number].commands], dtype=np.int64)
        command = stream.command[kept]
        which = np.full(len(command), number, dtype=np.int64)
        parts.append((event.arrival[kept], event.end[kept], which, command, layers[command]))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] or [np.zeros(0, dtype=np.int64)] * 5
    return Events(*columns)
