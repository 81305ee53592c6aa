"""Operators that cannot be imported, gathered so that all are reported at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node
from xdsl.builder import Builder
from xdsl.dialects.builtin import UnrealizedConversionCastOp, f32
from xdsl.ir import SSAValue

from swkpu.errors import UnsupportedOpError
from swkpu.frontend.checks import values_of
from swkpu.frontend.elements import ELEMENTS
from swkpu.frontend.names import Source
from swkpu.types import tensor_type


@dataclass
class _Calls:
    reason: str
    first: Source
    count: int = 1


class Missing:
    """The calls so far that could not be imported, by operator."""

    def __init__(self) -> None:
        self.calls: dict[str, _Calls] = {}

    def note(self, node: Node, source: Source, reason: str) -> None:
        name = str(node.target)
        if name in self.calls:
            self.calls[name].count += 1
        else:
            self.calls[name] = _Calls(reason, source)

    def report(self) -> None:
        """Raise UnsupportedOpError if there are any."""
        if not self.calls:
            return
        lines = [
            f"  {name}{f' ({c.reason})' if c.reason else ''}: {c.count} call{'s' * (c.count > 1)}, first at {c.first}"
            for name, c in sorted(self.calls.items())
        ]
        lines.append("`swkpu ops` lists what is supported.")
        raise UnsupportedOpError(sorted(self.calls), "\n".join(lines))


def stand_in(builder: Builder, meta: Any) -> Any:
    """Values of the right types for the results of a call, so that the import can go on."""
    fakes = [_stand_in(builder, fake) for fake in values_of(meta)]
    return tuple(fakes) if isinstance(meta, list | tuple) else (fakes[0] if fakes else None)


def _stand_in(builder: Builder, fake: Any) -> SSAValue | None:
    if not isinstance(fake, torch.Tensor):
        return None
    type_ = tensor_type(tuple(fake.shape), ELEMENTS.get(fake.dtype, f32))
    return builder.insert(UnrealizedConversionCastOp.get([], [type_])).results[0]
