"""How many cycles a command occupies each resource: the one formula per resource.

Everything here is a pure function of counts, the machine and a fabric program, specified by docs/timing.md. A
count is a Python int or a numpy int64 array: the mapper evaluates thousands of candidate tilings at once, the
simulator every dynamic instance of a command at once, and both get exact integers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import reduce, wraps
from math import gcd
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from swkpu.errors import TargetError
from swkpu.program.model import Access, Combiner, Dataflow, DType, FabricProgram, MicroOpcode
from swkpu.target.drain_unit import ops_beyond_drain_unit

if TYPE_CHECKING:
    from swkpu.target.machine import Machine, TileGroup

Count: TypeAlias = "int | npt.NDArray[np.int64]"
"""A number of things, or one number per candidate or dynamic instance."""

T = TypeVar("T")

ACCUMULATOR_BYTES = 4
"""Raw accumulators (int32 or fp32) in L1."""

_MAC_TYPES = {DType.I4: "i4", DType.I8: "i8", DType.I1: "i8", DType.F16: "f16", DType.BF16: "bf16", DType.F32: "f32"}
_MAC_WIDTH = ("i4", "i8", "bf16", "f16", "f32")


# ----------------------------------------------------------------------------------------------- exact arithmetic


def ceil_div(n: Count, d: Count) -> Count:
    """ceil(n / d) for d > 0."""
    return -(-n // d)


def ceil_rate(amount: Count, rate: Fraction | int) -> Count:
    """Cycles that `amount` takes at an exact `rate` per cycle: ceil(amount / rate)."""
    if rate.denominator == 1:
        return ceil_div(amount, rate.numerator)
    return ceil_div(amount * rate.denominator, rate.numerator)


def maximum(*counts: Count) -> Count:
    """The largest, elementwise; an int when all arguments are."""
    return reduce(_maximum, counts)


def product(counts: Sequence[Count]) -> Count:
    """The product, elementwise; 1 when empty."""
    result: Count = 1
    for count in counts:
        result = result * count
    return result


def _maximum(a: Count, b: Count) -> Count:
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    return np.maximum(a, b)


def _minimum(a: Count, b: Count) -> Count:
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    return np.minimum(a, b)


def _truth(condition: object) -> Count:
    """A comparison of counts as 0 or 1."""
    if isinstance(condition, np.ndarray):
        return cast("npt.NDArray[np.int64]", condition.astype(np.int64))
    return int(bool(condition))


# ------------------------------------------------------------------------------------------------------ transfers


def dram_charged_bytes(row_bytes: Count, rows: Count, burst_bytes: int) -> Count:
    """Bytes the DRAM is charged for `rows` rows of `row_bytes` contiguous bytes: whole bursts."""
    return ceil_div(row_bytes, burst_bytes) * burst_bytes * rows


def dram_cycles(machine: Machine, charged_bytes: Count) -> Count:
    """Occupancy of the DRAM by bytes that are already rounded to bursts."""
    return ceil_rate(charged_bytes, machine.dram_bytes_per_cycle)


def l2_read_cycles(machine: Machine, bytes_: Count) -> Count:
    """Occupancy of the L2 read port: stores and pushes."""
    return ceil_rate(bytes_, machine.l2.read_bytes_per_cycle)


def l2_write_cycles(machine: Machine, bytes_: Count) -> Count:
    """Occupancy of the L2 write port: loads and pulls."""
    return ceil_rate(bytes_, machine.l2.write_bytes_per_cycle)


def noc_cycles(machine: Machine, bytes_: Count) -> Count:
    """Occupancy of the network between L2 and the tiles; a multicast is charged once."""
    return ceil_rate(bytes_, machine.noc.bytes_per_cycle)


def l1_read_cycles(group: TileGroup, bytes_: Count) -> Count:
    """Cycles that one tile's L1 takes to deliver `bytes_`."""
    return ceil_rate(bytes_, group.l1_read_bytes_per_cycle)


def l1_write_cycles(group: TileGroup, bytes_: Count) -> Count:
    """Cycles that one tile's L1 takes to accept `bytes_`."""
    return ceil_rate(bytes_, group.l1_write_bytes_per_cycle)


def dma_latency_cycles(machine: Machine) -> int:
    """Latency of load and store."""
    return machine.dram_latency_cycles + machine.l2.latency_cycles


def mover_latency_cycles(machine: Machine) -> int:
    """Latency of push and pull."""
    return machine.l2.latency_cycles + machine.noc.latency_cycles


@dataclass(frozen=True)
class TransferCost:
    """Cycles at each resource of one transfer (0 where it does not use it), and its latency.

    `uncontended` is the occupancy of the engine when nothing else is moving.
    """

    dram: Count
    l2: Count
    noc: Count
    l1: Count
    latency: int

    @property
    def uncontended(self) -> Count:
        return maximum(self.dram, self.l2, self.noc, self.l1, 1)


def load_cost(machine: Machine, dram_bytes: Count, l2_bytes: Count) -> TransferCost:
    """DRAM to L2. `dram_bytes` are charged bytes: see `dram_charged_bytes`."""
    latency = dma_latency_cycles(machine)
    return TransferCost(dram_cycles(machine, dram_bytes), l2_write_cycles(machine, l2_bytes), 0, 0, latency)


def store_cost(machine: Machine, dram_bytes: Count, l2_bytes: Count) -> TransferCost:
    """L2 to DRAM."""
    latency = dma_latency_cycles(machine)
    return TransferCost(dram_cycles(machine, dram_bytes), l2_read_cycles(machine, l2_bytes), 0, 0, latency)


def push_cost(machine: Machine, group: TileGroup, l2_bytes: Count, l1_bytes: Count) -> TransferCost:
    """L2 to L1. `l2_bytes` over all tiles with a multicast once, `l1_bytes` of the tile that receives most."""
    l2, noc = l2_read_cycles(machine, l2_bytes), noc_cycles(machine, l2_bytes)
    return TransferCost(0, l2, noc, l1_write_cycles(group, l1_bytes), mover_latency_cycles(machine))


def pull_cost(machine: Machine, group: TileGroup, l2_bytes: Count, l1_bytes: Count) -> TransferCost:
    """L1 to L2. `l2_bytes` over all tiles, `l1_bytes` of the tile that sends most."""
    l2, noc = l2_write_cycles(machine, l2_bytes), noc_cycles(machine, l2_bytes)
    return TransferCost(0, l2, noc, l1_read_cycles(group, l1_bytes), mover_latency_cycles(machine))


@dataclass(frozen=True)
class ReduceCost:
    """Cycles of one `reduce` at the network and of its engine (its latency included), and what energy counts."""

    noc: Count
    own: Count
    noc_bytes: Count
    l1_read_bytes: Count
    l1_write_bytes: Count
    vector_ops: Count


def reduce_cost(
    machine: Machine,
    group: TileGroup,
    *,
    points: Count,
    members: Count,
    receivers: Count,
    groups: Count,
    element_bytes: int,
) -> ReduceCost:
    """Each of the first `receivers` of a group's `members` tiles combines `points` elements of all of them, in each of
    `groups` groups; docs/timing.md, "reduce".

    A tile reads what it has for every receiver. A receiver takes in one partial after the other at the rate at which
    its L1 is written, and its lanes add as they come.
    """
    size = points * element_bytes
    everywhere = groups * receivers
    noc_bytes = everywhere * (members - 1) * size
    noc = noc_cycles(machine, noc_bytes)
    vector_ops = (members - 1) * points
    busy = maximum(
        l1_read_cycles(group, receivers * size),
        l1_write_cycles(group, members * size),
        ceil_div(vector_ops, group.vector_lanes),
        noc,
    )
    moved = everywhere * members * size
    return ReduceCost(noc, machine.noc.latency_cycles + busy, noc_bytes, moved, moved, everywhere * vector_ops)


# --------------------------------------------------------------------------------- what a fabric program asks for


class ExecKind(Enum):
    """Which of the three formulas times an exec."""

    CONTRACTION = "contraction"
    DEPTHWISE = "depthwise"
    VECTOR = "vector"


@dataclass(frozen=True)
class ArraySplit:
    """Where the parallel dims of a contraction or depthwise go, as domain dim numbers.

    `rows` and `cols` lie, flattened, on the array; each point of `others` multiplies the passes. `rows_input` and
    `cols_input` say which of the two inputs the group indexes: the other one is broadcast along it.
    """

    rows: tuple[int, ...]
    cols: tuple[int, ...]
    others: tuple[int, ...]
    batch: tuple[int, ...]
    rows_input: int
    cols_input: int


def _remembered(of: Callable[[FabricProgram], T]) -> Callable[[FabricProgram], T]:
    """What depends on a fabric program only is worked out once and kept with it: searches ask for it many times."""

    @wraps(of)
    def remembered(fabric: FabricProgram) -> T:
        key = f"_{of.__name__}"
        if key not in fabric.__dict__:
            fabric.__dict__[key] = of(fabric)
        return fabric.__dict__[key]

    return remembered


def access_dims(access: Access) -> frozenset[int]:
    """The domain dims that an access depends on."""
    return frozenset(dim for expr in access.exprs for dim, coef in expr.terms if coef != 0)


@_remembered
def batch_dims(fabric: FabricProgram) -> tuple[int, ...]:
    """The parallel dims that both inputs of a contraction have."""
    shared = access_dims(fabric.accesses[0]) & access_dims(fabric.accesses[1])
    return tuple(d for d in range(fabric.parallel) if d in shared)


@_remembered
def exec_kind(fabric: FabricProgram) -> ExecKind:
    """A depthwise is a contraction whose second input has batch dims only, and slides a window over its first."""
    if fabric.combiner is not Combiner.MAC or fabric.dataflow is Dataflow.VECTOR:
        return ExecKind.VECTOR
    batch = batch_dims(fabric)
    second = {d for d in access_dims(fabric.accesses[1]) if d < fabric.parallel}
    if batch and second == set(batch) and _slides(fabric):
        return ExecKind.DEPTHWISE
    return ExecKind.CONTRACTION


def _slides(fabric: FabricProgram) -> bool:
    """Every reduction dim of the first input moves along with a parallel dim, as `kh` in `oh + kh` does."""
    sliding: set[int] = set()
    for expr in fabric.accesses[0].exprs:
        dims = {dim for dim, coef in expr.terms if coef != 0}
        if any(d < fabric.parallel for d in dims):
            sliding |= dims
    reductions = {d for d in access_dims(fabric.accesses[0]) if d >= fabric.parallel}
    return reductions <= sliding


@_remembered
def array_split(fabric: FabricProgram) -> ArraySplit:
    """Split the parallel dims of a `mac`; docs/timing.md, "exec"."""
    batch = batch_dims(fabric)
    if exec_kind(fabric) is ExecKind.DEPTHWISE:
        cols = tuple(d for d in range(fabric.parallel) if d not in batch)
        return ArraySplit(batch, cols, (), batch, 0, 0)
    others = tuple(d for d in range(fabric.parallel) if d not in fabric.rows and d not in fabric.cols)
    rows_input, cols_input = _indexed_input(fabric, fabric.rows), _indexed_input(fabric, fabric.cols)
    if rows_input is None:
        rows_input = 1 - cols_input if cols_input is not None else 0
    if cols_input is None:
        cols_input = 1 - rows_input
    return ArraySplit(fabric.rows, fabric.cols, others, batch, rows_input, cols_input)


def _indexed_input(fabric: FabricProgram, dims: tuple[int, ...]) -> int | None:
    for number in (0, 1):
        if access_dims(fabric.accesses[number]) & set(dims):
            return number
    return None


@_remembered
def vector_micro_ops(fabric: FabricProgram) -> int:
    """How many micro-operations per result run on the vector lanes.

    Without a contraction all but CONSTANT do; behind a contraction those that the drain unit leaves.
    """
    if exec_kind(fabric) is ExecKind.VECTOR:
        return sum(op.opcode is not MicroOpcode.CONSTANT for op in fabric.micro_ops)
    return ops_beyond_drain_unit(fabric)


def mac_type(a: DType, b: DType) -> str:
    """The precision key of `macs_per_pe` for inputs of these storage types: the slower of the two.

    An i4 input makes an i4 multiplication of an i8 one, as int4 is int8 activations times int4 weights.
    """
    for dtype in (a, b):
        if dtype not in _MAC_TYPES:
            raise TargetError(f"no array multiplies {dtype.name.lower()} operands; expected one of {list(_MAC_WIDTH)}")
    types = {_MAC_TYPES[a], _MAC_TYPES[b]}
    return "i4" if types == {"i4", "i8"} else max(types, key=_MAC_WIDTH.index)


def array_precision(machine: Machine, fabric: FabricProgram, dtypes: Sequence[DType]) -> str | None:
    """The precision key of a contraction that some tile group's arrays can do; None for the vector lanes' work."""
    if fabric.combiner is not Combiner.MAC or any(d not in _MAC_TYPES for d in dtypes[:2]):
        return None
    precision = mac_type(dtypes[0], dtypes[1])
    return precision if machine.groups_for(precision) else None


def macs_per_pe(group: TileGroup, precision: str) -> Fraction:
    """Multiply-accumulates per processing element and cycle; TargetError when the group has none."""
    rate = group.rate(precision)
    if not rate:
        raise TargetError(
            f"tile group '{group.kind}' has no {precision} multipliers; it has {sorted(group.macs_per_pe)}"
        )
    return rate


def reduction_run(
    fabric: FabricProgram, box: Sequence[int], input_strides: Sequence[Sequence[int]], dtypes: Sequence[DType]
) -> int:
    """How many trailing reduction dims are one contiguous run in both inputs' L1 maps.

    `box` is the unclipped box of the domain, `input_strides` the strides of each input's L1 map (the trailing
    dims, as many as its access has). A dim of one point is adjacent to anything.
    """
    run = 0
    length = 1
    for dim in range(len(box) - 1, fabric.parallel - 1, -1):
        if box[dim] != 1:
            for access, strides, dtype in zip(fabric.accesses[:2], input_strides, dtypes, strict=False):
                if _address_step(access, strides, dim) != length * dtype.step:
                    return run
        run += 1
        length *= box[dim]
    return run


def _address_step(access: Access, strides: Sequence[int], dim: int) -> int:
    """Addresses from one point of a domain dim to the next."""
    trailing = strides[len(strides) - len(access.exprs) :]
    return sum(coef * s for expr, s in zip(access.exprs, trailing, strict=True) for d, coef in expr.terms if d == dim)


def access_elements(access: Access, points: Sequence[Count]) -> Count:
    """Elements of a map that a box of the domain touches, each once.

    Per map dim the smaller of the span of its expression (in steps of the common divisor of its coefficients) and the
    number of points of the dims in it: a stride without overlap counts no holes, an overlapping window no element
    twice.
    """
    total: Count = 1
    for expr in access.exprs:
        span: Count = 1
        distinct: Count = 1
        step = gcd(*(coef for _, coef in expr.terms))
        for dim, coef in expr.terms:
            if coef != 0:
                span = span + abs(coef) // step * (points[dim] - 1)
                distinct = distinct * points[dim]
        total = total * _minimum(span, distinct)
    return total


# ----------------------------------------------------------------------------------------------------------- exec


@dataclass(frozen=True)
class ExecCost:
    """One tile's execution of one box: cycles, and the counts that energy needs.

    `vector_ops` are operations on the vector lanes; `macs` is not here because it is the product of the points.
    `array` says why the array takes these cycles; None for the vector lanes' work.
    """

    cycles: Count
    passes: Count
    l1_read_bytes: Count
    l1_write_bytes: Count
    vector_ops: Count
    array: ArrayTime | None = None


@dataclass(frozen=True)
class ArrayTime:
    """What an exec's cycles on the array are made of, where its box is not empty:

        passes · p + finishing · max(0, vector - p) + fill + raw    with p = max(steps, rows, stream)

    steps      MAC steps of a pass          rows    draining (os) or loading (ws, is) the array's rows in a pass
    stream     the pass's L1 traffic        vector  the vector lanes' part of a pass that finishes results
    fill       skew, the last drain and the last vector work       raw  accumulators read and written
    """

    passes: Count
    finishing: Count
    steps: Count
    rows: Count
    stream: Count
    vector: Count
    fill: Count
    raw: Count


def skew_cycles(group: TileGroup) -> int:
    """Time for a wavefront to cross the array."""
    return group.rows + group.cols - 2


def drain_cycles(group: TileGroup) -> int:
    """Time to drain the physical rows of the array once."""
    return cast(int, ceil_rate(group.rows, group.drain_rows_per_cycle))


def hidden_cycles(group: TileGroup, cycles: int) -> int:
    """The least time of a pass in which the array does something else, too, for the pass before or after."""
    return cycles if group.pass_overlap else 0


def fill_cycles(group: TileGroup, passes: Count, load: int = 0) -> Count:
    """What a row of passes takes beside the passes: the skew and the drain once; or, where each pass waits until the
    one before has left the array, the loading of what is stationary and the skew of each, whose results leave behind
    its wavefront. Cycles are then numbered from 0, as in SCALE-Sim (Raj et al., 2025), and the last one counts.
    """
    if group.pass_overlap:
        return skew_cycles(group) + drain_cycles(group)
    return passes * (load + skew_cycles(group)) - 1


def contraction_cost(
    group: TileGroup,
    precision: str,
    dataflow: Dataflow,
    *,
    rows_points: Count,
    cols_points: Count,
    other_points: Count,
    run_points: Count,
    outer_points: Count,
    rows_bits: int,
    cols_bits: int,
    result_bytes: int,
    epilogue_bytes: int = 0,
    vector_ops: int = 0,
    raw_in: Count = 0,
    raw_out: Count = 0,
    stationary_on_cols: bool = True,
) -> ExecCost:
    """Array passes of a matrix product; docs/timing.md, "Contraction".

    With one pass and nothing else to wait for, output-stationary is SCALE-Sim's analytical fold (Samajdar et al.,
    2020) with the drain separated. `run_points` are the reduction points of the contiguous run,
    `outer_points` the others; `rows_bits` and `cols_bits` the element sizes of the inputs that index rows and
    columns; `epilogue_bytes` what the epilogue operands read per result. `stationary_on_cols` says whether the
    stationary operand is the one that indexes `cols` (weight- and input-stationary).
    """
    rate = macs_per_pe(group, precision)
    reduction = run_points * outer_points
    results = rows_points * cols_points * other_points
    finishes = 1 - raw_out
    if dataflow is Dataflow.OS:
        passes = other_points * ceil_div(rows_points, group.rows) * ceil_div(cols_points, group.cols)
        steps = outer_points * ceil_rate(run_points, rate)
        stream_bytes = ceil_div(reduction * (group.rows * rows_bits + group.cols * cols_bits), 8)
        vector = ceil_div(group.rows * group.cols * vector_ops, group.vector_lanes) * finishes
        stream = l1_read_cycles(group, stream_bytes)
        finishing, array_rows = passes, hidden_cycles(group, drain_cycles(group))
        fill = fill_cycles(group, passes)
        cycles = passes * maximum(steps, array_rows, stream, vector) + fill + vector
        read, written = passes * stream_bytes, 0
    else:
        moving, staying = (rows_points, cols_points) if stationary_on_cols else (cols_points, rows_points)
        moving_bits, staying_bits = (rows_bits, cols_bits) if stationary_on_cols else (cols_bits, rows_bits)
        depth = int(group.rows * max(rate, Fraction(1)))
        folds = ceil_rate(reduction, depth)
        columns = other_points * ceil_div(staying, group.cols)
        passes = columns * folds
        partial = _truth(folds > 1) * ACCUMULATOR_BYTES * group.cols
        whole = _truth(folds <= 1) * finishes * group.cols * result_bytes
        operand_bits = depth * (moving * moving_bits + group.cols * staying_bits)
        stream_bytes = ceil_div(operand_bits, 8) + moving * partial
        vector = ceil_div(moving * group.cols * vector_ops, group.vector_lanes) * finishes
        steps = ceil_rate(moving, min(rate, Fraction(1)))
        stream = maximum(l1_read_cycles(group, stream_bytes), l1_write_cycles(group, moving * (partial + whole)))
        finishing, array_rows = columns, hidden_cycles(group, group.rows)
        fill = fill_cycles(group, passes, group.rows)
        one_pass = maximum(steps, array_rows, stream)
        cycles = (passes - columns) * one_pass + columns * maximum(one_pass, vector) + fill + vector
        read, written = passes * stream_bytes, passes * moving * partial
    raw = results * ACCUMULATOR_BYTES
    raw_cycles = raw_in * l1_read_cycles(group, raw) + raw_out * l1_write_cycles(group, raw)
    return _where_any(
        results,
        ExecCost(
            cycles + raw_cycles,
            passes,
            read + raw_in * raw + finishes * results * epilogue_bytes,
            written + raw_out * raw + finishes * results * result_bytes,
            finishes * results * vector_ops,
            ArrayTime(passes, finishing, steps, array_rows, stream, vector, fill + vector, raw_cycles),
        ),
    )


def depthwise_cost(
    group: TileGroup,
    precision: str,
    *,
    rows_points: Count,
    cols_points: Count,
    reduction_points: Count,
    input_bits: int,
    window_bits: int,
    result_bytes: int,
    epilogue_bytes: int = 0,
    vector_ops: int = 0,
    raw_in: Count = 0,
    raw_out: Count = 0,
) -> ExecCost:
    """Channels on rows, output positions on columns, the input moving along the row; docs/timing.md, "Depthwise"."""
    results = rows_points * cols_points
    finishes = 1 - raw_out
    passes = ceil_div(rows_points, group.rows) * ceil_div(cols_points, group.cols)
    stream_bytes = ceil_div(group.rows * (group.cols * input_bits + reduction_points * window_bits), 8)
    vector = ceil_div(group.rows * group.cols * vector_ops, group.vector_lanes) * finishes
    steps = ceil_rate(reduction_points, macs_per_pe(group, precision))
    stream = l1_read_cycles(group, stream_bytes)
    drain = hidden_cycles(group, drain_cycles(group))
    fill = fill_cycles(group, passes)
    one_pass = maximum(steps, drain, stream, vector)
    raw = results * ACCUMULATOR_BYTES
    raw_cycles = raw_in * l1_read_cycles(group, raw) + raw_out * l1_write_cycles(group, raw)
    return _where_any(
        results,
        ExecCost(
            passes * one_pass + fill + vector + raw_cycles,
            passes,
            passes * stream_bytes + raw_in * raw + finishes * results * epilogue_bytes,
            raw_out * raw + finishes * results * result_bytes,
            finishes * results * vector_ops,
            ArrayTime(passes, passes, steps, drain, stream, vector, fill + vector, raw_cycles),
        ),
    )


def vector_cost(
    group: TileGroup,
    *,
    combined_points: Count,
    result_points: Count,
    input_bytes: Count,
    result_bytes: int,
    epilogue_bytes: int = 0,
    vector_ops: int = 0,
    raw_in: Count = 0,
    raw_out: Count = 0,
) -> ExecCost:
    """Work on the vector lanes; docs/timing.md, "No contraction".

    `combined_points` are the points that the combiner takes in (0 for none), `input_bytes` those of the input blocks,
    each element once. An accumulator that is resumed or left raw is read or written instead of a result.
    """
    finishes = 1 - raw_out
    work = combined_points + finishes * result_points * vector_ops
    raw = result_points * ACCUMULATOR_BYTES
    read = input_bytes + finishes * result_points * epilogue_bytes + raw_in * raw
    written = finishes * result_points * result_bytes + raw_out * raw
    cycles = maximum(
        ceil_div(work, group.vector_lanes), l1_read_cycles(group, read), l1_write_cycles(group, written), 1
    )
    return _where_any(result_points, ExecCost(cycles, 0, read, written, work))


def finish_cost(group: TileGroup, fabric: FabricProgram, dtypes: Sequence[DType], points: Sequence[Count]) -> ExecCost:
    """The epilogue on accumulators in L1, of an exec that reduces nothing; docs/timing.md, "exec".

    The accumulators are read into the array and drained; no wavefront of operands crosses it.

    dtypes  storage types of the epilogue's operands and of the result
    points  of the parallel dims
    """
    result_bytes = dtypes[-1].bytes
    epilogue_bytes = sum(d.bytes for d in dtypes[:-1])
    vector_ops = vector_micro_ops(fabric)
    results = product(points)
    if exec_kind(fabric) is ExecKind.VECTOR:
        return vector_cost(
            group,
            combined_points=0,
            result_points=results,
            input_bytes=0,
            result_bytes=result_bytes,
            epilogue_bytes=epilogue_bytes,
            vector_ops=vector_ops,
            raw_in=1,
        )
    split = array_split(fabric)
    rows, cols, others = (product([points[d] for d in dims]) for dims in (split.rows, split.cols, split.others))
    passes = others * ceil_div(rows, group.rows) * ceil_div(cols, group.cols)
    raw = results * ACCUMULATOR_BYTES
    vector = ceil_div(group.rows * group.cols * vector_ops, group.vector_lanes)
    drain, raw_cycles = drain_cycles(group), l1_read_cycles(group, raw)
    cycles = passes * max(drain, vector) + vector + raw_cycles
    read, written = raw + results * epilogue_bytes, results * result_bytes
    array = ArrayTime(passes, passes, 0, drain, 0, vector, vector, raw_cycles)
    return _where_any(results, ExecCost(cycles, passes, read, written, results * vector_ops, array))


def _where_any(results: Count, cost: ExecCost) -> ExecCost:
    """A tile with an empty box does nothing."""
    some = _truth(results > 0)
    return ExecCost(
        cost.cycles * some,
        cost.passes * some,
        cost.l1_read_bytes * some,
        cost.l1_write_bytes * some,
        cost.vector_ops * some,
        cost.array,
    )


def exec_cost(
    group: TileGroup,
    fabric: FabricProgram,
    dtypes: Sequence[DType],
    points: Sequence[Count],
    run: int = 0,
    raw_in: Count = 0,
    raw_out: Count = 0,
) -> ExecCost:
    """One tile's execution of a box of `points` per domain dim, of whichever kind the fabric program is.

    dtypes  storage types: inputs, epilogue operands, result (as `fabric.accesses`); the inputs' are enough where
            accumulators are left raw
    run     how many trailing reduction dims are contiguous in both inputs: see `reduction_run`
    raw_in  1 where the accumulator is resumed, raw_out 1 where it is left raw
    """
    parallel, reduction = points[: fabric.parallel], points[fabric.parallel :]
    result_bytes = dtypes[-1].bytes if len(dtypes) > fabric.inputs else 0
    epilogue_bytes = sum(d.bytes for d in dtypes[fabric.inputs : -1])
    vector_ops = vector_micro_ops(fabric)
    kind = exec_kind(fabric)
    if kind is ExecKind.VECTOR:
        result_points = product(parallel)
        inputs = fabric.accesses[: fabric.inputs]
        return vector_cost(
            group,
            combined_points=0 if fabric.combiner is Combiner.NONE else result_points * product(reduction),
            result_points=result_points,
            input_bytes=sum((d.bytes_of(access_elements(a, points)) for a, d in zip(inputs, dtypes)), start=0),
            result_bytes=result_bytes,
            epilogue_bytes=epilogue_bytes,
            vector_ops=vector_ops,
            raw_in=raw_in,
            raw_out=raw_out,
        )
    split = array_split(fabric)
    precision = mac_type(dtypes[0], dtypes[1])
    if kind is ExecKind.DEPTHWISE:
        return depthwise_cost(
            group,
            precision,
            rows_points=product([points[d] for d in split.rows]),
            cols_points=product([points[d] for d in split.cols]),
            reduction_points=product(reduction),
            input_bits=dtypes[0].bits,
            window_bits=dtypes[1].bits,
            result_bytes=result_bytes,
            epilogue_bytes=epilogue_bytes,
            vector_ops=vector_ops,
            raw_in=raw_in,
            raw_out=raw_out,
        )
    stationary = 1 if fabric.dataflow is Dataflow.WS else 0
    return contraction_cost(
        group,
        precision,
        fabric.dataflow,
        rows_points=product([points[d] for d in split.rows]),
        cols_points=product([points[d] for d in split.cols]),
        other_points=product([points[d] for d in split.others]),
        run_points=product(reduction[len(reduction) - run :]),
        outer_points=product(reduction[: len(reduction) - run]),
        rows_bits=dtypes[split.rows_input].bits,
        cols_bits=dtypes[split.cols_input].bits,
        result_bytes=result_bytes,
        epilogue_bytes=epilogue_bytes,
        vector_ops=vector_ops,
        raw_in=raw_in,
        raw_out=raw_out,
        stationary_on_cols=split.cols_input == stationary,
    )
