"""Op by op on the reference's own inputs: what stands between dequantize and quantize, cut out and made integers.

PyTorch evaluates its quantized graph, and every result of quantize is kept. Each stretch of the imported module from
quantized tensors to the next quantized tensor becomes a module of its own; in integers it gets PyTorch's inputs, and
its result is held against PyTorch's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Interpreter, Node
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

from swkpu.dialects.nn import DequantizeOp, QuantizeOp
from swkpu.frontend import import_program
from swkpu.interp import run_module
from swkpu.passes.nn_fold_batch_norm import NnFoldBatchNormPass
from swkpu.passes.nn_fold_constants import NnFoldConstantsPass
from swkpu.passes.nn_quantize import NnQuantizePass

QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default


@dataclass(frozen=True)
class Segment:
    """`operators` end in the one that gives the quantized tensor; the module takes `inputs`, numbers of segments."""

    operators: tuple[str, ...]
    module: ModuleOp
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Difference:
    """How a segment's integers differ from PyTorch's: the largest step, and on how many of all elements."""

    operators: tuple[str, ...]
    step: int
    count: int
    elements: int


class _Recorder(Interpreter):
    """Keeps what the model's quantize operators give."""

    def __init__(self, ep: ExportedProgram):
        super().__init__(ep.module(check_guards=False))
        self.found: list[torch.Tensor] = []

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n.target is QUANTIZE:
            self.found.append((result.int() - 128).to(torch.int8) if result.dtype == torch.uint8 else result)
        return result


def recorded(ep: ExportedProgram, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The results of PyTorch's quantize operators in the order of the graph, as nn stores them."""
    recorder = _Recorder(ep)
    with torch.no_grad():
        recorder.run(*inputs)
    return recorder.found


def segments(module: ModuleOp) -> list[Segment | None]:
    """One per nn.quantize; None for those of the model's inputs and of what needs these as floats."""
    for p in (NnFoldConstantsPass(), NnFoldBatchNormPass()):
        p.apply(Context(), module)
    quantizes = [op for op in module.walk() if isinstance(op, QuantizeOp)]
    numbers = {op.result: index for index, op in enumerate(quantizes)}
    return [_cut(op, numbers) for op in quantizes]


def _cut(quantize: QuantizeOp, numbers: dict[SSAValue, int]) -> Segment | None:
    inputs: list[SSAValue] = []
    needed: set[Operation] = {quantize}
    pending = list(quantize.operands)
    while pending:
        value = pending.pop()
        if value in numbers:
            inputs += [value] * (value not in inputs)
        elif not isinstance(value.owner, Operation):
            return None
        elif value.owner not in needed:
            needed.add(value.owner)
            pending += value.owner.operands
    block = Block(arg_types=[value.type for value in inputs])
    values = dict(zip(inputs, block.args))
    parent = quantize.parent
    assert parent is not None
    stretch = [op for op in parent.ops if op in needed]
    for op in stretch:
        block.add_op(op.clone(values))
    result = values[quantize.result]
    block.add_op(ReturnOp(result))
    function = FuncOp("main", ([a.type for a in block.args], [result.type]), Region(block))
    computing = (op.name for op in stretch if op.operands and not isinstance(op, DequantizeOp))
    return Segment(
        tuple(computing), ModuleOp([function], sym_name=StringAttr("segment")), tuple(numbers[v] for v in inputs)
    )


def differences(ep: ExportedProgram, inputs: Sequence[torch.Tensor]) -> list[Difference]:
    """Every segment in integers, on PyTorch's own inputs to it, beside PyTorch's result."""
    reference = recorded(ep, inputs)
    cuts = segments(import_program(ep, "reference"))
    assert len(cuts) == len(reference)
    found: list[Difference] = []
    for segment, expected in zip(cuts, reference):
        if segment is None:
            continue
        NnQuantizePass("int8").apply(Context(), segment.module)
        (actual,) = run_module(segment.module, [reference[i] for i in segment.inputs])
        steps = (actual.int() - expected.int()).abs()
        found.append(Difference(segment.operators, int(steps.max()), int(steps.count_nonzero()), steps.numel()))
    return found
