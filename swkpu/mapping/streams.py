"""What a recurrence brings through L2: the loops over L2 tiles, whether their buffers fit, and their DRAM traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from swkpu.mapping.blocks import aligned_size, block_elements, span_of
from swkpu.mapping.problem import OperandAccess, Problem, axis_step, local_access
from swkpu.target import cost
from swkpu.target.machine import Machine


@dataclass(frozen=True)
class Nest:
    """The loops that bring DRAM operands through L2: (dim, tile size) from the outermost."""

    tiles: tuple[tuple[int, int], ...] = ()

    def size(self, dim: int, extent: int) -> int:
        return dict(self.tiles).get(dim, extent)

    def trips(self, dim: int, extent: int) -> int:
        return ceil(extent / self.size(dim, extent))


def l2_bytes_of(operand: OperandAccess, problem: Problem, nest: Nest) -> tuple[int, int]:
    """(bytes of one L2 block of a streamed operand or result, how often it is moved)."""
    extents = problem.domain.extents
    sizes = [nest.size(d, e) for d, e in enumerate(extents)]
    elements = int(block_elements(operand, problem, sizes))
    dims = problem.dims_of(operand)
    count = running = 1
    for d, _ in nest.tiles:
        running *= nest.trips(d, extents[d])
        if d in dims:
            count = running
    return operand.dtype.bytes_of(elements), count


def nest_fits(problem: Problem, nest: Nest, share: Fraction = Fraction(1), buffers: int = 2) -> bool:
    """Do the streamed operands' L2 buffers fit the budget, or a share of it?"""
    total = 0
    for operand in (*problem.operands, problem.result):
        if operand.dram:
            size, count = l2_bytes_of(operand, problem, nest)
            total += aligned_size(size) * (buffers if count > 1 else 1)
    return total <= problem.l2_budget * share


@dataclass(frozen=True)
class DramTime:
    """Cycles of DRAM, in whole bursts per row.

    constants    traffic of weights, which may come ahead of their layer
    activations  all other traffic, and `first` its first blocks, for which a layer must wait
    """

    constants: int
    activations: int
    first: int


def dram_time(problem: Problem, machine: Machine, nest: Nest) -> DramTime:
    """The DRAM traffic of a recurrence with these L2 loops."""
    sizes = [nest.size(d, e) for d, e in enumerate(problem.domain.extents)]
    constants = activations = first = 0
    for operand in (*problem.operands, problem.result):
        if operand.dram:
            size, count = l2_bytes_of(operand, problem, nest)
            row = min(_row_bytes(operand, problem, sizes), size)
            charged = cost.dram_charged_bytes(row, ceil(size / row), machine.dram.burst_bytes)
            cycles = int(cost.dram_cycles(machine, charged))
            if operand.constant:
                constants += cycles * count
            else:
                activations += cycles * count
                first += cycles
    return DramTime(constants, activations, first)


def _row_bytes(operand: OperandAccess, problem: Problem, sizes: Sequence[int]) -> int:
    """Bytes of a block that are contiguous in DRAM: trailing dims, up to the first that is not taken whole."""
    row = 1
    for expr, size in zip(reversed(operand.exprs), reversed(operand.shape)):
        if axis_step(expr, problem.domain) > 1:
            break
        taken = min(int(span_of(local_access(expr, problem.domain).terms, sizes)), size)
        row *= taken
        if taken < size:
            break
    return operand.dtype.bytes_of(row)
