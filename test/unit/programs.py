"""Small hand-made programs, and the pieces to make more of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from swkpu.program.model import (
    Access,
    AffineExpr,
    Block,
    Combiner,
    Coord,
    Dataflow,
    DType,
    End,
    Engine,
    Exec,
    FabricProgram,
    Halt,
    Layer,
    Load,
    Loop,
    Metadata,
    MicroOp,
    MicroOpcode,
    Operand,
    Program,
    Pull,
    Push,
    Segment,
    SemOp,
    Space,
    Store,
    Stream,
    Symbol,
    TensorMap,
    TileRange,
)
from swkpu.target.machine import Machine

L0 = Coord(loops=((0, 1),))
"""The counter of the outermost loop."""


def coord(const: int = 0, *, loops: dict[int, int] | None = None, tiles: tuple[int, int] = (0, 0)) -> Coord:
    """`const + sum(loops[depth] * counter) + tiles · (t0, t1)`."""
    return Coord(const, tuple((loops or {}).items()), tiles)


def coords(start: Sequence[int | Coord]) -> tuple[Coord, ...]:
    return tuple(c if isinstance(c, Coord) else Coord(c) for c in start)


def block(index: int, *start: int | Coord, axes: tuple[int, ...] = (), steps: tuple[int, ...] = ()) -> Block:
    """A block of a map; unless said otherwise it walks all dims, in order, by single steps."""
    axes = axes or tuple(range(len(start)))
    return Block(index, coords(start), axes, steps or (1,) * len(axes))


def operand(index: int, *start: int | Coord) -> Operand:
    return Operand(index, coords(start))


def tensor_map(
    space: Space,
    base: int,
    dtype: DType,
    extents: tuple[int, ...],
    *,
    moduli: tuple[int, ...] = (),
    pad: float = 0.0,
    buffer: int = 0,
) -> TensorMap:
    """A dense row-major map; with moduli, of what they leave to store."""
    moduli = moduli or tuple(max(e, 1) for e in extents)
    strides = tuple(prod(moduli[d + 1 :]) * dtype.step for d in range(len(moduli)))
    return TensorMap(space, base, dtype, extents, strides, moduli, pad, buffer)


def access(*dims: int | None) -> Access:
    """Domain dims, one per map dim; None is the constant 0."""
    return Access(tuple(AffineExpr(0, () if d is None else ((d, 1),)) for d in dims))


def acquire(*semaphores: int) -> tuple[SemOp, ...]:
    """One token of each."""
    return tuple(SemOp(s, 1) for s in semaphores)


release = acquire


def bf16_bytes(values: np.ndarray) -> bytes:
    """`values`, which bf16 represents exactly, as bf16."""
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()


def metadata(model: str = "test") -> Metadata:
    return Metadata(
        model=model,
        precision="bf16",
        batch=1,
        profile="",
        compiler="by hand",
        compulsory_dram_bytes=0,
        estimated_cycles=0,
        weight_bytes=0,
        activation_bytes=0,
        peak_l1_bytes=0,
        peak_l2_bytes=0,
        peak_dram_bytes=0,
    )


def layer(name: str, macs: int = 0) -> Layer:
    return Layer(name, "linear", "model.py:1", macs, "bf16", 0, 0, {"l1": {"m": 4}, "dataflow": "os"})


def group_for(machine: Machine, dtype: str) -> int:
    """The first tile group that multiplies `dtype`."""
    return machine.groups_for(dtype)[0][0]


# y = relu(x · wᵀ + b), 8 rows of x at a time over two tiles, double-buffered.

M, N, K = 32, 8, 16
ROWS, TILES = 8, 2
WEIGHT = (np.arange(N * K, dtype=np.float32).reshape(N, K) % 7) - 3
BIAS = np.arange(N, dtype=np.float32) - 4

X_DRAM, W_DRAM, B_DRAM, Y_DRAM, X_L2, W_L2, B_L2, Y_L2, X_L1, W_L1, B_L1, Y_L1 = range(12)
IN_L2, IN_L1, X_L2_FULL, X_L2_FREE, X_L1_FULL, X_L1_FREE, Y_L1_FULL, Y_L1_FREE, Y_L2_FULL, Y_L2_FREE = range(10)


def linear_reference(x: np.ndarray) -> np.ndarray:
    """What `linear_program` computes of x [32, 16], in fp32; the result [32, 8] is rounded to bf16."""
    return np.maximum(x.astype(np.float32) @ WEIGHT.T + BIAS, 0)


def linear_maps() -> tuple[TensorMap, ...]:
    bf16, f32 = DType.BF16, DType.F32
    rows = ROWS // TILES
    steps = M // ROWS
    return (
        tensor_map(Space.DRAM, 0, bf16, (M, K), buffer=0),
        tensor_map(Space.DRAM, 1024, bf16, (N, K), buffer=1),
        tensor_map(Space.DRAM, 1280, f32, (N,), buffer=2),
        tensor_map(Space.DRAM, 2048, bf16, (M, N), buffer=3),
        # Two blocks of rows: row r is at r mod 16.
        tensor_map(Space.L2, 0, bf16, (M, K), moduli=(2 * ROWS, K), buffer=4),
        tensor_map(Space.L2, 1024, bf16, (N, K), buffer=5),
        tensor_map(Space.L2, 1280, f32, (N,), buffer=6),
        tensor_map(Space.L2, 2048, bf16, (M, N), moduli=(2 * ROWS, N), buffer=7),
        # Two slots: iteration i uses slot i mod 2.
        tensor_map(Space.L1, 0, bf16, (steps, rows, K), moduli=(2, rows, K), buffer=8),
        tensor_map(Space.L1, 256, bf16, (N, K), buffer=9),
        tensor_map(Space.L1, 512, f32, (N,), buffer=10),
        tensor_map(Space.L1, 576, bf16, (steps, rows, N), moduli=(2, rows, N), buffer=11),
    )


def linear_fabric() -> FabricProgram:
    return FabricProgram(
        name="linear_relu",
        dims=("m", "n", "k"),
        parallel=2,
        inputs=2,
        accesses=(access(0, 2), access(1, 2), access(1), access(0, 1)),
        combiner=Combiner.MAC,
        acc_dtype=DType.F32,
        micro_ops=(
            MicroOp(MicroOpcode.ADDF, DType.F32, (0, 1)),
            MicroOp(MicroOpcode.CONSTANT, DType.F32, (), 0.0),
            MicroOp(MicroOpcode.MAXIMUMF, DType.F32, (2, 3)),
            MicroOp(MicroOpcode.TRUNCF, DType.BF16, (4,)),
        ),
        result=5,
        rows=(0,),
        cols=(1,),
        dataflow=Dataflow.OS,
    )


def linear_streams(group: int) -> tuple[Stream, ...]:
    tiles = TileRange(group, 0, TILES, 1)
    rows, steps = ROWS // TILES, M // ROWS
    chunk = coord(loops={0: ROWS})
    share = coord(loops={0: ROWS}, tiles=(rows, 0))
    loop = Loop(count=steps)
    return (
        Stream(
            Engine.DMA_IN,
            0,
            (
                Load(src=block(W_DRAM, 0, 0), dst=block(W_L2, 0, 0), box=(N, K), release=release(IN_L2)),
                Load(src=block(B_DRAM, 0), dst=block(B_L2, 0), box=(N,), release=release(IN_L2)),
                loop,
                Load(
                    src=block(X_DRAM, chunk, 0),
                    dst=block(X_L2, chunk, 0),
                    box=(ROWS, K),
                    acquire=acquire(X_L2_FREE),
                    release=release(X_L2_FULL),
                ),
                End(),
                Halt(),
            ),
        ),
        Stream(
            Engine.BM_IN,
            group,
            (
                Push(
                    tiles=tiles,
                    src=block(W_L2, 0, 0),
                    dst=block(W_L1, 0, 0),
                    box=(N, K),
                    acquire=acquire(IN_L2),
                    release=release(IN_L1),
                ),
                Push(
                    tiles=tiles,
                    src=block(B_L2, 0),
                    dst=block(B_L1, 0),
                    box=(N,),
                    acquire=acquire(IN_L2),
                    release=release(IN_L1),
                ),
                loop,
                Push(
                    tiles=tiles,
                    src=block(X_L2, share, 0),
                    dst=block(X_L1, L0, 0, 0, axes=(1, 2)),
                    box=(rows, K),
                    acquire=acquire(X_L2_FULL, X_L1_FREE),
                    release=release(X_L2_FREE, X_L1_FULL),
                ),
                End(),
                Halt(),
            ),
        ),
        Stream(
            Engine.FABRIC,
            group,
            (
                Loop(count=steps, acquire=(SemOp(IN_L1, 2),)),
                Exec(
                    tiles=tiles,
                    fabric=0,
                    operands=(
                        operand(X_L1, L0, 0, 0),
                        operand(W_L1, 0, 0),
                        operand(B_L1, 0),
                        operand(Y_L1, L0, 0, 0),
                    ),
                    box=(rows, N, K),
                    acquire=acquire(X_L1_FULL, Y_L1_FREE),
                    release=release(X_L1_FREE, Y_L1_FULL),
                ),
                End(),
                Halt(),
            ),
        ),
        Stream(
            Engine.BM_OUT,
            group,
            (
                loop,
                Pull(
                    tiles=tiles,
                    src=block(Y_L1, L0, 0, 0, axes=(1, 2)),
                    dst=block(Y_L2, share, 0),
                    box=(rows, N),
                    acquire=acquire(Y_L1_FULL, Y_L2_FREE),
                    release=release(Y_L1_FREE, Y_L2_FULL),
                ),
                End(),
                Halt(),
            ),
        ),
        Stream(
            Engine.DMA_OUT,
            0,
            (
                loop,
                Store(
                    src=block(Y_L2, chunk, 0),
                    dst=block(Y_DRAM, chunk, 0),
                    box=(ROWS, N),
                    acquire=acquire(Y_L2_FULL),
                    release=release(Y_L2_FREE),
                ),
                End(),
                Halt(),
            ),
        ),
    )


def linear_program(machine: Machine) -> Program:
    """One fully connected layer: load → push → exec → pull → store, each in a loop of four iterations.

    L2 and L1 are double-buffered; the weight and the bias are multicast to both tiles, the rows of x scattered.
    """
    return Program(
        target=machine.name,
        target_digest=machine.digest,
        streams=linear_streams(group_for(machine, "bf16")),
        maps=linear_maps(),
        fabrics=(linear_fabric(),),
        # What is full starts empty, what is free has two buffers.
        semaphores=(0, 0, 0, 2, 0, 2, 0, 2, 0, 2),
        segments=(Segment(1024, 0, N * K * 2), Segment(1280, N * K * 2, N * 4)),
        constants=bf16_bytes(WEIGHT) + BIAS.tobytes(),
        inputs=(Symbol("x", X_DRAM, (M, K), DType.BF16),),
        outputs=(Symbol("y", Y_DRAM, (M, N), DType.BF16),),
        layers=(layer("linear", M * N * K),),
        metadata=metadata(),
    )
