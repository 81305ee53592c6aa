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
from swkpu.passes.op_precision import FLOATS, precisions

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
    FLOAT = auto()
    """An op that is computed at a float precision."""


@dataclass
class Point:
    """How a value is stored."""

    wide: bool = False
    """As i32 in fixed point, with as many bits as a sum of squares has room for; else as i8."""
    symmetric: bool = False
    terms: int = 1
    """How many elements the largest statistic adds up."""
    like: SSAValue | None = None
    """The value whose range it shares: what it is joined into, and read by nothing else; or is selected from."""
    also_float: bool = False
    """It is stored as a float, too: only ops that need integers read these."""


def quantization_points(function: FuncOp, precision: str = "int8") -> dict[SSAValue, Point]:
    """How each value that is stored as integers is stored.

    As with floats a value is stored unless it is computed together with its one use. What a function reads that becomes
    a table is stored too. A selection's result is stored as its operand is. `precision` is that of contractions that
    say nothing else; what only ops of a float precision read is not stored as integers.
    """
    return PointAnalysis(function, precision).points()


@dataclass
class PointAnalysis:
    """What each value of a function is needed as."""

    function: FuncOp
    precision: str = "int8"
    needs: dict[SSAValue, Need] = field(default_factory=dict[SSAValue, Need])
    terms: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])

    def __post_init__(self) -> None:
        self.precisions = precisions(self.function, self.precision)
        for op in reversed(list(self.function.body.block.ops)):
            self._read(op)

    def points(self) -> dict[SSAValue, Point]:
        ops = list(self.function.body.block.ops)
        values = [*self.function.args, *(r for op in ops for r in op.results)]
        return {v: self._point(v) for v in values if self._is_point(v)}

    def is_float(self, op: Operation) -> bool:
        """Whether an op is computed from stored floats. A selection is where its result is stored so."""
        return self.stores_float(op.results[0]) if is_selection(op) else self.precisions[op] in FLOATS

    def stores_float(self, value: SSAValue) -> bool:
        """Whether a value is stored as a float, perhaps besides its integers."""
        need = self.needs.get(value, Need.NOTHING)
        if need == Need.SUM:  # nobody asks for more than its producer has
            produced = self.precisions[value.owner] if isinstance(value.owner, Operation) else self.precision
            return produced in FLOATS
        return Need.FLOAT in need

    def reads_integers(self, op: Operation) -> bool:
        """Whether an op asks for the integers of a value that is stored as a float, too."""
        if isinstance(op, ReturnOp) or (is_elementwise(op) and not isinstance(op, TABULATED)):
            return False
        return not self.is_float(op)

    # ---- needs, from the last op to the first ----------------------------------------------------------------------

    def _need(self, value: SSAValue, need: Need, terms: int = 1) -> None:
        if need and _is_activation(value):
            self.needs[value] = self.needs.get(value, Need.NOTHING) | need
            self.terms[value] = max(self.terms.get(value, 1), terms)

    def _read(self, op: Operation) -> None:
        """What an op needs of its operands; those of its result are known."""
        if isinstance(op, ReturnOp | nn.QuantizeOp | nn.DequantizeOp | nn.DequantizeWeightOp):
            return
        if is_selection(op):
            result = self.needs.get(op.results[0], Need.NOTHING)
            for operand in op.operands:
                self._need(operand, result, self.terms.get(op.results[0], 1))
        elif is_elementwise(op):
            self._read_elementwise(op)
        elif isinstance(op, NNOp):
            if self.precisions[op] in FLOATS:
                for operand in op.operands:
                    self._need(operand, Need.FLOAT)
            else:
                self._read_integers(op)

    def _read_elementwise(self, op: Operation) -> None:
        for operand in op.operands:
            if operand is not absorbed_producer(op):
                self._need(operand, Need.SUM)
        if isinstance(op, TABULATED) and self.precisions[op] not in FLOATS:
            self._need(table_root(op.operands[0]), Need.BYTES)

    def _read_integers(self, op: NNOp) -> None:
        match op:
            case nn.ConvTransposeOp():
                self._need(op.input, Need.BYTES | Need.SYMMETRIC)
            case nn.MatmulOp() | nn.SdpaOp():
                activations = [v for v in op.operands[: 3 if isinstance(op, nn.SdpaOp) else 2] if _is_activation(v)]
                for value in activations:
                    self._need(value, Need.BYTES | (Need.SYMMETRIC if len(activations) > 1 else Need.NOTHING))
            case nn.NormOp():
                self._need(op.input, Need.NORM, _statistic(op))
            case nn.SoftmaxBaseOp():
                pass
            case _:
                for operand in op.operands:
                    self._need(operand, Need.BYTES)

    # ---- points ----------------------------------------------------------------------------------------------------

    def _is_point(self, value: SSAValue) -> bool:
        need = self.needs.get(value, Need.NOTHING)
        if self.stores_float(value):
            return Need.BYTES in need or Need.NORM in need
        inherits = is_selection(value.owner) and not isinstance(value.owner, _JOINS)
        return bool(need) and not inherits and not _is_of_table(value, need)

    def _point(self, value: SSAValue) -> Point:
        need = self.needs[value]
        wide = Need.NORM in need and Need.BYTES not in need
        point = Point(wide, Need.SYMMETRIC in need, self.terms[value], None, self.stores_float(value))
        users = {use.operation for use in value.uses}
        join = next(iter(users)) if len(users) == 1 else None
        if isinstance(join, _JOINS) and not point.also_float:
            point.like = join.results[0]
        elif is_selection(value.owner) and isinstance(value.owner, NNOp) and not isinstance(value.owner, _JOINS):
            point.like = value.owner.operands[0]
        return point


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
