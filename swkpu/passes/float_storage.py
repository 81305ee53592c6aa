"""Casts to the types in which floats are stored, each value once, where it is produced."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.dialects.builtin import FunctionType, LocationAttr, TensorType, f32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, BlockArgument, Operation, OpResult, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.dialects.nn import CastOp, ConstantOp, DequantizeOp, NNOp, NormOp, QuantizeOp, SdpaOp, shape_of, type_of
from swkpu.passes.elementwise import absorbed_producer, is_decoding, is_elementwise, is_selection
from swkpu.passes.op_precision import FLOATS
from swkpu.passes.quantization_points import PointAnalysis


class Storage:
    """What a function's floats are stored as: all as one type."""

    def __init__(self, element: Attribute):
        self.element = element

    def of_operands(self, op: Operation) -> Attribute | None:
        """The type of an op's stored operands; None where it does not read stored floats."""
        return self.element

    def of_value(self, value: SSAValue) -> Attribute | None:
        """The type a value is stored as; None where it is not stored as a float, or as the f32 it is."""
        return self.element


class MixedStorage(Storage):
    """Each value as the first op that reads it as a float wants it; values of integer ops are not stored as floats."""

    def __init__(self, analysis: PointAnalysis):
        self.analysis = analysis
        self.readers: dict[SSAValue, Attribute] = {}
        for op in analysis.function.body.block.ops:
            if isinstance(op, NNOp) and not is_elementwise(op) and not is_selection(op) and analysis.is_float(op):
                for operand in op.operands:
                    self.readers.setdefault(operand, FLOATS[analysis.precisions[op]])

    def of_operands(self, op: Operation) -> Attribute | None:
        if is_selection(op):
            return self.of_value(op.results[0]) if self.analysis.is_float(op) else None
        element = FLOATS.get(self.analysis.precisions.get(op, ""))
        return None if element == f32 else element

    def of_value(self, value: SSAValue) -> Attribute | None:
        if not self.analysis.stores_float(value):
            return None
        produced = self.analysis.precisions.get(value.owner) if isinstance(value.owner, Operation) else None
        element = self.readers.get(value) or self._reader_of_selection(value) or FLOATS.get(produced or "")
        return None if element == f32 else element

    def _reader_of_selection(self, value: SSAValue) -> Attribute | None:
        """What the ops want that read what is selected from a value."""
        for use in value.uses:
            if is_selection(use.operation):
                result = use.operation.results[0]
                found = self.readers.get(result) or self._reader_of_selection(result)
                if found is not None:
                    return found
        return None


def store_floats(function: FuncOp, storage: Storage) -> None:
    """Place the casts in one function and change its signature."""
    operations = list(function.body.block.ops)
    fused: set[SSAValue] = {v for op in operations if (v := absorbed_producer(op)) is not None}
    casts = _Casts(storage, fused)
    for argument in function.body.block.args:
        casts.store_natively(argument)
    for op in operations:
        if isinstance(op, ReturnOp):
            casts.rewrite_return(op)
        elif is_selection(op):
            casts.rewrite_selection(op)
        elif is_elementwise(op) or isinstance(op, QuantizeOp):
            casts.rewrite_elementwise(op)
        elif isinstance(op, NNOp):
            casts.rewrite_accumulation(op)
    inputs = [argument.type for argument in function.body.block.args]
    function.properties["function_type"] = FunctionType.from_lists(inputs, function.function_type.outputs.data)


@dataclass
class _Casts:
    """The casts of one function."""

    storage: Storage
    fused: set[SSAValue]
    """Values that are evaluated together with their use and never stored."""
    native: dict[SSAValue, Attribute] = field(default_factory=dict[SSAValue, Attribute])
    """Values that were f32 and now have a storage type themselves."""
    rounded: dict[_Stored, SSAValue] = field(default_factory=dict["_Stored", SSAValue])
    """The stored forms of an f32 value."""

    def is_f32(self, value: SSAValue) -> bool:
        return isinstance(value.type, TensorType) and value.type.element_type == f32

    def store_natively(self, value: OpResult | BlockArgument) -> None:
        """Give an f32 value its storage type in place of a cast."""
        element = self.storage.of_value(value)
        if self.is_f32(value) and element is not None:
            new = Rewriter.replace_value_with_new_type(value, TensorType(element, shape_of(value)))
            if isinstance(value, BlockArgument) and isinstance(new, BlockArgument):
                new.location = value.location
            self.native[new] = element

    def stored(self, value: SSAValue, element: Attribute) -> SSAValue:
        """The value as memory has it. Its cast stands right after its producer."""
        if value in self.native and self.native[value] != element:
            return self._at_use(value, element)
        if not self.is_f32(value):
            return value
        if isinstance(value.owner, CastOp) and type_of(value.owner.input).element_type == element:
            return value.owner.input
        if (value, element) not in self.rounded:
            self.rounded[value, element] = self._at_use(value, element)
        return self.rounded[value, element]

    def _at_use(self, value: SSAValue, element: Attribute) -> SSAValue:
        """A cast right after the value's producer; of a constant or an argument too."""
        owner = value.owner
        at = InsertPoint.after(owner) if isinstance(owner, Operation) else InsertPoint.at_start(owner)
        cast = self._cast(value, element, owner.location if isinstance(owner, Operation) else None)
        Rewriter.insert_op(cast, at)
        return cast.result

    def is_never_stored(self, value: SSAValue) -> bool:
        """Whether f32 arithmetic has the value as it is: fused with its use, a constant, or just decoded."""
        if value in self.fused or isinstance(value.owner, ConstantOp | DequantizeOp):
            return True
        return is_decoding(value.owner)

    def computed(self, value: SSAValue, user: Operation) -> SSAValue:
        """The value as f32 arithmetic of `user` has it."""
        element = self.native.get(value)
        if element is None:
            element = self.storage.of_value(value)
            if element is None or not self.is_f32(value) or self.is_never_stored(value):
                return value
        cast = self._cast(self.stored(value, element), f32, user.location)
        Rewriter.insert_op(cast, InsertPoint.before(user))
        return cast.result

    def _cast(self, value: SSAValue, element: Attribute, location: LocationAttr | None) -> CastOp:
        cast = CastOp(value, element)
        if location is not None:
            cast.location = location
        cast.result.name_hint = value.name_hint
        return cast

    def rewrite_accumulation(self, op: NNOp) -> None:
        """Contractions, pools, reductions, softmax and norms: stored operands, f32 result.

        Parameters that only the epilogue reads (the scale of a norm, the mask of an attention) stay f32.
        """
        element = self.storage.of_operands(op)
        kept = {v for v in _epilogue_operands(op) if isinstance(v.owner, ConstantOp)}
        for index, operand in enumerate(op.operands):
            if element is None:
                op.operands[index] = self.computed(operand, op) if operand in self.native else operand
            elif operand not in kept:
                op.operands[index] = self.stored(operand, element)

    def rewrite_selection(self, op: Operation) -> None:
        """Operators that pick or move elements: stored operands, result of the same type."""
        element = self.storage.of_operands(op)
        if self.is_f32(op.results[0]) and element is not None:
            for index, operand in enumerate(op.operands):
                op.operands[index] = self.stored(operand, element)
            self.store_natively(op.results[0])
        elif element is None:
            for index, operand in enumerate(op.operands):
                if operand in self.native:
                    op.operands[index] = self.computed(operand, op)

    def rewrite_elementwise(self, op: Operation) -> None:
        """f32 operands, one cast per operand that is stored."""
        forms = {v: self.computed(v, op) for v in dict.fromkeys(op.operands)}
        for index, operand in enumerate(op.operands):
            op.operands[index] = forms[operand]

    def rewrite_return(self, op: ReturnOp) -> None:
        """f32 results: a value that nothing else uses is returned as computed, any other as stored."""
        for index, operand in enumerate(op.operands):
            only_returned = all(use.operation is op for use in operand.uses)
            if not (self.is_f32(operand) and only_returned):
                op.operands[index] = self.computed(operand, op)


_Stored = tuple[SSAValue, Attribute]
"""A value and the type it is stored as."""


def _epilogue_operands(op: NNOp) -> list[SSAValue]:
    """Operands that are neither multiplied nor reduced."""
    match op:
        case NormOp():
            return [v for v in (op.weight, op.bias) if v is not None]
        case SdpaOp():
            return [] if op.mask is None else [op.mask]
        case _:
            return []
