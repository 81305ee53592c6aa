"""The DRAM traffic that no schedule can avoid: inputs, outputs and constants, as far as they are touched, each once."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod

from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from swkpu.affine import Linear, linear_map
from swkpu.dialects import df
from swkpu.dialects.nn import shape_of, type_of
from swkpu.mapping.residency import bytes_of, root
from swkpu.types import dtype_of


def _coordinates(expr: Linear, extents: Sequence[int], size: int) -> int:
    """How many coordinates of an axis are read: those between the first and the last that the steps can reach, but no
    more than there are points. Windows that leave gaps of several kinds may count a few too many.
    """
    moving = [(d, c) for d, c in expr.terms if extents[d] > 1]
    low, high = df.bounds(expr, extents)
    step = gcd(*(c for _, c in moving)) or 1
    first = low if low >= 0 else low + -(low // step) * step
    last = min(high, size - 1)
    reachable = max(0, (last - first) // step + 1)
    return min(reachable, prod(extents[d] for d, _ in moving))


def _read(map_exprs: Sequence[Linear], extents: Sequence[int], value: SSAValue) -> int:
    count = prod(_coordinates(e, extents, n) for e, n in zip(map_exprs, shape_of(value)))
    return dtype_of(type_of(value).element_type).bytes_of(count)


def touched_bytes(op: Operation, value: SSAValue) -> int:
    """Bytes of an operand that an op reads, each once. Of a gather's source these are as many as it gathers."""
    match op:
        case df.RecurrenceOp():
            return max((_read(linear_map(m), op.domain.extents, v) for v, m in op.reads if v is value), default=0)
        case df.CopyOp() if value is op.input:
            return _read(linear_map(op.map.data), op.domain.extents, value)
        case df.GatherOp():
            gathered = min(bytes_of(value), bytes_of(op.result)) if value is op.source else 0
            indices = _read(linear_map(op.index_map.data), op.domain.extents, value) if value is op.indices else 0
            return max(gathered, indices)
        case df.ReshapeOp() | ReturnOp():
            return bytes_of(value)
        case _:
            return 0


def is_outside(value: SSAValue) -> bool:
    """Is a value in DRAM before the program starts?"""
    source = root(value)
    return isinstance(source, BlockArgument) or isinstance(source.owner, df.ConstantOp)


def of_op(op: Operation) -> int:
    """What one layer cannot avoid: its operands from outside, and its result if it is one of the program's."""
    return of_ops([op])


def of_ops(ops: Sequence[Operation]) -> int:
    """What a layer of several cannot avoid: every operand from outside once, and results of the program's."""
    values = dict.fromkeys(v for op in ops for v in op.operands if is_outside(v))
    results = [op.results[0] for op in ops]
    returned = [v for v in results if any(isinstance(use.operation, ReturnOp) for use in v.uses)]
    return sum(max(touched_bytes(op, v) for op in ops) for v in values) + sum(map(bytes_of, returned))


def of_function(func: FuncOp) -> int:
    """What a program cannot avoid."""
    total = 0
    outside = [*func.args, *(o.result for o in func.body.block.ops if isinstance(o, df.ConstantOp))]
    for value in outside:
        total += max((touched_bytes(use.operation, value) for use in value.uses), default=0)
    returned = next(o for o in func.body.block.ops if isinstance(o, ReturnOp))
    return total + sum(bytes_of(v) for v in dict.fromkeys(returned.operands) if not is_outside(v))
