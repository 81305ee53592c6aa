"""The backend of `torch.compile(model, backend="swkpu")`.

torch cuts a model into graphs where Python decides what to do next, and hands each graph over. A graph is compiled
when it is first called, and again for other shapes and for parameters that have changed since; then a program runs in
its place, in functional simulation. Parameters arrive with every call; they are constants of the program.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.fx import traceback

from swkpu.errors import ModelError
from swkpu.executable import Executable

Key = tuple[Any, ...]


def backend(
    graph: fx.GraphModule,
    example_inputs: Sequence[Any],
    *,
    options: Mapping[str, Any] | None = None,
    mode: str | None = None,
) -> Callable[..., Any]:
    """Compile one graph of torch.compile. `options` are the keywords of `swkpu.compile`: target, precision, profile,
    calibration.

    Raises ModelError for other options.
    """
    from swkpu.compiler import compile

    accepted = [p.name for p in inspect.signature(compile).parameters.values() if p.kind == p.KEYWORD_ONLY]
    accepted.remove("example_kwargs")
    for name in options or {}:
        if name not in accepted:
            raise ModelError(f"torch.compile's backend swkpu has no option '{name}'; it has {', '.join(accepted)}")
    if isinstance((options or {}).get("calibration"), Iterator):
        raise ModelError(
            "torch.compile may compile a model more than once, and an iterator can be read once: "
            "give calibration as a list, a path, or what swkpu.quant.calibration.calibrate returns"
        )
    if mode is not None:
        raise ModelError(f"torch.compile's backend swkpu has no mode '{mode}'; use options, such as precision")
    if not _computes(graph):
        return graph.forward
    frozen = {i: _name(node) for i, node in enumerate(_placeholders(graph)) if _is_static(node, example_inputs[i])}
    return Piece(graph, frozen, dict(options or {}))


def _placeholders(graph: fx.GraphModule) -> list[fx.Node]:
    return [node for node in graph.graph.nodes if node.op == "placeholder"]


def _is_static(node: fx.Node, value: Any) -> bool:
    """Whether an input is a parameter, buffer or other tensor that belongs to the model."""
    if not isinstance(value, torch.Tensor):
        return False
    kind = node.meta.get("tensor_dict", {}).get("_dynamo_static_input_type")
    return isinstance(value, nn.Parameter) or kind is not None


def _name(node: fx.Node) -> str:
    """The state_dict key of a parameter, where its source tells: "layer1.0.conv1.weight"."""
    source = getattr(node, "_dynamo_source", None)
    steps = re.findall(r"_(?:modules|parameters|buffers)\['([^']+)'\]", getattr(source, "name", ""))
    return ".".join(steps) or node.name


def _computes(graph: fx.GraphModule) -> bool:
    """Whether the graph makes a tensor: sizes and other numbers are left to torch."""
    values = [node.meta.get("example_value") for node in graph.graph.nodes if node.op not in ("placeholder", "output")]
    return any(isinstance(v, torch.Tensor | list | tuple) for v in values)


class Piece:
    """One graph, with the programs made of it so far, by the shapes and numbers that they were made for."""

    def __init__(self, graph: fx.GraphModule, frozen: dict[int, str], options: dict[str, Any]):
        self.graph, self.frozen, self.options = graph, frozen, options
        self.programs: dict[Key, Callable[[list[torch.Tensor]], Any]] = {}
        self.constants: Key = ()
        """Which parameters, in which version, the programs have."""

    def __call__(self, *args: Any) -> Any:
        if torch.is_grad_enabled() and any(isinstance(a, torch.Tensor) and a.requires_grad for a in args):
            raise ModelError(
                "swkpu compiles inference, and this call asks for gradients: call the compiled model under "
                "torch.no_grad(), or set requires_grad to False"
            )
        constants = tuple((id(args[i]), _version(args[i])) for i in self.frozen)
        if constants != self.constants:
            self.programs.clear()
            self.constants = constants
        key = tuple(_key(a) for i, a in enumerate(args) if i not in self.frozen)
        if key not in self.programs:
            self.programs[key] = self.compiled(args)
        return self.programs[key]([a for i, a in enumerate(args) if i not in self.frozen and _is_tensor(a)])

    def compiled(self, args: Sequence[Any]) -> Callable[[list[torch.Tensor]], Any]:
        from swkpu.compiler import compile

        with torch.inference_mode(False):
            args = [a.clone() if isinstance(a, torch.Tensor) and a.is_inference() else a for a in args]
            frozen = Frozen(self.graph, args, self.frozen)
            options: dict[str, Any] = {"name": "graph", **self.options}
            executable = compile(frozen, frozen.inputs(args), **options)
        return _with_changes(executable, frozen.changed) if frozen.changed else lambda tensors: executable(*tensors)


def _with_changes(executable: Executable, changed: Sequence[int]) -> Callable[[list[torch.Tensor]], Any]:
    """Run a program that also returns the new values of inputs that the graph changes, and change them."""

    def run(tensors: list[torch.Tensor]) -> Any:
        result, values = executable(*tensors)
        for index, value in zip(changed, values):
            tensors[index].copy_(value)
        return result

    return run


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _key(value: Any) -> Any:
    return (tuple(value.shape), value.dtype) if isinstance(value, torch.Tensor) else value


class Frozen(nn.Module):
    """A graph as a model of its tensor inputs only: parameters are buffers of their own names, numbers are constants.

    It returns the graph's results; where the graph changes inputs in place, (results, new values of `changed`).
    """

    def __init__(self, graph: fx.GraphModule, args: Sequence[Any], frozen: Mapping[int, str]):
        super().__init__()
        self.graph = [graph]  # in a list, so that its parts do not become this module's
        self.args = [None if i in frozen or _is_tensor(a) else a for i, a in enumerate(args)]
        self.places = [i for i, a in enumerate(args) if i not in frozen and _is_tensor(a)]
        self.buffers_of = {i: self._add(name, args[i]) for i, name in frozen.items()}
        self.changed = self._changes(args)
        self.eval()

    def _add(self, name: str, tensor: torch.Tensor) -> tuple[nn.Module, str]:
        """Register a buffer under a dotted name; returns where it is."""
        *path, last = name.split(".")
        owner: nn.Module = self
        for step in path:
            if step not in owner._modules:
                owner.add_module(step, nn.Module())
            owner = owner.get_submodule(step)
        while hasattr(owner, last):
            last += "_"
        owner.register_buffer(last, tensor.detach())
        return owner, last

    def _changes(self, args: Sequence[Any]) -> list[int]:
        """Which inputs the graph writes to, found by running it on copies without values."""
        from torch._subclasses.fake_tensor import FakeTensorMode

        with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
            fakes = [mode.from_tensor(args[i]).clone() for i in self.places]
            before = [fake._version for fake in fakes]
            self._run(fakes)
        return [index for index, (fake, version) in enumerate(zip(fakes, before)) if fake._version != version]

    def inputs(self, args: Sequence[Any]) -> tuple[torch.Tensor, ...]:
        return tuple(args[i] for i in self.places)

    def _run(self, tensors: Sequence[torch.Tensor]) -> Any:
        values = list(self.args)
        for i, tensor in zip(self.places, tensors):
            values[i] = tensor
        for i, (owner, name) in self.buffers_of.items():
            values[i] = getattr(owner, name)
        with traceback.preserve_node_meta():
            return fx.Interpreter(self.graph[0]).run(*values)

    def forward(self, *tensors: torch.Tensor) -> Any:
        if not self.changed:
            return self._run(tensors)
        copies = [tensor.clone() for tensor in tensors]
        result = self._run(copies)
        return result, [copies[i] for i in self.changed]
