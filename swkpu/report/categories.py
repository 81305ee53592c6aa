"""The names of where a layer's cycles beyond its bound go. docs/explain.md defines each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Lost(StrEnum):
    """Why a tile of the machine did nothing that the bound counts."""

    ARRAY_FILL = "array_fill"
    PROGRAM_LOAD = "program_load"
    FIRST_PUSH = "first_push"
    LAST_PULL = "last_pull"
    LATENCY = "latency"
    RAGGED = "ragged"
    DRAIN_LIMITED = "drain_limited"
    STREAM_LIMITED = "stream_limited"
    VECTOR_LIMITED = "vector_limited"
    VECTOR = "vector"
    PARTIAL_SUMS = "partial_sums"
    EARLY_TILES = "early_tiles"
    UNUSED_TILES = "unused_tiles"
    GROUPS = "groups"
    UNUSED_GROUPS = "unused_groups"
    DRAM = "dram"
    L2_READ = "l2_read"
    L2_WRITE = "l2_write"
    NOC = "noc"
    L1 = "l1"
    WEIGHTS = "weights"
    EARLIER_LAYERS = "earlier_layers"
    OVERLAP = "overlap"
    HIDDEN = "hidden"
    BOUNDS = "bounds"


@dataclass(frozen=True)
class Family:
    name: str
    members: tuple[Lost, ...]


FAMILIES = (
    Family("fill and drain", (Lost.ARRAY_FILL, Lost.PROGRAM_LOAD, Lost.FIRST_PUSH, Lost.LAST_PULL, Lost.LATENCY)),
    Family("ragged tiles", (Lost.RAGGED,)),
    Family("limited passes", (Lost.DRAIN_LIMITED, Lost.STREAM_LIMITED, Lost.VECTOR_LIMITED)),
    Family("other work", (Lost.VECTOR, Lost.PARTIAL_SUMS)),
    Family("imbalance", (Lost.EARLY_TILES, Lost.UNUSED_TILES, Lost.GROUPS, Lost.UNUSED_GROUPS)),
    Family("stalls on a port", (Lost.DRAM, Lost.L2_READ, Lost.L2_WRITE, Lost.NOC, Lost.L1)),
    Family("waits", (Lost.WEIGHTS, Lost.EARLIER_LAYERS)),
    Family("between layers", (Lost.OVERLAP, Lost.HIDDEN, Lost.BOUNDS)),
)

TEXT = {
    Lost.ARRAY_FILL: "filling and draining the array, once per exec",
    Lost.PROGRAM_LOAD: "loading fabric programs",
    Lost.FIRST_PUSH: "first blocks on their way from L2 to L1",
    Lost.LAST_PULL: "last blocks on their way from L1 to L2",
    Lost.LATENCY: "latency of L2 and NoC",
    Lost.RAGGED: "MAC steps with nothing to multiply in some processing elements",
    Lost.DRAIN_LIMITED: "passes longer than their MAC steps: rows drain or load",
    Lost.STREAM_LIMITED: "passes longer than their MAC steps: the L1's rate",
    Lost.VECTOR_LIMITED: "passes longer than their MAC steps: vector lanes",
    Lost.VECTOR: "work of the vector lanes, which the bound does not count",
    Lost.PARTIAL_SUMS: "raw accumulators read, written or summed",
    Lost.EARLY_TILES: "tiles with less to do than the slowest in their exec",
    Lost.UNUSED_TILES: "tiles of a group that takes part, without work",
    Lost.GROUPS: "a group waits for another that works on the same layer",
    Lost.UNUSED_GROUPS: "groups without work, while another one works",
    Lost.DRAM: "stalled on DRAM, other than for weights",
    Lost.L2_READ: "stalled on L2's read port",
    Lost.L2_WRITE: "stalled on L2's write port",
    Lost.NOC: "stalled on the NoC",
    Lost.L1: "stalled on a block mover's L1 port",
    Lost.WEIGHTS: "waiting for weights from DRAM",
    Lost.EARLIER_LAYERS: "waiting for results of earlier layers",
    Lost.OVERLAP: "other layers' work in this layer's time, less its own work in theirs",
    Lost.HIDDEN: "DRAM time that the bound counts and that passed behind other work (negative)",
    Lost.BOUNDS: "the layers' compute bounds add up to more than the program's",
}
