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
from xdsl.dialects.builtin import AffineMapAttr, ModuleOp, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.affine import linear_map
from swkpu.dialects import df
from swkpu.dialects.df import Domain, DomainAttr, RecurrenceOp, maps_attr
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
    axes = linear_map(op.result_map)
    return _last(len(axes), [axis for axis, e in enumerate(axes) if e.dims and not in_x & set(e.dims)])


def _order_of_constant(map: AffineMap) -> Order:
    """Axes in the order of the reader's domain dims, constant accesses first."""
    first = [min(e.dims, default=-1) for e in linear_map(map)]
    return tuple(sorted(range(len(first)), key=lambda axis: (first[axis], axis)))


def choose_orders(func: FuncOp) -> dict[SSAValue, Order]:
    """An order for every tensor that a recurrence makes or reads; those that do not matter follow their neighbours."""
    wishes: dict[SSAValue, Order] = {}
    recurrences = [o for o in func.body.block.ops if isinstance(o, RecurrenceOp)]
    for op in recurrences:
        for value, map in op.reads:
            if isinstance(value.owner, df.ConstantOp):
                wishes.setdefault(value, _order_of_constant(map))
            elif (wish := _wish_of_reader(op, map)) is not None:
                wishes.setdefault(value, wish)
    for op in recurrences:
        if (wish := _wish_of_writer(op)) is not None:
            wishes.setdefault(op.result, wish)
    _spread(wishes, [g for op in func.body.block.ops for g in _alike(op)])
    return {v: o for v, o in wishes.items() if o != tuple(range(len(o)))}


def _alike(op: Operation) -> list[list[SSAValue]]:
    """Groups of values that an op would like to have in one order; one chain of writes has one order."""
    match op:
        case RecurrenceOp():
            rank = len(shape_of(op.result))
            near = [v for v in (*op.inputs, *op.extras, op.result) if not isinstance(v.owner, df.ConstantOp)]
            chain = [] if op.destination is None else [[op.destination, op.result]]
            return [[v for v in near if len(shape_of(v)) == rank], *chain]
        case df.CopyOp():
            chain = [] if op.destination is None else [[op.destination, op.result]]
            axes = [e.dims for e in linear_map(op.map.data)]
            aligned = len(axes) == len(shape_of(op.result)) and all(d in ((), (i,)) for i, d in enumerate(axes))
            return [*([[op.input, op.result]] if aligned else []), *chain]
        case _:
            return []


def _spread(wishes: dict[SSAValue, Order], groups: list[list[SSAValue]]) -> None:
    """Give values without a wish that of a neighbour, from the wishes outwards. A chain of writes must agree, so what
    its first member wishes holds for all.
    """
    of_value: dict[SSAValue, list[list[SSAValue]]] = {}
    for group in groups:
        for v in group:
            of_value.setdefault(v, []).append(group)
    pending = list(wishes)
    while pending:
        value = pending.pop(0)
        for group in of_value.get(value, ()):
            for v in group:
                if v not in wishes:
                    wishes[v] = wishes[value]
                    pending.append(v)


def _agree_on_chains(func: FuncOp, orders: dict[SSAValue, Order]) -> None:
    """All values of a chain of writes are one buffer: they take the order of its beginning."""
    for op in func.body.block.ops:
        if isinstance(op, RecurrenceOp | df.CopyOp) and op.destination is not None:
            order = orders.get(op.destination)
            if order is None:
                orders.pop(op.result, None)
            else:
                orders[op.result] = order


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
                values = [*op.inputs, *op.extras, op.result]
                maps = [m.data for m in op.maps.data]
                maps = [_permuted_map(m, orders[v]) if v in orders else m for v, m in zip(values, maps)]
                op.properties["maps"] = maps_attr(maps)
            case df.CopyOp():
                _reorder_copy(op, orders)
            case df.ConstantOp() if op.result in orders:
                op.properties["permuted"] = ints(orders[op.result])
            case df.ReshapeOp() | df.GatherOp() | ReturnOp():
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
                    use.operation is not copy and not isinstance(use.operation, df.ReshapeOp | df.GatherOp | ReturnOp)
                ),
            )
        else:
            Rewriter.replace_value_with_new_type(value, _permuted_type(value, order))


def _reorder_copy(op: df.CopyOp, orders: dict[SSAValue, Order]) -> None:
    """A copy reads the new order of its input; its result's order is that of its domain or of its write map."""
    map, domain = op.map.data, op.domain
    if op.input in orders:
        map = _permuted_map(map, orders[op.input])
    if op.result in orders:
        order = orders[op.result]
        if op.write_map is not None:
            op.properties["write_map"] = AffineMapAttr(_permuted_map(op.write_map.data, order))
        else:
            moved = [AffineExpr.dimension(order.index(d)) for d in range(domain.rank)]
            map = AffineMap(domain.rank, 0, tuple(e.replace_dims_and_symbols(moved, ()) for e in map.results))
            names, extents = tuple(domain.names[d] for d in order), tuple(domain.extents[d] for d in order)
            op.properties["domain"] = DomainAttr(Domain(names, extents, domain.rank))
    op.properties["map"] = AffineMapAttr(map)


def _has_fixed_order(value: SSAValue) -> bool:
    """Is the value in the model's order, whatever its readers wish: an input, or what a reshape or a gather made?"""
    return isinstance(value, BlockArgument) or isinstance(value.owner, df.ReshapeOp | df.GatherOp)


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
            orders = choose_orders(func)
            _agree_on_chains(func, orders)
            apply_orders(func, orders)
