"""Checks of `reduce` beyond those of any block transfer."""

from __future__ import annotations

from swkpu.program.dtypes import DType
from swkpu.program.limits import expect
from swkpu.program.model import Block, Combiner, Coord, Reduce, TensorMap, TileRange

ACCUMULATORS = (DType.I32, DType.I64, DType.F32)
"""What sums and products are kept in."""


def check_reduce(command: Reduce, src: TensorMap, dst: TensorMap, loops: tuple[int, ...]) -> None:
    """The combiner, the receivers, and that every tile has all of the box. `loops` are the trip counts around it."""
    combiner = command.combiner
    expect(
        combiner not in (Combiner.NONE, Combiner.MAC),
        f"tiles are combined by add, mul, max or min, not by {combiner.name.lower()}",
    )
    expect(
        combiner in (Combiner.MAX, Combiner.MIN) or src.dtype in ACCUMULATORS,
        f"{combiner.name.lower()} of {src.dtype.name.lower()}, "
        f"expected {' or '.join(d.name.lower() for d in ACCUMULATORS)}",
    )
    expect(
        1 <= command.receivers <= command.tiles.n0,
        f"{command.receivers} receivers in groups of {command.tiles.n0} tiles, expected 1 to {command.tiles.n0}",
    )
    expect(
        all(c.tiles == (0, 0) for c in command.dst.start),
        "dst uses the tile coordinate; every receiver writes the same place of its L1",
    )
    expect(
        src.end <= dst.begin or dst.end <= src.begin, "dst overlaps src, which other tiles of the group may still read"
    )
    _check_inside(command.src, src, "src", command.box, command.receiving, loops)
    _check_inside(command.dst, dst, "dst", command.box, command.receiving, loops)


def _check_inside(
    block: Block, m: TensorMap, what: str, box: tuple[int, ...], tiles: TileRange, loops: tuple[int, ...]
) -> None:
    walked = {axis: (step, n) for axis, step, n in zip(block.axes, block.steps, box)}
    for axis, (coord, extent) in enumerate(zip(block.start, m.extents)):
        step, n = walked.get(axis, (1, 1))
        expect(step >= 1, f"{what}: a step of {step}, expected at least 1")
        low, high = coordinate_bounds(coord, tiles, loops)
        high += step * (n - 1)
        expect(
            low >= 0 and high < extent,
            f"{what}: coordinates {low} to {high} along dim {axis} of map {block.map}, which has {extent}; "
            "a reduce stays inside its maps",
        )


def coordinate_bounds(coord: Coord, tiles: TileRange, loops: tuple[int, ...]) -> tuple[int, int]:
    """The least and the largest value over all iterations and tiles."""
    moves = [coef * (loops[depth] - 1) for depth, coef in coord.loops]
    moves += [coef * (n - 1) for coef, n in zip(coord.tiles, (tiles.n0, tiles.n1))]
    return coord.const + sum(min(0, move) for move in moves), coord.const + sum(max(0, move) for move in moves)
