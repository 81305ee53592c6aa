"""Placement and scheduling: laws of the parts, and random networks in memories that are too small for them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import nn
from xdsl.context import Context

from swkpu.emit import emit
from swkpu.errors import IRError, MappingError
from swkpu.frontend import import_model
from swkpu.interp.kpu import run_kpu
from swkpu.io import parse_text
from swkpu.mapping.packing import Placed, Request
from swkpu.passes import kpu_schedule
from swkpu.passes.kpu_assign_memory import packing_of
from swkpu.passes.kpu_schedule import KpuSchedulePass
from swkpu.passes.pipeline import default_pipeline
from swkpu.placement.occupancy import Occupancy
from swkpu.program.check import check
from swkpu.program.races import check_races
from swkpu.scheduling.needs import Needs
from swkpu.scheduling.regions import Region
from swkpu.scheduling.semaphores import Semaphores
from swkpu.scheduling.steps import Plan
from swkpu.scheduling.timelines import Timelines, constants
from swkpu.sim.functional import run_program
from swkpu.sim.timing import simulate_timing
from swkpu.target import load_target

# ---- networks ------------------------------------------------------------------------------------------------------


class Chain(nn.Module):
    """Convolutions one after the other, every second one with a residual of the input two before where shapes allow."""

    def __init__(self, channels: list[int], kernels: list[int]):
        super().__init__()
        pairs = zip([3, *channels], channels)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, k, 1, k // 2) for (a, b), k in zip(pairs, kernels))
        self.fc = nn.Linear(channels[-1], 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before: list[torch.Tensor] = []
        for conv in self.convs:
            y = conv(x)
            if len(before) > 1 and before[-2].shape == y.shape:
                y = y + before[-2]
            before.append(y)
            x = torch.relu(y)
        return self.fc(x.mean((2, 3)))


@cache
def small_machine(directory: Path, target: str, l2_bytes: int) -> str:
    """A target with another L2."""
    machine = load_target(target)
    source = Path(__file__).parents[2] / "swkpu" / "target" / "machines" / f"{target}.toml"
    text = source.read_text()
    old = f"capacity_bytes = {machine.l2.capacity_bytes} "
    assert text.count(old) == 1
    path = directory / f"{target}-{l2_bytes}.toml"
    path.write_text(text.replace(old, f"capacity_bytes = {l2_bytes} "))
    return str(path)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machines")


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)
@given(
    channels=st.lists(st.sampled_from([8, 16, 24, 64]), min_size=2, max_size=6),
    kernel=st.lists(st.sampled_from([1, 3]), min_size=6, max_size=6),
    size=st.sampled_from([12, 17, 32]),
    target=st.sampled_from(["swkpu-v1", "kpu-t64"]),
    l2_kib=st.sampled_from([96, 192, 512]),
)
def test_schedules_mean_what_the_program_means(
    directory: Path, channels: list[int], kernel: list[int], size: int, target: str, l2_kib: int
) -> None:
    torch.manual_seed(len(channels))
    model = Chain(channels, kernel[: len(channels)]).eval()
    x = torch.randn(1, 3, size, size)
    name = small_machine(directory, target, l2_kib << 10)
    machine = load_target(name)
    precision = "bf16" if target.startswith("kpu-t") else "fp16"
    module = import_model(model, (x,), "net")
    given_x = x.to(torch.bfloat16 if precision == "bf16" else torch.float16)
    expected = np.zeros(0)
    for p in default_pipeline(name, None, precision, "kpu"):
        if p.name == "kpu-schedule":
            (expected,) = run_kpu(module, {"x": given_x.float().numpy()}).values()
        p.apply(Context(), module)
    program = emit(module, machine)
    check(program, machine)
    check_races(program)
    simulate_timing(program, machine)
    (got,) = run_program(program, machine, {"x": given_x.float().numpy()}).values()
    assert np.array_equal(np.asarray(expected, np.float64), np.asarray(got, np.float64))


def test_with_few_semaphores_constants_stay_in_their_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels of their own for constants that go ahead take semaphores; without them the schedule is a schedule
    still.
    """
    used: dict[bool, list[int]] = {True: [], False: []}
    order = kpu_schedule._order

    def counted(plan: Plan, needs: Needs, available: int) -> tuple[Semaphores, Timelines]:
        found = order(plan, needs, available)
        used[plan.hoists].append(len(found[0].initial))
        if plan.hoists:
            raise MappingError("too many")
        return found

    monkeypatch.setattr(kpu_schedule, "_order", counted)
    torch.manual_seed(0)
    module = import_model(Chain([16, 16, 16], [3, 1, 3]).eval(), (torch.randn(1, 3, 16, 16),), "net")
    for p in default_pipeline("kpu-t64", None, "bf16", "kpu"):
        p.apply(Context(), module)
    check_races(emit(module, load_target("kpu-t64")))
    assert used[False] and used[False] <= used[True]


# ---- the parts -----------------------------------------------------------------------------------------------------

blocks = st.lists(
    st.builds(
        lambda offset, size, start, length: Placed(Request(size, start, start + length), offset),
        st.integers(0, 40),
        st.integers(1, 20),
        st.integers(0, 7),
        st.integers(0, 3),
    ),
    max_size=8,
    unique=True,
)


@given(blocks, st.integers(1, 30), st.integers(0, 8), st.booleans())
def test_memory_is_had_as_early_as_it_can_be(taken: list[Placed], size: int, end: int, top: bool) -> None:
    memory = Occupancy(64, taken)
    place = memory.earliest(size, end, end, 0, top)

    def free(offset: int, start: int) -> bool:
        asked = Request(size, start, end)
        return 0 <= offset <= 64 - size and not any(
            p.request.meets(asked) and p.offset < offset + size and offset < p.limit for p in taken
        )

    possible = [start for start in range(end + 1) if any(free(o, start) for o in range(65))]
    assert (place is None) == (not possible)
    if place is not None:
        assert free(place.offset, place.start)
        assert place.start == min(possible)


@given(blocks)
def test_what_is_removed_is_free_again(taken: list[Placed]) -> None:
    memory = Occupancy(64, taken)
    for p in taken:
        memory.remove(p)
    assert memory.earliest(64, 8, 8) is not None


@given(st.lists(st.integers(-5, 20), min_size=1, max_size=12), st.booleans())
def test_tokens_come_before_they_are_needed(steps: list[int], late: bool) -> None:
    wanted = sorted(steps)
    available = max(wanted[-1], 0)
    entry, each = constants(wanted, available, late) if available else (0, 0)
    for n, w in enumerate(wanted):
        assert entry + each * (n + 1) >= w
    assert entry >= 0
    assert each >= 0
    assert entry + each * len(wanted) <= available


def test_one_token_an_iteration_where_that_is_enough() -> None:
    assert constants([1, 2, 3, 4], 4, False) == (0, 1)
    assert constants([2, 3, 4, 4], 4, False) == (4, 0) or constants([2, 3, 4, 4], 8, False)[0] < 4
    assert constants([1, 1, 1], 3, True) == (0, 1)
    assert constants([1, 1, 1], 3, False) == (1, 0)


def test_regions_meet_only_where_every_dim_does() -> None:
    rows = Region((0b0011, 0b1111), 0, 31)
    assert rows.meets(Region((0b0010, 0b1000), 16, 20))
    assert not rows.meets(Region((0b0100, 0b1000), 16, 20))
    assert not rows.meets(Region((0b0010, 0b1000), 32, 40))
    assert rows.meets(Region(None, 31, 31))


def test_a_packing_that_there_is_not() -> None:
    with pytest.raises(IRError, match="no packing 'best'; there are greedy, cp-sat"):
        packing_of("best")


def test_cp_sat_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ortools.sat.python.cp_model", None)
    with pytest.raises(IRError, match="needs OR-Tools, which is not installed"):
        packing_of("cp-sat")([Request(4, 0, 1)], 64)


def test_cp_sat_finds_what_greedy_placement_does_not() -> None:
    pytest.importorskip("ortools")
    from swkpu.mapping.packing import extent, pack, peak

    requests = [Request(16 * n, a, b) for n, a, b in ((3, 0, 1), (2, 1, 3), (4, 2, 4), (2, 4, 6), (3, 5, 7), (4, 6, 8))]
    offsets = packing_of("cp-sat")(requests, 1 << 12)
    greedy = pack(requests, 1 << 12)
    assert offsets is not None
    assert greedy is not None
    assert peak(requests) <= extent(requests, offsets) <= extent(requests, greedy)
    for i, (a, x) in enumerate(zip(requests, offsets)):
        for b, y in list(zip(requests, offsets))[:i]:
            assert not a.meets(b) or x + a.size <= y or y + b.size <= x


PIECES = """
kpu.program "main" target "kpu-t64" info {} {
  %a = kpu.input "a" at 0 : !kpu.buffer<4xi32, dram>
  %b = kpu.input "b" at 64 : !kpu.buffer<16xi8, dram>
  %y = kpu.alloc {address = 128 : i64} : !kpu.buffer<16xi8, dram>
  kpu.layer "words" info {} {
    %u = kpu.alloc {address = 0 : i64} : !kpu.buffer<4xi32, l2>
    kpu.load %a[0] to %u[0] box [4] : !kpu.buffer<4xi32, dram> to !kpu.buffer<4xi32, l2>
    %l = kpu.alloc {group = "bf16", address = 0 : i64} : !kpu.buffer<4xi32, l1>
    kpu.push %u[0] to %l[0] box [4] tiles bf16 [0 : 1 x 1] : !kpu.buffer<4xi32, l2> to !kpu.buffer<4xi32, l1>
  }
  kpu.layer "bytes" info {} {
    %v = kpu.alloc {address = 64 : i64} : !kpu.buffer<16xi8, l2>
    %w = kpu.alloc {address = 128 : i64} : !kpu.buffer<16xi8, l2>
    kpu.load %b[0] to %v[0] box [16] : !kpu.buffer<16xi8, dram> to !kpu.buffer<16xi8, l2>
    %l = kpu.alloc {group = "bf16", address = 0 : i64} : !kpu.buffer<16xi8, l1>
    kpu.for i0 = 3 {
      kpu.push %v[6*i0] to %l[6*i0] box [6] tiles bf16 [0 : 1 x 1] : !kpu.buffer<16xi8, l2> to !kpu.buffer<16xi8, l1>
    }
    kpu.pull %l[0] to %w[0] box [16] tiles bf16 [0 : 1 x 1] : !kpu.buffer<16xi8, l1> to !kpu.buffer<16xi8, l2>
    kpu.store %w[0] to %y[0] box [16] : !kpu.buffer<16xi8, l2> to !kpu.buffer<16xi8, dram>
  }
  kpu.output "y" %y : !kpu.buffer<16xi8, dram>
}
"""


def test_a_block_is_filled_in_pieces_where_another_type_was() -> None:
    module = parse_text(PIECES, "pieces.mlir")
    machine = load_target("kpu-t64")
    KpuSchedulePass("kpu-t64").apply(Context(), module)
    program = emit(module, machine)
    check(program, machine)
    check_races(program)
    given_b = np.arange(16, dtype=np.int8)
    (got,) = run_program(program, machine, {"a": np.arange(4, dtype=np.int32), "b": given_b}).values()
    assert np.array_equal(got, given_b)
