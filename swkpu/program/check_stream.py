"""Checks of the commands, each where it stands in its stream."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from swkpu.errors import ProgramError, TargetError
from swkpu.program.check_fabric import check_types
from swkpu.program.check_reduce import check_reduce
from swkpu.program.dtypes import DType
from swkpu.program.limits import (
    MAX_ACCESS_POINTS,
    MAX_COMMANDS_RUN,
    MAX_DOMAIN_POINTS,
    MAX_VALUE,
    expect,
    expect_index,
)
from swkpu.program.loops import Placed, placed, stream_name
from swkpu.program.model import (
    MAX_RANK,
    MAX_SEMAPHORE_OPS,
    Block,
    Combiner,
    Command,
    Coord,
    Dataflow,
    End,
    Engine,
    Exec,
    FabricProgram,
    Gather,
    Halt,
    Load,
    Loop,
    Operand,
    Program,
    Pull,
    Push,
    Reduce,
    SemOp,
    Space,
    Stage,
    Store,
    Stream,
    TensorMap,
    TileRange,
    Transfer,
)

if TYPE_CHECKING:
    from swkpu.target.machine import Machine, TileGroup

SPACES: dict[type[Command], tuple[Space, Space]] = {
    Load: (Space.DRAM, Space.L2),
    Store: (Space.L2, Space.DRAM),
    Push: (Space.L2, Space.L1),
    Pull: (Space.L1, Space.L2),
}
"""From where to where each transfer moves."""


@dataclass(frozen=True)
class Site:
    """Where a command is checked. `loops` are the trip counts around it, `group` the stream's tiles."""

    program: Program
    machine: Machine
    stream: Stream
    group: TileGroup
    loops: tuple[int, ...]


def check_streams(program: Program, machine: Machine) -> None:
    seen = set[tuple[Engine, int]]()
    total = 0
    for stream in program.streams:
        name = stream_name(stream)
        expect((stream.engine, stream.group) not in seen, f"two streams for {name}")
        seen.add((stream.engine, stream.group))
        groups = 1 if stream.engine in (Engine.DMA_IN, Engine.DMA_OUT) else len(machine.tile_groups)
        expect(0 <= stream.group < groups, f"stream {name}: group {stream.group}, and {machine.name} has {groups}")
        total += _check_stream(program, machine, stream)
        expect(
            total <= MAX_COMMANDS_RUN,
            f"stream {name}: with its loops the program runs {total} commands, expected at most {MAX_COMMANDS_RUN}",
        )


def _check_stream(program: Program, machine: Machine, stream: Stream) -> int:
    """Check a stream; return how many commands it runs."""
    name = stream_name(stream)
    expect(bool(stream.commands) and isinstance(stream.commands[-1], Halt), f"stream {name} does not end with `halt`")
    total = 0
    for place in placed(stream):
        try:
            _check_command(place, Site(program, machine, stream, machine.tile_groups[stream.group], place.loops))
        except ProgramError as e:
            raise ProgramError(f"{describe(program, stream, place.index)}: {e}") from None
        match place.command:
            case Loop():
                # Its end, which stands outside like the loop, is met in every iteration.
                total += place.runs * (1 + place.command.count)
            case End():
                pass
            case _:
                total += place.runs
    return total


def describe(program: Program, stream: Stream, index: int) -> str:
    """Names a command in an error: stream, index, mnemonic, layer."""
    command = stream.commands[index]
    known = 0 <= command.layer < len(program.layers)
    layer = repr(program.layers[command.layer].name) if known else str(command.layer)
    return f"stream {stream_name(stream)}, command {index} ({command.mnemonic}, layer {layer})"


def _check_command(place: Placed, site: Site) -> None:
    command = place.command
    expect(
        site.stream.engine in command.engines,
        f"`{command.mnemonic}` runs on {' or '.join(e.name.lower() for e in command.engines)}",
    )
    expect_index(command.layer, site.program.layers, "layer")
    _check_semaphore_list(command.acquire, "acquire", site.program)
    _check_semaphore_list(command.release, "release", site.program)
    match command:
        case Halt():
            expect(place.index == len(site.stream.commands) - 1, "`halt` before the end of the stream")
            expect(not command.acquire and not command.release, "`halt` carries no semaphores")
        case Loop():
            expect(1 <= command.count <= MAX_VALUE, f"{command.count} iterations, expected at least 1")
            depth = site.machine.queues.loop_depth
            expect(len(place.loops) < depth, f"loops nested deeper than {depth}")
            expect(not command.release, "`loop` cannot release; its `end` can")
        case End():
            expect(not command.acquire, "`end` cannot acquire; its `loop` can")
        case Load() | Store() | Push() | Pull():
            _check_transfer(command, site)
        case Gather():
            _check_gather(command, site)
        case Exec():
            _check_exec(command, site)
        case Reduce():
            _check_tiles(command.tiles, site)
            src, dst = _check_move(command, (Space.L1,), Space.L1, command.tiles, site)
            check_reduce(command, src, dst, site.loops)
        case _:
            raise ProgramError(f"unknown command {command.mnemonic!r}")


def _check_semaphore_list(ops: tuple[SemOp, ...], what: str, program: Program) -> None:
    expect(len(ops) <= MAX_SEMAPHORE_OPS, f"{what} lists {len(ops)} semaphores, expected at most {MAX_SEMAPHORE_OPS}")
    expect(len({op.semaphore for op in ops}) == len(ops), f"{what} lists a semaphore twice")
    for op in ops:
        expect_index(op.semaphore, program.semaphores, f"{what}: semaphore")
        expect(
            1 <= op.count <= MAX_VALUE, f"{what}: {op.count} tokens of semaphore {op.semaphore}, expected at least 1"
        )


def _check_tiles(tiles: TileRange, site: Site) -> None:
    expect(tiles.group == site.stream.group, f"tiles of group {tiles.group} in the stream of group {site.stream.group}")
    expect(tiles.n0 >= 1 and tiles.n1 >= 1, f"a range of {tiles.n0} x {tiles.n1} tiles, expected at least 1 x 1")
    last = tiles.first + tiles.count - 1
    expect(
        tiles.first >= 0 and last < site.group.count,
        f"tiles {tiles.first} to {last}, and group {tiles.group} has {site.group.count}",
    )


# Transfers


def _check_transfer(command: Transfer, site: Site) -> None:
    tiles = command.tiles if isinstance(command, Push | Pull) else None
    if tiles is not None:
        _check_tiles(tiles, site)
    source_space, destination_space = SPACES[type(command)]
    _check_move(command, (source_space,), destination_space, tiles, site)
    if isinstance(command, Pull):
        for i, n in enumerate((command.tiles.n0, command.tiles.n1)):
            expect(
                n == 1 or any(c.tiles[i] != 0 for c in command.dst.start),
                f"dst does not depend on tile coordinate T{i}, so that {n} tiles overwrite each other",
            )


def _check_move(
    command: Transfer | Gather | Reduce,
    sources: tuple[Space, ...],
    destination: Space,
    tiles: TileRange | None,
    site: Site,
) -> tuple[TensorMap, TensorMap]:
    """The box, and both sides of what moves: their maps."""
    box = command.box
    expect(1 <= len(box) <= MAX_RANK, f"a box of rank {len(box)}, expected 1 to {MAX_RANK}")
    expect(all(1 <= n <= MAX_VALUE for n in box), f"box {box}, expected at least 1 in every dim")
    src = _check_block(command.src, sources, tiles, box, "src", site)
    dst = _check_block(command.dst, (destination,), tiles, box, "dst", site)
    expect(
        src.dtype is dst.dtype,
        f"src is {src.dtype.name.lower()} and dst {dst.dtype.name.lower()}: a transfer converts nothing",
    )
    on_chip = site.group.l1_bytes if tiles is not None else site.machine.l2.capacity_bytes
    size = src.dtype.bytes_of(prod(box))
    expect(size <= on_chip, f"a box of {size} bytes, more than the on-chip memory of {on_chip}")
    for n, axis, step in zip(box, command.dst.axes, command.dst.steps, strict=True):
        expect(n == 1 or step != 0, "dst has a step of 0 along a dim of the box, so that elements overwrite each other")
        expect(
            n == 1 or dst.strides[axis] != 0,
            "dst has a stride of 0 along a dim of the box, so that elements overwrite each other",
        )
    return src, dst


def _check_gather(command: Gather, site: Site) -> None:
    _check_move(command, (Space.DRAM, Space.L2), Space.L2, None, site)
    index = _check_block(command.index, (Space.DRAM, Space.L2), None, command.box, "index", site)
    expect(index.dtype is DType.I32, f"index is {index.dtype.name.lower()}, expected i32")
    rank = site.program.maps[command.src.map].rank
    expect(0 <= command.dim < rank, f"indices count along dim {command.dim} of src, which has {rank}")


def _check_block(
    block: Block, spaces: tuple[Space, ...], tiles: TileRange | None, box: tuple[int, ...], what: str, site: Site
) -> TensorMap:
    m = _check_start(block.map, block.start, spaces, tiles, what, site)
    expect(
        len(block.axes) == len(box) and len(block.steps) == len(box),
        f"{what}: {len(block.axes)} axes and {len(block.steps)} steps for a box of rank {len(box)}",
    )
    expect(
        len(set(block.axes)) == len(block.axes) and all(0 <= a < m.rank for a in block.axes),
        f"{what}: axes {block.axes} are not distinct dims of map {block.map}, 0 to {m.rank - 1}",
    )
    for n, axis, step in zip(box, block.axes, block.steps, strict=True):
        reach = coordinate_reach(block.start[axis], tiles, site.loops) + (n - 1) * abs(step)
        if reach > MAX_VALUE:
            raise ProgramError(f"{what}: a coordinate reaches {reach}")
    return m


def _check_start(
    index: int, start: tuple[Coord, ...], spaces: tuple[Space, ...], tiles: TileRange | None, what: str, site: Site
) -> TensorMap:
    """A map of the right space that fits it, and a start coordinate per dim."""
    expect_index(index, site.program.maps, f"{what}: map")
    m = site.program.maps[index]
    expected = " or ".join(s.name for s in spaces)
    expect(m.space in spaces, f"{what}: map {index} is in {m.space.name}, expected {expected}")
    if m.space is Space.L1:
        expect(
            m.end <= site.group.l1_bytes,
            f"{what}: map {index} ends at byte {m.end} of L1, and tiles of group {site.stream.group} have "
            f"{site.group.l1_bytes}",
        )
    expect(len(start) == m.rank, f"{what}: {len(start)} start coordinates for map {index} of rank {m.rank}")
    for coord in start:
        _check_coord(coord, tiles, what, site)
    return m


def _check_coord(coord: Coord, tiles: TileRange | None, what: str, site: Site) -> None:
    # Not `expect`: most of a program is coordinates, and a message takes longer to format than the check.
    depths = [depth for depth, _ in coord.loops]
    if len(set(depths)) != len(depths) or not all(0 <= d < len(site.loops) for d in depths):
        raise ProgramError(
            f"{what}: a coordinate uses the counters of loops {depths}, and {len(site.loops)} loops are open"
        )
    if tiles is None and coord.tiles != (0, 0):
        raise ProgramError(f"{what}: a coordinate uses the tile coordinate, and the command names no tiles")
    reach = coordinate_reach(coord, tiles, site.loops)
    if reach > MAX_VALUE:
        raise ProgramError(f"{what}: a coordinate reaches {reach}")


def coordinate_reach(coord: Coord, tiles: TileRange | None, loops: tuple[int, ...]) -> int:
    """A bound on the magnitude of the coordinate over all iterations and tiles."""
    reach = abs(coord.const)
    for depth, coef in coord.loops:
        reach += abs(coef) * (loops[depth] - 1)
    if tiles is not None:
        c0, c1 = coord.tiles
        reach += abs(c0) * (tiles.n0 - 1) + abs(c1) * (tiles.n1 - 1)
    return reach


# exec


def _check_exec(command: Exec, site: Site) -> None:
    _check_tiles(command.tiles, site)
    expect_index(command.fabric, site.program.fabrics, "fabric program")
    fabric = site.program.fabrics[command.fabric]
    _check_box(command, fabric, site)
    numbers = fabric.operands_of(command.stage)
    stage = "" if command.stage is Stage.WHOLE else f" for a {command.stage.name.lower()} exec"
    expect(
        len(command.operands) == len(numbers),
        f"{len(command.operands)} operands, and fabric program {fabric.name!r} has {len(numbers)} accesses{stage}",
    )
    maps = [_check_operand(command, o, i, fabric, i, site) for i, o in zip(numbers, command.operands)]
    dtypes = tuple(m.dtype for m in maps)
    check_types(fabric, dtypes, command.stage)
    check_weights(fabric, dtypes, numbers.start)
    multiplies = fabric.combiner is Combiner.MAC and command.stage is not Stage.FINISH
    if multiplies and fabric.dataflow is not Dataflow.VECTOR:
        _check_multipliers(maps[0], maps[1], site)
    _check_reduction(command, fabric, site)


def _check_box(command: Exec, fabric: FabricProgram, site: Site) -> None:
    box = command.box
    expect(
        len(box) == len(fabric.dims),
        f"a box of rank {len(box)}, and {fabric.name!r} has {len(fabric.dims)} domain dims",
    )
    if command.stage is Stage.FINISH:
        reduced = box[fabric.parallel :]
        expect(all(n == 0 for n in reduced), f"box {box} of a finish exec, expected 0 in every reduction dim")
        box = box[: fabric.parallel]
    expect(
        all(n >= 1 for n in box) and prod(box) <= MAX_DOMAIN_POINTS,
        f"box {box}, expected at least 1 in every dim and at most {MAX_DOMAIN_POINTS} points",
    )
    rank = len(fabric.dims)
    for clip in command.clips:
        expect(0 <= clip.dim < rank, f"a clip of domain dim {clip.dim}, expected 0 to {rank - 1}")
        expect(abs(clip.limit) <= MAX_VALUE, f"a clip of {clip.limit}")
        _check_coord(clip.start, command.tiles, "clip", site)


def _check_operand(
    command: Exec, operand: Operand, access: int, fabric: FabricProgram, number: int | str, site: Site
) -> TensorMap:
    what = f"operand {number}"
    m = _check_start(operand.map, operand.start, (Space.L1,), command.tiles, what, site)
    exprs = fabric.accesses[access].exprs
    expect(len(exprs) <= m.rank, f"{what}: an access of rank {len(exprs)} to map {operand.map} of rank {m.rank}")
    points = prod(command.box[dim] for dim in {dim for expr in exprs for dim, _ in expr.terms})
    expect(
        points <= MAX_ACCESS_POINTS, f"{what}: read or written at {points} points, expected at most {MAX_ACCESS_POINTS}"
    )
    for expr, coord in zip(exprs, operand.start[m.rank - len(exprs) :], strict=True):
        reach = abs(expr.const) + sum(abs(coef) * (command.box[dim] - 1) for dim, coef in expr.terms)
        reach += coordinate_reach(coord, command.tiles, site.loops)
        expect(reach <= MAX_VALUE, f"{what}: a coordinate reaches {reach}")
    return m


def check_weights(fabric: FabricProgram, dtypes: tuple[DType, ...], first: int = 0) -> None:
    """An i4 is the weight of i8 activations. The types are those of the operands from number `first` on."""
    for number, dtype in enumerate(dtypes, first):
        is_weight = fabric.combiner is Combiner.MAC and number == 1 and dtypes[0] is DType.I8
        expect(
            dtype is not DType.I4 or is_weight,
            f"operand {number} is i4; only the second input of a mac is, where the first is i8",
        )


def _check_multipliers(a: TensorMap, b: TensorMap, site: Site) -> None:
    # Here, and not at the top: numpy is not needed to read a program.
    from swkpu.target.cost import mac_type, macs_per_pe

    try:
        macs_per_pe(site.group, mac_type(a.dtype, b.dtype))
    except TargetError as e:
        raise ProgramError(str(e)) from None


def _check_reduction(command: Exec, fabric: FabricProgram, site: Site) -> None:
    mask = command.reduction_loops
    expect(
        0 <= mask < 1 << len(site.loops),
        f"the reduction goes on over the loops of mask {mask:#x}, and {len(site.loops)} loops are open",
    )
    split = command.stage is not Stage.WHOLE
    if mask != 0 or split:
        where = "over tiles" if split else "over loops"
        expect(command.accumulator is not None, f"the reduction goes on {where}, and there is no accumulator operand")
        expect(
            fabric.combiner is not Combiner.NONE,
            f"the reduction goes on {where}, and {fabric.name!r} reduces nothing",
        )
    expect(mask == 0 or command.stage is not Stage.FINISH, "a finish exec reduces nothing, over loops or otherwise")
    if command.accumulator is not None:
        m = _check_operand(command, command.accumulator, len(fabric.accesses) - 1, fabric, "accumulator", site)
        expect(
            m.dtype is fabric.acc_dtype,
            f"the accumulator is kept in a map of {m.dtype.name.lower()}, and it is {fabric.acc_dtype.name.lower()}",
        )
