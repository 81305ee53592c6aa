"""`df-fold-copies`: affine data movement moves into the access maps of its consumers.

A recurrence that reads a copy (a transpose, a slice, a broadcast) reads the copy's source through the composed map.
Where either of the two accesses leaves its tensor the copy stays: its zeros and the consumer's pad values are
different things.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, ModuleOp
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from swkpu.affine import linear_map
from swkpu.dialects import df
from swkpu.dialects.nn import shape_of


def _inside(map: AffineMap, extents: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Does the map stay within a tensor of `shape` over the whole domain?"""
    ranges = [df.bounds(e, extents) for e in linear_map(map)]
    return all(low >= 0 and high < size for (low, high), size in zip(ranges, shape))


def _fold_into(op: df.RecurrenceOp) -> None:
    operands: list[SSAValue] = list(op.operands)
    maps = [m.data for m in op.maps.data]
    for i, value in enumerate(operands):
        while isinstance(copy := value.owner, df.CopyOp):
            source_ok = _inside(copy.map.data, copy.domain.extents, shape_of(copy.input))
            if not (source_ok and _inside(maps[i], op.domain.extents, shape_of(value))):
                break
            maps[i] = copy.map.data.compose(maps[i])
            value = copy.input
        op.operands[i] = value
    op.properties["maps"] = ArrayAttr([AffineMapAttr(m) for m in maps])


@dataclass(frozen=True)
class DfFoldCopiesPass(ModulePass):
    """Fold transposes, slices and broadcasts into the access maps of the recurrences that read them."""

    name = "df-fold-copies"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for recurrence in [o for o in op.walk() if isinstance(o, df.RecurrenceOp)]:
            _fold_into(recurrence)
        for copy in reversed([o for o in op.walk() if isinstance(o, df.CopyOp)]):
            if not any(True for _ in copy.result.uses):
                Rewriter.erase_op(copy)
