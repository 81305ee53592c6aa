"""Fabric programs and their execution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    StringAttr,
    SymbolRefAttr,
)
from xdsl.ir import Attribute, Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from swkpu.affine import Linear, format_map, parse_map
from swkpu.dialects.df import COMBINERS, Domain, DomainAttr, maps_attr, parse_domain, print_argument
from swkpu.dialects.kpu_structure import CommandOp, depth_of, parse_schedule
from swkpu.dialects.kpu_transfers import (
    parse_reference,
    print_reference,
    verify_reference,
)
from swkpu.dialects.kpu_types import (
    COORDINATES,
    BufferType,
    TilesAttr,
    buffer_type,
    coordinate_map,
)
from swkpu.dialects.nn import IntsAttr, ints
from swkpu.program.model import Dataflow, Space, Stage

SPLIT_STAGES = (Stage.PARTIAL, Stage.FINISH)


def _parse_stage(parser: Parser) -> Stage:
    for stage in SPLIT_STAGES:
        if parser.parse_optional_keyword(stage.name.lower()) is not None:
            return stage
    return Stage.WHOLE


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
        dataflow = Dataflow[parser.parse_keyword_in(("os", "ws", "is", "vector")).upper()]
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

    A reduction that is split over tiles has two stages around a `kpu.reduce`: a `partial` exec has the inputs only, and
    leaves its share in `accumulator`; a `finish` exec, whose box has no points in the reduction dims, has the
    epilogue's operands and the result, and runs the epilogue on `accumulator`.
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
    stage_attr = opt_prop_def(StringAttr, prop_name="stage")

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
        stage: Stage = Stage.WHOLE,
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
                "stage": None if stage is Stage.WHOLE else StringAttr(stage.name.lower()),
            },
        )

    @property
    def stage(self) -> Stage:
        return Stage.WHOLE if self.stage_attr is None else Stage[self.stage_attr.data.upper()]

    @property
    def sources(self) -> Sequence[SSAValue]:
        """The blocks that are read."""
        return self.blocks if self.stage is Stage.PARTIAL else self.blocks[:-1]

    @property
    def result(self) -> SSAValue | None:
        """The block of results; a partial exec has none."""
        return None if self.stage is Stage.PARTIAL else self.blocks[-1]

    @property
    def block_starts(self) -> list[AffineMap]:
        return [m.data for m in self.starts.data]

    @classmethod
    def parse(cls, parser: Parser) -> ExecOp:
        fabric = SymbolRefAttr(parser.parse_symbol_name())
        stage = _parse_stage(parser)
        references = parser.parse_comma_separated_list(parser.Delimiter.PAREN, lambda: parse_reference(parser))
        if stage is not Stage.PARTIAL:
            parser.parse_punctuation("->")
            references.append(parse_reference(parser))
        parser.parse_keyword("box")
        properties: dict[str, Attribute] = {
            "fabric": fabric,
            "box": IntsAttr(IntsAttr.parse_parameter(parser)),
            "starts": maps_attr([m for _, m in references]),
        }
        if stage is not Stage.WHOLE:
            properties["stage"] = StringAttr(stage.name.lower())
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
            accumulator, map = parse_reference(parser)
            properties["accumulator_start"] = AffineMapAttr(map)
            if parser.parse_optional_keyword("over") is not None:
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
        if self.stage_attr is not None:
            printer.print_string(f" {self.stage_attr.data} ")
        references = list(zip(self.blocks, self.block_starts))
        with printer.in_parens():
            printer.print_list(references[: len(self.sources)], lambda r: print_reference(printer, *r))
        if self.result is not None:
            printer.print_string(" -> ")
            print_reference(printer, *references[-1])
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
            print_reference(printer, self.accumulator, self.accumulator_start.data)
            if self.reduction_loops.data:
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
            verify_reference(self, value, map, "a block")
        for depth in self.reduction_loops.data:
            if depth >= depth_of(self):
                raise VerifyException(
                    f"the reduction goes on over i{depth}, but only {depth_of(self)} loops are open here"
                )
        if self.stage_attr is not None and self.stage_attr.data not in [s.name.lower() for s in SPLIT_STAGES]:
            raise VerifyException(f"expected stage partial or finish, got {self.stage_attr.data}")
        split = self.stage is not Stage.WHOLE
        if (bool(self.reduction_loops.data) or split) != (self.accumulator is not None):
            raise VerifyException("a reduction over loops or tiles, and no other, has an accumulator")
        if self.stage is Stage.FINISH and self.reduction_loops.data:
            raise VerifyException("a finish exec reduces nothing, over loops or otherwise")
