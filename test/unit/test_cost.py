"""Every formula of swkpu/target/cost.py against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil, prod

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from programs import access, linear_fabric

from swkpu.errors import TargetError
from swkpu.program.model import (
    Access,
    AffineExpr,
    Combiner,
    Dataflow,
    DType,
    FabricProgram,
    MicroOp,
    MicroOpcode,
)
from swkpu.target import cost
from swkpu.target.cost import ExecKind
from swkpu.target.loader import load_target
from swkpu.target.machine import TileGroup

GROUP = TileGroup(
    kind="int8",
    count=4,
    rows=16,
    cols=8,
    macs_per_pe={"i8": Fraction(1), "i4": Fraction(2), "f32": Fraction(1, 2), "bf16": Fraction(4)},
    l1_bytes=256 * 1024,
    l1_read_bytes_per_cycle=96,
    l1_write_bytes_per_cycle=64,
    drain_rows_per_cycle=1,
    vector_lanes=16,
    program_load_cycles=32,
)
F32, I8 = DType.F32, DType.I8


def expr(*terms: tuple[int, int]) -> AffineExpr:
    return AffineExpr(0, terms)


def matmul(dataflow: Dataflow = Dataflow.OS, micro_ops: tuple[MicroOp, ...] = ()) -> FabricProgram:
    return FabricProgram(
        "matmul", ("m", "n", "k"), 2, 2, (access(0, 2), access(1, 2), access(0, 1)), Combiner.MAC, DType.I32,
        micro_ops, len(micro_ops), (0,), (1,), dataflow,
    )  # fmt: skip


def depthwise() -> FabricProgram:
    window = Access((expr((1, 1), (3, 1)), expr((2, 1), (4, 1)), expr((0, 1))))
    return FabricProgram(
        "depthwise", ("c", "oh", "ow", "kh", "kw"), 3, 2, (window, access(0, 3, 4), access(1, 2, 0)), Combiner.MAC,
        DType.I32, (), 0, (), (), Dataflow.OS,
    )  # fmt: skip


def op(opcode: MicroOpcode, *args: int) -> MicroOp:
    return MicroOp(opcode, F32, args)


# ------------------------------------------------------------------------------------------------ exact arithmetic


def test_ceil_rate_is_exact() -> None:
    rate = Fraction(2560, 17)
    assert cost.ceil_rate(2560, rate) == 17
    assert cost.ceil_rate(2561, rate) == 18
    assert cost.ceil_rate(0, rate) == 0
    assert cost.ceil_rate(np.array([0, 1, 2560, 2561]), rate).tolist() == [0, 1, 17, 18]


@given(st.integers(0, 10**10), st.fractions(min_value=Fraction(1, 100), max_value=1000, max_denominator=1000))
def test_ceil_rate_law(amount: int, rate: Fraction) -> None:
    assert cost.ceil_rate(amount, rate) == ceil(amount / rate) == cost.ceil_rate(np.array([amount]), rate)[0]


# ------------------------------------------------------------------------------------------------------ transfers


def test_dram_rows_are_rounded_to_bursts() -> None:
    assert cost.dram_charged_bytes(64, 10, 64) == 640
    assert cost.dram_charged_bytes(65, 10, 64) == 1280
    assert cost.dram_charged_bytes(1, 10, 64) == 640
    assert cost.dram_charged_bytes(0, 10, 64) == 0


def test_transfer_costs() -> None:
    machine = load_target("kpu-t64")
    group = machine.tile_groups[0]
    load = cost.load_cost(machine, 2560 * 64, 1024)
    assert (load.dram, load.l2, load.noc, load.l1) == (64 * 17, 2, 0, 0)
    assert load.latency == 85 + 10 == cost.dma_latency_cycles(machine)
    assert load.uncontended == 64 * 17
    store = cost.store_cost(machine, 64, 4096)
    assert (store.dram, store.l2) == (1, 8)
    push = cost.push_cost(machine, group, 5120, 640)
    assert (push.l2, push.noc, push.l1, push.latency) == (10, 10, 10, 18)
    pull = cost.pull_cost(machine, group, 5120, 640)
    assert (pull.l2, pull.noc, pull.l1) == (10, 10, 7)


# ----------------------------------------------------------------------------------------------- fabric programs


def test_kinds() -> None:
    assert cost.exec_kind(matmul()) is ExecKind.CONTRACTION
    assert cost.exec_kind(depthwise()) is ExecKind.DEPTHWISE
    assert cost.exec_kind(replace(matmul(), combiner=Combiner.MAX)) is ExecKind.VECTOR


def test_batched_matrix_vector_product_is_no_depthwise() -> None:
    fabric = replace(matmul(), accesses=(access(0, 1, 2), access(0, 2), access(0, 1)), rows=(1,), cols=())
    assert cost.batch_dims(fabric) == (0,)
    assert cost.exec_kind(fabric) is ExecKind.CONTRACTION


def test_array_split() -> None:
    split = cost.array_split(matmul())
    assert (split.rows, split.cols, split.others, split.rows_input, split.cols_input) == ((0,), (1,), (), 0, 1)
    split = cost.array_split(replace(matmul(), rows=(1,), cols=(0,)))
    assert (split.rows_input, split.cols_input) == (1, 0)
    split = cost.array_split(replace(matmul(), rows=(), cols=(1,)))
    assert (split.rows_input, split.cols_input, split.others) == (0, 1, (0,))
    split = cost.array_split(depthwise())
    assert (split.rows, split.cols, split.batch) == ((0,), (1, 2), (0,))


def test_linear_relu_is_free_of_vector_work() -> None:
    assert cost.vector_micro_ops(linear_fabric()) == 0


def test_vector_micro_ops_behind_a_contraction() -> None:
    bias = FabricProgram(
        "m", ("m", "n", "k"), 2, 2, (access(0, 2), access(1, 2), access(1), access(0, 1), access(0, 1)),
        Combiner.MAC, DType.I32, (), 0, (0,), (1,), Dataflow.OS,
    )  # fmt: skip
    mul, add, tanh = MicroOpcode.MULF, MicroOpcode.ADDF, MicroOpcode.TANH
    constant, ext, maximum = MicroOpcode.CONSTANT, MicroOpcode.EXTF, MicroOpcode.MAXIMUMF
    # Registers: 0 accumulator, 1 bias, 2 residual; micro-ops from 3.
    free = (op(add, 0, 1), op(ext, 2), op(add, 3, 4), op(constant), op(mul, 5, 6), op(maximum, 7, 6))
    assert cost.vector_micro_ops(replace(bias, micro_ops=free)) == 0
    fourth = (*free, op(mul, 8, 6))
    assert cost.vector_micro_ops(replace(bias, micro_ops=fourth)) == 1
    on_lanes = (op(tanh, 0), op(mul, 0, 3), op(maximum, 3, 4))
    assert cost.vector_micro_ops(replace(bias, micro_ops=on_lanes)) == 3


def quantized(*ops: tuple[MicroOpcode, DType, tuple[int, ...]]) -> FabricProgram:
    """An int8 contraction. Registers: 0 accumulator, 1 bias, 2 multiplier, 3 shift, 4 residual; micro-ops from 5."""
    micro_ops = tuple(MicroOp(opcode, dtype, args) for opcode, dtype, args in ops)
    accesses = (access(0, 2), access(1, 2), *(access(1),) * 3, access(0, 1), access(0, 1))
    return replace(matmul(micro_ops=micro_ops), accesses=accesses, acc_dtype=DType.I32)


def test_a_quantized_residual_block_is_free_of_vector_work() -> None:
    rescale, table, add = MicroOpcode.RESCALE, MicroOpcode.TABLE, MicroOpcode.ADDI
    constant, clamp = MicroOpcode.CONSTANT, MicroOpcode.MAXSI
    i8, i32 = DType.I8, DType.I32
    block = (
        (add, i32, (0, 1)), (rescale, i32, (5, 2, 3)), (constant, i32, ()), (constant, i32, ()),
        (rescale, i32, (4, 7, 8)), (add, i32, (6, 9)), (rescale, i8, (10, 7, 8)), (constant, i8, ()),
        (clamp, i8, (11, 12)), (table, i8, (13,)),
    )  # fmt: skip
    assert cost.vector_micro_ops(quantized(*block)) == 0
    # What comes on top: a fourth rescale, a second table.
    assert cost.vector_micro_ops(quantized(*block, (rescale, i8, (14, 7, 8)))) == 1
    assert cost.vector_micro_ops(quantized(*block, (table, i8, (14,)), (table, i8, (15,)))) == 2


def test_what_the_drain_unit_does_not_do_to_integers() -> None:
    i8, i32 = DType.I8, DType.I32
    # A multiplication, unless by a constant; a clamp against no constant; a scale that is computed; a float.
    assert cost.vector_micro_ops(quantized((MicroOpcode.MULI, i32, (0, 2)))) == 1
    assert cost.vector_micro_ops(quantized((MicroOpcode.CONSTANT, i32, ()), (MicroOpcode.MULI, i32, (0, 5)))) == 0
    assert cost.vector_micro_ops(quantized((MicroOpcode.MAXSI, i32, (0, 1)))) == 1
    assert cost.vector_micro_ops(quantized((MicroOpcode.RESCALE, i8, (0, 0, 3)))) == 1
    assert cost.vector_micro_ops(quantized((MicroOpcode.SITOFP, F32, (0,)))) == 1
    # The residual, converted or rescaled, is an operand still; the accumulator is not.
    assert cost.vector_micro_ops(quantized((MicroOpcode.EXTSI, i32, (4,)), (MicroOpcode.ADDI, i32, (0, 5)))) == 0
    assert cost.vector_micro_ops(quantized((MicroOpcode.RESCALE, i32, (0, 2, 3)), (MicroOpcode.ADDI, i32, (0, 5)))) == 1


def test_rescales_and_tables_on_the_lanes_count_one_each() -> None:
    ops = (
        MicroOp(MicroOpcode.RESCALE, DType.I8, (0, 0, 0), integers=(0, 0)),
        MicroOp(MicroOpcode.TABLE, DType.I8, (1,), integers=(0,)),
    )
    assert cost.vector_micro_ops(replace(matmul(), combiner=Combiner.NONE, inputs=0, micro_ops=ops)) == 2


def test_vector_micro_ops_without_a_contraction() -> None:
    ops = (op(MicroOpcode.CONSTANT), op(MicroOpcode.ADDF, 0, 1), op(MicroOpcode.EXTF, 2))
    assert cost.vector_micro_ops(replace(matmul(), combiner=Combiner.NONE, inputs=0, micro_ops=ops)) == 2


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (I8, I8, "i8"),
        (I8, DType.I4, "i4"),
        (DType.I4, DType.I4, "i4"),
        (DType.BF16, F32, "f32"),
        (DType.F16, DType.I8, "f16"),
    ],
)
def test_mac_type(a: DType, b: DType, expected: str) -> None:
    assert cost.mac_type(a, b) == expected


def test_unsupported_types_are_errors() -> None:
    with pytest.raises(TargetError, match="i64"):
        cost.mac_type(I8, DType.I64)
    with pytest.raises(TargetError, match="no f16 multipliers"):
        cost.macs_per_pe(GROUP, "f16")


def test_reduction_run() -> None:
    # x[ow + kw, ic], w[oc, kw, ic] with ic and kw dense in both: the run is kw and ic.
    fabric = FabricProgram(
        "conv", ("oc", "ow", "kh", "kw", "ic"), 2, 2,
        (Access((expr((2, 1)), expr((1, 1), (3, 1)), expr((4, 1)))), access(0, 2, 3, 4), access(1, 0)),
        Combiner.MAC, DType.I32, (), 0, (1,), (0,), Dataflow.OS,
    )  # fmt: skip
    box = (8, 10, 3, 3, 16)
    dense, weights = (12 * 16, 16, 1), (144, 48, 16, 1)
    assert cost.reduction_run(fabric, box, (dense, weights), (I8, I8)) == 2
    assert cost.reduction_run(fabric, box, ((12 * 32, 32, 1), weights), (I8, I8)) == 1
    assert cost.reduction_run(fabric, box, ((12, 1, 144), weights), (I8, I8)) == 0
    # An extra leading map dim (the slot of a multiple buffer) changes nothing; a dim of one point is always adjacent.
    assert cost.reduction_run(fabric, box, ((9999, *dense), weights), (I8, I8)) == 2
    assert cost.reduction_run(fabric, (8, 10, 3, 1, 16), (dense, (48, 16, 16, 1)), (I8, I8)) == 2
    assert cost.reduction_run(fabric, (8, 10, 1, 3, 16), (dense, weights), (I8, I8)) == 3


def test_access_elements() -> None:
    window = Access((expr((0, 2), (1, 1)), expr((2, 1))))
    assert cost.access_elements(window, (5, 3, 7)) == (2 * 4 + 2 + 1) * 7
    assert cost.access_elements(window, (5, 1, 7)) == 5 * 7
    assert cost.access_elements(Access((expr((0, 2), (1, 2)),)), (5, 3)) == 7
    assert cost.access_elements(Access((expr(),)), (5,)) == 1


# -------------------------------------------------------------------------------------------------- contractions


def test_output_stationary_compute_bound() -> None:
    # 2 x 2 passes of max(S = 100, D = 16, ceil(100 * (16 + 8) / 96) = 25), skew 22, drain 16.
    c = cost.exec_cost(GROUP, matmul(), (I8, I8, I8), (32, 16, 100), run=1)
    assert c.cycles == 4 * 100 + 22 + 16
    assert c.passes == 4
    assert c.l1_read_bytes == 4 * 100 * (16 + 8)
    assert c.l1_write_bytes == 32 * 16
    assert c.vector_ops == 0


def test_output_stationary_bound_by_drain_and_by_stream() -> None:
    assert cost.exec_cost(GROUP, matmul(), (I8, I8, I8), (16, 8, 3), run=1).cycles == 16 + 22 + 16
    wide = replace(GROUP, l1_read_bytes_per_cycle=8)
    assert cost.exec_cost(wide, matmul(), (I8, I8, I8), (16, 8, 100), run=1).cycles == 300 + 22 + 16


def test_output_stationary_element_sizes_follow_the_operand() -> None:
    narrow = replace(GROUP, l1_read_bytes_per_cycle=1)
    dtypes = (DType.I8, DType.I4, I8)
    rows_x = cost.exec_cost(narrow, matmul(), (DType.BF16, DType.BF16, I8), (16, 8, 10), run=1)
    assert rows_x.cycles == 10 * (16 * 2 + 8 * 2) + 38
    assert cost.exec_cost(narrow, matmul(), dtypes, (16, 8, 10), run=1).cycles == 10 * 20 + 38
    swapped = replace(matmul(), rows=(1,), cols=(0,))
    c = cost.contraction_cost(
        narrow, "i8", Dataflow.OS, rows_points=16, cols_points=8, other_points=1, run_points=10, outer_points=1,
        rows_bits=32, cols_bits=8, result_bytes=1,
    )  # fmt: skip
    assert c.cycles == 10 * (16 * 4 + 8) + 38
    assert cost.array_split(swapped).rows_input == 1


def test_wide_and_narrow_elements_of_the_array() -> None:
    bf16, f32 = (DType.BF16,) * 3, (F32,) * 3
    # Four MACs a cycle along a run of 10, 3 times: 3 * 3 steps, but the drain takes 16; without a run 30 steps.
    assert cost.exec_cost(GROUP, matmul(), bf16, (16, 8, 100), run=1).cycles == max(25, 16, 50) + 38
    fast = replace(GROUP, l1_read_bytes_per_cycle=4096)
    assert cost.exec_cost(fast, matmul(), bf16, (16, 8, 100), run=1).cycles == 25 + 38
    assert cost.exec_cost(fast, matmul(), bf16, (16, 8, 100), run=0).cycles == 100 + 38
    # Half a MAC a cycle: two cycles each.
    assert cost.exec_cost(fast, matmul(), f32, (16, 8, 100), run=1).cycles == 200 + 38


def test_other_parallel_points_multiply_passes() -> None:
    fabric = replace(matmul(), rows=())
    assert cost.exec_cost(GROUP, fabric, (I8, I8, I8), (5, 8, 100), run=1).passes == 5


def test_vector_micro_ops_overlap_the_next_pass() -> None:
    fabric = matmul(micro_ops=(op(MicroOpcode.TANH, 0), op(MicroOpcode.TANH, 1)))
    # V = 16 * 8 * 2 / 16 = 16 per pass.
    assert cost.exec_cost(GROUP, fabric, (I8, I8, I8), (32, 8, 100), run=1).cycles == 2 * 100 + 38 + 16
    slow = replace(GROUP, vector_lanes=1)
    c = cost.exec_cost(slow, fabric, (I8, I8, I8), (32, 8, 100), run=1)
    assert c.cycles == 2 * 256 + 38 + 256
    assert c.vector_ops == 32 * 8 * 2
    raw = cost.exec_cost(slow, fabric, (I8, I8, I8), (32, 8, 100), run=1, raw_out=1)
    assert raw.cycles == 2 * 100 + 38 + 4 * 32 * 8 // 64
    assert raw.vector_ops == 0


def test_raw_accumulators_cross_the_l1_ports() -> None:
    base = cost.exec_cost(GROUP, matmul(), (I8, I8, I8), (16, 8, 100), run=1)
    resumed = cost.exec_cost(GROUP, matmul(), (I8, I8, I8), (16, 8, 100), run=1, raw_in=1)
    assert resumed.cycles == base.cycles + ceil(512 / 96)
    assert resumed.l1_read_bytes == base.l1_read_bytes + 512
    left = cost.exec_cost(GROUP, matmul(), (I8, I8, I8), (16, 8, 100), run=1, raw_out=1)
    assert left.cycles == base.cycles + ceil(512 / 64)
    assert left.l1_write_bytes == 512


def test_weight_stationary() -> None:
    fabric = matmul(Dataflow.WS)
    # K = 40 on 16 rows: 3 folds; N = 16 on 8 columns: 2. M = 100 stream; read 16 + 32 bytes each, load 128 once.
    one_pass = max(100, 16, ceil((100 * 48 + 128) / 96), ceil(100 * 32 / 64))
    assert one_pass == 100
    c = cost.exec_cost(GROUP, fabric, (I8, I8, I8), (100, 16, 40), run=1)
    assert c.cycles == 6 * one_pass + 38
    assert c.l1_read_bytes == 6 * (100 * 48 + 128)
    assert c.l1_write_bytes == 6 * 100 * 32 + 100 * 16
    # A reduction that fits the rows has no partial sums.
    c = cost.exec_cost(GROUP, fabric, (I8, I8, I8), (100, 8, 16), run=1)
    assert c.cycles == 100 + 38
    assert c.l1_read_bytes == 100 * 16 + 128
    assert c.l1_write_bytes == 100 * 8
    # Few points: loading the array takes 16 cycles.
    assert cost.exec_cost(GROUP, fabric, (I8, I8, I8), (1, 8, 16), run=1).cycles == 16 + 38


def test_weight_stationary_epilogue_runs_once_per_result() -> None:
    fabric = matmul(Dataflow.WS, (op(MicroOpcode.TANH, 0),))
    slow = replace(GROUP, vector_lanes=1)
    c = cost.exec_cost(slow, fabric, (I8, I8, I8), (100, 8, 32), run=1)
    assert c.cycles == 100 + 800 + 800 + 38


def test_input_stationary_swaps_the_operands() -> None:
    ws, is_ = matmul(Dataflow.WS), matmul(Dataflow.IS)
    assert cost.exec_cost(GROUP, is_, (I8, I8, I8), (8, 100, 40), run=1) == cost.exec_cost(
        GROUP, ws, (I8, I8, I8), (100, 8, 40), run=1
    )
    # Which array side the stationary operand's dims are listed on does not matter.
    turned = replace(ws, rows=(1,), cols=(0,))
    assert cost.exec_cost(GROUP, turned, (I8, I8, I8), (100, 8, 40), run=1) == cost.exec_cost(
        GROUP, ws, (I8, I8, I8), (100, 8, 40), run=1
    )


def test_depthwise() -> None:
    # 20 channels on 16 rows: 2; 7 x 7 positions on 8 columns: 7. K = 9, drain 16, stream (128 + 144) / 96 = 3.
    c = cost.exec_cost(GROUP, depthwise(), (I8, I8, I8), (20, 7, 7, 3, 3))
    assert c.cycles == 14 * 16 + 38
    assert c.l1_read_bytes == 14 * (16 * 8 + 16 * 9)
    fast = replace(GROUP, drain_rows_per_cycle=16)
    assert cost.exec_cost(fast, depthwise(), (I8, I8, I8), (20, 7, 7, 3, 3)).cycles == 14 * 9 + 22 + 1


def test_vector_pooling() -> None:
    pool = FabricProgram(
        "pool", ("c", "ow", "kw"), 2, 1, (Access((expr((1, 2), (2, 1)), expr((0, 1)))), access(1, 0)),
        Combiner.MAX, F32, (), 0, (), (), Dataflow.OS,
    )  # fmt: skip
    # 32 * 10 * 3 points on 16 lanes = 60 cycles; reads 21 * 32 bytes, writes 320.
    c = cost.exec_cost(GROUP, pool, (I8, I8), (32, 10, 3))
    assert c.cycles == 60
    assert (c.l1_read_bytes, c.l1_write_bytes, c.vector_ops) == (21 * 32, 320, 960)
    assert cost.exec_cost(replace(GROUP, vector_lanes=10**6), pool, (I8, I8), (32, 10, 3)).cycles == 672 // 96


def test_vector_elementwise_reads_epilogue_operands() -> None:
    add = FabricProgram(
        "add", ("m",), 1, 0, (access(0), access(0), access(0)), Combiner.NONE, F32,
        (op(MicroOpcode.ADDF, 0, 1),), 2, (), (), Dataflow.OS,
    )  # fmt: skip
    c = cost.exec_cost(GROUP, add, (F32, F32, F32), (960,))
    assert (c.l1_read_bytes, c.l1_write_bytes, c.vector_ops) == (7680, 3840, 960)
    assert c.cycles == max(960 // 16, 7680 // 96, 3840 // 64)


# ---------------------------------------------------------------------------------------------------------- laws

POINTS = st.integers(1, 70)


@given(st.sampled_from(list(Dataflow)), POINTS, POINTS, POINTS, st.sampled_from([I8, DType.I4, DType.BF16, F32]))
def test_no_contraction_beats_the_peak(dataflow: Dataflow, m: int, n: int, k: int, weight: DType) -> None:
    dtype = I8 if weight is DType.I4 else weight
    c = cost.exec_cost(GROUP, matmul(dataflow), (dtype, weight, dtype), (m, n, k), run=1)
    peak = GROUP.rows * GROUP.cols * GROUP.macs_per_pe[cost.mac_type(dtype, weight)]
    assert c.cycles >= m * n * k / peak


@given(POINTS, POINTS, POINTS, st.integers(1, 5), st.integers(1, 5))
def test_no_depthwise_beats_the_peak(ch: int, oh: int, ow: int, kh: int, kw: int) -> None:
    points = (ch, oh, ow, kh, kw)
    assert cost.exec_cost(GROUP, depthwise(), (I8, I8, I8), points).cycles >= Fraction(prod(points), 128)


@given(
    st.sampled_from([matmul(d, (op(MicroOpcode.TANH, 0),)) for d in Dataflow]),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.booleans(), st.booleans()),
             min_size=1, max_size=8),
)  # fmt: skip
def test_arrays_and_ints_agree(fabric: FabricProgram, cases: list[tuple[int, int, int, bool, bool]]) -> None:
    columns = [np.array(c, dtype=np.int64) for c in zip(*cases, strict=True)]
    many = cost.exec_cost(GROUP, fabric, (I8, I8, I8), columns[:3], 1, columns[3], columns[4])
    for i, (m, n, k, raw_in, raw_out) in enumerate(cases):
        one = cost.exec_cost(GROUP, fabric, (I8, I8, I8), (m, n, k), 1, int(raw_in), int(raw_out))
        for whole, part in ((many, one), (many.array, one.array)):
            values = {} if part is None else {k: v for k, v in vars(part).items() if k != "array"}
            assert all(isinstance(v, int) for v in values.values())
            for name, value in values.items():
                assert np.broadcast_to(getattr(whole, name), len(cases))[i] == value
        if one.array is not None and one.cycles:
            a = one.array
            one_pass = cost.maximum(a.steps, a.rows, a.stream)
            behind = a.finishing * cost.maximum(0, a.vector - one_pass)
            assert one.cycles == a.passes * one_pass + behind + a.fill + a.raw


def test_an_empty_box_does_nothing() -> None:
    for fabric, points in ((matmul(), (0, 8, 8)), (matmul(Dataflow.WS), (8, 0, 8)), (depthwise(), (0, 7, 7, 3, 3))):
        c = cost.exec_cost(GROUP, fabric, (I8, I8, I8), points)
        assert (c.cycles, c.passes, c.l1_read_bytes, c.l1_write_bytes) == (0, 0, 0, 0)


@pytest.mark.parametrize("dataflow", [Dataflow.OS, Dataflow.WS, Dataflow.IS])
@pytest.mark.parametrize("streamed", [16, 100, 1000])
def test_one_pass_at_a_time_is_scale_sim(dataflow: Dataflow, streamed: int) -> None:
    """SCALE-Sim's analytical model (Samajdar et al., 2020): a fold on an R x C array takes 2R + C + T - 2."""
    points = {Dataflow.OS: (16, 8, streamed), Dataflow.WS: (streamed, 8, 16), Dataflow.IS: (8, streamed, 16)}[dataflow]
    c = cost.exec_cost(GROUP, matmul(dataflow), (I8, I8, I8), points, run=1)
    assert c.passes == 1
    assert c.cycles == 2 * GROUP.rows + GROUP.cols + streamed - 2


# -------------------------------------------------------------------------------------------- passes by themselves


APART = replace(GROUP, pass_overlap=False)


@given(st.integers(1, 200), st.integers(1, 100), st.integers(1, 3000), st.sampled_from([1, 4, 16]))
def test_passes_that_do_not_overlap_are_scale_sim(m: int, n: int, k: int, drain: int) -> None:
    """SCALE-Sim 3's closed form (Raj et al., 2025) for an output-stationary layer on an R x C array."""
    group = replace(APART, drain_rows_per_cycle=drain)
    c = cost.exec_cost(group, matmul(), (I8, I8, I8), (m, n, k), run=1)
    assert c.cycles == -(-m // 16) * -(-n // 8) * (k + 16 + 8 - 2) - 1


@pytest.mark.parametrize("streamed", [3, 100])
def test_stationary_operands_that_load_by_themselves(streamed: int) -> None:
    """Each pass loads R rows, and streams through them: 2R + C + T - 2, less the number that the first cycle has."""
    for dataflow, points in ((Dataflow.WS, (streamed, 16, 32)), (Dataflow.IS, (32, streamed, 32))):
        wide = replace(APART, l1_read_bytes_per_cycle=4096, l1_write_bytes_per_cycle=4096)
        c = cost.exec_cost(wide, matmul(dataflow), (I8, I8, I8), points, run=1)
        assert c.cycles == c.passes * (2 * 16 + 8 + streamed - 2) - 1


def test_overlap_saves_time_and_nothing_else() -> None:
    for fabric, points in (
        (matmul(), (64, 64, 64)),
        (matmul(Dataflow.WS), (64, 64, 64)),
        (depthwise(), (64, 7, 7, 3, 3)),
    ):
        on, off = (cost.exec_cost(group, fabric, (I8, I8, I8), points, run=1) for group in (GROUP, APART))
        assert on.cycles < off.cycles
        assert replace(on, cycles=0, array=None) == replace(off, cycles=0, array=None)


def test_the_key_counts_where_it_is_false_only() -> None:
    machine = load_target("kpu-16x16")
    stated, apart = (
        replace(machine, tile_groups=tuple(replace(g, pass_overlap=v) for g in machine.tile_groups))
        for v in (True, False)
    )
    assert stated.digest == machine.digest != apart.digest
