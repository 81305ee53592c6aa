"""One function from Q/DQ form to integers."""

from __future__ import annotations

from math import inf

from xdsl.dialects.builtin import FunctionType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.rewriter import Rewriter

from swkpu.dialects import nn
from swkpu.dialects.nn import NNOp, quantized_type_of
from swkpu.integers.emitter import Emitter
from swkpu.integers.forms import Affine, Form, Lookup, Weight, stored
from swkpu.integers.table import ALWAYS, load_rules
from swkpu.interp.constants import constant_array


def convert(function: FuncOp) -> None:
    """Replace floats that quantized tensors determine by integer arithmetic, as far as the rules go.

    Floats that are left are computed from dequantized tensors.
    """
    _Conversion(function.body.block).run()
    _host_quantizes(function)


class _Conversion:
    """The forms of one block's values."""

    def __init__(self, block: Block):
        self.block = block
        self.rules = load_rules()
        self.forms: dict[SSAValue, Form] = {}
        self.reals: dict[SSAValue, SSAValue] = {}
        self.limits: dict[SSAValue, Affine] = {}

    def run(self) -> None:
        for op in list(self.block.ops):
            self._visit(op)
        for op in reversed(list(self.block.ops)):
            if isinstance(op, NNOp | nn.ConstantOp) and not any(r.first_use is not None for r in op.results):
                Rewriter.erase_op(op)

    def _visit(self, op: Operation) -> None:
        match op:
            case nn.DequantizeOp():
                self.forms[op.result] = self.limits.get(op.input) or stored(op.input)
            case nn.DequantizeWeightOp():
                self._weight(op)
            case nn.QuantizeOp():
                self._quantize(op)
            case NNOp() if type(op) in self.rules and (type(op) in ALWAYS or any(v in self.forms for v in op.operands)):
                self._integers(op)
            case NNOp() | ReturnOp():
                self._floats(op)
            case _:
                pass

    def _weight(self, op: nn.DequantizeWeightOp) -> None:
        integers, scales = constant_array(op.weight), constant_array(op.scales)
        if integers is not None and scales is not None:
            self.forms[op.result] = Weight(op.weight, integers, scales.astype("float64"), *op.layout)

    def _quantize(self, op: nn.QuantizeOp) -> None:
        form, element = self.forms.get(op.input), quantized_type_of(op.result)
        assert element is not None
        value: SSAValue = op.result
        if isinstance(form, Affine | Lookup):
            value = Emitter(op).quantized(form, element)
            if value.name_hint is None:
                value.name_hint = op.result.name_hint
            op.result.replace_all_uses_with(value)
        if (reach := _reach(op.input)) < inf:
            whole = stored(value)
            self.limits[value] = whole.bounded(min(whole.limit.item(), reach / element.scale + 1))
        if value is op.result:
            self._floats(op)
        else:
            Rewriter.erase_op(op)

    def _integers(self, op: NNOp) -> None:
        result = self.rules[type(op)](Emitter(op), op, [self.forms.get(v) for v in op.operands])
        if isinstance(result, SSAValue):
            if result.name_hint is None:
                result.name_hint = op.results[0].name_hint
            op.results[0].replace_all_uses_with(result)
        elif result is None:
            self._floats(op)
        else:
            self.forms[op.results[0]] = result
            if not isinstance(result, Weight) and result.value.name_hint is None:
                result.value.name_hint = op.results[0].name_hint

    def _floats(self, op: Operation) -> None:
        """Give an op that has to see floats the floats that the forms stand for."""
        for index, operand in enumerate(op.operands):
            form = self.forms.get(operand)
            if form is None or isinstance(form, Weight):
                continue
            if operand not in self.reals:
                self.reals[operand] = Emitter(op).real(form)
                self.reals[operand].name_hint = operand.name_hint
            op.operands[index] = self.reals[operand]


def _reach(value: SSAValue) -> float:
    """The largest absolute value of a clamped float; infinite for others."""
    if not isinstance(value.owner, nn.ClampOp):
        return inf
    bounds = (value.owner.min, value.owner.max)
    return max(inf if bound is None else abs(bound.value.data) for bound in bounds)


def _host_quantizes(function: FuncOp) -> None:
    """Inputs that are only read quantized, all to one type, are quantized by the host."""
    for argument in list(function.body.block.args):
        users = [use.operation for use in argument.uses]
        types = {u.result.type for u in users if isinstance(u, nn.QuantizeOp)}
        if not users or len(types) != 1 or not all(isinstance(u, nn.QuantizeOp) for u in users):
            continue
        new = Rewriter.replace_value_with_new_type(argument, types.pop())
        assert isinstance(new, BlockArgument)
        new.location = argument.location
        for user in users:
            user.results[0].replace_all_uses_with(new)
            Rewriter.erase_op(user)
    inputs = [argument.type for argument in function.body.block.args]
    function.properties["function_type"] = FunctionType.from_lists(inputs, function.function_type.outputs.data)
