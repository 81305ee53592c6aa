"""`df-fuse`: the one fusion rule.

An elementwise recurrence whose access to its producer's result is a permutation of the identity moves into the
producer's epilogue; its other operands become epilogue operands. Conv + bias + residual + ReLU + rounding, and
matmul + bias + GELU, are both just this rule, applied until nothing changes.

The same rule the other way round: an elementwise recurrence that only one other reads, as an epilogue operand and at
one point per result, moves into the epilogue of its reader. So the rescaling of a residual is done where it is added.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.dialects import df
from swkpu.dialects.df import RecurrenceOp, result_dims

MAX_READS = 12
"""A recurrence with more operands would find no room for their blocks."""


@dataclass(frozen=True)
class _Fusion:
    """A producer, its elementwise consumer, and each of the consumer's dims as the producer's dims make it."""

    producer: RecurrenceOp
    consumer: RecurrenceOp
    dims: tuple[AffineExpr, ...]


def _find(consumer: RecurrenceOp) -> _Fusion | None:
    """The fusion of `consumer` into the latest of its producers that allows it."""
    candidates: dict[RecurrenceOp, AffineMap] = {}
    for value, map in zip(consumer.extras, consumer.extra_maps):
        producer = value.owner
        if not isinstance(producer, RecurrenceOp) or producer.parent is not consumer.parent:
            continue
        if producer.destination is not None:
            continue  # the consumer reads more than this producer makes
        if len({*producer.reads, *consumer.reads}) > MAX_READS:
            continue
        if all(use.operation is consumer for use in producer.result.uses):
            if candidates.get(producer, map) != map:
                candidates.pop(producer)  # read in two ways
                continue
            candidates[producer] = map
    for producer in sorted(candidates, key=_position, reverse=True):
        read, written = result_dims(candidates[producer]), producer.result_map.results
        if read is None or sorted(read) != list(range(consumer.domain.rank)):
            continue
        dims: list[AffineExpr] = [AffineExpr.constant(0)] * consumer.domain.rank
        for axis, dim in enumerate(read):
            dims[dim] = written[axis]
        return _Fusion(producer, consumer, tuple(dims))
    return None


def _position(op: Operation) -> int:
    block = op.parent
    assert block is not None
    return block.get_operation_index(op)


def fuse(f: _Fusion) -> RecurrenceOp:
    """The two recurrences as one, not yet inserted."""
    producer, consumer = f.producer, f.consumer
    rank = producer.domain.rank

    def moved(map: AffineMap) -> AffineMap:
        return AffineMap(rank, 0, tuple(e.replace_dims_and_symbols(f.dims, ()) for e in map.results))

    extras = list(zip(producer.extras, producer.extra_maps))
    block = Block(arg_types=[a.type for a in producer.epilogue.block.args])
    values: dict[SSAValue, SSAValue] = dict(zip(producer.epilogue.block.args, block.args))
    for old, new in values.items():
        new.name_hint = old.name_hint
    yielded = _clone_into(producer.epilogue.block, block, values)
    for value, map, arg in zip(consumer.extras, consumer.extra_maps, consumer.epilogue.block.args):
        if value is producer.result:
            values[arg] = yielded
            continue
        operand = (value, moved(map))
        if operand in extras:
            values[arg] = block.args[len(block.args) - len(extras) + extras.index(operand)]
            continue
        extras.append(operand)
        values[arg] = block.insert_arg(arg.type, len(block.args))
        values[arg].name_hint = arg.name_hint
    result = _clone_into(consumer.epilogue.block, block, values)
    block.add_op(df.YieldOp(result))
    fused = RecurrenceOp(
        producer.domain,
        producer.combiner,
        list(zip(producer.inputs, producer.input_maps)),
        extras,
        moved(consumer.result_map),
        Region(block),
        consumer.result.type,
        producer.pad_values,
        destination=consumer.destination,
    )
    fused.attributes |= (producer if not producer.is_elementwise else consumer).attributes
    fused.location = producer.location if not producer.is_elementwise else consumer.location
    fused.result.name_hint = (producer if not producer.is_elementwise else consumer).result.name_hint
    return fused


def _find_operand(reader: RecurrenceOp) -> int | None:
    """An epilogue operand whose elementwise producer can move into its reader: its number among the extras."""
    for number, (value, map) in enumerate(zip(reader.extras, reader.extra_maps)):
        producer = value.owner
        if not isinstance(producer, RecurrenceOp) or producer.parent is not reader.parent:
            continue
        if not producer.is_elementwise or producer.destination is not None or result_dims(producer.result_map) is None:
            continue
        if len([v for v in reader.operands if v is value]) > 1 or any(u.operation is not reader for u in value.uses):
            continue
        if len({*producer.reads, *reader.reads}) - 1 <= MAX_READS and _once_per_result(reader, map):
            return number
    return None


def _once_per_result(reader: RecurrenceOp, map: AffineMap) -> bool:
    """Does every parallel dim of more than one point walk an axis of its own?"""
    extents = reader.domain.extents
    walking = [[d for d in sorted(e.used_dims()) if extents[d] > 1] for e in map.results]
    moving = [d for d in reader.domain.parallel_dims if extents[d] > 1]
    return all(len(w) <= 1 for w in walking) and sorted(d for w in walking for d in w) == moving


def fuse_operand(reader: RecurrenceOp, number: int) -> RecurrenceOp:
    """A recurrence with the elementwise producer of an epilogue operand in its epilogue, not yet inserted."""
    producer, read = reader.extras[number].owner, reader.extra_maps[number]
    assert isinstance(producer, RecurrenceOp)
    written = result_dims(producer.result_map)
    assert written is not None
    dims: list[AffineExpr] = [AffineExpr.constant(0)] * producer.domain.rank
    for axis, dim in enumerate(written):
        dims[dim] = read.results[axis]
    rank = reader.domain.rank
    extras: list[tuple[SSAValue, AffineMap]] = []
    old = list(reader.epilogue.block.args)
    block = Block(arg_types=[a.type for a in old[: len(old) - len(reader.extras)]])
    values: dict[SSAValue, SSAValue] = dict(zip(old, block.args))
    for before, after in values.items():
        after.name_hint = before.name_hint

    def add(operand: tuple[SSAValue, AffineMap], arg: SSAValue) -> None:
        if operand in extras:
            values[arg] = block.args[len(block.args) - len(extras) + extras.index(operand)]
            return
        extras.append(operand)
        values[arg] = block.insert_arg(arg.type, len(block.args))
        values[arg].name_hint = arg.name_hint

    own = old[len(old) - len(reader.extras) :]
    for i, (operand, arg) in enumerate(zip(zip(reader.extras, reader.extra_maps), own)):
        if i != number:
            add(operand, arg)
    for value, map, arg in zip(producer.extras, producer.extra_maps, producer.epilogue.block.args):
        moved = AffineMap(rank, 0, tuple(e.replace_dims_and_symbols(dims, ()) for e in map.results))
        add((value, moved), arg)
    values[own[number]] = _clone_into(producer.epilogue.block, block, values)
    block.add_op(df.YieldOp(_clone_into(reader.epilogue.block, block, values)))
    fused = RecurrenceOp(
        reader.domain,
        reader.combiner,
        list(zip(reader.inputs, reader.input_maps)),
        extras,
        reader.result_map,
        Region(block),
        reader.result.type,
        reader.pad_values,
        destination=reader.destination,
    )
    fused.attributes |= reader.attributes
    fused.location = reader.location
    fused.result.name_hint = reader.result.name_hint
    return fused


def _clone_into(source: Block, target: Block, values: dict[SSAValue, SSAValue]) -> SSAValue:
    """Append copies of an epilogue's ops (but its yield) and return the value it yields."""
    for op in source.ops:
        if isinstance(op, df.YieldOp):
            return values[op.value]
        target.add_op(op.clone(value_mapper=values))
    raise AssertionError("an epilogue ends in df.yield")


@dataclass(frozen=True)
class DfFusePass(ModulePass):
    """Move elementwise recurrences into the epilogue of the recurrence that produces their operand."""

    name = "df-fuse"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for current in [o for o in op.walk() if isinstance(o, RecurrenceOp)]:
            while current.is_elementwise and (found := _find(current)) is not None:
                current = _replaced(current, fuse(found), found.producer)
        for current in [o for o in op.walk() if isinstance(o, RecurrenceOp)]:
            while current.parent is not None and (number := _find_operand(current)) is not None:
                producer = current.extras[number].owner
                assert isinstance(producer, RecurrenceOp)
                current = _replaced(current, fuse_operand(current, number), producer)


def _replaced(op: RecurrenceOp, fused: RecurrenceOp, producer: RecurrenceOp) -> RecurrenceOp:
    """Put a fused recurrence in the place of the later of the two that it is made of."""
    Rewriter.insert_op(fused, InsertPoint.before(op))
    Rewriter.replace_op(op, [], [fused.result])
    Rewriter.erase_op(producer)
    return fused
