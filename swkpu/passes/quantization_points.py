"""Which values of a function are stored as integers: the points where calibration looks and `nn-quantize` rounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Flag, auto
from math import prod

from xdsl.dialects.builtin import TensorType, f32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from swkpu.dialects import nn
from swkpu.dialects.nn import ConstantOp, NNOp, shape_of
from swkpu.passes.elementwise import absorbed_producer, is_elementwise, is_selection

TABULATED = (*(op for op in nn.UNARY if op not in (nn.ReluOp, nn.NegOp)), nn.GeluOp, nn.PowOp)
"""Functions that are a table of a stored tensor."""
_JOINS = (nn.ConcatOp, nn.InsertSliceOp)
"""Selections from several tensors, which need one scale."""


class Need(Flag):
    """Who reads a value."""

    NOTHING = 0
    BYTES = auto()
    """A contraction, a pool, a table: 8 bits."""
    SYMMETRIC = auto()
    """An operand of a product of two activations, or of a transposed convolution: its zero point is 0."""
    NORM = auto()
    """Statistics, which take more bits as well."""
    SUM = auto()
    """An elementwise op that is not computed together with the value's producer: any number of bits."""


@dataclass
class Point:
    """How a value is stored."""

    wide: bool = False
    """As i32 in fixed point, with as many bits as a sum of squares has room for; else as i8."""
    symmetric: bool = False
    terms: int = 1
    """How many elements the largest statistic adds up."""
    like: SSAValue | None = None
    """The value whose range it shares: what it is joined into, and read by nothing else."""


def points(function: FuncOp) -> list[SSAValue]:
    """The f32 values of a function that are stored as integers, in program order: arguments first."""
    return list(quantization_points(function))


def quantization_points(function: FuncOp) -> dict[SSAValue, Point]:
    """How each value that is stored as integers is stored.

    As with floats a value is stored unless it is computed together with its one use. What a function reads that becomes
    a table is stored too. A selection's result is stored as its operand is.
    """
    return _Analysis(function).points()


@dataclass
class _Analysis:
    function: FuncOp
    needs: dict[SSAValue, Need] = field(default_factory=dict[SSAValue, Need])
    terms: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])

    def points(self) -> dict[SSAValue, Point]:
        ops = list(self.function.body.block.ops)
        for op in reversed(ops):
            self._read(op)
        values = [*self.function.args, *(r for op in ops for r in op.results)]
        return {v: self._point(v) for v in values if self._is_point(v)}

    def _need(self, value: SSAValue, need: Need, terms: int = 1) -> None:
        if need and _is_activation(value):
            self.needs[value] = self.needs.get(value, Need.NOTHING) | need
            self.terms[value] = max(self.terms.get(value, 1), terms)

    def _read(self, op: Operation) -> None:
        """What an op needs of its operands; those of its result are known."""
        if isinstance(op, nn.ConvTransposeOp):
            self._need(op.input, Need.BYTES | Need.SYMMETRIC)
        elif isinstance(op, nn.MatmulOp | nn.SdpaOp):
            activations = [v for v in op.operands[: 3 if isinstance(op, nn.SdpaOp) else 2] if _is_activation(v)]
            for value in activations:
                self._need(value, Need.BYTES | (Need.SYMMETRIC if len(activations) > 1 else Need.NOTHING))
        elif isinstance(op, nn.NormOp):
            self._need(op.input, Need.NORM, _statistic(op))
        elif isinstance(op, nn.SoftmaxBaseOp | ReturnOp | nn.QuantizeOp | nn.DequantizeOp | nn.DequantizeWeightOp):
            pass
        elif is_selection(op):
            result = self.needs.get(op.results[0], Need.NOTHING)
            for operand in op.operands:
                self._need(operand, result, self.terms.get(op.results[0], 1))
        elif is_elementwise(op):
            for operand in op.operands:
                if operand is not absorbed_producer(op):
                    self._need(operand, Need.SUM)
            if isinstance(op, TABULATED):
                self._need(table_root(op.operands[0]), Need.BYTES)
        elif isinstance(op, NNOp):
            for operand in op.operands:
                self._need(operand, Need.BYTES)

    def _is_point(self, value: SSAValue) -> bool:
        inherits = is_selection(value.owner) and not isinstance(value.owner, _JOINS)
        return bool(self.needs.get(value)) and not inherits and not _is_of_table(value, self.needs[value])

    def _point(self, value: SSAValue) -> Point:
        need = self.needs[value]
        wide = Need.NORM in need and Need.BYTES not in need
        users = {use.operation for use in value.uses}
        join = next(iter(users)) if len(users) == 1 else None
        like = join.results[0] if isinstance(join, _JOINS) else None
        return Point(wide, Need.SYMMETRIC in need, self.terms[value], like)


def _is_activation(value: SSAValue) -> bool:
    return (
        isinstance(value.type, TensorType)
        and value.type.element_type == f32
        and not isinstance(value.owner, ConstantOp | nn.DequantizeOp | nn.DequantizeWeightOp)
    )


def _is_of_table(value: SSAValue, need: Need) -> bool:
    """Whether a value is a function of a stored tensor that only elementwise ops read: they tabulate it themselves."""
    return need == Need.SUM and isinstance(value.owner, Operation) and table_root(value) is not value


def table_root(value: SSAValue) -> SSAValue:
    """The value of which a chain of elementwise ops is a function: back through ops that have no other operand but
    constants of one element.
    """
    while isinstance(value.owner, Operation) and is_elementwise(value.owner):
        operands = {v for v in value.owner.operands if not isinstance(v.owner, ConstantOp)}
        constants = [v for v in value.owner.operands if isinstance(v.owner, ConstantOp)]
        roots = {table_root(v) for v in operands}
        if len(roots) != 1 or any(prod(shape_of(v)) != 1 for v in constants) or isinstance(value.owner, nn.CastOp):
            return value
        root = roots.pop()
        if shape_of(root) != shape_of(value) or not _is_activation(root):
            return value
        value = root
    return value


def _statistic(op: nn.NormOp) -> int:
    """How many elements one statistic of a norm is of."""
    shape = shape_of(op.input)
    if isinstance(op, nn.GroupNormOp):
        return prod(shape[1:]) // op.groups.value.data
    assert isinstance(op, nn.TrailingNormOp)
    return prod(shape[-op.dims.value.data :])
