"""An exported program to a module of nn ops, one operator call after the other."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn as torch_nn
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.fx import Graph, Node
from xdsl.builder import Builder
from xdsl.dialects.builtin import (
    ArrayAttr,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    f32,
    i64,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.rewriter import InsertPoint
from xdsl.utils.exceptions import VerifyException

from swkpu.dialects.nn import ConstantOp, quantized_type_of, shape_of, type_of
from swkpu.dialects.weights import WeightAttr
from swkpu.errors import ModelError
from swkpu.frontend.breakdown import decomposed
from swkpu.frontend.builder import NodeBuilder
from swkpu.frontend.capture import capture
from swkpu.frontend.checks import check_outputs, check_quantized, check_static, values_of
from swkpu.frontend.direct import direct_rules, is_in_place
from swkpu.frontend.elements import ELEMENTS, accepted, element_of, short, within_range
from swkpu.frontend.known import Known
from swkpu.frontend.masks import with_constant_sizes
from swkpu.frontend.missing import Missing, stand_in
from swkpu.frontend.names import Source, sources, ssa_hint
from swkpu.frontend.signature import signature_of
from swkpu.frontend.table import REFUSED, Rule, Unsupported, load_rules
from swkpu.interp.constants import constant
from swkpu.types import dtype_of, tensor_type, to_numpy, torch_dtype

INPUT_NAMES = "nn.input_names"
SIGNATURE = "nn.signature"
MODEL = "nn.model"
BATCH = "nn.batch"


def import_model(
    model: torch_nn.Module, example_inputs: tuple[Any, ...], name: str, example_kwargs: Mapping[str, Any] | None = None
) -> ModuleOp:
    """Capture and import. Raises ModelError."""
    return import_program(capture(model, example_inputs, example_kwargs), name)


def import_program(ep: ExportedProgram, name: str) -> ModuleOp:
    """`builtin.module @name { func.func @main(inputs) -> outputs }` of nn ops.

    The module's `nn.model` and `nn.batch` are for reports; `nn.input_names` lists the inputs; `nn.signature` says how
    the model itself is called (see swkpu.signature). Parameters and buffers become constants named by their state_dict
    keys. Raises UnsupportedOpError, which lists all that is unsupported, or ModelError.
    """
    ep = with_constant_sizes(ep)
    check_static(ep)
    rules = load_rules()
    chosen = direct_rules(ep, rules)
    if chosen is None:
        ep = decomposed(ep)
        check_static(ep)
        chosen = {node: rules[node.target] for node in ep.graph.nodes if node.target in rules}
    check_outputs(ep.graph_signature)
    return _Import(ep, name, chosen).run()


@dataclass
class _Import:
    """The state of importing one program."""

    ep: ExportedProgram
    name: str
    rules: Mapping[Node, Rule]
    block: Block = field(default_factory=Block)
    values: dict[Node, Any] = field(default_factory=dict)
    """What each node is: an SSA value, a tuple of them, or a Python value."""
    weights: dict[Node, tuple[str, torch.Tensor]] = field(default_factory=dict)
    """Parameters, buffers and constants, with their names. Their ops are made at first use."""
    known: Known = field(default_factory=Known)
    """Values that depend on no input and no parameter (position and mask arithmetic)."""
    missing: Missing = field(default_factory=Missing)
    double: list[str] = field(default_factory=list)
    """Inputs, weights and calls of type float64."""

    def run(self) -> ModuleOp:
        self.sources = sources(self.ep.graph)
        self.builder = Builder(InsertPoint.at_end(self.block))
        names = self.bind_placeholders()
        self.live = live(self.ep.graph)
        for node in self.ep.graph.nodes:
            if node.op != "call_function" or node not in self.live:
                continue
            if not self.known.evaluate(node):
                self.values[node] = self.import_call(node)
            elif is_in_place(node.target):
                self.forget_constants()
        self.missing.report()
        outputs = self.outputs()
        self.warn_of_double()
        self.builder.insert(ReturnOp(*outputs))
        self.erase_unused_constants()
        types = ([a.type for a in self.block.args], [v.type for v in outputs])
        attributes: dict[str, Attribute] = {
            INPUT_NAMES: ArrayAttr([StringAttr(n) for n in names]),
            MODEL: StringAttr(self.name),
            BATCH: IntegerAttr(self.batch(), i64),
            SIGNATURE: StringAttr(str(signature_of(self.ep))),
        }
        module = ModuleOp([FuncOp("main", types, Region(self.block))], attributes, StringAttr(self.name))
        module.verify()
        return module

    def batch(self) -> int:
        """The first dim of the first input that has one, else 1."""
        for arg in self.block.args:
            if len(shape_of(arg)) > 0:
                return shape_of(arg)[0]
        return 1

    # ---- inputs and weights ----

    def bind_placeholders(self) -> list[str]:
        """Give every placeholder its meaning; make the function's arguments. Returns the inputs' names."""
        specs = {spec.arg.name: spec for spec in self.ep.graph_signature.input_specs}
        names: list[str] = []
        for node in self.ep.graph.nodes:
            if node.op != "placeholder":
                continue
            spec = specs[node.name]
            if isinstance(spec.arg, ConstantArgument):
                self.values[node] = spec.arg.value
            elif spec.kind == InputKind.USER_INPUT:
                names.append(node.name)
                self.values[node] = self.argument(node)
                self.known.note_empty(node)
            elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
                self.weights[node] = (str(spec.target), self.tensor(str(spec.target), spec.kind))
                if spec.kind == InputKind.CONSTANT_TENSOR:
                    self.known.values[node] = self.weights[node][1]
            else:
                raise ModelError(f'input "{node.name}" is a {spec.kind.name}; swkpu takes tensors')
        return names

    def argument(self, node: Node) -> SSAValue:
        fake = node.meta["val"]
        if fake.layout != torch.strided:
            raise ModelError(f'input "{node.name}" is sparse; swkpu takes dense tensors')
        if fake.dtype not in ELEMENTS:
            raise ModelError(f'input "{node.name}" is {short(fake.dtype)}; accepted are {accepted()}')
        self.note_double(node.name, fake.dtype)
        argument = self.block.insert_arg(tensor_type(tuple(fake.shape), ELEMENTS[fake.dtype]), len(self.block.args))
        argument.name_hint = ssa_hint(node.name, "input")
        return argument

    def note_double(self, name: str, dtype: torch.dtype) -> None:
        if dtype == torch.float64 and name not in self.double:
            self.double.append(name)

    def warn_of_double(self) -> None:
        if self.double:
            more = f" and {len(self.double) - 3} more" if len(self.double) > 3 else ""
            warnings.warn(f"float64 is computed as float32: {', '.join(self.double[:3])}{more}", stacklevel=4)

    def tensor(self, key: str, kind: InputKind) -> torch.Tensor:
        tensor = self.ep.state_dict.get(key) if kind != InputKind.CONSTANT_TENSOR else None
        tensor = self.ep.constants.get(key) if tensor is None else tensor
        if not isinstance(tensor, torch.Tensor):
            raise ModelError(f'the exported program has no data for "{key}"')
        if tensor.is_meta:
            raise ModelError(f'"{key}" has no data: it is on the meta device; load the weights first')
        return tensor

    def constant(self, node: Node, b: NodeBuilder) -> SSAValue:
        """A weight or known value, emitted where it is first used."""
        key, tensor = self.weights.get(node) or (None, self.known.values[node])
        element = element_of(tensor.dtype)
        array = to_numpy(tensor.cpu().to(torch_dtype(dtype_of(element))))
        array = array.copy()  # a later change of the model must not reach the IR
        if key is None:
            return b.emit(constant(array))
        self.note_double(key, tensor.dtype)
        value = b.emit(ConstantOp(WeightAttr.from_array(array, key), tensor_type(array.shape, element)))
        value.name_hint = ssa_hint(key, "weight")
        return value

    def erase_unused_constants(self) -> None:
        """Rules read some (zero points, scales that are numbers) and leave no trace of them."""
        for op in list(self.block.ops):
            if isinstance(op, ConstantOp) and op.result.first_use is None:
                op.detach()
                op.erase()

    def forget_constants(self) -> None:
        """A constant was changed in place: what was emitted of constants so far is out of date."""
        for node in self.known.values:
            self.values.pop(node, None)

    # ---- calls ----

    def import_call(self, node: Node) -> Any:
        if node.target is operator.getitem:
            return self.item(node)
        try:
            b = self.node_builder(node)
            if node not in self.rules:
                raise Unsupported(REFUSED.get(node.target, "") if isinstance(node.target, OpOverload) else "")
            args, kwargs = self.resolve(node.args, b), self.resolve(node.kwargs, b)
            check_quantized(node, args)
            return self.typed(node, b, self.rules[node](b, *args, **kwargs))
        except (Unsupported, VerifyException) as reason:
            return self.skip(node, str(reason))

    def node_builder(self, node: Node) -> NodeBuilder:
        fakes = [fake for fake in values_of(node.meta.get("val")) if isinstance(fake, torch.Tensor)]
        if any(fake.layout != torch.strided for fake in fakes):
            raise Unsupported("on sparse tensors")
        fake = next(iter(fakes), None)
        shape, element = (tuple(fake.shape), element_of(fake.dtype)) if fake is not None else ((), f32)
        items = [user.args[1] for user in node.users if user.target is operator.getitem and user in self.live]
        used = frozenset(item for item in items if isinstance(item, int))
        operand = node.args[0] if node.args else None
        first = operand.meta.get("val") if isinstance(operand, Node) else None
        readers = frozenset(user.target for user in node.users)
        return NodeBuilder(self.builder, self.sources[node], shape, element, used, first, readers)

    def item(self, node: Node) -> Any:
        value = self.values[node.args[0]][node.args[1]]  # pyright: ignore[reportArgumentType]
        if value is None:
            producer = node.args[0]
            assert isinstance(producer, Node)
            return self.skip(producer, f"with its result {node.args[1]}", result=node)
        return value

    def resolve(self, argument: Any, b: NodeBuilder) -> Any:
        """Arguments with nodes replaced by what they are."""
        match argument:
            case Node():
                if argument not in self.values:
                    if argument not in self.weights and not isinstance(self.known.values.get(argument), torch.Tensor):
                        raise Unsupported("")  # a submodule of a higher-order operator
                    self.values[argument] = self.constant(argument, b)
                return self.values[argument]
            case list() | tuple():
                return [self.resolve(a, b) for a in argument]
            case dict():
                return {k: self.resolve(a, b) for k, a in argument.items()}
            case _:
                return argument

    def typed(self, node: Node, b: NodeBuilder, result: Any) -> Any:
        """The rule's result in the element type that torch gives it (f32 is rounded back in a half-precision model)."""
        if isinstance(result, tuple):
            fakes = node.meta["val"]
            return tuple(None if r is None else self.typed_value(node, b, r, fake) for r, fake in zip(result, fakes))
        return None if result is None else self.typed_value(node, b, result, node.meta["val"])

    def typed_value(self, node: Node, b: NodeBuilder, value: SSAValue, fake: torch.Tensor) -> SSAValue:
        if shape_of(value) != tuple(fake.shape):
            raise ModelError(
                f"a fault of swkpu: the import rule of {node.target} made {type_of(value)}, "
                f"torch has {list(fake.shape)}"
            )
        self.note_double(self.sources[node].name, fake.dtype)
        if quantized_type_of(value) is not None:
            return value
        return within_range(b, b.cast(value, element_of(fake.dtype)), fake.dtype)

    # ---- what is unsupported ----

    def skip(self, node: Node, reason: str, result: Node | None = None) -> Any:
        """Note an unsupported call and go on with a stand-in for its result, so that all are found at once."""
        self.missing.note(node, self.sources[node], reason)
        return stand_in(self.builder, (result or node).meta.get("val"))

    # ---- outputs ----

    def outputs(self) -> list[SSAValue]:
        """The tensors that the model returns; the signature has the constants."""
        by_name = {node.name: node for node in self.ep.graph.nodes}
        specs = [s for s in self.ep.graph_signature.output_specs if s.kind == OutputKind.USER_OUTPUT]
        nodes = [by_name[spec.arg.name] for spec in specs if not isinstance(spec.arg, ConstantArgument)]
        result = NodeBuilder(self.builder, Source("output", "output", "", 0), (), f32)
        for index, node in enumerate(nodes):
            if node in self.known and node.meta["val"].dtype not in ELEMENTS:
                raise ModelError(
                    f"output {index} of the model is {short(node.meta['val'].dtype)}; accepted are {accepted()}"
                )
        values = [self.resolve(node, result) for node in nodes]
        for index, value in enumerate(values):
            if quantized_type_of(value) is not None:
                raise ModelError(f"output {index} of the model is quantized; swkpu takes models that dequantize it")
        return values


def live(graph: Graph) -> set[Node]:
    """The nodes that an output needs, and changes in place."""
    found: set[Node] = set()
    for node in reversed(graph.nodes):
        if node.op == "output" or is_in_place(node.target) or not found.isdisjoint(node.users):
            found.add(node)
    return found
