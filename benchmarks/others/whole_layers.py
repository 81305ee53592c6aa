"""Layers as SCALE-Sim sees them: matrix products that one array does at once, each as one `exec`."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from benchmarks.prepared import Prepared, apply
from swkpu.compiler import program_of
from swkpu.dialects.df import RecurrenceOp
from swkpu.dialects.location import layer_name
from swkpu.dialects.mapping import Mapping, MappingAttr, Part
from swkpu.executable import Executable
from swkpu.mapping.problem import problem_of
from swkpu.mapping.residency import plan
from swkpu.passes.pipeline import default_pipeline
from swkpu.target import Machine, load_target
from swkpu.target.cost import vector_micro_ops


@dataclass(frozen=True)
class Product:
    """A layer as a matrix product: M results of each of N kinds, summed over K.

    exec_cycles  from the start of its execution to its end, simulated
    lane_cycles  of these, what the vector lanes do of its epilogue behind the last pass
    """

    name: str
    m: int
    n: int
    k: int
    exec_cycles: int
    lane_cycles: int

    @property
    def array_cycles(self) -> int:
        return self.exec_cycles - self.lane_cycles

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.m, self.n, self.k


def closed_form(m: int, n: int, k: int, rows: int, cols: int) -> int:
    """Cycles of SCALE-Sim 3 for a product on an output-stationary array (Raj et al., 2025): ⌈M/R⌉⌈N/C⌉(K+R+C−2)−1."""
    return -(-m // rows) * -(-n // cols) * (k + rows + cols - 2) - 1


def run_whole_layers(prepared: Prepared, target: str) -> list[Product]:
    """Compile with each contraction in one piece on the one array of a target that has room for it, and simulate."""
    machine = load_target(target)
    module = prepared.module.clone()
    steps = default_pipeline(target, None, prepared.precision)
    first = len(default_pipeline(target, None, prepared.precision, "nn"))
    mapping = next(i for i, step in enumerate(steps) if step.name == "df-choose-mapping")
    apply(steps[first:mapping], module)
    products = _map_whole(module, machine)
    apply(steps[mapping:], module)
    layers = {layer.name: layer for layer in Executable(program_of(module, machine), machine).report.layers}
    return [Product(name, *shape, layers[name].exec_cycles, lanes) for name, (shape, lanes) in products.items()]


def _map_whole(module: ModuleOp, machine: Machine) -> dict[str, tuple[tuple[int, int, int], int]]:
    """Map contractions by hand: results on rows, their kinds on columns, no loops. M, N, K and the lanes' cycles."""
    (group,) = machine.tile_groups
    found: dict[str, tuple[tuple[int, int, int], int]] = {}
    (function,) = [op for op in module.walk() if isinstance(op, FuncOp)]
    residency = plan(function, machine.l2.capacity_bytes)
    for op in [step for step in residency.steps if isinstance(step, RecurrenceOp)]:
        problem = problem_of(op, tuple(True for _ in op.reads), True, machine.l2.capacity_bytes)
        if not problem.is_contraction:
            continue
        domain, parallel = op.domain, op.domain.parallel
        weights = problem.dims_of(problem.operands[1])
        cols = tuple(d for d in range(parallel) if d in weights)
        rows = tuple(d for d in range(parallel) if d not in weights)
        result = "dram" if residency.is_dram(op.result) else "l2"
        names = [tuple(domain.names[d] for d in dims) for dims in (rows, cols)]
        op.properties["mapping"] = MappingAttr(Mapping((Part(group.kind, (), (), (), *names),), result=result))
        m, n = (prod(domain.extents[d] for d in dims) for dims in (rows, cols))
        lanes = ceil(group.rows * group.cols * vector_micro_ops(problem.fabric) / group.vector_lanes)
        found[layer_name(op, "")] = ((m, n, prod(domain.extents[parallel:])), lanes)
    return found
