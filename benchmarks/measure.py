"""One model compiled for one target: each measurement is made when it is first asked for, and once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from swkpu.compiler import compile_module, program_of
from swkpu.executable import Executable
from swkpu.frontend.importer import import_program
from swkpu.frontend.resolve import ResolvedModel, resolve_model
from swkpu.program.container import to_bytes
from swkpu.report.compare import compare
from swkpu.report.report import Check, Report
from swkpu.target import load_target


@dataclass(frozen=True)
class Case:
    """What is compiled for what."""

    model: str
    target: str
    precision: str


MATRIX = [
    Case(model, target, precision)
    for model in ("resnet18", "resnet50", "mobilenet_v2")
    for target, precision in (
        ("kpu-t64", "bf16"),
        ("kpu-t256", "bf16"),
        ("kpu-t768", "bf16"),
        ("kpu-t64", "fp32"),
        ("swkpu-v1", "fp16"),
    )
]


@cache
def captured(model: str) -> tuple[ResolvedModel, ExportedProgram]:
    resolved = resolve_model(model)
    return resolved, resolved.exported()


@cache
def reference(model: str) -> np.ndarray[Any, Any]:
    """The output of the model in eager fp32."""
    resolved, _ = captured(model)
    with torch.no_grad():
        return resolved.eager()(*resolved.example_inputs).numpy()


class Measured:
    """A case, and what can be measured of it."""

    def __init__(self, case: Case):
        self.case = case

    @cached_property
    def executable(self) -> Executable:
        """Compiled from the captured program, so that `compile_seconds` is import, passes and emission."""
        _, exported = captured(self.case.model)
        machine = load_target(self.case.target)
        start = time.perf_counter()
        module = import_program(exported, self.case.model)
        compile_module(module, machine, self.case.target, self.case.precision)
        return Executable(program_of(module, machine), machine, time.perf_counter() - start)

    @property
    def compile_seconds(self) -> float:
        assert self.executable.compile_seconds is not None
        return self.executable.compile_seconds

    @property
    def report(self) -> Report:
        return self.executable.report

    @cached_property
    def _run(self) -> tuple[np.ndarray[Any, Any], float]:
        """The output, and how long the values took."""
        (x,) = captured(self.case.model)[0].example_inputs
        executable = self.executable
        start = time.perf_counter()
        output = next(iter(executable.run({executable.input_names[0]: x.numpy()}).values()))
        return output, time.perf_counter() - start

    @property
    def functional_seconds(self) -> float:
        return self._run[1]

    @property
    def cycle_seconds(self) -> float:
        """Values and timing, as `swkpu run` does by default."""
        assert self.report.simulate_seconds is not None
        return self.functional_seconds + self.report.simulate_seconds

    @cached_property
    def check(self) -> Check:
        return compare([self._run[0]], [reference(self.case.model)])

    @property
    def commands(self) -> int:
        return self.executable.program.command_count

    @property
    def layers(self) -> int:
        """Recurrences after fusion, copies between layouts included."""
        return len(self.executable.program.layers)

    @cached_property
    def program_bytes(self) -> int:
        """The file's size beside the constants."""
        program = self.executable.program
        return len(to_bytes(program)) - len(program.constants)
