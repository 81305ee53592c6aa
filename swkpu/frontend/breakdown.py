"""Programs made functional, and their operators broken down as far as there are no rules for them, by torch."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch.export import ExportedProgram

from swkpu.errors import ModelError
from swkpu.frontend.capture import is_data_dependent, quiet, reason_of
from swkpu.frontend.checks import BY_VALUE
from swkpu.frontend.table import decompositions


def decomposed(ep: ExportedProgram) -> ExportedProgram:
    """The program in terms of operators with rules, as far as torch can break down the others. Raises ModelError."""
    table = decompositions()
    try:
        with torch.no_grad(), quiet(), _without_gradients(ep):
            return ep.run_decompositions(table)  # pyright: ignore[reportArgumentType]
    except Exception as error:  # whatever torch's decompositions raise
        reason = reason_of(error)
        why = f"{BY_VALUE}: {reason}" if is_data_dependent(error) else f"{type(error).__name__}: {reason}"
        raise ModelError(f"torch cannot break down the operators of the model: {why}") from error


@contextmanager
def _without_gradients(ep: ExportedProgram) -> Generator[None]:
    """The program with `torch.enable_grad()` inside the model switched off: torch would look for a backward graph."""
    enabling = [
        node
        for node in ep.graph.nodes
        if node.target is torch.ops.higher_order.wrap_with_set_grad_enabled and node.args[0] is True
    ]
    for node in enabling:
        node.args = (False, *node.args[1:])
    try:
        yield
    finally:
        for node in enabling:
            node.args = (True, *node.args[1:])
