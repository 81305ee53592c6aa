"""The timing model on small programs whose timelines are worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from programs import acquire, block, coord, linear_program, metadata, release, tensor_map

from swkpu.errors import InputError, SimulationError
from swkpu.program.model import (
    Command,
    DType,
    End,
    Engine,
    Halt,
    Layer,
    Load,
    Loop,
    Program,
    Pull,
    Push,
    SemOp,
    Space,
    Store,
    Stream,
    TileRange,
)
from swkpu.sim.timing import Timing, simulate_timing
from swkpu.sim.trace import write_trace
from swkpu.sim.unroll import Counts
from swkpu.target.loader import load_target
from swkpu.target.machine import Machine

DRAM, L2, L1 = 0, 1, 2
MAPS = (
    tensor_map(Space.DRAM, 0, DType.I8, (100, 64), buffer=0),
    tensor_map(Space.L2, 0, DType.I8, (100, 64), buffer=1),
    tensor_map(Space.L1, 0, DType.I8, (100, 64), buffer=2),
)


@pytest.fixture
def machine() -> Machine:
    """16 B/cycle of DRAM after 10 cycles, 32 of L2 after 5, 64 of NoC after 3; one array."""
    base = load_target("kpu-16x16")
    return replace(
        base,
        dram=replace(base.dram, bandwidth_gb_s=8.0, latency_ns=20.0),
        l2=replace(base.l2, read_bytes_per_cycle=32, write_bytes_per_cycle=32, latency_cycles=5),
        noc=replace(base.noc, bytes_per_cycle=64, latency_cycles=3),
    )


def program(*streams: tuple[Engine, list[Command]], semaphores: tuple[int, ...] = ()) -> Program:
    return Program(
        target="",
        target_digest="",
        streams=tuple(Stream(engine, 0, (*commands, Halt())) for engine, commands in streams),
        maps=MAPS,
        fabrics=(),
        semaphores=semaphores,
        segments=(),
        constants=b"",
        inputs=(),
        outputs=(),
        layers=tuple(Layer(f"layer{i}", "op", "", 0, "i8", 0, 0) for i in range(2)),
        metadata=metadata(),
    )


def load(rows: int = 4, **fields: object) -> Load:
    return Load(src=block(DRAM, 0, 0), dst=block(L2, 0, 0), box=(rows, 64), **fields)  # type: ignore[arg-type]


def store(rows: int = 4, **fields: object) -> Store:
    return Store(src=block(L2, 0, 0), dst=block(DRAM, 0, 0), box=(rows, 64), **fields)  # type: ignore[arg-type]


def push(rows: int = 4, **fields: object) -> Push:
    tile = TileRange(0, 0, 1, 1)
    return Push(tiles=tile, src=block(L2, 0, 0), dst=block(L1, 0, 0), box=(rows, 64), **fields)  # type: ignore[arg-type]


def spans(timing: Timing) -> list[tuple[int, int, int]]:
    """(first start, last end, busy) of each static command."""
    return [(c.first_start, c.last_end, c.busy_cycles) for c in timing.commands]


def counts(timing: Timing) -> Counts:
    return sum((c for s in timing.streams for c in s.counts), start=Counts())


def test_machine_of_these_tests(machine: Machine) -> None:
    assert machine.dram_bytes_per_cycle == Fraction(16)
    assert machine.dram_latency_cycles == 10


def test_commands_of_a_stream_overlap_their_latency(machine: Machine) -> None:
    # 256 bytes: DRAM 16 cycles, L2 8; latency 15.
    t = simulate_timing(program((Engine.DMA_IN, [load(), load()])), machine)
    assert spans(t) == [(0, 31, 16), (16, 47, 16)]
    assert t.cycles == 47


def test_a_consumer_waits_for_completion_and_may_start_in_that_cycle(machine: Machine) -> None:
    t = simulate_timing(
        program(
            (Engine.DMA_IN, [load(release=release(0))]),
            (Engine.BM_IN, [push(acquire=acquire(0))]),
            semaphores=(0,),
        ),
        machine,
    )
    # Push: L2 8 cycles, NoC 4, L1 write 256 / 128 = 2; latency 8.
    assert spans(t) == [(0, 31, 16), (31, 31 + 8 + 8, 8)]
    assert t.engines[1].semaphore_stall_cycles == 31
    assert t.engines[0].idle_cycles == 47 - 16


def test_dram_is_shared_first_come_first_served_ties_in_stream_order(machine: Machine) -> None:
    both = program((Engine.DMA_OUT, [store()]), (Engine.DMA_IN, [load(), load()]))
    t = simulate_timing(both, machine)
    # The store comes first in the program, then the first load; the second load arrives when the first has ended.
    assert t.stream_events[0].end.tolist() == [16]
    assert t.stream_events[1].arrival.tolist() == [0, 32]
    assert t.stream_events[1].end.tolist() == [32, 48]
    assert t.engines[1].port_stall_cycles == 16
    assert t.resource_busy_cycles == {"dram": 48, "l2_read": 8, "l2_write": 16, "noc": 0}
    alone = simulate_timing(both, machine, contention=False)
    assert alone.stream_events[1].end.tolist() == [16, 32]
    assert alone.engines[1].port_stall_cycles == 0


def test_a_port_is_taken_in_order_of_arrival_even_when_it_is_not_the_bottleneck(machine: Machine) -> None:
    # The push (8 cycles of L2 read) arrives after the store (8 of L2 read, 16 of DRAM), at the same time: it queues.
    t = simulate_timing(program((Engine.DMA_OUT, [store()]), (Engine.BM_IN, [push()])), machine)
    assert t.stream_events[1].end.tolist() == [16]


def test_every_command_takes_a_cycle(machine: Machine) -> None:
    outside = Load(src=block(DRAM, 200, 0), dst=block(L2, 200, 0), box=(4, 64))
    t = simulate_timing(program((Engine.DMA_IN, [outside, outside])), machine)
    assert spans(t) == [(0, 16, 1), (1, 17, 1)]
    assert counts(t).dram_read_bytes == 0


def test_double_buffering(machine: Machine) -> None:
    # Two buffers: the third load waits until the first push is complete.
    t = simulate_timing(
        program(
            (Engine.DMA_IN, [Loop(count=3), load(acquire=acquire(0), release=release(1)), End()]),
            (Engine.BM_IN, [Loop(count=3), push(acquire=acquire(1), release=release(0)), End()]),
            semaphores=(2, 0),
        ),
        machine,
    )
    assert t.stream_events[0].arrival.tolist() == [0, 16, 47]
    assert t.stream_events[1].arrival.tolist() == [31, 47, 78]


def test_loop_acquires_once_on_entry_and_end_releases_once_on_exit(machine: Machine) -> None:
    t = simulate_timing(
        program(
            (Engine.DMA_IN, [load(release=(SemOp(0, 2),)), Loop(count=3), load(), End(release=release(1))]),
            (Engine.BM_IN, [Loop(count=2, acquire=(SemOp(0, 2),)), push(), End()]),
            (Engine.DMA_OUT, [store(acquire=acquire(1))]),
            semaphores=(0, 0),
        ),
        machine,
    )
    assert t.commands[2].first_start == 31
    assert t.commands[2].instances == 2
    # The end posts when the last load, which ends at 64, is complete.
    assert t.commands[3].first_start == 64 + 15
    assert t.engines[1].instances == 2


def test_a_loop_that_never_runs(machine: Machine) -> None:
    t = simulate_timing(program((Engine.DMA_IN, [Loop(count=0), load(), End(), load()])), machine)
    assert [(c.index, c.instances) for c in t.commands] == [(3, 1)]
    assert t.cycles == 31


def test_nested_loops_run_in_order(machine: Machine) -> None:
    inner = Load(src=block(DRAM, coord(loops={0: 10, 1: 1}), 0), dst=block(L2, 0, 0), box=(1, 64))
    t = simulate_timing(
        program((Engine.DMA_IN, [Loop(count=2), load(1), Loop(count=3), inner, End(), load(2), End()])), machine
    )
    assert t.streams[0].command.tolist() == [1, 3, 3, 3, 5] * 2


def test_deadlock_names_every_stream_that_waits(machine: Machine) -> None:
    stuck = program(
        (Engine.DMA_IN, [load(acquire=acquire(0), layer=1)]),
        (Engine.BM_IN, [push(), push(acquire=(SemOp(1, 3),), release=release(0))]),
        semaphores=(0, 1),
    )
    with pytest.raises(SimulationError) as error:
        simulate_timing(stuck, machine)
    assert "dma_in: command 0 (load, layer 'layer1') waits for 1 of semaphore 0, which has 0" in str(error.value)
    assert "command 1 (push, layer 'layer0') waits for 3 of semaphore 1, which has 1" in str(error.value)


# ------------------------------------------------------------------------------------------------------ what moves


def test_linear_program_timeline() -> None:
    machine = load_target("kpu-t64")
    t = simulate_timing(linear_program(machine), machine)
    # Weights: DRAM ceil(256 * 17 / 2560) = 2, latency 95; the push writes 256 B at 64 a cycle, latency 18.
    assert spans(t)[0] == (0, 97, 2)
    assert spans(t)[3] == (97, 119, 4)
    # x arrives in L1 at 122. The exec: max(16, 16, 8) + 22 + 16 = 54, and 32 to load the program the first time.
    assert t.stream_events[2].arrival.tolist()[1:3] == [122, 208]
    assert t.commands[6].busy_cycles == 4 * 54 + 32
    assert t.layers[0].exec_start == 122
    assert t.layers[0].exec_end == 122 + 4 * 54 + 32
    assert t.cycles == t.layers[0].end == 493


def test_linear_program_conserves_bytes() -> None:
    machine = load_target("kpu-t64")
    c = counts(simulate_timing(linear_program(machine), machine))
    # x 32x16, w 8x16 in bf16, bias 8 in fp32 (32 bytes: one burst of 64), y 32x8.
    assert c.dram_read_bytes == 1024 + 256 + 64
    assert c.dram_write_bytes == 512
    assert c.l2_write_bytes == 1024 + 256 + 32 + 512
    assert c.l2_read_bytes == 1024 + 256 + 32 + 512
    assert c.noc_bytes == 1024 + 256 + 32 + 512
    assert c.macs == 32 * 8 * 16
    # The multicast writes both tiles.
    assert c.l1_write_bytes == 1024 + 2 * (256 + 32) + 512
    assert c.program_loads == 2


def test_clipping_costs_nothing(machine: Machine) -> None:
    # Rows 98 and 99 of 4; columns 32 to 63 of 64. Half a row is one burst.
    ragged = Load(src=block(DRAM, 98, 32), dst=block(L2, 98, 32), box=(4, 64))
    c = counts(simulate_timing(program((Engine.DMA_IN, [ragged])), machine))
    assert (c.dram_read_bytes, c.l2_write_bytes) == (2 * 64, 2 * 32)


def test_pads_are_written_but_not_read(machine: Machine) -> None:
    padded = Load(src=block(DRAM, -1, 0), dst=block(L2, 0, 0), box=(4, 64))
    c = counts(simulate_timing(program((Engine.DMA_IN, [padded])), machine))
    assert (c.dram_read_bytes, c.l2_write_bytes) == (3 * 64, 4 * 64)


def test_scatter_multicast_and_gathered_rows() -> None:
    machine = load_target("kpu-t64")
    tiles = TileRange(0, 0, 2, 3)
    scattered = Push(tiles=tiles, src=block(L2, coord(tiles=(0, 4)), 0), dst=block(L1, 0, 0), box=(4, 64))
    pulled = Pull(tiles=tiles, src=block(L1, 0, 0), dst=block(L2, coord(tiles=(12, 4)), 0), box=(4, 64))
    t = simulate_timing(program((Engine.BM_IN, [scattered]), (Engine.BM_OUT, [pulled])), machine)
    (pushed, _), (drained, _) = t.streams[0].counts, t.streams[1].counts
    assert (pushed.l2_read_bytes, pushed.noc_bytes, pushed.l1_write_bytes) == (3 * 256, 3 * 256, 6 * 256)
    assert (drained.l2_write_bytes, drained.l1_read_bytes) == (6 * 256, 6 * 256)


def test_transposed_rows_are_charged_a_burst_each(machine: Machine) -> None:
    transposed = Load(
        src=block(DRAM, 0, 0, axes=(1, 0)), dst=block(L2, 0, 0, axes=(1, 0)), box=(64, 4)
    )  # fmt: skip
    c = counts(simulate_timing(program((Engine.DMA_IN, [transposed])), machine))
    assert (c.dram_read_bytes, c.l2_write_bytes) == (64 * 4 * 64, 64 * 4)


def test_loads_advance_with_the_loop_and_clip_at_the_edge(machine: Machine) -> None:
    step = coord(loops={0: 30})
    tiled = Load(src=block(DRAM, step, 0), dst=block(L2, step, 0), box=(30, 64))
    t = simulate_timing(program((Engine.DMA_IN, [Loop(count=4), tiled, End()])), machine)
    assert t.streams[0].shared[0].tolist() == [120, 120, 120, 40]
    assert counts(t).dram_read_bytes == 100 * 64


# -------------------------------------------------------------------------------------------------------- the trace


def test_engine_cycles_partition_the_total() -> None:
    machine = load_target("kpu-t64")
    t = simulate_timing(linear_program(machine), machine)
    for e in t.engines:
        assert e.busy_cycles + e.semaphore_stall_cycles + e.port_stall_cycles + e.idle_cycles == t.cycles


def test_events_hold_every_command() -> None:
    machine = load_target("kpu-t64")
    t = simulate_timing(linear_program(machine), machine, trace=True)
    assert t.events is not None
    assert len(t.events.start) == 6 + 6 + 4 + 4 + 4
    assert np.all(t.events.end > t.events.start)
    assert simulate_timing(linear_program(machine), machine).events is None


def test_trace_file(tmp_path: Path) -> None:
    machine = load_target("kpu-t64")
    p = linear_program(machine)
    write_trace(tmp_path / "t.json", p, machine, simulate_timing(p, machine, trace=True))
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    tracks = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert tracks == {0: "layers", 1: "dma_in", 2: "bm_in.bf16", 3: "fabric.bf16", 4: "bm_out.bf16", 5: "dma_out"}
    execs = [e for e in events if e["ph"] == "X" and e["tid"] == 3]
    assert [e["args"]["cycle"] for e in execs] == [122, 208, 262, 316]
    assert execs[0]["ts"] == pytest.approx(122 / 850)
    assert list(tmp_path.iterdir()) == [tmp_path / "t.json"]


def test_trace_needs_events(tmp_path: Path) -> None:
    machine = load_target("kpu-t64")
    p = linear_program(machine)
    with pytest.raises(InputError, match="trace=True"):
        write_trace(tmp_path / "t.json", p, machine, simulate_timing(p, machine))
    with pytest.raises(InputError, match="cannot write"):
        write_trace(tmp_path / "no" / "t.json", p, machine, simulate_timing(p, machine, trace=True))
