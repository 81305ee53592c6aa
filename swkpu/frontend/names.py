"""Where a captured operator comes from: the module that called it, and the line of the model's source."""

from __future__ import annotations

import re
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import Graph, Node
from xdsl.dialects.builtin import LocationAttr

from swkpu.dialects.location import location

_FRAME = re.compile(r'^\s*File "(?P<file>.*)", line (?P<line>\d+), in ', re.MULTILINE)
_DYNAMO_ROOT = re.compile(r"^L\['\w+'\]\.?")
"""What torch.compile puts before the path of a module."""
_TORCH = Path(torch.__file__).parent.as_posix() + "/"
_LABELS = {
    "view": "reshape",
    "convolution": "conv2d",
    "max_pool2d_with_indices": "max_pool2d",
    "native_batch_norm_legit_no_training": "batch_norm",
    "to_copy": "cast",
    "to": "cast",
}
_UNNAMED = {
    torch.ops.aten.clone.default,
    torch.ops.aten.detach.default,
    torch.ops.aten.alias.default,
    torch.ops.aten._assert_tensor_metadata.default,
}
"""Operators that emit nothing, so that they do not count as a module's second operator."""


@dataclass(frozen=True)
class Source:
    """`name` is unique in a program ("layer1.0.relu_1"); `hint` is its SSA name; `line` is 0 if not known."""

    name: str
    hint: str
    file: str
    line: int

    def as_attribute(self) -> LocationAttr:
        return location(self.name, self.file or None, self.line)

    def __str__(self) -> str:
        return f"{self.name} ({self.file}:{self.line})" if self.line else self.name


def sources(graph: Graph) -> dict[Node, Source]:
    """The source of each call. A module that is one operator lends it its name (`layer1.0.conv1`); an operator that a
    larger module calls itself adds its own (`layer1.0.add`). A second call of a module gets a suffix."""
    calls = [node for node in graph.nodes if node.op == "call_function"]
    containers: set[str] = set()
    sizes: Counter[str] = Counter()
    for node in calls:
        *outer, (key, _) = module_stack(node)
        containers.update(path for _, path in outer)
        sizes[key] += isinstance(node.target, OpOverload) and node.target not in _UNNAMED
    out: dict[Node, Source] = {}
    seen: Counter[str] = Counter()
    for node in calls:
        key, path = module_stack(node)[-1]
        whole = bool(path) and path not in containers and sizes[key] <= 1
        base = path if whole else ".".join(filter(None, (path, label(node))))
        file, line = user_frame(node.meta.get("stack_trace") or "")
        name = base if not seen[base] else f"{base}_{seen[base]}"
        if isinstance(node.target, OpOverload) and node.target not in _UNNAMED:
            seen[base] += 1
        out[node] = Source(name, ssa_hint(base, label(node)), file, line)
    return out


def source_of(graph: Graph, node: Node) -> Source | str:
    """The source of one node, for messages."""
    return sources(graph).get(node, node.name)


def module_stack(node: Node) -> list[tuple[str, str]]:
    """(key, qualified path) from the root inwards. The key tells calls of one module apart."""
    stack: dict[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    return [("", "")] + [(key, _DYNAMO_ROOT.sub("", path)) for key, (path, _) in stack.items()]


def label(node: Node) -> str:
    """A short name of the operator."""
    if not isinstance(node.target, OpOverload):
        return node.name
    name = node.target.name().partition("::")[2].partition(".")[0].strip("_")
    return _LABELS.get(name, name)


def ssa_hint(name: str, fallback: str = "value") -> str:
    """An SSA name. xDSL drops a numeric ending (`features_0_0`), so such names get the operator's label too."""
    hint = re.sub(r"[^A-Za-z0-9_$]", "_", name)
    if not hint or hint[0].isdigit():
        hint = f"_{hint}"
    return f"{hint}_{fallback}" if re.search(r"_\d*$", hint) else hint


def user_frame(stack_trace: str) -> tuple[str, int]:
    """The innermost frame outside torch (else the innermost frame) as (file, line); ("", 0) where there is none."""
    frames = [(m["file"], int(m["line"])) for m in _FRAME.finditer(stack_trace)]
    return _last_user_frame(frames)


def user_frame_of(error: BaseException) -> tuple[str, int]:
    """The same, of an exception raised while a model was traced; ("", 0) where the error is not in the model."""
    frames = [(f.filename, f.lineno or 0) for f in traceback.extract_tb(error.__traceback__)]
    return _last_user_frame([f for f in frames if "/swkpu/frontend/" not in Path(f[0]).as_posix()], only_user=True)


def _last_user_frame(frames: list[tuple[str, int]], only_user: bool = False) -> tuple[str, int]:
    user = [f for f in frames if not _is_torch(f[0])]
    chosen = user if user or only_user else frames
    return (portable_path(chosen[-1][0]), chosen[-1][1]) if chosen else ("", 0)


def _is_torch(file: str) -> bool:
    file = Path(file).as_posix()
    return file.startswith((_TORCH, "<")) or "/site-packages/torch/" in file


def portable_path(file: str) -> str:
    """The file from its outermost package on (`swkpu/zoo/resnet.py`), else its bare name.

    That is the same on every machine, whatever the working directory and the import path.
    """
    if file.startswith("<"):
        return file
    path = Path(file)
    root = path.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    return path.relative_to(root).as_posix()
