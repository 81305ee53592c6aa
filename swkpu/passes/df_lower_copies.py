"""`df-lower-copies`: copies that nothing could absorb become recurrences that compute nothing.

What stays is what the DMA engines do in one transfer on the way in or out: a copy of an input or a constant, or one
that makes a result of the function.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.builder import Builder
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import ReturnOp
from xdsl.ir import BlockArgument, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.affine import linear_map
from swkpu.dialects import df
from swkpu.dialects.nn import shape_of, type_of
from swkpu.lowering.structure import region
from swkpu.mapping.residency import root
from swkpu.mapping.transfers import walk_of


def _is_at_the_boundary(op: df.CopyOp) -> bool:
    source = root(op.input)
    if isinstance(source, BlockArgument) or isinstance(source.owner, df.ConstantOp):
        return True
    return any(isinstance(use.operation, ReturnOp) for use in op.result.uses)


def as_recurrence(op: df.CopyOp) -> df.RecurrenceOp:
    """The same copy on the tiles. Where it reads outside its source it is the maximum over one element."""
    domain, element = op.domain, type_of(op.input).element_type
    inside = all(
        low >= 0 and high < size
        for (low, high), size in zip(
            (df.bounds(e, domain.extents) for e in linear_map(op.map.data)), shape_of(op.input)
        )
    )

    def same(_: Builder, args: list[SSAValue]) -> SSAValue:
        return args[0]

    read = [(op.input, op.map.data)]
    new = df.RecurrenceOp(
        domain,
        "none" if inside else "max",
        [] if inside else read,
        read if inside else [],
        op.result_map,
        region([element], same),
        op.result.type,
        None if inside else [op.pad_value],
        destination=op.destination,
    )
    new.attributes["op"] = StringAttr("copy")
    new.location = op.location
    new.result.name_hint = op.result.name_hint
    return new


@dataclass(frozen=True)
class DfLowerCopiesPass(ModulePass):
    """Turn copies inside the function into recurrences; transfers at its boundary stay."""

    name = "df-lower-copies"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for copy in [o for o in op.walk() if isinstance(o, df.CopyOp)]:
            if walk_of(copy) is not None and _is_at_the_boundary(copy):
                continue
            new = as_recurrence(copy)
            Rewriter.insert_op(new, InsertPoint.before(copy))
            copy.result.replace_all_uses_with(new.result)
            Rewriter.erase_op(copy)
