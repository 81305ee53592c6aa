"""`df-fold-copies`: affine data movement moves into the access maps of its neighbours.

*Reads.* Who reads a copy (a transpose, a slice, a broadcast, a border) or a reshape that splits dims reads its source
through the composed map. Where both the reader and the copy leave their tensors the two borders must be one border of
one value, else the copy stays.

*Writes.* A recurrence whose result is only copied in another order, put into a larger tensor (concatenation), or
reshaped by merging dims writes there itself. Others that read the result then read that part of the larger tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, FloatAttr, ModuleOp, f64
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.affine import Linear, linear_map, map_of
from swkpu.dialects import df
from swkpu.dialects.df import CopyOp, Domain, GatherOp, RecurrenceOp, ReshapeOp
from swkpu.dialects.nn import shape_of

Reader = RecurrenceOp | CopyOp | GatherOp

# ---- reads ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Read:
    """How an op reads one operand; `pad` is what it gets outside, None where it must stay inside."""

    op: Reader
    index: int
    map: AffineMap
    pad: float | None

    @property
    def value(self) -> SSAValue:
        return self.op.operands[self.index]

    def replace(self, value: SSAValue, map: AffineMap, pad: float | None) -> _Read:
        op, i = self.op, self.index
        op.operands[i] = value
        match op:
            case RecurrenceOp():
                maps = [*op.maps.data]
                maps[i] = AffineMapAttr(map)
                op.properties["maps"] = ArrayAttr(maps)
                if pad is not None:
                    pads = [*op.pads.data]
                    pads[i] = FloatAttr(pad, f64)
                    op.properties["pads"] = ArrayAttr(pads)
            case CopyOp():
                op.properties["map"] = AffineMapAttr(map)
                if pad:
                    op.properties["pad"] = FloatAttr(pad, f64)
            case GatherOp():
                op.properties["index_map" if i else "map"] = AffineMapAttr(map)
        return _Read(op, i, map, pad)


def _reads(op: Reader) -> list[_Read]:
    match op:
        case RecurrenceOp():
            pads: list[float | None] = [*op.pad_values, *(None for _ in op.extras)]
            return [_Read(op, i, m, p) for i, ((_, m), p) in enumerate(zip(op.reads, pads))]
        case CopyOp():
            return [_Read(op, 0, op.map.data, op.pad_value)]
        case GatherOp():
            return [_Read(op, 0, op.map.data, None), _Read(op, 1, op.index_map.data, None)]


def _is_inside(expr: Linear, extents: Sequence[int], size: int) -> bool:
    low, high = df.bounds(expr, extents)
    return low >= 0 and high < size


def _through_copy(read: _Read, copy: CopyOp) -> _Read | None:
    """Read the copy's source instead, or None where that would be something else."""
    if copy.destination is not None or (isinstance(read.op, GatherOp) and read.index == 0):
        return None
    extents, shape = read.op.domain.extents, shape_of(copy.input)
    outer, inner = linear_map(read.map), linear_map(copy.map.data)
    beyond = {d for d, (e, size) in enumerate(zip(outer, copy.domain.extents)) if not _is_inside(e, extents, size)}
    pads = any(not _is_inside(e, copy.domain.extents, size) for e, size in zip(inner, shape))
    if (beyond or pads) and read.pad is None:
        return None
    if beyond and pads and read.pad != copy.pad_value:
        return None
    if not all(_continues(d, inner, copy.domain.extents[d], shape) for d in beyond):
        return None
    return read.replace(copy.input, copy.map.data.compose(read.map), copy.pad_value if pads else read.pad)


def _continues(dim: int, inner: Sequence[Linear], extent: int, shape: Sequence[int]) -> bool:
    """Is whatever lies beyond the copy along a dim beyond its source too?"""
    for expr, size in zip(inner, shape):
        if dim in expr.dims:
            return expr.terms == ((dim, 1),) and expr.const <= 0 and extent + expr.const >= size
    return False


def _groups(coarse: Sequence[int], fine: Sequence[int]) -> list[list[int]] | None:
    """For each coarse dim the consecutive fine dims whose product it is, or None where that cannot be."""
    out: list[list[int]] = []
    at = 0
    for size in coarse:
        group: list[int] = []
        while prod(fine[d] for d in group) < size and at < len(fine):
            group.append(at)
            at += 1
        if prod(fine[d] for d in group) != size:
            return None
        out.append(group)
    if any(fine[d] != 1 for d in range(at, len(fine))):
        return None
    return out


def _flattened(exprs: Sequence[Linear], group: Sequence[int], shape: Sequence[int]) -> Linear:
    """The coordinate on a merged dim, given those on the dims it is made of."""
    out = Linear(0)
    for d in group:
        out = out * shape[d] + exprs[d]
    return out


def _through_reshape(read: _Read, reshape: ReshapeOp) -> _Read | None:
    """Read the source of a reshape that splits dims, through a map that merges them again."""
    if isinstance(read.op, GatherOp):
        return None
    source, shape = shape_of(reshape.input), shape_of(reshape.result)
    groups = _groups(source, shape)
    if groups is None:
        return None
    extents, exprs = read.op.domain.extents, linear_map(read.map)
    whole = {g[0] for g, size in zip(groups, source) if len(g) == 1 and shape[g[0]] == size}
    if any(d not in whole and not _is_inside(e, extents, shape[d]) for d, e in enumerate(exprs)):
        return None
    merged = [_flattened(exprs, group, shape) for group in groups]
    return read.replace(reshape.input, map_of(len(extents), merged), read.pad)


def fold_reads(op: Reader) -> bool:
    """Fold what stands before an op's operands; True if anything changed."""
    changed = False
    for read in _reads(op):
        current: _Read | None = read
        while current is not None:
            owner = current.value.owner
            if isinstance(owner, CopyOp):
                current = _through_copy(current, owner)
            elif isinstance(owner, ReshapeOp):
                current = _through_reshape(current, owner)
            else:
                current = None
            changed |= current is not None
    return changed


# ---- writes --------------------------------------------------------------------------------------------------------


def _is_before(value: SSAValue, op: Operation) -> bool:
    return not isinstance(value.owner, Operation) or value.owner.is_before_in_block(op)


def _rewritten(producer: RecurrenceOp, map: AffineMap, like: SSAValue, destination: SSAValue | None) -> RecurrenceOp:
    """The recurrence with another place for its result, put where it was."""
    new = RecurrenceOp(
        producer.domain,
        producer.combiner,
        producer.reads[: len(producer.inputs)],
        producer.reads[len(producer.inputs) :],
        map,
        producer.detach_region(0),
        like.type,
        producer.pad_values,
        producer.mapping,
        destination,
    )
    new.attributes |= producer.attributes
    new.location = producer.location
    new.result.name_hint = like.name_hint or producer.result.name_hint
    Rewriter.insert_op(new, InsertPoint.before(producer))
    return new


def _fold_copy_into_producer(copy: CopyOp) -> bool:
    """Let the recurrence that makes a copy's source write where the copy would."""
    producer = copy.input.owner
    if not isinstance(producer, RecurrenceOp) or producer.destination is not None or producer.parent is not copy.parent:
        return False
    others = [u.operation for u in copy.input.uses if u.operation is not copy]
    inner, shape = linear_map(copy.map.data), shape_of(copy.input)
    axis_of = {e.terms[0][0]: axis for axis, e in enumerate(inner) if e.const == 0 and len(e.terms) == 1}
    is_permutation = (
        copy.domain.rank == len(shape)
        and len(axis_of) == len(shape)
        and all(e.terms[0][1] == 1 for e in inner)
        and all(copy.domain.extents[d] == shape[axis] for d, axis in axis_of.items())
    )
    if not is_permutation:
        return False
    if others and (copy.destination is None or not all(_can_read_part(o, copy.input) for o in others)):
        return False
    if copy.destination is not None and not _is_before(copy.destination, producer):
        return False
    by_axis = producer.result_map.results
    dims = [by_axis[axis_of[d]] for d in range(copy.domain.rank)]
    map = AffineMap(
        producer.domain.rank, 0, tuple(e.replace_dims_and_symbols(dims, ()) for e in copy.result_map.results)
    )
    new = _rewritten(producer, map, copy.result, copy.destination)
    copy.result.replace_all_uses_with(new.result)
    Rewriter.erase_op(copy)
    if others:
        part = _part_of(new, copy, axis_of, shape)
        Rewriter.insert_op(part, InsertPoint.after(new))
        producer.result.replace_all_uses_with(part.result)
    Rewriter.erase_op(producer)
    return True


def _can_read_part(op: Operation, value: SSAValue) -> bool:
    """Could an op read its operand as a part of a larger tensor?"""
    return isinstance(op, RecurrenceOp | CopyOp) and op.destination is not value


def _part_of(new: RecurrenceOp, copy: CopyOp, axis_of: dict[int, int], shape: Sequence[int]) -> CopyOp:
    """The value a recurrence made, read back from the tensor that it now writes into."""
    names = {axis: copy.domain.names[d] for d, axis in axis_of.items()}
    domain = Domain(tuple(names[a] for a in range(len(shape))), tuple(shape), len(shape))
    dims = [AffineExpr.dimension(axis_of[d]) for d in range(copy.domain.rank)]
    map = AffineMap(len(shape), 0, tuple(e.replace_dims_and_symbols(dims, ()) for e in copy.result_map.results))
    part = CopyOp(new.result, domain, map)
    part.location = new.location
    return part


def _fold_reshape_into_producer(reshape: ReshapeOp) -> bool:
    """Let the only maker of a reshape's source write the merged dims."""
    producer = reshape.input.owner
    if not isinstance(producer, RecurrenceOp) or producer.destination is not None or not reshape.input.has_one_use():
        return False
    shape = shape_of(reshape.input)
    groups = _groups(shape_of(reshape.result), shape)
    if groups is None:
        return False
    exprs = linear_map(producer.result_map)
    map = map_of(producer.domain.rank, [_flattened(exprs, group, shape) for group in groups])
    new = _rewritten(producer, map, reshape.result, None)
    reshape.result.replace_all_uses_with(new.result)
    Rewriter.erase_op(reshape)
    Rewriter.erase_op(producer)
    return True


def _fold_reshape_into_copy(reshape: ReshapeOp) -> bool:
    """A copy whose result is only reshaped, by merging dims, writes the merged dims of a destination."""
    copy = reshape.input.owner
    if not isinstance(copy, CopyOp) or copy.destination is not None or not copy.result.has_one_use():
        return False
    shape = shape_of(copy.result)
    groups = _groups(shape_of(reshape.result), shape)
    if groups is None:
        return False
    dims = [Linear.of(0, {d: 1}) for d in range(copy.domain.rank)]
    map = map_of(copy.domain.rank, [_flattened(dims, group, shape) for group in groups])
    empty = df.EmptyOp(reshape.result.type)
    new = CopyOp(copy.input, copy.domain, copy.map.data, copy.pad_value, (empty.result, map))
    new.location = copy.location
    new.result.name_hint = reshape.result.name_hint
    Rewriter.insert_op([empty, new], InsertPoint.before(copy))
    reshape.result.replace_all_uses_with(new.result)
    Rewriter.erase_op(reshape)
    Rewriter.erase_op(copy)
    return True


def _move_up(copy: CopyOp) -> None:
    """A write into a chain goes right after its source, so that the rest of the chain can go to its own sources."""
    source = copy.input.owner
    if not isinstance(source, Operation) or copy.destination is None:
        return
    if _is_before(copy.destination, source) and source.next_op is not copy:
        copy.detach()
        Rewriter.insert_op(copy, InsertPoint.after(source))


def fold_writes(module: ModuleOp) -> bool:
    changed = False
    for op in list(module.walk()):
        if op.parent is None:
            continue
        if isinstance(op, CopyOp):
            folded = _fold_copy_into_producer(op)
            changed |= folded
            if not folded:
                _move_up(op)
        elif isinstance(op, ReshapeOp):
            changed |= _fold_reshape_into_producer(op) or _fold_reshape_into_copy(op)
    return changed


# ---- chains of writes ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Chain:
    """Copies into one destination, from an empty one on."""

    writes: tuple[CopyOp, ...]

    @property
    def key(self) -> tuple[object, ...]:
        """What is written where."""
        return tuple((c.input, c.map.data, c.pad_value, c.result_map, c.domain.extents) for c in self.writes)


def _chain_of(empty: df.EmptyOp) -> _Chain | None:
    """The chain that begins with an empty tensor, where it is made of copies only."""
    writes: list[CopyOp] = []
    value = empty.result
    while value.has_one_use():
        user = next(iter(value.uses)).operation
        if not isinstance(user, CopyOp) or user.destination is not value:
            break
        writes.append(user)
        value = user.result
    return _Chain(tuple(writes)) if writes else None


def share_chains(module: ModuleOp) -> None:
    """A concatenation that another begins with is a part of that one: growing concatenations (dense blocks) become one
    tensor that is written once.
    """
    chains = [c for op in module.walk() if isinstance(op, df.EmptyOp) if (c := _chain_of(op)) is not None]
    for chain in chains:
        for write in chain.writes:
            _move_up(write)
    longest: dict[tuple[object, ...], _Chain] = {}
    for chain in sorted(chains, key=lambda c: len(c.writes)):
        key = chain.key
        for n in range(1, len(key) + 1):
            longest[key[:n]] = chain
    for chain in chains:
        whole = longest[chain.key]
        if whole is chain or len(whole.writes) == len(chain.writes):
            continue
        last, count = chain.writes[-1], len(chain.writes)
        rank = len(shape_of(last.result))
        names = tuple(f"d{d}" for d in range(rank))
        source = whole.writes[count - 1]
        part = CopyOp(source.result, Domain(names, shape_of(last.result), rank), AffineMap.identity(rank))
        part.location = last.location
        part.result.name_hint = last.result.name_hint
        Rewriter.insert_op(part, InsertPoint.after(source))
        last.result.replace_all_uses_with(part.result)
        for write in reversed(chain.writes):
            Rewriter.erase_op(write)


# ---- the pass ------------------------------------------------------------------------------------------------------


def erase_unused(module: ModuleOp) -> None:
    for op in reversed([o for o in module.walk() if isinstance(o, CopyOp | ReshapeOp | df.EmptyOp | GatherOp)]):
        if not any(True for _ in op.result.uses):
            Rewriter.erase_op(op)


def hoist_empties(module: ModuleOp) -> None:
    """Destinations begin at the top of their block, before everyone who may come to write into them."""
    for op in [o for o in module.walk() if isinstance(o, df.EmptyOp)]:
        block = op.parent
        assert block is not None
        op.detach()
        Rewriter.insert_op(op, InsertPoint.at_start(block))


@dataclass(frozen=True)
class DfFoldCopiesPass(ModulePass):
    """Fold transposes, slices, broadcasts, borders, concatenations and reshapes into the maps of their neighbours.

    `reads=false` folds into writers only, as is wanted of copies that `df-choose-layout` has put before readers.
    """

    name = "df-fold-copies"

    reads: bool = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        hoist_empties(op)
        if self.reads:
            share_chains(op)
        changed = True
        while changed:
            changed = False
            for reader in [o for o in op.walk() if self.reads and isinstance(o, Reader)]:
                changed |= fold_reads(reader)
            erase_unused(op)
            changed |= fold_writes(op)
            erase_unused(op)
