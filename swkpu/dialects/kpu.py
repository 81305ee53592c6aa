"""The kpu dialect says where and when: buffers in memory spaces, block transfers, executions on tile ranges, loops.

It exists in two forms that map onto each other. In the *sequential* form a program is a list of layers, each a nest
of loops over commands, and means what it says from top to bottom. `kpu-schedule` turns it into the *scheduled*
form, one `kpu.stream` per engine with semaphores on the commands, which is the binary program one to one.

Coordinates are affine in `i0, i1, ...`, the counters of the enclosing loops from the outermost, and `t0, t1`, the
tile's coordinates in the command's range:

```mlir
kpu.for i0 = 4 {
  %w1 = kpu.alloc {buffers = 2} : !kpu.buffer<16x3x3x64xbf16, l1>
  kpu.push %w[16*i0, 0, 0, 0] to %w1[0, 0, 0, 0] box [16, 3, 3, 64] tiles bf16 [0 : 6 x 2] : ...
```
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from math import inf, prod
from typing import Any, ClassVar, cast

from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    DictionaryAttr,
    FloatAttr,
    IntAttr,
    IntegerAttr,
    StringAttr,
    SymbolRefAttr,
    f64,
    i64,
)
from xdsl.ir import Attribute, Block, Data, Dialect, Operation, ParametrizedAttribute, Region, SSAValue, TypeAttribute
from xdsl.ir.affine import AffineMap
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    param_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import NoTerminator, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from swkpu.affine import Linear, format_map, linear, map_of, parse_map
from swkpu.dialects.df import COMBINERS, Domain, DomainAttr, maps_attr, parse_domain, print_argument
from swkpu.dialects.nn import IntsAttr, ints
from swkpu.dialects.weights import WeightAttr
from swkpu.program.model import Dataflow, Space
from swkpu.types import dtype_of

MAX_LOOPS = 6
T0, T1 = MAX_LOOPS, MAX_LOOPS + 1
COORDINATES = (*(f"i{k}" for k in range(MAX_LOOPS)), "t0", "t1")
"""The names coordinates are affine in; a coordinate map has one dim for each."""


def coordinate_map(exprs: Sequence[Linear]) -> AffineMap:
    return map_of(len(COORDINATES), exprs)


# ---- attributes and types ------------------------------------------------------------------------------------------


@irdl_attr_definition
class BufferType(ParametrizedAttribute, TypeAttribute):
    """An N-D block of memory: `!kpu.buffer<1x56x56x64xbf16, l2>`. Row-major; an L1 buffer exists in every tile of its
    group.
    """

    name = "kpu.buffer"

    shape: IntsAttr = param_def()
    element: Attribute = param_def()
    space: StringAttr = param_def()

    @staticmethod
    def of(shape: Sequence[int], element: Attribute, space: Space) -> BufferType:
        return BufferType(ints(shape), element, StringAttr(space.name.lower()))

    @property
    def extents(self) -> tuple[int, ...]:
        return self.shape.data

    @property
    def memory(self) -> Space:
        return Space[self.space.data.upper()]

    @property
    def bytes(self) -> int:
        return prod(self.extents) * dtype_of(self.element).bytes

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            shape, element = parser.parse_ranked_shape()
            parser.parse_punctuation(",")
            space = parser.parse_keyword_in(("dram", "l2", "l1"))
        return [ints(shape), element, StringAttr(space)]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string("".join(f"{n}x" for n in self.extents))
            printer.print_attribute(self.element)
            printer.print_string(f", {self.space.data}")


@irdl_attr_definition
class TilesAttr(ParametrizedAttribute):
    """A range of tiles of one group: `int8 [0 : 6 x 2]` is tiles 0 + t0 * 2 + t1."""

    name = "kpu.tiles"

    group: StringAttr = param_def()
    range: IntsAttr = param_def()

    @staticmethod
    def of(group: str, first: int, n0: int, n1: int) -> TilesAttr:
        return TilesAttr(StringAttr(group), ints([first, n0, n1]))

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        group = parser.parse_identifier(" (the kind of a tile group)")
        with parser.in_square_brackets():
            first = parser.parse_integer(allow_negative=False)
            parser.parse_punctuation(":")
            n0 = parser.parse_integer(allow_negative=False)
            parser.parse_keyword("x")
            n1 = parser.parse_integer(allow_negative=False)
        return [StringAttr(group), ints([first, n0, n1])]

    def print_parameters(self, printer: Printer) -> None:
        first, n0, n1 = self.range.data
        printer.print_string(f" {self.group.data} [{first} : {n0} x {n1}]")


Tokens = tuple[tuple[int, int], ...]


@irdl_attr_definition
class SemaphoresAttr(Data[Tokens]):
    """(semaphore, count) pairs: `[3 * 1, 4 * 6]`."""

    name = "kpu.semaphores"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Tokens:
        def one() -> tuple[int, int]:
            semaphore = parser.parse_integer(allow_negative=False)
            parser.parse_punctuation("*")
            return semaphore, parser.parse_integer(allow_negative=False)

        return tuple(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, one))

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string("[" + ", ".join(f"{s} * {n}" for s, n in self.data) + "]")


# ---- program, layers, loops, streams -------------------------------------------------------------------------------


@irdl_op_definition
class ProgramOp(IRDLOperation):
    """A program for one target. `info` holds facts for reports; `semaphores` (scheduled form) the initial counts."""

    name = "kpu.program"

    sym_name = prop_def(StringAttr)
    target = prop_def(StringAttr)
    info = prop_def(DictionaryAttr)
    semaphores = opt_prop_def(IntsAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator(), SymbolOpInterface())
    assembly_format = "$sym_name `target` $target (`semaphores` $semaphores^)? `info` $info $body attr-dict"

    def __init__(self, name: str, target: str, info: dict[str, Attribute], body: Region):
        super().__init__(
            properties={"sym_name": StringAttr(name), "target": StringAttr(target), "info": DictionaryAttr(info)},
            regions=[body],
        )


@irdl_op_definition
class LayerOp(IRDLOperation):
    """One recurrence's commands. In the scheduled form the body is empty and commands name their layer."""

    name = "kpu.layer"

    sym_name = prop_def(StringAttr)
    info = prop_def(DictionaryAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator())
    assembly_format = "$sym_name `info` $info $body attr-dict"

    def __init__(self, name: str, info: dict[str, Attribute], body: Region):
        super().__init__(properties={"sym_name": StringAttr(name), "info": DictionaryAttr(info)}, regions=[body])


def parse_schedule(parser: Parser) -> dict[str, Attribute]:
    """The optional `acquire`, `release` and `layer` of a command."""
    out: dict[str, Attribute] = {}
    for key in ("acquire", "release"):
        if parser.parse_optional_keyword(key) is not None:
            out[key] = SemaphoresAttr(SemaphoresAttr.parse_parameter(parser))
    if parser.parse_optional_keyword("layer") is not None:
        out["layer"] = StringAttr(parser.parse_str_literal())
    return out


class CommandOp(IRDLOperation, ABC):
    """What loops and commands carry once they are scheduled."""

    acquire = opt_prop_def(SemaphoresAttr)
    release = opt_prop_def(SemaphoresAttr)
    layer = opt_prop_def(StringAttr)

    traits = traits_def()

    def add_tokens(self, kind: str, semaphore: int, count: int) -> None:
        """Append to `acquire` or `release`, merging counts of one semaphore."""
        current = self.properties.get(kind)
        tokens = dict(cast(SemaphoresAttr, current).data) if current is not None else {}
        tokens[semaphore] = tokens.get(semaphore, 0) + count
        self.properties[kind] = SemaphoresAttr(tuple(sorted(tokens.items())))

    def print_schedule(self, printer: Printer) -> None:
        for key in ("acquire", "release"):
            tokens = self.properties.get(key)
            if tokens is not None:
                printer.print_string(f" {key} ")
                cast(SemaphoresAttr, tokens).print_parameter(printer)
        if self.layer is not None:
            printer.print_string(" layer ")
            printer.print_string_literal(self.layer.data)


def depth_of(op: Operation) -> int:
    """How many loops are open around an op."""
    depth, parent = 0, op.parent_op()
    while parent is not None:
        depth += isinstance(parent, ForOp)
        parent = parent.parent_op()
    return depth


@irdl_op_definition
class ForOp(CommandOp):
    """A loop with a constant trip count. Its counter is named by its depth: `i0` for the outermost loop."""

    name = "kpu.for"

    count = prop_def(IntegerAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator())

    def __init__(self, count: int, body: Region | None = None):
        super().__init__(
            properties={"count": IntegerAttr(count, i64)}, regions=[body if body is not None else Region(Block())]
        )

    @property
    def trips(self) -> int:
        return self.count.value.data

    @classmethod
    def parse(cls, parser: Parser) -> ForOp:
        parser.parse_keyword_in(COORDINATES[:MAX_LOOPS])
        parser.parse_punctuation("=")
        op = ForOp(parser.parse_integer(allow_negative=False))
        op.properties |= parse_schedule(parser)
        region = parser.parse_region()
        if not region.blocks:
            region.add_block(Block())
        op.detach_region(0)
        op.add_region(region)
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(f" i{min(depth_of(self), MAX_LOOPS)} = {self.trips}")
        self.print_schedule(printer)
        printer.print_string(" ")
        printer.print_region(self.body)

    def verify_(self) -> None:
        if self.trips < 1:
            raise VerifyException(f"a loop runs at least once, got a trip count of {self.trips}")
        if depth_of(self) >= MAX_LOOPS:
            raise VerifyException(f"loops nest at most {MAX_LOOPS} deep")


@irdl_op_definition
class StreamOp(IRDLOperation):
    """The commands of one engine: `dma_in`, `dma_out`, or `bm_in`, `bm_out`, `fabric` of a tile group."""

    name = "kpu.stream"

    engine = prop_def(StringAttr)
    group = opt_prop_def(StringAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator())
    assembly_format = "$engine (`group` $group^)? $body attr-dict"

    def __init__(self, engine: str, group: str | None, body: Region):
        super().__init__(
            properties={"engine": StringAttr(engine), "group": None if group is None else StringAttr(group)},
            regions=[body],
        )


# ---- buffers -------------------------------------------------------------------------------------------------------


def buffer_type(value: SSAValue) -> BufferType:
    return cast(BufferType, value.type)


@irdl_op_definition
class AllocOp(IRDLOperation):
    """Memory for the scope it stands in: every iteration of the enclosing loops has its own contents.

    `buffers` (sequential form) asks for that many copies, so that one iteration is filled while another is read.
    The scheduled form has them as a leading dim of `slots` that wraps around. `group` names the tile group of an L1
    buffer.
    """

    name = "kpu.alloc"

    buffers = opt_prop_def(IntegerAttr)
    slots = opt_prop_def(IntegerAttr)
    group = opt_prop_def(StringAttr)
    address = opt_prop_def(IntegerAttr)
    result = result_def(BufferType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "attr-dict `:` type($result)"

    def __init__(
        self, type: BufferType, buffers: int = 1, group: str | None = None, address: int | None = None, slots: int = 1
    ):
        super().__init__(
            properties={
                "buffers": IntegerAttr(buffers, i64) if buffers > 1 else None,
                "slots": IntegerAttr(slots, i64) if slots > 1 else None,
                "group": StringAttr(group) if group is not None else None,
                "address": IntegerAttr(address, i64) if address is not None else None,
            },
            result_types=[type],
        )

    @property
    def buffer_count(self) -> int:
        return 1 if self.buffers is None else self.buffers.value.data

    @property
    def slot_count(self) -> int:
        return 1 if self.slots is None else self.slots.value.data

    @property
    def total_bytes(self) -> int:
        """All copies, each a whole number of 16-byte granules."""
        return self.buffer_count * aligned(buffer_type(self.result).bytes)

    def verify_(self) -> None:
        if (buffer_type(self.result).memory is Space.L1) != (self.group is not None):
            raise VerifyException("an l1 buffer, and no other, names the tile group it is in")


GRANULE = 16


def aligned(size: int) -> int:
    """Round up to whole granules, the unit of the simulator's writer tags."""
    return -(-size // GRANULE) * GRANULE


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A constant that is in DRAM before the program starts. `permuted` packs it as `df.constant` does."""

    name = "kpu.constant"

    value = prop_def(WeightAttr)
    permuted = opt_prop_def(IntsAttr)
    address = opt_prop_def(IntegerAttr)
    result = result_def(BufferType)

    assembly_format = "qualified($value) (`permuted` $permuted^)? (`at` $address^)? attr-dict `:` type($result)"

    def __init__(self, value: WeightAttr, permuted: IntsAttr | None, type: BufferType):
        super().__init__(properties={"value": value, "permuted": permuted}, result_types=[type])

    def array(self) -> Any:
        array = self.value.array()
        return array if self.permuted is None else array.transpose(self.permuted.data)


@irdl_op_definition
class InputOp(IRDLOperation):
    """A tensor in DRAM that the host writes before a run."""

    name = "kpu.input"

    sym_name = prop_def(StringAttr)
    address = opt_prop_def(IntegerAttr)
    result = result_def(BufferType)

    assembly_format = "$sym_name (`at` $address^)? attr-dict `:` type($result)"

    def __init__(self, name: str, type: BufferType):
        super().__init__(properties={"sym_name": StringAttr(name)}, result_types=[type])


@irdl_op_definition
class OutputOp(IRDLOperation):
    """A buffer in DRAM that the host reads after a run."""

    name = "kpu.output"

    sym_name = prop_def(StringAttr)
    value = operand_def(BufferType)

    assembly_format = "$sym_name $value attr-dict `:` type($value)"

    def __init__(self, name: str, value: SSAValue):
        super().__init__(operands=[value], properties={"sym_name": StringAttr(name)})


@irdl_op_definition
class AliasOp(IRDLOperation):
    """The same bytes under another shape."""

    name = "kpu.alias"

    source = operand_def(BufferType)
    result = result_def(BufferType)

    assembly_format = "$source attr-dict `:` type($source) `to` type($result)"

    def __init__(self, source: SSAValue, type: BufferType):
        super().__init__(operands=[source], result_types=[type])

    def verify_(self) -> None:
        a, b = buffer_type(self.source), buffer_type(self.result)
        if a.bytes != b.bytes or a.memory is not b.memory:
            raise VerifyException(f"{b} does not have the bytes of {a}")


# ---- references: a buffer and a coordinate -------------------------------------------------------------------------


def _parse_reference(parser: Parser) -> tuple[Any, AffineMap]:
    operand = parser.parse_unresolved_operand()
    return operand, parse_map(parser, COORDINATES)


def _print_reference(printer: Printer, value: SSAValue, map: AffineMap) -> None:
    printer.print_ssa_value(value)
    printer.print_string(format_map(map, COORDINATES))


def _verify_reference(op: Operation, value: SSAValue, map: AffineMap, what: str) -> None:
    extents = buffer_type(value).extents
    if map.num_dims != len(COORDINATES) or len(map.results) != len(extents):
        raise VerifyException(f"{what} has {len(map.results)} coordinates for {buffer_type(value)}")
    depth = depth_of(op)
    for expr in map.results:
        lin = linear(expr)
        if lin is None:
            raise VerifyException(f"coordinate {expr} of {what} is not linear")
        for d, _ in lin.terms:
            if depth <= d < MAX_LOOPS:
                raise VerifyException(f"{what} uses i{d}, but only {depth} loops are open here")


class TransferOp(CommandOp, ABC):
    """Move a box between two buffers.

    `box` gives the box's size per dim; box dim k walks the source's dim `src_axes[k]` in steps of `steps[k]`, and
    the destination's dim k (both counted without slot dims). `within` narrows the destination: writes at or beyond
    these coordinates are dropped. Reads outside the source give `pad`.
    """

    SPACES: ClassVar[tuple[Space, Space]]
    TILED: ClassVar[bool] = False

    src = operand_def(BufferType)
    dst = operand_def(BufferType)
    src_start = prop_def(AffineMapAttr)
    dst_start = prop_def(AffineMapAttr)
    box = prop_def(IntsAttr)
    src_axes = opt_prop_def(IntsAttr)
    steps = opt_prop_def(IntsAttr)
    within = opt_prop_def(IntsAttr)
    pad = opt_prop_def(FloatAttr)
    tiles = opt_prop_def(TilesAttr)

    def __init__(
        self,
        src: SSAValue,
        src_start: Sequence[Linear],
        dst: SSAValue,
        dst_start: Sequence[Linear],
        box: Sequence[int],
        *,
        src_axes: Sequence[int] | None = None,
        steps: Sequence[int] | None = None,
        within: Sequence[int] | None = None,
        pad: float = 0.0,
        tiles: TilesAttr | None = None,
    ):
        super().__init__(
            operands=[src, dst],
            properties={
                "src_start": AffineMapAttr(coordinate_map(src_start)),
                "dst_start": AffineMapAttr(coordinate_map(dst_start)),
                "box": ints(box),
                "src_axes": None if src_axes is None else ints(src_axes),
                "steps": None if steps is None or all(s == 1 for s in steps) else ints(steps),
                "within": None if within is None else ints(within),
                "pad": FloatAttr(pad, f64) if pad else None,
                "tiles": tiles,
            },
        )

    @property
    def pad_value(self) -> float:
        return 0.0 if self.pad is None else self.pad.value.data

    @classmethod
    def parse(cls, parser: Parser) -> TransferOp:
        src, src_map = _parse_reference(parser)
        parser.parse_keyword("to")
        dst, dst_map = _parse_reference(parser)
        parser.parse_keyword("box")
        properties: dict[str, Attribute] = {
            "src_start": AffineMapAttr(src_map),
            "dst_start": AffineMapAttr(dst_map),
            "box": IntsAttr(IntsAttr.parse_parameter(parser)),
        }
        for keyword, name in (("axes", "src_axes"), ("steps", "steps"), ("within", "within")):
            if parser.parse_optional_keyword(keyword) is not None:
                properties[name] = IntsAttr(IntsAttr.parse_parameter(parser))
        if parser.parse_optional_keyword("pad") is not None:
            value = -inf if parser.parse_optional_keyword("min") is not None else float(parser.parse_number())
            properties["pad"] = FloatAttr(value, f64)
        if parser.parse_optional_keyword("tiles") is not None:
            properties["tiles"] = TilesAttr.new(TilesAttr.parse_parameters(parser))
        scheduled = parse_schedule(parser)
        parser.parse_punctuation(":")
        src_type = parser.parse_type()
        parser.parse_keyword("to")
        operands = [parser.resolve_operand(src, src_type), parser.resolve_operand(dst, parser.parse_type())]
        return cls.create(operands=operands, properties=properties | scheduled)

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        _print_reference(printer, self.src, self.src_start.data)
        printer.print_string(" to ")
        _print_reference(printer, self.dst, self.dst_start.data)
        for keyword, value in (
            ("box", self.box),
            ("axes", self.src_axes),
            ("steps", self.steps),
            ("within", self.within),
        ):
            if value is not None:
                printer.print_string(f" {keyword} ")
                value.print_parameter(printer)
        if self.pad is not None:
            printer.print_string(" pad min" if self.pad_value == -inf else f" pad {self.pad_value}")
        if self.tiles is not None:
            printer.print_string(" tiles")
            self.tiles.print_parameters(printer)
        self.print_schedule(printer)
        printer.print_string(" : ")
        printer.print_attribute(self.src.type)
        printer.print_string(" to ")
        printer.print_attribute(self.dst.type)

    def verify_(self) -> None:
        src, dst = buffer_type(self.src), buffer_type(self.dst)
        if (src.memory, dst.memory) != self.SPACES:
            expected = " to ".join(s.name.lower() for s in self.SPACES)
            raise VerifyException(f"{self.name} moves {expected}, got {src} to {dst}")
        if src.element != dst.element:
            raise VerifyException(f"{self.name} does not convert: {src.element} to {dst.element}")
        if (self.tiles is not None) != self.TILED:
            raise VerifyException(f"{self.name} {'needs' if self.TILED else 'takes no'} tiles")
        _verify_reference(self, self.src, self.src_start.data, "the source")
        _verify_reference(self, self.dst, self.dst_start.data, "the destination")
        rank = len(self.box.data)
        slots = [_slot_dims(v) for v in (self.src, self.dst)]
        for what, type_, lead in (("source", src, slots[0]), ("destination", dst, slots[1])):
            if len(type_.extents) - lead != rank:
                raise VerifyException(f"a box of {rank} dims does not fit the {what} {type_}")
        if self.src_axes is not None and sorted(self.src_axes.data) != list(range(rank)):
            raise VerifyException(f"axes {list(self.src_axes.data)} is not a permutation of {rank} dims")
        if any(b < 1 for b in self.box.data):
            raise VerifyException(f"a box has at least one element per dim, got {list(self.box.data)}")


def _slot_dims(value: SSAValue) -> int:
    """1 where the buffer has a leading slot dim."""
    owner = value.owner
    return int(isinstance(owner, AllocOp) and owner.slot_count > 1)


slot_dims = _slot_dims


@irdl_op_definition
class LoadOp(TransferOp):
    """DRAM to L2."""

    name = "kpu.load"
    SPACES: ClassVar[tuple[Space, Space]] = (Space.DRAM, Space.L2)


@irdl_op_definition
class StoreOp(TransferOp):
    """L2 to DRAM."""

    name = "kpu.store"
    SPACES: ClassVar[tuple[Space, Space]] = (Space.L2, Space.DRAM)


@irdl_op_definition
class PushOp(TransferOp):
    """L2 to the L1 of a range of tiles."""

    name = "kpu.push"
    SPACES: ClassVar[tuple[Space, Space]] = (Space.L2, Space.L1)
    TILED: ClassVar[bool] = True


@irdl_op_definition
class PullOp(TransferOp):
    """The L1 of a range of tiles to L2."""

    name = "kpu.pull"
    SPACES: ClassVar[tuple[Space, Space]] = (Space.L1, Space.L2)
    TILED: ClassVar[bool] = True


# ---- execution -----------------------------------------------------------------------------------------------------


@irdl_op_definition
class FabricOp(IRDLOperation):
    """A fabric program: a recurrence on blocks, and how it lies on the array.

    ```mlir
    kpu.fabric @f0 (n = 1, oh = 4, ow = 56, oc = 16 | kh = 3, kw = 3, ic = 64)
      mac([n, oh + kh, ow + kw, ic], [oc, kh, kw, ic]) with([oc]) epilogue(...) {...} -> [n, oh, ow, oc]
      rows [oh, ow] cols [oc] os
    ```
    """

    name = "kpu.fabric"

    sym_name = prop_def(StringAttr)
    domain_attr = prop_def(DomainAttr, prop_name="domain")
    combiner = prop_def(StringAttr)
    accumulator = prop_def(Attribute)
    maps = prop_def(ArrayAttr[AffineMapAttr])
    rows = prop_def(IntsAttr)
    cols = prop_def(IntsAttr)
    dataflow_attr = prop_def(StringAttr, prop_name="dataflow")
    epilogue = region_def("single_block")

    traits = traits_def(SymbolOpInterface())

    def __init__(
        self,
        name: str,
        domain: Domain,
        combiner: str,
        accumulator: Attribute,
        maps: Sequence[AffineMap],
        rows: Sequence[int],
        cols: Sequence[int],
        dataflow: Dataflow,
        epilogue: Region,
    ):
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "domain": DomainAttr(domain),
                "combiner": StringAttr(combiner),
                "accumulator": accumulator,
                "maps": maps_attr(maps),
                "rows": ints(rows),
                "cols": ints(cols),
                "dataflow": StringAttr(dataflow.name.lower()),
            },
            regions=[epilogue],
        )

    @property
    def domain(self) -> Domain:
        return self.domain_attr.data

    @property
    def dataflow(self) -> Dataflow:
        return Dataflow[self.dataflow_attr.data.upper()]

    @property
    def access_maps(self) -> list[AffineMap]:
        return [m.data for m in self.maps.data]

    @classmethod
    def parse(cls, parser: Parser) -> FabricOp:
        name = parser.parse_symbol_name().data
        domain = parse_domain(parser)
        combiner = parser.parse_keyword_in(tuple(COMBINERS))

        def one() -> AffineMap:
            return parse_map(parser, domain.names)

        maps = parser.parse_comma_separated_list(parser.Delimiter.PAREN, one)
        if parser.parse_optional_keyword("with") is not None:
            maps += parser.parse_comma_separated_list(parser.Delimiter.PAREN, one)
        parser.parse_keyword("accumulate")
        accumulator = parser.parse_type()
        parser.parse_keyword("epilogue")
        args = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_argument)
        region = parser.parse_region(args)
        parser.parse_punctuation("->")
        maps.append(one())

        def dims() -> list[int]:
            names = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_identifier)
            for n in names:
                if n not in domain.names:
                    parser.raise_error(f"'{n}' is not a dim; the dims here are {', '.join(domain.names)}")
            return [domain.index(n) for n in names]

        parser.parse_keyword("rows")
        rows = dims()
        parser.parse_keyword("cols")
        cols = dims()
        dataflow = Dataflow[parser.parse_keyword_in(("os", "ws", "is")).upper()]
        return FabricOp(name, domain, combiner, accumulator, maps, rows, cols, dataflow, region)

    def print(self, printer: Printer) -> None:
        domain, count = self.domain, COMBINERS[self.combiner.data]
        names = domain.names
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        printer.print_string(f" {domain}")
        maps = [format_map(m, names) for m in self.access_maps]
        with printer.indented(2):
            printer.print_string(f"\n{self.combiner.data}({', '.join(maps[:count])})")
            if maps[count:-1]:
                printer.print_string(f" with({', '.join(maps[count:-1])})")
            printer.print_string(" accumulate ")
            printer.print_attribute(self.accumulator)
            printer.print_string("\nepilogue")
            with printer.in_parens():
                printer.print_list(self.epilogue.block.args, lambda arg: print_argument(printer, arg))
            printer.print_string(" ")
            printer.print_region(self.epilogue, print_entry_block_args=False)
            rows, cols = ([names[d] for d in dims.data] for dims in (self.rows, self.cols))
            printer.print_string(
                f"\n-> {maps[-1]} rows [{', '.join(rows)}] cols [{', '.join(cols)}] {self.dataflow_attr.data}"
            )


@irdl_op_definition
class ExecOp(CommandOp):
    """Run a fabric program over a domain box on a range of tiles.

    `starts` are the coordinates of the blocks' origins, operands first, then the result. `clips` bound domain dims:
    dim `clip_dims[k]` has at most `limits[k] - clip_starts[k]` points. `reduction_loops` lists loop depths over
    which the reduction goes on in `accumulator`.
    """

    name = "kpu.exec"

    blocks = var_operand_def(BufferType)
    accumulator = opt_operand_def(BufferType)
    fabric = prop_def(SymbolRefAttr)
    tiles = prop_def(TilesAttr)
    box = prop_def(IntsAttr)
    starts = prop_def(ArrayAttr[AffineMapAttr])
    accumulator_start = opt_prop_def(AffineMapAttr)
    clip_dims = prop_def(IntsAttr)
    clip_starts = prop_def(AffineMapAttr)
    limits = prop_def(IntsAttr)
    reduction_loops = prop_def(IntsAttr)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        fabric: str,
        tiles: TilesAttr,
        blocks: Sequence[SSAValue],
        starts: Sequence[Sequence[Linear]],
        box: Sequence[int],
        clips: Sequence[tuple[int, Linear, int]] = (),
        accumulator: SSAValue | None = None,
        reduction_loops: Sequence[int] = (),
    ):
        acc_rank = 0 if accumulator is None else len(buffer_type(accumulator).extents)
        super().__init__(
            operands=[blocks, accumulator],
            properties={
                "fabric": SymbolRefAttr(fabric),
                "tiles": tiles,
                "box": ints(box),
                "starts": maps_attr([coordinate_map(s) for s in starts]),
                "accumulator_start": AffineMapAttr(coordinate_map([Linear(0)] * acc_rank))
                if accumulator is not None
                else None,
                "clip_dims": ints([d for d, _, _ in clips]),
                "clip_starts": AffineMapAttr(coordinate_map([s for _, s, _ in clips])),
                "limits": ints([limit for _, _, limit in clips]),
                "reduction_loops": ints(reduction_loops),
            },
        )

    @property
    def block_starts(self) -> list[AffineMap]:
        return [m.data for m in self.starts.data]

    @classmethod
    def parse(cls, parser: Parser) -> ExecOp:
        fabric = SymbolRefAttr(parser.parse_symbol_name())
        references = parser.parse_comma_separated_list(parser.Delimiter.PAREN, lambda: _parse_reference(parser))
        parser.parse_punctuation("->")
        references.append(_parse_reference(parser))
        parser.parse_keyword("box")
        properties: dict[str, Attribute] = {
            "fabric": fabric,
            "box": IntsAttr(IntsAttr.parse_parameter(parser)),
            "starts": maps_attr([m for _, m in references]),
        }
        dims: list[int] = []
        exprs: list[Any] = []
        limits: list[int] = []
        if parser.parse_optional_keyword("clip") is not None:

            def one() -> None:
                from swkpu.affine import parse_expr

                dims.append(parser.parse_integer(allow_negative=False))
                parser.parse_punctuation(":")
                exprs.append(parse_expr(parser, COORDINATES))
                parser.parse_punctuation("<")
                limits.append(parser.parse_integer(allow_negative=False))

            parser.parse_comma_separated_list(parser.Delimiter.SQUARE, one)
        properties["clip_dims"], properties["limits"] = ints(dims), ints(limits)
        properties["clip_starts"] = AffineMapAttr(AffineMap(len(COORDINATES), 0, tuple(exprs)))
        accumulator: Any = None
        loops: tuple[int, ...] = ()
        if parser.parse_optional_keyword("accumulate") is not None:
            accumulator, map = _parse_reference(parser)
            properties["accumulator_start"] = AffineMapAttr(map)
            parser.parse_keyword("over")
            loops = IntsAttr.parse_parameter(parser)
        properties["reduction_loops"] = ints(loops)
        parser.parse_keyword("tiles")
        properties["tiles"] = TilesAttr.new(TilesAttr.parse_parameters(parser))
        properties |= parse_schedule(parser)
        parser.parse_punctuation(":")
        types = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_type)
        values = [o for o, _ in references] + ([accumulator] if accumulator is not None else [])
        if len(types) != len(values):
            parser.raise_error(f"expected {len(values)} types, one per buffer, got {len(types)}")
        operands = [parser.resolve_operand(o, t) for o, t in zip(values, types)]
        return cls.build(operands=[operands[: len(references)], operands[len(references) :]], properties=properties)

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_symbol_name(self.fabric.root_reference.data)
        references = list(zip(self.blocks, self.block_starts))
        with printer.in_parens():
            printer.print_list(references[:-1], lambda r: _print_reference(printer, *r))
        printer.print_string(" -> ")
        _print_reference(printer, *references[-1])
        printer.print_string(" box ")
        self.box.print_parameter(printer)
        if self.clip_dims.data:
            starts = self.clip_starts.data.results
            from swkpu.affine import format_expr

            clips = [
                f"{d}: {format_expr(s, COORDINATES)} < {limit}"
                for d, s, limit in zip(self.clip_dims.data, starts, self.limits.data)
            ]
            printer.print_string(f" clip [{', '.join(clips)}]")
        if self.accumulator is not None and self.accumulator_start is not None:
            printer.print_string(" accumulate ")
            _print_reference(printer, self.accumulator, self.accumulator_start.data)
            printer.print_string(" over ")
            self.reduction_loops.print_parameter(printer)
        printer.print_string(" tiles")
        self.tiles.print_parameters(printer)
        self.print_schedule(printer)
        printer.print_string(" : ")
        printer.print_list(self.operands, lambda v: printer.print_attribute(v.type))

    def verify_(self) -> None:
        if len(self.starts.data) != len(self.blocks):
            raise VerifyException("expected one coordinate per block")
        for value, map in zip(self.blocks, self.block_starts):
            if buffer_type(value).memory is not Space.L1:
                raise VerifyException(f"kpu.exec works on l1 buffers, got {value.type}")
            _verify_reference(self, value, map, "a block")
        for depth in self.reduction_loops.data:
            if depth >= depth_of(self):
                raise VerifyException(
                    f"the reduction goes on over i{depth}, but only {depth_of(self)} loops are open here"
                )
        if bool(self.reduction_loops.data) != (self.accumulator is not None):
            raise VerifyException("a reduction over loops, and no other, has an accumulator")


KPU = Dialect(
    "kpu",
    [
        ProgramOp, LayerOp, ForOp, StreamOp, AllocOp, ConstantOp, InputOp, OutputOp, AliasOp, FabricOp,
        LoadOp, StoreOp, PushOp, PullOp, ExecOp,
    ],
    [BufferType, TilesAttr, SemaphoresAttr],
)  # fmt: skip

TRANSFERS = (LoadOp, StoreOp, PushOp, PullOp)
COMMANDS = (*TRANSFERS, ExecOp)


def info_int(info: DictionaryAttr, key: str, default: int = 0) -> int:
    value = info.data.get(key)
    return (
        value.value.data if isinstance(value, IntegerAttr) else (value.data if isinstance(value, IntAttr) else default)
    )


def info_str(info: DictionaryAttr, key: str, default: str = "") -> str:
    value = info.data.get(key)
    return value.data if isinstance(value, StringAttr) else default
