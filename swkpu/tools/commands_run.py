"""`swkpu run`: a compiled program on an input."""

from __future__ import annotations

import argparse
import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swkpu.errors import InputError, SwkpuError, TargetError
from swkpu.tools import console
from swkpu.tools.arrays import Array, InputSpec, random_inputs, read_inputs, write_arrays
from swkpu.tools.common import OK, ArgumentParser

if TYPE_CHECKING:
    from swkpu.executable import Executable
    from swkpu.frontend.resolve import ResolvedModel
    from swkpu.report.report import Check, Report
    from swkpu.sim.energy import PowerTrace

MODES = ("functional", "cycle", "power")
SPARKS = "▁▂▃▄▅▆▇█"

EXAMPLE = """\
examples:
  swkpu run resnet18.kpu --check resnet18
  swkpu run resnet18.kpu --input cat.jpg --output logits.npz
  swkpu run resnet18.kpu --mode power --json - --trace timeline.json > report.json
"""


def add_run(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("program", type=Path, metavar="PROGRAM.kpu")
    add("--input", type=Path, metavar="FILE",
        help=".npy, .npz or an image (default: the example input of --check's model, else random numbers)")  # fmt: skip
    add("--mode", choices=MODES, default="cycle",
        help="functional: timing without contention; cycle (default); power: also power over time")  # fmt: skip
    add("--check", metavar="MODEL", help="compare with this model in eager fp32 PyTorch")
    add("--json", metavar="FILE", help="write the report as JSON (- for standard output, instead of the table)")
    add("--trace", type=Path, metavar="FILE", help="write the timeline for ui.perfetto.dev or chrome://tracing")
    add("--output", "-o", type=Path, metavar="FILE.npz", help="write the outputs (bf16 as float32)")
    add("--target", metavar="FILE.toml", help="the target file, where the program was compiled for one of your own")
    add("--profile", metavar="NAME", help="another of the target's power profiles")


@dataclass(frozen=True)
class Result:
    """What a run gave."""

    report: Report
    outputs: dict[str, Array]
    mode: str
    power: PowerTrace | None = None


@dataclass
class Run:
    """A program with what it is run on."""

    executable: Executable
    path: Path
    mode: str = "cycle"
    input: Path | None = None
    check: str | None = None

    def run(self) -> Result:
        """Raises SwkpuError."""
        with console.progress() as step:
            resolved = None
            if self.check is not None:
                step(f"finding {self.check}")
                resolved = self._reference()
            inputs = self._inputs(resolved)
            step("running")
            start = time.perf_counter()
            outputs = self.executable.run(inputs)
            report = self.executable.simulate(self.mode)
            report = dataclasses.replace(report, simulate_seconds=time.perf_counter() - start)
            if resolved is not None:
                step(f"running {self.check} in PyTorch")
                compiled = self.executable.program.metadata.model
                if resolved.name != compiled:
                    console.note(f"the program was compiled from {compiled}, and is compared with {resolved.name}")
                report = dataclasses.replace(report, check=check_against(resolved, inputs, outputs))
            return Result(report, outputs, self.mode, self._power() if self.mode == "power" else None)

    @property
    def specs(self) -> list[InputSpec]:
        return [InputSpec(s.name, s.shape, s.dtype) for s in self.executable.program.inputs]

    def _reference(self) -> ResolvedModel:
        """The model to compare with, at the program's input shape."""
        from swkpu.frontend.resolve import resolve_model

        assert self.check is not None
        shape = self.specs[0].shape if len(self.specs) == 1 and self.specs[0].shape else None
        return resolve_model(self.check, shape[0] if shape else None, shape)

    def _inputs(self, resolved: ResolvedModel | None) -> dict[str, Array]:
        specs = self.specs
        if self.input is not None:
            return read_inputs(self.input, specs)
        if resolved is not None:
            examples = _arrays(resolved.tensors())
            if [(a.shape, a.dtype.kind) for a in examples] == [(s.shape, _kind(s)) for s in specs]:
                return {s.name: a for s, a in zip(specs, examples)}
        console.note("no --input: running on random numbers, the same in every run")
        return random_inputs(specs)

    def _power(self) -> PowerTrace:
        from swkpu.sim.energy import power_trace
        from swkpu.sim.timing import simulate_timing

        program, machine = self.executable.program, self.executable.machine
        return power_trace(program, machine, simulate_timing(program, machine))


def _kind(spec: InputSpec) -> str:
    """numpy's letter for the kind of number the model itself takes."""
    return "f" if spec.dtype.is_float else {"I1": "b"}.get(spec.dtype.name, "i")


def _arrays(values: object) -> list[Array]:
    """The tensors of a nested structure, in torch's order."""
    import torch
    from torch.utils._pytree import tree_leaves

    from swkpu.types import to_numpy

    return [to_numpy(v) for v in tree_leaves(values) if isinstance(v, torch.Tensor)]


# ---- the comparison ------------------------------------------------------------------------------------------------


def check_against(resolved: ResolvedModel, inputs: dict[str, Array], outputs: dict[str, Array]) -> Check:
    """Compare outputs with those of the model in eager fp32 on the same inputs. Raises InputError."""
    from swkpu.report.compare import compare

    references = eager_outputs(resolved, inputs)
    shapes, expected = [a.shape for a in outputs.values()], [a.shape for a in references]
    if shapes != expected:
        raise InputError(f"{resolved.name} is another model: it has outputs of {expected}, the program of {shapes}")
    return compare(list(outputs.values()), references)


def eager_outputs(resolved: ResolvedModel, inputs: dict[str, Array]) -> list[Array]:
    """Raises InputError where the model does not run on such inputs."""
    from swkpu.types import to_torch

    tensors = [to_torch(a) for a in inputs.values()]
    tensors = [t.float() if t.is_floating_point() else t for t in tensors]
    try:
        return _arrays(resolved.call(tensors))
    except Exception as error:  # whatever the model raises
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{resolved.name} does not run on the program's input: {reason}") from error


# ---- what is shown -------------------------------------------------------------------------------------------------


def result_json(result: Result) -> dict[str, Any]:
    """The report, in mode power with `tdp` and `power_trace`."""
    data = {**result.report.to_dict(), "mode": result.mode}
    if result.power is not None:
        report, trace = result.report, result.power
        data["tdp"] = {
            "ok": report.tdp_excess_w <= 0,
            "tdp_w": report.tdp_w,
            "average_power_w": report.average_power_w,
            "peak_power_w": float(trace.power_w.max(initial=0.0)),
            "excess_w": report.tdp_excess_w,
            "fits_mhz": report.tdp_fits_mhz,
            "fits_profile": report.tdp_fits_profile,
        }
        data["power_trace"] = {"edges_cycles": trace.edges.tolist(), "power_w": trace.power_w.tolist()}
    return data


def show_run(result: Result) -> None:
    print(result.report)
    if result.power is None:
        return
    report, power = result.report, result.power.power_w
    peak = float(power.max(initial=0.0))
    fits = "within" if report.tdp_excess_w <= 0 else f"{report.tdp_excess_w:.2f} W over"
    average = f"average {report.average_power_w:.2f} W, {fits} the TDP of {report.tdp_w:g} W"
    print(f"\npower over time ({average}; peak {peak:.2f} W)")
    print("".join(SPARKS[min(int(w / peak * len(SPARKS)), len(SPARKS) - 1)] for w in power[::2]) if peak > 0 else "")


def load_program(path: Path, target: str | None, profile: str | None) -> Executable:
    """Raises ProgramError and TargetError, which name the file."""
    from swkpu.executable import Executable

    try:
        return Executable.load(str(path), target=target, profile=profile)
    except TargetError as error:
        if target is None:
            error.add_note(
                f"note: {path} was compiled for it; give --target FILE.toml where it is a target of your own"
            )
        raise
    except SwkpuError as error:
        if str(path) not in str(error):
            raise type(error)(f"{path}: {error}") from error
        raise


def run_command(args: argparse.Namespace) -> int:
    console.check_folders(args.output, args.trace, args.json)
    executable = load_program(args.program, args.target, args.profile)
    result = Run(executable, args.program, args.mode, args.input, args.check).run()
    if args.output is not None:
        write_arrays(args.output, result.outputs)
    if args.trace is not None:
        executable.write_trace(str(args.trace))
    if args.json is not None:
        console.write_json(result_json(result), args.json)
    if args.json != "-":
        show_run(result)
    return OK
