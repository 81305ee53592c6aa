"""`df-choose-layout`: the order of a tensor's dims in memory.

The array consumes contiguous runs of the reduction, so a tensor that a contraction reads wants the dims that are
only reduced over (input channels) innermost, and a result its columns (output channels): channels last. Constants
are stored in the order in which their reader's domain walks them. Recurrences do not care about the order of a
tensor's dims, only their access maps change; inputs and outputs of the function keep the model's order, and
`df.copy` at the boundary changes it in the transfer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.affine import linear_map
from swkpu.dialects import df
from swkpu.dialects.df import Domain, RecurrenceOp, maps_attr
from swkpu.dialects.nn import ints, shape_of, type_of

Order = tuple[int, ...]
"""Dim i in memory is dim order[i] of the model's tensor."""


def _last(rank: int, innermost: Sequence[int]) -> Order:
    return (*(d for d in range(rank) if d not in innermost), *innermost)


def _wish_of_reader(op: RecurrenceOp, map: AffineMap) -> Order | None:
    """The order in which a contraction wants to read: axes that are a plain reduction dim innermost."""
    if op.combiner != "mac":
        return None
    plain: list[tuple[int, int]] = []
    for axis, expr in enumerate(linear_map(map)):
        if len(expr.terms) == 1 and expr.terms[0][1] == 1 and expr.terms[0][0] >= op.domain.parallel:
            plain.append((expr.terms[0][0], axis))
    return _last(len(map.results), [axis for _, axis in sorted(plain)]) if plain else None


def _wish_of_writer(op: RecurrenceOp) -> Order | None:
    """The order in which a contraction writes: the dims that only its second operand has innermost."""
    if op.combiner != "mac":
        return None
    in_x = {d for e in linear_map(op.input_maps[0]) for d in e.dims}
    dims = df.result_dims(op.result_map)
    assert dims is not None
    return _last(len(dims), [axis for axis, d in enumerate(dims) if d not in in_x])


def _order_of_constant(map: AffineMap) -> Order:
    """Axes in the order of the reader's domain dims, constant accesses first."""
    first = [min(e.dims, default=-1) for e in linear_map(map)]
    return tuple(sorted(range(len(first)), key=lambda axis: (first[axis], axis)))


def choose_orders(func: FuncOp) -> dict[SSAValue, Order]:
    """An order for every tensor that a recurrence makes or reads; those that do not matter follow their neighbours."""
    wishes: dict[SSAValue, Order] = {}
    recurrences = [o for o in func.body.block.ops if isinstance(o, RecurrenceOp)]
    for op in recurrences:
        for value, map in zip(op.operands, [m.data for m in op.maps.data]):
            if isinstance(value.owner, df.ConstantOp):
                wishes.setdefault(value, _order_of_constant(map))
            elif (wish := _wish_of_reader(op, map)) is not None:
                wishes.setdefault(value, wish)
    for op in recurrences:
        if (wish := _wish_of_writer(op)) is not None:
            wishes.setdefault(op.result, wish)
    changed = True
    while changed:
        changed = False
        for op in recurrences:
            group = [v for v in (*op.operands, op.result) if not isinstance(v.owner, df.ConstantOp)]
            rank = len(shape_of(op.result))
            group = [v for v in group if len(shape_of(v)) == rank]
            known = next((wishes[v] for v in group if v in wishes), None)
            if known is None:
                continue
            for v in group:
                if v not in wishes:
                    wishes[v] = known
                    changed = True
    return {v: o for v, o in wishes.items() if o != tuple(range(len(o)))}


def _permuted_type(value: SSAValue, order: Order) -> TensorType:  # pyright: ignore[reportMissingTypeArgument]
    shape = shape_of(value)
    return TensorType(type_of(value).element_type, [shape[d] for d in order])


def _permuted_map(map: AffineMap, order: Order) -> AffineMap:
    return AffineMap(map.num_dims, 0, tuple(map.results[d] for d in order))


def reorder(value: SSAValue, order: Order) -> df.CopyOp:
    """A copy whose dim i is dim order[i] of `value`."""
    shape = shape_of(value)
    rank = len(shape)
    names = dict(zip(range(rank), ("n", "c", "h", "w"))) if rank == 4 else {d: f"d{d}" for d in range(rank)}
    domain = Domain(tuple(names[d] for d in order), tuple(shape[d] for d in order), rank)
    exprs = [AffineExpr.dimension(order.index(axis)) for axis in range(rank)]
    return df.CopyOp(value, domain, AffineMap(rank, 0, tuple(exprs)))


def _inverse(order: Order) -> Order:
    return tuple(order.index(d) for d in range(len(order)))


def _moves_only_units(shape: Sequence[int], order: Order) -> bool:
    """Does the permutation leave the row-major sequence of elements as it is?"""
    kept = [d for d in order if shape[d] != 1]
    return kept == sorted(kept)


def apply_orders(func: FuncOp, orders: dict[SSAValue, Order]) -> None:
    """Change the types of values and the maps of their readers and writers; add copies at the boundary."""
    for op in list(func.body.block.ops):
        match op:
            case RecurrenceOp():
                values = [*op.operands, op.result]
                maps = [m.data for m in op.maps.data]
                maps = [_permuted_map(m, orders[v]) if v in orders else m for v, m in zip(values, maps)]
                op.properties["maps"] = maps_attr(maps)
            case df.CopyOp() if op.input in orders:
                op.properties["map"] = type(op.map)(_permuted_map(op.map.data, orders[op.input]))
            case df.ConstantOp() if op.result in orders:
                op.properties["permuted"] = ints(orders[op.result])
            case df.ReshapeOp() | ReturnOp():
                _restore_operands(op, orders)
            case _:
                pass
    for value, order in orders.items():
        if _has_fixed_order(value):
            copy = reorder(value, order)
            copy.result.name_hint = value.name_hint
            if isinstance(value, BlockArgument):
                at, copy.location = InsertPoint.at_start(value.owner), value.location
            else:
                assert isinstance(value.owner, Operation)
                at, copy.location = InsertPoint.after(value.owner), value.owner.location
            Rewriter.insert_op(copy, at)
            value.replace_uses_with_if(
                copy.result,
                lambda use, copy=copy: (
                    use.operation is not copy and not isinstance(use.operation, df.ReshapeOp | ReturnOp)
                ),
            )
        else:
            Rewriter.replace_value_with_new_type(value, _permuted_type(value, order))


def _has_fixed_order(value: SSAValue) -> bool:
    """Is the value in the model's order, whatever its readers wish: an input, or what a reshape made of one?"""
    return isinstance(value, BlockArgument) or isinstance(value.owner, df.ReshapeOp)


def _restore_operands(op: Operation, orders: dict[SSAValue, Order]) -> None:
    """Give an op that needs the model's order a copy in that order, unless the elements are in it already."""
    for i, value in enumerate(op.operands):
        if value not in orders or _has_fixed_order(value):
            continue
        if isinstance(op, df.ReshapeOp) and _moves_only_units(shape_of(value), orders[value]):
            continue
        order = orders[value]
        shape = [shape_of(value)[d] for d in order]
        copy = reorder_back(value, shape, order)
        copy.location = value.owner.location if isinstance(value.owner, Operation) else op.location
        Rewriter.insert_op(copy, InsertPoint.before(op))
        op.operands[i] = copy.result


def reorder_back(value: SSAValue, stored: Sequence[int], order: Order) -> df.CopyOp:
    """A copy of a value whose type is about to become `stored` dims, in the model's order again."""
    rank = len(order)
    back = _inverse(order)
    names = ("n", "c", "h", "w") if rank == 4 else tuple(f"d{d}" for d in range(rank))
    domain = Domain(names, tuple(stored[back[d]] for d in range(rank)), rank)
    exprs = [AffineExpr.dimension(order[axis]) for axis in range(rank)]
    return df.CopyOp(value, domain, AffineMap(rank, 0, tuple(exprs)))


@dataclass(frozen=True)
class DfChooseLayoutPass(ModulePass):
    """Choose the order of every tensor's dims in memory, and change it at the function's boundary."""

    name = "df-choose-layout"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for func in [o for o in op.walk() if isinstance(o, FuncOp) and not o.is_declaration]:
            apply_orders(func, choose_orders(func))
