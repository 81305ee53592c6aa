"""Quantized tensors in df: plain integers, and formulas with their scales and zero points."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.builder import Builder
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import ArrayAttr, FunctionType, ModuleOp, TensorType, f32
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import Rewriter

from swkpu.dialects import df, nn
from swkpu.dialects.nn import QuantizedType, type_of
from swkpu.lowering.arithmetic import Arithmetic, lower_by, pointwise
from swkpu.lowering.structure import constant, elementwise
from swkpu.lowering.table import lowering
from swkpu.passes.nn_narrow_integers import INPUT_TYPES, OUTPUT_TYPES
from swkpu.types import i32, storage_of

UNIT_BITS = 30
"""A rescale by 2^30 / 2^30 only adds the zero point and saturates."""


@lowering(nn.QuantizeOp)
def lower_quantize(op: nn.QuantizeOp) -> list[Operation]:
    element = type_of(op.result).element_type
    assert isinstance(element, QuantizedType)

    def quantize(a: Arithmetic, x: SSAValue) -> SSAValue:
        steps = a(math.RoundEvenOp, a(arith.MulfOp, x, a.number(1.0 / element.scale, x)))
        if not element.zero_point:
            return a(arith.FPToSIOp, steps, element.storage)
        whole = a(arith.FPToSIOp, steps, i32)  # so that a NaN is 0, to which the zero point is added
        one, bits = constant(a.builder, 1 << UNIT_BITS, i32), constant(a.builder, UNIT_BITS, i32)
        return a(df.RescaleOp, whole, one, bits, 0, element.zero_point, element.storage)

    return pointwise([op.input], type_of(op.result), quantize)


@lowering(nn.DequantizeOp)
def lower_dequantize(op: nn.DequantizeOp) -> list[Operation]:
    element = type_of(op.input).element_type
    assert isinstance(element, QuantizedType)

    def dequantize(a: Arithmetic, q: SSAValue) -> SSAValue:
        x = a(arith.SIToFPOp, q, f32)
        if element.zero_point:
            x = a(arith.SubfOp, x, a.number(element.zero_point, x))
        return a(arith.MulfOp, x, a.number(element.scale, x))

    return lower_by(dequantize, op)


@lowering(nn.RescaleOp)
def lower_rescale(op: nn.RescaleOp) -> list[Operation]:
    result, zero_points = type_of(op.result), op.zero_points
    element = storage_of(result.element_type)
    if _changes_nothing(op):
        return [df.ReshapeOp(op.input, result.get_shape())]

    def rescale(b: Builder, a: list[SSAValue]) -> SSAValue:
        value, multiplier, shift = a
        return b.insert(df.RescaleOp(value, multiplier, shift, *zero_points, element)).results[0]

    return elementwise(op.operands, result, rescale)


def _changes_nothing(op: nn.RescaleOp) -> bool:
    """Whether only the type differs: a factor of 1 between equal zero points, and no saturation."""
    before, after = op.zero_points
    multiplier, shift = (v.owner.array() if isinstance(v.owner, df.ConstantOp) else None for v in op.operands[1:])
    if before != after or storage_of(type_of(op.input).element_type) != storage_of(type_of(op.result).element_type):
        return False
    return (
        multiplier is not None
        and shift is not None
        and bool((multiplier.astype("int64") == 1 << shift.astype("int64")).all())
    )


@lowering(nn.TableOp)
def lower_table(op: nn.TableOp) -> list[Operation]:
    result = type_of(op.result)
    return elementwise(
        [op.input],
        result,
        lambda b, a: b.insert(df.TableOp(a[0], op.table, storage_of(result.element_type))).results[0],
    )


def store_plainly(module: ModuleOp) -> None:
    """Give every quantized tensor and element the type it is stored in: df knows no scales.

    Those of inputs and outputs of @main stay known to the host, in `nn.input_types` and `nn.output_types`.
    """
    for function in [op for op in module.walk() if isinstance(op, FuncOp)]:
        inputs, outputs = function.function_type.inputs.data, function.function_type.outputs.data
        if function.sym_name.data == "main":
            _remember(module, INPUT_TYPES, inputs)
            _remember(module, OUTPUT_TYPES, outputs)
        function.properties["function_type"] = FunctionType.from_lists(
            [_plain(t) for t in inputs], [_plain(t) for t in outputs]
        )
    for op in list(module.walk()):
        for block in (block for region in op.regions for block in region.blocks):
            for argument in list(block.args):
                _store(argument)
        for result in list(op.results):
            _store(result)


def _remember(module: ModuleOp, key: str, types: Sequence[Attribute]) -> None:
    elements = [t.element_type if isinstance(t, TensorType) else t for t in types]
    if not any(isinstance(e, QuantizedType) for e in elements):
        return
    known = module.attributes.get(key)
    others = known.data if isinstance(known, ArrayAttr) else elements
    module.attributes[key] = ArrayAttr([e if isinstance(e, QuantizedType) else o for e, o in zip(elements, others)])


def _store(value: SSAValue) -> None:
    plain = _plain(value.type)
    if plain != value.type:
        location = getattr(value, "location", None)
        new = Rewriter.replace_value_with_new_type(value, plain)  # pyright: ignore[reportArgumentType]
        if location is not None:
            new.location = location  # pyright: ignore[reportAttributeAccessIssue]


def _plain(type: Attribute) -> Attribute:
    if isinstance(type, TensorType) and isinstance(type.element_type, QuantizedType):
        return TensorType(type.element_type.storage, type.get_shape())
    return storage_of(type)
