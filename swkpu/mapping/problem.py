"""A recurrence as the mapper sees it: dims, accesses, storage types, and which operands come from where."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineMap

from swkpu.affine import Linear, map_of
from swkpu.dialects import df
from swkpu.dialects.df import Domain, RecurrenceOp
from swkpu.dialects.epilogue import fabric_program
from swkpu.mapping.views import read_views, write_view
from swkpu.program.model import Combiner, Dataflow, DType, FabricProgram, MicroOp
from swkpu.types import dtype_of


@dataclass(frozen=True)
class OperandAccess:
    """One operand of a recurrence. `dram` says that it must be brought through L2; `constant` that it is a weight."""

    exprs: tuple[Linear, ...]
    dtype: DType
    shape: tuple[int, ...]
    dram: bool
    constant: bool
    is_input: bool

    @property
    def bytes(self) -> int:
        return self.dtype.bytes_of(prod(self.shape))


def reads_outside(exprs: Sequence[Linear], shape: Sequence[int], extents: Sequence[int]) -> bool:
    """Does a recurrence read outside a tensor, so that its pad value matters?"""
    return any(low < 0 or high >= n for (low, high), n in zip((df.bounds(e, extents) for e in exprs), shape))


def may_overrun(inputs: Sequence[tuple[Sequence[Linear], Sequence[int]]], extents: Sequence[int], dim: int) -> bool:
    """Does a reduction beyond its end read only outside its inputs, and is there one that it reads outside of nowhere
    else, whose pad value can be the neutral element? `inputs` are access maps and shapes.
    """
    neutral = False
    for exprs, shape in inputs:
        if not any(dim in e.dims for e in exprs):
            continue
        own = [(e, n) for e, n in zip(exprs, shape) if e.dims == (dim,)]
        if not any(e.const + e.coef(dim) * extents[dim] >= n for e, n in own):
            return False
        neutral |= not reads_outside(exprs, shape, extents)
    return neutral


@dataclass(frozen=True)
class Problem:
    """What mapping has to decide about. Two recurrences with equal problems have equal best mappings."""

    domain: Domain
    fabric: FabricProgram
    operands: tuple[OperandAccess, ...]
    result: OperandAccess
    l2_budget: int

    @cached_property
    def is_contraction(self) -> bool:
        return self.fabric.combiner is Combiner.MAC

    @cached_property
    def skeleton(self) -> FabricProgram:
        """The fabric program without the numbers in it (scales, zero points, tables), on which no cost depends."""
        ops = tuple(MicroOp(op.opcode, op.dtype, op.args) for op in self.fabric.micro_ops)
        return replace(self.fabric, micro_ops=ops, tables=())

    @cached_property
    def local(self) -> dict[OperandAccess, tuple[Linear, ...]]:
        """How the fabric program indexes each operand's block."""
        accesses = (*self.operands, self.result)
        return {o: tuple(local_access(e, self.domain) for e in o.exprs) for o in accesses}

    @cached_property
    def dtypes(self) -> list[DType]:
        return [o.dtype for o in self.operands] + [self.result.dtype]

    @cached_property
    def overrunning(self) -> frozenset[int]:
        """Reduction dims beyond which blocks may reach: whatever lies there is read as the neutral element."""
        inputs = [(o.exprs, o.shape) for o in self.operands if o.is_input]
        return frozenset(d for d in self.domain.reduction_dims if may_overrun(inputs, self.domain.extents, d))

    def may_overrun(self, dim: int) -> bool:
        return dim in self.overrunning

    @cached_property
    def _dims(self) -> dict[OperandAccess, set[int]]:
        extents = self.domain.extents
        accesses = (*self.operands, self.result)
        return {o: {d for e in o.exprs for d, _ in e.terms if extents[d] > 1} for o in accesses}

    def dims_of(self, operand: OperandAccess) -> set[int]:
        """Domain dims (of more than one point) that an access depends on."""
        return self._dims[operand]


def axis_step(expr: Linear, domain: Domain) -> int:
    """The element step of a transfer along one axis: a lone strided dim is picked out by the transfer, not the
    array.
    """
    moving = [(d, c) for d, c in expr.terms if domain.extents[d] > 1]
    return moving[0][1] if len(moving) == 1 and moving[0][1] > 1 else 1


def local_access(expr: Linear, domain: Domain) -> Linear:
    """How the fabric program indexes a block: without the origin, in units of the transfer's step."""
    step = axis_step(expr, domain)
    return Linear.of(0, {d: (c // step if c % step == 0 else c) for d, c in expr.terms if domain.extents[d] > 1})


def problem_of(
    op: RecurrenceOp,
    in_dram: tuple[bool, ...],
    result_in_dram: bool,
    l2_budget: int,
    kept: Collection[SSAValue] = (),
) -> Problem:
    """The mapping problem of a recurrence; `in_dram` per operand (inputs, then epilogue operands), `kept` the values
    that stay in L1.
    """
    domain = op.domain
    values = [v for v, _ in op.reads]
    operands = tuple(
        OperandAccess(
            view.exprs,
            dtype_of(df.type_of(value).element_type),
            view.extents,
            dram,
            isinstance(value.owner, df.ConstantOp),
            i < len(op.inputs),
        )
        for i, (value, view, dram) in enumerate(zip(values, read_views(op, kept), in_dram))
    )
    written = write_view(op)
    dtype = dtype_of(df.type_of(op.result).element_type)
    result = OperandAccess(written.exprs, dtype, written.extents, result_in_dram, False, False)
    accumulator = op.accumulator_type if not op.is_elementwise else df.type_of(op.result).element_type
    fabric = local_fabric(op, (), (), Dataflow.OS, accumulator, kept)
    return Problem(domain, fabric, operands, result, l2_budget)


def local_maps(op: RecurrenceOp, kept: Collection[SSAValue] = ()) -> list[AffineMap]:
    """How a fabric program indexes the blocks of its operands and of its result."""
    domain = op.domain
    reads = [[local_access(e, domain) for e in view.exprs] for view in read_views(op, kept)]
    return [map_of(domain.rank, exprs) for exprs in (*reads, write_view(op).exprs)]


def local_fabric(
    op: RecurrenceOp,
    rows: tuple[str, ...],
    cols: tuple[str, ...],
    dataflow: Dataflow,
    accumulator: object | None = None,
    kept: Collection[SSAValue] = (),
) -> FabricProgram:
    """The fabric program of a recurrence on blocks, with accesses relative to the blocks' origins."""
    domain = op.domain
    if accumulator is None:
        accumulator = op.accumulator_type if not op.is_elementwise else df.type_of(op.result).element_type
    return fabric_program("", domain, op.combiner, local_maps(op, kept), accumulator, op.epilogue, rows, cols, dataflow)  # pyright: ignore[reportArgumentType]
