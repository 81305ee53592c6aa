"""A function prepared to run many times: constants are made once, values are let go after their last use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue
from xdsl.utils.exceptions import InterpretationError

from swkpu.dialects.nn import ConstantOp
from swkpu.errors import IRError
from swkpu.interp import check_inputs, interpreter_of

if TYPE_CHECKING:
    import torch

Observe = Callable[[SSAValue, "torch.Tensor"], None]


@dataclass(frozen=True)
class _Step:
    """An op, and the values that no later one needs."""

    op: Operation
    last: tuple[SSAValue, ...]


class PreparedFunction:
    """Runs like `run_module`, on the same implementations; the function must not change in between."""

    def __init__(self, module: ModuleOp, function: FuncOp):
        self.function = function
        self.interpreter = interpreter_of(module)
        self.constants: dict[SSAValue, torch.Tensor] = {}
        steps: list[_Step] = []
        needed: set[SSAValue] = set()
        for op in reversed(list(function.body.block.ops)):
            if isinstance(op, ConstantOp):
                (self.constants[op.result],) = self.interpreter.run_op(op)
                continue
            last = {v for v in (*op.operands, *op.results) if not isinstance(v.owner, ConstantOp)} - needed
            needed |= last
            steps.append(_Step(op, tuple(last)))
        self.steps = steps[::-1]

    def run(self, inputs: Sequence[torch.Tensor], observe: Observe | None = None) -> list[torch.Tensor]:
        """The function's results. `observe` is called with each input and each result of an op as soon as it is known.

        Raises InputError for inputs that do not fit, IRError for a function that cannot run.
        """
        import torch

        check_inputs(self.function, inputs)
        values: dict[SSAValue, torch.Tensor] = {**self.constants, **dict(zip(self.function.args, inputs))}
        with torch.no_grad():
            if observe is not None:
                for argument in self.function.args:
                    observe(argument, values[argument])
            for step in self.steps:
                operands = tuple(values[v] for v in step.op.operands)
                if isinstance(step.op, ReturnOp):
                    return list(operands)
                try:
                    results = self.interpreter.run_op(step.op, operands)
                except InterpretationError as error:
                    raise IRError(f"cannot run @{self.function.sym_name.data}: {error}") from None
                for value, result in zip(step.op.results, results):
                    values[value] = result
                    if observe is not None:
                        observe(value, result)
                for value in step.last:
                    del values[value]
        raise IRError(f"@{self.function.sym_name.data} does not return")
