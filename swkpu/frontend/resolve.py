"""What a user types for MODEL: a zoo name, a `.pt2` file, or `package.module:callable`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from swkpu.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.export import ExportedProgram
    from xdsl.dialects.builtin import ModuleOp

ACCEPTED = "accepted are a zoo name (`swkpu models` lists them), a .pt2 file, or package.module:callable"


@dataclass(frozen=True)
class ResolvedModel:
    """A model, a name for what is made of it, and inputs, by position and by name, of the shapes to compile for."""

    name: str
    model: nn.Module | ExportedProgram
    example_inputs: tuple[Any, ...]
    example_kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def exported(self) -> ExportedProgram:
        """The captured program. Raises ModelError."""
        from torch.export import ExportedProgram

        from swkpu.frontend.capture import capture

        if isinstance(self.model, ExportedProgram):
            return self.model
        return capture(self.model, self.example_inputs, self.example_kwargs)

    def imported(self) -> ModuleOp:
        """The module of nn ops. Raises ModelError."""
        from swkpu.frontend.importer import import_program

        return import_program(self.exported(), self.name)

    def eager(self) -> nn.Module:
        """The model as a callable of torch tensors, to compare with."""
        from torch.export import ExportedProgram

        return self.model.module() if isinstance(self.model, ExportedProgram) else self.model

    def tensors(self) -> list[torch.Tensor]:
        """The tensors among the example inputs, in the order of a program's inputs."""
        import torch
        from torch.utils._pytree import tree_leaves

        leaves = tree_leaves((self.example_inputs, dict(self.example_kwargs)))
        return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]

    def call(self, tensors: Sequence[torch.Tensor]) -> Any:
        """What the model itself returns with other tensors in the place of the example's, in the example's types."""
        import torch
        from torch.utils._pytree import tree_map

        rest = iter(tensors)

        def placed(leaf: Any) -> Any:
            return next(rest).to(leaf.dtype) if isinstance(leaf, torch.Tensor) else leaf

        args, kwargs = tree_map(placed, (self.example_inputs, dict(self.example_kwargs)))
        with torch.no_grad():
            return self.eager()(*args, **kwargs)


def resolve_model(spec: str, batch: int | None = None, input_shape: tuple[int, ...] | None = None) -> ResolvedModel:
    """Find a model. `input_shape` includes the batch dim; without one, zoo models and `.pt2` files have their own.

    Raises ModelError, saying what was wrong and what would be accepted.
    """
    _check_sizes(batch, input_shape)
    path = Path(spec)
    if path.suffix == ".onnx":
        raise ModelError(f"{spec}: ONNX files are not supported yet; {ACCEPTED}")
    if path.suffix == ".pt2":
        return _exported(path, batch, input_shape)
    if path.suffix in (".pt", ".pth", ".bin", ".safetensors") or (path.exists() and ":" not in spec):
        raise ModelError(f"{spec} is not a model swkpu can read (weights alone do not say what to compute); {ACCEPTED}")
    if ":" in spec:
        return _called(spec, batch, input_shape)
    return _from_zoo(spec, batch, input_shape)


def _check_sizes(batch: int | None, input_shape: tuple[int, ...] | None) -> None:
    if batch is not None and batch < 1:
        raise ModelError(f"batch = {batch}: expected a whole number from 1")
    if input_shape is None:
        return
    if not input_shape or min(input_shape) < 1:
        raise ModelError(f"input shape {_text(input_shape)}: expected whole numbers from 1, for instance 1,3,224,224")
    if batch is not None and batch not in (1, input_shape[0]):
        raise ModelError(
            f"batch {batch} contradicts the input shape {_text(input_shape)}, whose first number is the batch"
        )


def _text(shape: tuple[int, ...]) -> str:
    return ",".join(map(str, shape))


# ---- the zoo ----


def _from_zoo(name: str, batch: int | None, input_shape: tuple[int, ...] | None) -> ResolvedModel:
    from swkpu import zoo

    if name not in zoo.names():
        close = get_close_matches(name, zoo.names(), 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ModelError(f'unknown model "{name}"; {hint}{ACCEPTED}. The zoo has {", ".join(zoo.names())}')
    first, *others = zoo.example_inputs(name, batch or 1)
    if input_shape is None or tuple(first.shape) == input_shape:
        return ResolvedModel(name, zoo.build(name), (first, *others))
    if others:
        takes = ", ".join(f"{spec.name} {_text(spec.with_batch(len(first)))}" for spec in zoo.info(name).inputs)
        raise ModelError(f"{name} has several inputs, of fixed shapes: {takes}; only --batch can be chosen")
    from swkpu.frontend.examples import random_input

    return ResolvedModel(name, zoo.build(name), (random_input(name, input_shape, first.dtype),))


# ---- exported programs ----


def _exported(path: Path, batch: int | None, input_shape: tuple[int, ...] | None) -> ResolvedModel:
    import torch.export

    from swkpu.frontend.capture import quiet
    from swkpu.frontend.examples import program_inputs

    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    try:
        with quiet():
            program = torch.export.load(path)
    except Exception as error:  # zip, pickle, version and schema errors, of many types
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0]
        raise ModelError(f"{path} is not a program saved by torch.export.save: {reason}") from error
    resolved = ResolvedModel(path.stem, program, *program_inputs(path.stem, program))
    first = next((tuple(x.shape) for x in resolved.tensors()), ())
    wanted = input_shape or (first if batch is None else (batch, *first[1:]))
    if wanted != first:
        raise ModelError(
            f"{path} was exported for inputs of shape {_text(first)}, which is fixed in the file; got {_text(wanted)}. "
            "Export it again for that shape"
        )
    return resolved


# ---- package.module:callable ----


def _called(spec: str, batch: int | None, input_shape: tuple[int, ...] | None) -> ResolvedModel:
    from swkpu.frontend.examples import input_of_shape

    module_name, _, attribute = spec.partition(":")
    if not attribute or not all(part.isidentifier() for part in (*module_name.split("."), *attribute.split("."))):
        raise ModelError(f'"{spec}" is not of the form package.module:callable; {ACCEPTED}')
    with _importing_from_here():
        found = _look_up(_import(module_name), module_name, attribute)
        model, inputs, kwargs = _call(found, spec)
    name = attribute.rpartition(".")[2]
    if input_shape is not None:
        return ResolvedModel(name, model, (input_of_shape(name, model, input_shape),))
    if inputs is None:
        raise ModelError(
            f"{spec} needs an input shape, such as --input-shape 1,3,224,224 (or let the callable return "
            "the model and a tuple of example inputs)"
        )
    resolved = ResolvedModel(name, model, inputs, kwargs)
    if batch is not None and any(tuple(x.shape)[:1] != (batch,) for x in resolved.tensors()):
        raise ModelError(f"{spec} returned example inputs of another batch than {batch}; give --input-shape instead")
    return resolved


@contextmanager
def _importing_from_here() -> Generator[None]:
    """The current folder first on the import path, as for `python -m`."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _import(module_name: str) -> object:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise ModelError(
                f"there is no Python module {error.name} in the current folder or installed; {ACCEPTED}"
            ) from None
        raise ModelError(f"importing {module_name} failed: {error}") from error
    except Exception as error:  # whatever the module's own code raises
        raise ModelError(f"importing {module_name} failed: {type(error).__name__}: {error}") from error


def _look_up(module: object, module_name: str, attribute: str) -> object:
    found = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            close = get_close_matches(part, dir(found), 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ModelError(f'{module_name} has no "{attribute}"{hint}')
        found = getattr(found, part)
    return found


def _call(found: object, spec: str) -> tuple[nn.Module, tuple[Any, ...] | None, dict[str, Any]]:
    """The module, and example inputs where the callable returns them too: a tuple, a dict by name, or one and the
    other.
    """
    from torch import nn

    if isinstance(found, nn.Module):
        return found, None, {}
    if not callable(found):
        raise ModelError(f"{spec} is a {type(found).__name__}; expected a callable that returns a torch.nn.Module")
    try:
        made: object = found()
    except Exception as error:  # whatever the user's code raises
        raise ModelError(f"calling {spec} failed: {type(error).__name__}: {error}") from error
    model, *given = cast("tuple[object, ...]", made) if isinstance(made, tuple) else (made,)
    if not isinstance(model, nn.Module) or len(given) > 2 or (len(given) == 2 and not isinstance(given[1], dict)):
        raise ModelError(
            f"{spec} returned a {type(made).__name__}; expected a torch.nn.Module, or (module, example inputs), "
            "or (module, example inputs, inputs by name)"
        )
    if not given:
        return model, None, {}
    inputs, *named = given
    if isinstance(inputs, dict):
        return model, (), {**inputs, **cast("dict[str, Any]", named[0] if named else {})}
    positional = cast("tuple[Any, ...]", inputs) if isinstance(inputs, tuple) else (inputs,)
    return model, positional, cast("dict[str, Any]", named[0]) if named else {}
