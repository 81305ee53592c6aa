"""The KPU program as values: what the compiler emits, a `.kpu` file stores and the simulator runs.

A program is a list of *streams*, one per engine, of *commands* over *tensor maps*, with *fabric programs*
that say what recurrence the tiles execute. Nothing here knows how a program was made.

Every field's type annotation is also its wire type: `codec.py` derives the encoder, the decoder and the
assembly text from these dataclasses, so there is one table of commands and this is it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar

from swkpu.program.dtypes import DType
from swkpu.program.micro_ops import MicroOpcode

MAX_RANK = 7
"""Dims of a tensor map: six of the tensor and one for the slot of a multiple buffer."""
MAX_SEMAPHORE_OPS = 4


class Space(IntEnum):
    DRAM = 0
    L2 = 1
    L1 = 2


class Engine(IntEnum):
    """Engine kinds. `dma_*` exist once; the others once per tile group."""

    DMA_IN = 0
    DMA_OUT = 1
    BM_IN = 2
    BM_OUT = 3
    FABRIC = 4


@dataclass(frozen=True)
class TensorMap:
    """A block-addressable N-D view of memory.

    The element at logical coordinate `c` (0 <= c[d] < extents[d]) is at address
    `base + sum((c[d] mod moduli[d]) * strides[d])`. An address counts bytes, or half bytes where the type is i4. Reads
    outside the extents give `pad`; writes outside are dropped. `buffer` names the allocation the map is a view of:
    every map of a buffer carries the same number, and the simulator reports reads of another buffer's bytes.
    """

    space: Space
    base: int
    dtype: DType
    extents: tuple[int, ...]
    strides: tuple[int, ...]
    moduli: tuple[int, ...]
    pad: float
    buffer: int

    @property
    def rank(self) -> int:
        return len(self.extents)

    @property
    def begin(self) -> int:
        """The first byte of the map."""
        return self.base // self.dtype.addresses_per_byte

    @property
    def end(self) -> int:
        """One past the last byte that the map can address."""
        if any(e == 0 for e in self.extents):
            return self.begin
        last = sum((min(e, m) - 1) * s for e, m, s in zip(self.extents, self.moduli, self.strides))
        return -(-(self.base + last + self.dtype.step) // self.dtype.addresses_per_byte)


@dataclass(frozen=True)
class Coord:
    """`const + sum(coef * counter of the enclosing loop at that depth) + tiles · (t0, t1)`.

    Depth 0 is the outermost loop around the command in its own stream.
    """

    const: int = 0
    loops: tuple[tuple[int, int], ...] = ()
    tiles: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Block:
    """One side of a transfer: a map, where the box starts, and which map dim each box dim walks, in what step."""

    map: int
    start: tuple[Coord, ...]
    axes: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Operand:
    """An operand of `exec`: the L1 map and the coordinate of the block's origin, one per map dim."""

    map: int
    start: tuple[Coord, ...]


@dataclass(frozen=True)
class TileRange:
    """Tiles `first + t0 * n1 + t1` of a group, 0 <= t0 < n0, 0 <= t1 < n1."""

    group: int
    first: int
    n0: int
    n1: int

    @property
    def count(self) -> int:
        return self.n0 * self.n1


@dataclass(frozen=True)
class SemOp:
    semaphore: int
    count: int


@dataclass(frozen=True)
class Clip:
    """Domain dim `dim` of an exec has at most `limit - start` points, where `start` is a coordinate."""

    dim: int
    start: Coord
    limit: int


@dataclass(frozen=True, kw_only=True)
class Command:
    """What every command carries: semaphores and the layer it serves.

    A command waits for all of `acquire` before it starts and posts `release` when it is complete. A `loop`
    acquires once on entry; an `end` releases once on exit, when every command of the loop is complete.
    Commands of a stream complete in order.
    """

    opcode: ClassVar[int]
    mnemonic: ClassVar[str]
    engines: ClassVar[tuple[Engine, ...]]

    acquire: tuple[SemOp, ...] = ()
    release: tuple[SemOp, ...] = ()
    layer: int = 0


ALL = tuple(Engine)


@dataclass(frozen=True, kw_only=True)
class Load(Command):
    """DRAM to L2."""

    opcode = 0x10
    mnemonic = "load"
    engines = (Engine.DMA_IN,)

    src: Block
    dst: Block
    box: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Store(Command):
    """L2 to DRAM."""

    opcode = 0x11
    mnemonic = "store"
    engines = (Engine.DMA_OUT,)

    src: Block
    dst: Block
    box: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Gather(Command):
    """Elements that run-time indices choose, from DRAM or L2 to L2.

    At each point of the box an int32 is read through `index` and added to the coordinate that `src` has along map dim
    `dim`; where that is outside the extent the program stops with an error. Where `index`, or another coordinate of
    `src`, is outside its map, `dst` gets the pad value of `src`. An operand that does not depend on a box dim is
    viewed through a map dim of stride 0.
    """

    opcode = 0x12
    mnemonic = "gather"
    engines = (Engine.DMA_IN,)

    src: Block
    index: Block
    dst: Block
    box: tuple[int, ...]
    dim: int


@dataclass(frozen=True, kw_only=True)
class Push(Command):
    """L2 to the L1 of a tile range. A tile coordinate with coefficient 0 in `src` is a multicast along it."""

    opcode = 0x20
    mnemonic = "push"
    engines = (Engine.BM_IN,)

    tiles: TileRange
    src: Block
    dst: Block
    box: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Pull(Command):
    """The L1 of a tile range to L2. Tiles write disjoint boxes."""

    opcode = 0x21
    mnemonic = "pull"
    engines = (Engine.BM_OUT,)

    tiles: TileRange
    src: Block
    dst: Block
    box: tuple[int, ...]


class Stage(IntEnum):
    """What an exec does of a reduction: all of it, one tile's share before a `reduce`, or the epilogue after it."""

    WHOLE = 0
    PARTIAL = 1
    FINISH = 2


@dataclass(frozen=True, kw_only=True)
class Exec(Command):
    """Run a fabric program over a box of its domain on every tile of a range.

    `operands` are the fabric program's operands in order, then the result. The domain box has `box` points per dim,
    cut down by `clips`. When `reduction_loops` is not 0 it is a mask of loop depths over which the reduction goes on:
    the accumulator starts from zero when all those counters are 0, else from `accumulator`; the epilogue runs when all
    are at their last value, else raw accumulators go to `accumulator`. A `partial` exec has the inputs as operands and
    leaves raw accumulators even then. A `finish` exec has the epilogue's operands and the result, and 0 points in every
    reduction dim: it runs the epilogue on `accumulator`.
    """

    opcode = 0x30
    mnemonic = "exec"
    engines = (Engine.FABRIC,)

    tiles: TileRange
    fabric: int
    operands: tuple[Operand, ...]
    box: tuple[int, ...]
    clips: tuple[Clip, ...] = ()
    reduction_loops: int = 0
    accumulator: Operand | None = None
    stage: Stage = Stage.WHOLE


class Combiner(IntEnum):
    NONE = 0
    MAC = 1
    ADD = 2
    MAX = 3
    MIN = 4
    MUL = 5


@dataclass(frozen=True, kw_only=True)
class Reduce(Command):
    """Combine what the tiles of a group hold: partial accumulators of a reduction that is split over them.

    The tiles of equal t1 are a group. At every point of the box each of the first `receivers` tiles of a group (t0
    below that) combines the elements at `src` of all the group's tiles, in ascending order of t0, and writes the result
    to `dst` in its own L1. The tile coordinates of `src` are the receiver's, so each can have a slice of its own. The
    box lies inside both maps.
    """

    opcode = 0x31
    mnemonic = "reduce"
    engines = (Engine.FABRIC,)

    tiles: TileRange
    src: Block
    dst: Block
    box: tuple[int, ...]
    receivers: int = 1
    combiner: Combiner = Combiner.ADD

    @property
    def receiving(self) -> TileRange:
        """The tiles that write."""
        return TileRange(self.tiles.group, self.tiles.first, self.receivers, self.tiles.n1)


@dataclass(frozen=True, kw_only=True)
class Loop(Command):
    """Repeat what follows, up to the matching `end`, `count` times."""

    opcode = 0x01
    mnemonic = "loop"
    engines = ALL

    count: int


@dataclass(frozen=True, kw_only=True)
class End(Command):
    """Close the innermost loop."""

    opcode = 0x02
    mnemonic = "end"
    engines = ALL


@dataclass(frozen=True, kw_only=True)
class Halt(Command):
    """The last command of every stream."""

    opcode = 0x00
    mnemonic = "halt"
    engines = ALL


COMMANDS: tuple[type[Command], ...] = (Halt, Loop, End, Load, Store, Gather, Push, Pull, Exec, Reduce)
BY_OPCODE = {c.opcode: c for c in COMMANDS}
Transfer = Load | Store | Push | Pull


class Dataflow(IntEnum):
    """Which operand stays in the array: output, weight (operand 1) or input (operand 0). VECTOR is a contraction on the
    vector lanes, for operands that the arrays do not multiply.
    """

    OS = 0
    WS = 1
    IS = 2
    VECTOR = 3


@dataclass(frozen=True)
class MicroOp:
    """`register[n] = opcode(register[args]...)`.

    Registers count up: 0 is the accumulator (absent when the combiner is NONE), then the fabric program's epilogue
    operands in order, then one per micro-op. `immediate` is the value of a CONSTANT, `integers` are the zero points of
    a RESCALE and the number of a TABLE.
    """

    opcode: MicroOpcode
    dtype: DType
    args: tuple[int, ...] = ()
    immediate: float = 0.0
    integers: tuple[int, ...] = ()


@dataclass(frozen=True)
class AffineExpr:
    """`const + sum(coef * domain dim)`; terms are (dim, coef)."""

    const: int
    terms: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Access:
    """How an operand is read (or the result written): one expression per trailing dim of its map."""

    exprs: tuple[AffineExpr, ...]


@dataclass(frozen=True)
class FabricProgram:
    """The machine form of one `df.recurrence` and its space-time mapping.

    dims            names of the domain dims, parallel dims first
    parallel        how many of them are parallel
    accesses        one per input, then one per epilogue operand, then the result's
    inputs          how many operands the combiner reads (MAC: 2; ADD, MUL, MAX, MIN: 1; NONE: 0)
    acc_dtype       type of the accumulator
    micro_ops       the epilogue; `result` is the register that is stored
    rows, cols      domain dims that lie, flattened, on array rows and columns (contractions)
    tables          what TABLE looks up: 256 little-endian elements of the type it gives
    """

    name: str
    dims: tuple[str, ...]
    parallel: int
    inputs: int
    accesses: tuple[Access, ...]
    combiner: Combiner
    acc_dtype: DType
    micro_ops: tuple[MicroOp, ...]
    result: int
    rows: tuple[int, ...]
    cols: tuple[int, ...]
    dataflow: Dataflow
    tables: tuple[bytes, ...] = ()

    @property
    def epilogue_operands(self) -> int:
        return len(self.accesses) - 1 - self.inputs

    def operands_of(self, stage: Stage) -> range:
        """Which accesses an exec of this stage has operands for."""
        every = len(self.accesses)
        return {
            Stage.WHOLE: range(every),
            Stage.PARTIAL: range(self.inputs),
            Stage.FINISH: range(self.inputs, every),
        }[stage]


@dataclass(frozen=True)
class Stream:
    """The commands of one engine; `group` is the tile group's index, 0 for the DMA engines."""

    engine: Engine
    group: int
    commands: tuple[Command, ...]


@dataclass(frozen=True)
class Symbol:
    """An input or output of the model: where it lives in DRAM and what the host sees.

    With a `scale` the host has floats where DRAM has integers: `scale * (stored - zero_point)`.
    """

    name: str
    map: int
    shape: tuple[int, ...]
    dtype: DType
    scale: float = 0.0
    zero_point: int = 0

    @property
    def is_quantized(self) -> bool:
        return self.scale > 0


@dataclass(frozen=True)
class Segment:
    """Bytes that are in DRAM before the program starts: weights, biases, tables."""

    address: int
    offset: int
    size: int


@dataclass(frozen=True)
class Layer:
    """What the reports know of a layer.

    `macs` is nominal: output points times reduction points, on nn after folding. `alternatives` are the mappings that
    the search found next best, each as `tiling` is with its estimated `cycles`.
    """

    name: str
    op: str
    source: str
    macs: int
    mac_type: str
    compulsory_dram_bytes: int
    estimated_cycles: int
    tiling: dict[str, Any] = field(default_factory=dict[str, Any])
    alternatives: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Metadata:
    """Facts about the compilation; nothing the machine needs."""

    model: str
    precision: str
    batch: int
    profile: str
    compiler: str
    compulsory_dram_bytes: int
    estimated_cycles: int
    weight_bytes: int
    activation_bytes: int
    peak_l1_bytes: int
    peak_l2_bytes: int
    peak_dram_bytes: int
    signature: str = ""
    """How the model is called, as `swkpu.signature` writes it."""


@dataclass(frozen=True)
class Program:
    """A whole program. `constants` is the raw content that the segments index."""

    target: str
    target_digest: str
    streams: tuple[Stream, ...]
    maps: tuple[TensorMap, ...]
    fabrics: tuple[FabricProgram, ...]
    semaphores: tuple[int, ...]
    segments: tuple[Segment, ...]
    constants: memoryview | bytes
    inputs: tuple[Symbol, ...]
    outputs: tuple[Symbol, ...]
    layers: tuple[Layer, ...]
    metadata: Metadata

    @property
    def command_count(self) -> int:
        return sum(len(s.commands) for s in self.streams)
