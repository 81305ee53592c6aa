"""The timeline as a trace that Perfetto (ui.perfetto.dev) and chrome://tracing open.

The format is Chrome's Trace Event Format: complete events ("ph": "X") with start and duration in microseconds. One
track per engine, one more for the layers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from swkpu.errors import InputError
from swkpu.files import write_whole
from swkpu.program.model import Program
from swkpu.sim.timing import Timing

if TYPE_CHECKING:
    from swkpu.target.machine import Machine

LAYER_TRACK = 0


def trace_events(program: Program, machine: Machine, timing: Timing) -> Iterator[dict[str, Any]]:
    """The events of a timing that was simulated with `trace=True`."""
    if timing.events is None:
        raise InputError("no timeline to write: simulate with trace=True")
    mhz = machine.profile.mhz
    yield _named("process_name", LAYER_TRACK, f"{program.metadata.model} on {machine.name}")
    yield _named("thread_name", LAYER_TRACK, "layers")
    for number, stream in enumerate(timing.streams):
        yield _named("thread_name", number + 1, stream.name)
    for layer, span in zip(program.layers, timing.layers, strict=True):
        if span.end >= 0:
            yield _complete(
                LAYER_TRACK, layer.name, span.start, span.end, mhz, {"op": layer.op, "source": layer.source}
            )
    names = [layer.name for layer in program.layers]
    e = timing.events
    columns: tuple[list[int], ...] = tuple(c.tolist() for c in (e.start, e.end, e.stream, e.command, e.layer))
    for start, end, stream, command, layer in cast("Iterator[list[int]]", zip(*columns, strict=True)):
        mnemonic = program.streams[stream].commands[command].mnemonic
        name = f"{mnemonic} {names[layer]}" if layer < len(names) else mnemonic
        yield _complete(stream + 1, name, start, end, mhz, {"command": command, "cycle": start, "cycles": end - start})


def write_trace(path: str | os.PathLike[str], program: Program, machine: Machine, timing: Timing) -> None:
    """Write the trace as JSON. The file appears whole or not at all. Raises InputError."""
    write_whole(path, _json(trace_events(program, machine, timing)), InputError)


def _json(events: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """The document, an event at a time."""
    yield b'{"displayTimeUnit": "ns", "traceEvents": [\n'
    separator = ""
    for event in events:
        yield (separator + json.dumps(event)).encode()
        separator = ",\n"
    yield b"\n]}\n"


def _named(kind: str, track: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": 0, "tid": track, "name": kind, "args": {"name": name}}


def _complete(track: int, name: str, start: int, end: int, mhz: float, args: dict[str, Any]) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": 0,
        "tid": track,
        "name": name,
        "ts": start / mhz,
        "dur": (end - start) / mhz,
        "args": args,
    }
