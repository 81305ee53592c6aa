"""What the search minimises: cycles, energy, or their product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np

from swkpu.errors import MappingError
from swkpu.mapping.part_cost import Moved, PartCost
from swkpu.target.cost import ExecCost

Goal = Literal["latency", "energy", "edp"]


def goal_of(name: str) -> Goal:
    """Raises MappingError for what is no goal."""
    if name not in get_args(Goal):
        raise MappingError(f"unknown objective '{name}'; expected one of {', '.join(get_args(Goal))}")
    return cast(Goal, name)


@dataclass(frozen=True)
class Objective:
    """`latency` counts cycles, `energy` picojoules, `edp` their product."""

    goal: Goal = "latency"

    def score(self, cycles: Any, energy_pj: Any) -> Any:
        """The less the better."""
        match self.goal:
            case "latency":
                return cycles
            case "energy":
                return energy_pj
            case "edp":
                return cycles * energy_pj

    def energy_pj(self, cost: PartCost, moved: Moved, execs: Any, one: ExecCost, cycles: Any) -> Any:
        """What differs between candidates: bytes at L1, L2 and the NoC, commands, and the static power of the time.

        Multiplications and DRAM traffic are the same for all that share a nest. 0 where only cycles count.
        """
        if self.goal == "latency":
            return 0.0
        machine, energy = cost.machine, cost.machine.energy
        tiles = np.asarray(moved.tiles, dtype=np.float64)
        l1 = execs * tiles * (one.l1_read_bytes * energy.l1_read_pj_per_byte + one.l1_write_bytes * energy.l1_write_pj_per_byte)
        l2 = moved.l2_bytes * (energy.l2_read_pj_per_byte + energy.noc_pj_per_byte)
        commands = (execs + moved.transfers) * energy.command_pj + moved.transfers * machine.noc_transfer_pj
        static = cycles * float(machine.profile.static_w) * 1e6 / float(machine.profile.mhz)
        return l1 + l2 + commands + static
