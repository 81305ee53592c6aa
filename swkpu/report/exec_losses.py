"""What tiles do while their group executes, in cycles of one tile, per layer and group."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from swkpu.program.loops import placed
from swkpu.program.model import Engine, Exec
from swkpu.report.categories import Lost
from swkpu.sim.unroll import tile_cycles

if TYPE_CHECKING:
    from swkpu.program.model import Program
    from swkpu.sim.timing import Timing
    from swkpu.target.machine import Machine

STEPS = "steps"
"""MAC steps of arrays: those of the bound, and what is RAGGED beyond it."""

TileCycles = Counter[str]


def exec_losses(program: Program, machine: Machine, timing: Timing) -> dict[tuple[int, int], TileCycles]:
    """Per (layer, group): tile cycles by category. They sum to the group's tiles times its busy cycles in the layer."""
    losses: dict[tuple[int, int], TileCycles] = {}
    for number, (stream, unrolled) in enumerate(zip(program.streams, timing.streams, strict=True)):
        if stream.engine is not Engine.FABRIC:
            continue
        group = machine.tile_groups[stream.group]
        busy = np.zeros(len(stream.commands), dtype=np.int64)
        event = timing.stream_events[number]
        np.add.at(busy, unrolled.command, event.end - event.arrival)
        for place in placed(stream):
            index, command = place.index, place.command
            if not busy[index]:
                continue
            into = losses.setdefault((command.layer, stream.group), Counter())
            if not isinstance(command, Exec):
                into[Lost.PARTIAL_SUMS] += int(busy[index]) * group.count
                continue
            tiles = command.tiles.count
            loading = unrolled.counts[index].program_loads // tiles * group.program_load_cycles
            running = int(busy[index]) - loading
            spent = tile_cycles(program, machine, command, place.loops)
            into[STEPS] += spent.steps
            into[Lost.DRAIN_LIMITED] += spent.drain_limited
            into[Lost.STREAM_LIMITED] += spent.stream_limited
            into[Lost.VECTOR_LIMITED] += spent.vector_limited
            into[Lost.ARRAY_FILL] += spent.fill
            into[Lost.PARTIAL_SUMS] += spent.partial_sums
            into[Lost.VECTOR] += spent.vector
            into[Lost.PROGRAM_LOAD] += loading * group.count
            into[Lost.EARLY_TILES] += running * tiles - spent.total
            into[Lost.UNUSED_TILES] += running * (group.count - tiles)
    return losses
