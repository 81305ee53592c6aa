"""A program with the machine it runs on: what `swkpu.compile` and `swkpu.load` return."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from swkpu.errors import InputError
from swkpu.program.container import load, save
from swkpu.program.model import Program
from swkpu.report.report import Check, Report
from swkpu.signature import Signature
from swkpu.target import Machine, load_target

if TYPE_CHECKING:
    from swkpu.report.explain import Explanation
    from swkpu.sim.timing import Timing

Array = np.ndarray[Any, np.dtype[Any]]
MODES = ("functional", "cycle", "power")


def check_mode(mode: str) -> None:
    if mode not in MODES:
        raise InputError(f"unknown mode '{mode}'; expected one of {', '.join(MODES)}")


class Executable:
    """A compiled program that can be called, simulated, saved and inspected.

    Calling it takes the model's own inputs, numpy arrays or torch tensors, and returns the same kind in the model's
    own output structure. `report` is the cycle-mode report; values do not change it, so it needs no input.
    """

    def __init__(self, program: Program, machine: Machine, compile_seconds: float | None = None):
        self.program, self.machine, self.compile_seconds = program, machine, compile_seconds
        self._reports: dict[str, Report] = {}

    @staticmethod
    def load(path: str, *, target: str | None = None, profile: str | None = None) -> Executable:
        """Raises ProgramError for a file that is not a sound program for the target."""
        from swkpu.program.check import check
        from swkpu.program.races import check_races

        program = load(path)
        machine = load_target(target or program.target)
        chosen = profile or (program.metadata.profile if program.metadata.profile in machine.clock.profiles else None)
        if chosen is not None:
            machine = machine.with_profile(chosen)
        check(program, machine)
        check_races(program)
        return Executable(program, machine)

    def save(self, path: str) -> None:
        """Write a `.kpu` file, whole or not at all."""
        save(self.program, path)

    # -- values --

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(s.name for s in self.program.inputs)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name. Raises InputError for a missing input, a wrong shape or type."""
        from swkpu.sim.functional import run_program

        unknown = [n for n in inputs if n not in self.input_names]
        if unknown:
            raise InputError(f"unknown input '{unknown[0]}'; the program's inputs are {', '.join(self.input_names)}")
        return run_program(self.program, self.machine, inputs)

    @property
    def signature(self) -> Signature | None:
        """How the model is called; None where the program was not made from a model."""
        text = self.program.metadata.signature
        return Signature.parse(text) if text else None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        import torch

        from swkpu.types import to_numpy, to_torch

        signature = self.signature
        flat = list(args) if signature is None else signature.tensors(args, kwargs)
        if len(flat) != len(self.program.inputs):
            raise InputError(f"the program takes {len(self.program.inputs)} inputs, got {len(flat)}")
        as_torch = not flat or any(isinstance(a, torch.Tensor) for a in flat)
        arrays = [to_numpy(a) if isinstance(a, torch.Tensor) else np.asarray(a) for a in flat]
        outputs = list(self.run(dict(zip(self.input_names, arrays))).values())
        results = [to_torch(o) for o in outputs] if as_torch else outputs
        if signature is None:
            return results[0] if len(results) == 1 else tuple(results)
        return signature.restored(results)

    # -- cycles and energy --

    @property
    def report(self) -> Report:
        """The report of a cycle-mode simulation."""
        return self.simulate("cycle")

    def simulate(self, mode: str = "cycle", check: Check | None = None) -> Report:
        """Cycles and energy without values. In mode `functional` shared ports are never contended for."""
        import dataclasses

        check_mode(mode)
        if mode not in self._reports:
            self._simulate(mode)
        report = self._reports[mode]
        return report if check is None else dataclasses.replace(report, check=check)

    def _simulate(self, mode: str) -> Timing:
        from swkpu.report.build import build_report
        from swkpu.sim.energy import simulate_energy
        from swkpu.sim.timing import simulate_timing

        start = time.perf_counter()
        timing = simulate_timing(self.program, self.machine, contention=mode != "functional")
        energy = simulate_energy(self.program, self.machine, timing)
        seconds = time.perf_counter() - start
        self._reports[mode] = build_report(self.program, self.machine, timing, energy, seconds, self.compile_seconds)
        return timing

    def explain(self) -> Explanation:
        """What bounds every layer, how it is mapped, and where its cycles go, in a cycle-mode simulation."""
        from swkpu.report.explain import explain

        timing = self._simulate("cycle")
        return explain(self.program, self.machine, timing, self._reports["cycle"])

    def write_trace(self, path: str) -> None:
        """Write the timeline of a cycle-mode simulation for Perfetto or chrome://tracing."""
        from swkpu.sim.timing import simulate_timing
        from swkpu.sim.trace import write_trace

        write_trace(path, self.program, self.machine, simulate_timing(self.program, self.machine, trace=True))
