"""Packing by constraint programming: the least extent, or the best found within a given effort.

Every buffer is a rectangle, its life along one axis and its bytes along the other; no two overlap, and the highest
byte is least. The solver is OR-Tools CP-SAT with one worker and a deterministic limit, so that the same program is
packed the same way every time. It is an optional dependency.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from swkpu.dialects.kpu import GRANULE
from swkpu.errors import IRError
from swkpu.mapping.packing import Request, extent, pack, peak

EFFORT = 20.0
"""The solver's deterministic time, about seconds."""


def _solver() -> Any:
    try:
        return import_module("ortools.sat.python.cp_model")
    except ImportError as e:
        raise IRError(
            "packing=cp-sat needs OR-Tools, which is not installed; install swkpu with its extra `cp-sat`, or use "
            "packing=greedy"
        ) from e


def pack_cp_sat(requests: Sequence[Request], capacity: int) -> list[int] | None:
    """Offsets within the capacity; None where neither the solver nor greedy placement finds any.

    Starts from the greedy packing, and does not ask the solver where that is at the lower bound.
    """
    cp_model = _solver()
    greedy = pack(requests, capacity)
    bound = peak(requests)
    if bound > capacity or (greedy is not None and extent(requests, greedy) == bound):
        return greedy
    highest = (capacity if greedy is None else extent(requests, greedy)) // GRANULE
    model = cp_model.CpModel()
    top = model.new_int_var(bound // GRANULE, highest, "top")
    offsets: list[Any] = []
    lives: list[Any] = []
    bytes_: list[Any] = []
    for i, r in enumerate(requests):
        size = -(-r.size // GRANULE)
        offset = model.new_int_var(0, highest, f"offset{i}")
        offsets.append(offset)
        lives.append(model.new_fixed_size_interval_var(r.start, r.end - r.start + 1, f"life{i}"))
        bytes_.append(model.new_fixed_size_interval_var(offset, size, f"bytes{i}"))
        model.add(offset + size <= top)
        if greedy is not None:
            model.add_hint(offset, greedy[i] // GRANULE)
    model.add_no_overlap_2d(lives, bytes_)
    model.minimize(top)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_deterministic_time = EFFORT
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return greedy
    return [int(solver.value(offset)) * GRANULE for offset in offsets]
