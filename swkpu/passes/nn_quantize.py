"""Choose what values are stored as."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr, f32
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from swkpu.dialects.nn import DequantizeOp, QuantizeOp
from swkpu.dialects.value_range import set_range
from swkpu.errors import IRError
from swkpu.passes.float_storage import MixedStorage, Storage, store_floats
from swkpu.passes.nn_fold_constants import fold_constants
from swkpu.passes.op_precision import CHOICES, FLOATS, INTEGERS, PRECISION, check_group
from swkpu.passes.quantization_points import PointAnalysis

MIXED = "mixed"
"""The precision of a module whose contractions say their own; int8 where they do not."""


@dataclass(frozen=True)
class NnQuantizePass(ModulePass):
    """Store f32 tensors as bf16, fp16 or integers: round each value once, where it is produced.

    `bf16`, `fp16`: inputs of the function become tensors of the storage type. Contractions, pools and reductions read
    the storage type and give f32; elementwise operators compute in f32. A value is stored, and so rounded, unless its
    one use is an elementwise operator evaluated together with its producer: conv, bias, residual and relu round once,
    at their end.
    Constants that contractions read are rounded too; those that elementwise operators read, and the function's results,
    stay f32. `fp32` changes nothing. Constants are folded.

    `int8`, `int4`: values are stored as i8 with the scales of their ranges (`nn-annotate-ranges`), weights as i8 or i4,
    one scale by output channel or, with `group`, by that many weights of a linear layer. A module that has nn.quantize
    and nn.dequantize already, as PyTorch's own quantization gives, is taken as it is. Operators between quantized
    tensors become integer arithmetic.

    `mixed`: each contraction, and what follows it, is computed as its attribute `nn.precision` says, and int8 where it
    has none.
    """

    name = "nn-quantize"

    precision: str
    group: int | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.precision not in (*CHOICES, MIXED):
            accepted = ", ".join((*FLOATS, *INTEGERS, MIXED))
            raise IRError(f'nn-quantize: unknown precision "{self.precision}"; available are {accepted}')
        check_group(self.group)
        op.attributes[PRECISION] = StringAttr(self.precision)
        if self.precision == "fp32":
            return
        fold_constants(op)
        for function in op.walk():
            if isinstance(function, FuncOp) and function.body.blocks:
                self._store(function)
        fold_constants(op)

    def _store(self, function: FuncOp) -> None:
        if self.precision in FLOATS:
            store_floats(function, Storage(FLOATS[self.precision]))
        else:
            store_integers(function, "int8" if self.precision == MIXED else self.precision, self.group)


def store_integers(function: FuncOp, precision: str, group: int | None) -> None:
    """Bring a function with ranges, or with quantize and dequantize, to integers, and float ops to stored floats."""
    from swkpu.integers.convert import convert
    from swkpu.integers.placement import place
    from swkpu.quant.names import value_names

    if not any(isinstance(op, QuantizeOp | DequantizeOp) for op in function.walk()):
        analysis = PointAnalysis(function, precision)
        storage = MixedStorage(analysis)
        place(function, analysis, group)
        if any(p in FLOATS and FLOATS[p] != f32 for p in analysis.precisions.values()):
            store_floats(function, storage)
    convert(function)
    for value in value_names(function):
        set_range(value, None)
    for op in function.walk():
        op.attributes.pop(PRECISION, None)
