"""A recurrence as the mapper sees it: dims, accesses, storage types, and which operands come from where."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

from swkpu.affine import Linear, linear_map
from swkpu.dialects import df
from swkpu.dialects.df import Domain, RecurrenceOp
from swkpu.dialects.epilogue import fabric_program
from swkpu.program.model import Combiner, Dataflow, DType, FabricProgram
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
        return prod(self.shape) * self.dtype.bytes


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

    @property
    def dtypes(self) -> list[DType]:
        return [o.dtype for o in self.operands] + [self.result.dtype]

    def dims_of(self, operand: OperandAccess) -> set[int]:
        """Domain dims (of more than one point) that an access depends on."""
        return {d for e in operand.exprs for d, _ in e.terms if self.domain.extents[d] > 1}


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


def problem_of(op: RecurrenceOp, in_dram: tuple[bool, ...], result_in_dram: bool, l2_budget: int) -> Problem:
    """The mapping problem of a recurrence; `in_dram` per operand (inputs, then epilogue operands)."""
    domain = op.domain
    values = list(op.operands)
    maps = [m.data for m in op.maps.data]
    operands = tuple(
        OperandAccess(
            linear_map(map),
            dtype_of(df.type_of(value).element_type),
            df.shape_of(value),
            dram,
            isinstance(value.owner, df.ConstantOp),
            i < len(op.inputs),
        )
        for i, (value, map, dram) in enumerate(zip(values, maps, in_dram))
    )
    result_type = df.type_of(op.result)
    result = OperandAccess(
        linear_map(maps[-1]), dtype_of(result_type.element_type), result_type.get_shape(), result_in_dram, False, False
    )
    accumulator = op.accumulator_type if not op.is_elementwise else result_type.element_type
    fabric = local_fabric(op, (), (), Dataflow.OS, accumulator)
    return Problem(domain, fabric, operands, result, l2_budget)


def local_fabric(
    op: RecurrenceOp,
    rows: tuple[str, ...],
    cols: tuple[str, ...],
    dataflow: Dataflow,
    accumulator: object | None = None,
) -> FabricProgram:
    """The fabric program of a recurrence on blocks, with accesses relative to the blocks' origins."""
    from swkpu.affine import map_of

    domain = op.domain
    if accumulator is None:
        accumulator = op.accumulator_type if not op.is_elementwise else df.type_of(op.result).element_type
    maps = [map_of(domain.rank, [local_access(e, domain) for e in linear_map(m.data)]) for m in op.maps.data[:-1]] + [
        op.result_map
    ]
    return fabric_program("", domain, op.combiner, maps, accumulator, op.epilogue, rows, cols, dataflow)  # pyright: ignore[reportArgumentType]
