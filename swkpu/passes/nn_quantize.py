"""Choose what values are stored as."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, LocationAttr, ModuleOp, StringAttr, TensorType, bf16, f16, f32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, BlockArgument, Operation, OpResult, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.dialects.nn import CastOp, ConstantOp, DequantizeOp, NNOp, NormOp, QuantizeOp, SdpaOp, shape_of, type_of
from swkpu.dialects.value_range import set_range
from swkpu.errors import IRError
from swkpu.passes.elementwise import absorbed_producer, is_decoding, is_elementwise, is_selection
from swkpu.passes.nn_fold_constants import fold_constants

FLOATS: dict[str, Attribute | None] = {"fp32": None, "bf16": bf16, "fp16": f16}
WEIGHT_BITS = {"int8": 8, "int4": 4}
"""Bits of a weight at the integer precisions; activations have 8."""


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
    """

    name = "nn-quantize"

    precision: str
    group: int | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        op.attributes["nn.precision"] = StringAttr(self.precision)
        if self.precision in WEIGHT_BITS:
            quantize_to_integers(op, WEIGHT_BITS[self.precision], self.group)
            return
        storage = storage_type(self.precision)
        if storage is None:
            return
        fold_constants(op)
        for function in op.walk():
            if isinstance(function, FuncOp) and function.body.blocks:
                quantize(function, storage)
        fold_constants(op)


def storage_type(precision: str) -> Attribute | None:
    """The storage type that values are cast to; None for fp32. Raises IRError for what is not available."""
    if precision not in FLOATS:
        accepted = ", ".join((*FLOATS, *WEIGHT_BITS))
        raise IRError(f'nn-quantize: unknown precision "{precision}"; available are {accepted}')
    return FLOATS[precision]


def quantize_to_integers(module: ModuleOp, weight_bits: int, group: int | None) -> None:
    """Bring a module with ranges, or with quantize and dequantize, to integers."""
    from swkpu.integers.convert import convert
    from swkpu.integers.placement import WeightFormat, place
    from swkpu.quant.names import value_names

    fold_constants(module)
    given = any(isinstance(op, QuantizeOp | DequantizeOp) for op in module.walk())
    for function in module.walk():
        if isinstance(function, FuncOp) and function.body.blocks:
            if not given:
                place(function, WeightFormat(weight_bits, group))
            convert(function)
            for value in value_names(function):
                set_range(value, None)
    fold_constants(module)


def quantize(function: FuncOp, storage: Attribute) -> None:
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
        elif is_elementwise(op):
            casts.rewrite_elementwise(op)
        elif isinstance(op, NNOp):
            casts.rewrite_accumulation(op)
    inputs = [argument.type for argument in function.body.block.args]
    function.properties["function_type"] = FunctionType.from_lists(inputs, function.function_type.outputs.data)


@dataclass
class _Casts:
    """The casts of one function."""

    storage: Attribute
    fused: set[SSAValue]
    """Values that are evaluated together with their use and never stored."""
    native: set[SSAValue] = field(default_factory=set)
    """Values that were f32 and now have the storage type themselves."""
    rounded: dict[SSAValue, SSAValue] = field(default_factory=dict)
    """The stored form of an f32 value."""

    def is_f32(self, value: SSAValue) -> bool:
        return isinstance(value.type, TensorType) and value.type.element_type == f32

    def store_natively(self, value: OpResult | BlockArgument) -> None:
        """Give an f32 value the storage type in place of a cast."""
        if self.is_f32(value):
            new = Rewriter.replace_value_with_new_type(value, TensorType(self.storage, shape_of(value)))
            if isinstance(value, BlockArgument) and isinstance(new, BlockArgument):
                new.location = value.location
            self.native.add(new)

    def stored(self, value: SSAValue) -> SSAValue:
        """The value as memory has it. Its cast stands right after its producer."""
        if not self.is_f32(value):
            return value
        if isinstance(value.owner, CastOp) and type_of(value.owner.input).element_type == self.storage:
            return value.owner.input
        if value not in self.rounded:
            assert isinstance(value, OpResult)  # arguments are stored natively
            cast = self._cast(value, self.storage, value.op.location)
            Rewriter.insert_op(cast, InsertPoint.after(value.op))
            self.rounded[value] = cast.result
        return self.rounded[value]

    def is_never_stored(self, value: SSAValue) -> bool:
        """Whether f32 arithmetic has the value as it is: fused with its use, a constant, or just decoded."""
        return value in self.fused or isinstance(value.owner, ConstantOp) or is_decoding(value.owner)

    def computed(self, value: SSAValue, user: Operation) -> SSAValue:
        """The value as f32 arithmetic of `user` has it."""
        if value not in self.native and (not self.is_f32(value) or self.is_never_stored(value)):
            return value
        cast = self._cast(self.stored(value), f32, user.location)
        Rewriter.insert_op(cast, InsertPoint.before(user))
        return cast.result

    def _cast(self, value: SSAValue, element: Attribute, location: LocationAttr) -> CastOp:
        cast = CastOp(value, element)
        cast.location = location
        cast.result.name_hint = value.name_hint
        return cast

    def rewrite_accumulation(self, op: NNOp) -> None:
        """Contractions, pools, reductions, softmax and norms: stored operands, f32 result.

        Parameters that only the epilogue reads (the scale of a norm, the mask of an attention) stay f32.
        """
        kept = {v for v in _epilogue_operands(op) if isinstance(v.owner, ConstantOp)}
        for index, operand in enumerate(op.operands):
            if operand not in kept:
                op.operands[index] = self.stored(operand)

    def rewrite_selection(self, op: Operation) -> None:
        """Operators that pick or move elements: stored operands, result of the same type."""
        if self.is_f32(op.results[0]):
            for index, operand in enumerate(op.operands):
                op.operands[index] = self.stored(operand)
            self.store_natively(op.results[0])

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


def _epilogue_operands(op: NNOp) -> list[SSAValue]:
    """Operands that are neither multiplied nor reduced."""
    match op:
        case NormOp():
            return [v for v in (op.weight, op.bias) if v is not None]
        case SdpaOp():
            return [] if op.mask is None else [op.mask]
        case _:
            return []
