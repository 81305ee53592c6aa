"""How much of PyTorch comes in: the sample inputs of torch's own operator tests, compiled and compared to eager.

Every entry of `op_db` that has float32 (or another type) on the CPU is one operator with its samples. An operator is

  whole      every sample gives eager's values, shapes and types
  partial    some samples do, the others are refused by name
  refused    every sample is refused by name
  wrong      a sample gives something else, or something other than an error of ours escapes
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from swkpu.compiler import compile
from swkpu.errors import ModelError, ProgramError, SimulationError, SwkpuError, UnsupportedOpError
from swkpu.frontend import import_model
from swkpu.interp import call_module

Run = Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], Any]
"""Compiles a model for inputs and runs it on them."""

CAP = 24
"""How many of an operator's samples are tried unless told otherwise, evenly spread over its list."""
TARGET = "kpu-t64"
LEAST_WHOLE = 280
"""How many of all operators must be whole."""
ACCURACY = {torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""Relative tolerances beside that of float32."""
UNSPECIFIED = {"empty", "empty_like", "new_empty", "new_empty_strided", "empty_permuted", "empty_strided"}
"""Operators whose values are whatever memory held: only shape and type are compared."""
ANY_OF_EQUALS = {"topk", "kthvalue"}
"""Operators that may give the index of any of several equal elements. Samples of integers have such."""


def on_nn(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> Any:
    """Import, and interpret the nn ops."""
    return call_module(import_model(model, inputs, "sample"), *inputs)


def on_kpu(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> Any:
    """Compile in fp32, and simulate."""
    return compile(model, inputs, target=TARGET, precision="fp32")(*inputs)


LEVELS: dict[str, Run] = {"nn": on_nn, "kpu": on_kpu}


class Sample(torch.nn.Module):
    """One call of an operator. Its tensor arguments are the inputs; all others are captured."""

    def __init__(self, function: Callable[..., Any], arguments: Any):
        super().__init__()
        self.function = function
        leaves, self.structure = pytree.tree_flatten(arguments)
        self.leaves = [None if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        self.places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
        self.inputs = [leaves[i] for i in self.places]
        self.eval()

    def forward(self, *tensors: torch.Tensor) -> Any:
        leaves = list(self.leaves)
        for place, tensor in zip(self.places, tensors, strict=True):
            leaves[place] = tensor
        args, kwargs = pytree.tree_unflatten(leaves, self.structure)
        return self.function(*args, **kwargs)

    def eager(self) -> list[Any]:
        """The flat results. Inputs are copied, as some operators change them."""
        with torch.no_grad():
            return pytree.tree_leaves(self(*(x.clone() for x in self.inputs)))

    def __str__(self) -> str:
        leaves: list[Any] = list(self.leaves)
        for place, tensor in zip(self.places, self.inputs, strict=True):
            leaves[place] = _Shown(f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}")
        args, kwargs = pytree.tree_unflatten(leaves, self.structure)
        return ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in kwargs.items())])


class _Shown(str):
    def __repr__(self) -> str:
        return str(self)


class Samples(torch.nn.Module):
    """Several samples as one model, so that they are captured together."""

    def __init__(self, samples: Sequence[Sample]):
        super().__init__()
        self.samples = torch.nn.ModuleList(samples)
        self.eval()

    def forward(self, *tensors: torch.Tensor) -> list[Any]:
        rest = iter(tensors)
        return [sample(*(next(rest) for _ in sample.inputs)) for sample in self.samples]  # pyright: ignore


@dataclass
class Outcome:
    """What became of an operator. `refusals` and `faults` are per failing sample."""

    name: str
    passed: int = 0
    samples: int = 0
    of: int = 0
    refusals: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        if self.faults:
            return "wrong"
        if not self.refusals:
            return "whole"
        return "partial" if self.passed else "refused"


def entries(only: Sequence[str], shard: tuple[int, int], dtype: torch.dtype) -> list[Any]:
    """The operators with a type on the CPU whose name contains one of `only` (or is it, after "="); every n-th."""
    from torch.testing._internal.common_methods_invocations import op_db

    found = [op for op in op_db if dtype in op.supported_dtypes("cpu")]
    if only:
        found = [op for op in found if any(_chosen(op.formatted_name, text) for text in only)]
    return found[shard[0] :: shard[1]]


def _chosen(name: str, text: str) -> bool:
    return name == text[1:] if text.startswith("=") else text in name


def samples_of(op: Any, cap: int, dtype: torch.dtype) -> tuple[list[Sample], int]:
    """Up to `cap` samples, the same at every run, and how many there are."""
    torch.manual_seed(0)
    random.seed(0)
    found = list(op.sample_inputs("cpu", dtype, requires_grad=False))
    picked = range(len(found)) if len(found) <= cap else [i * len(found) // cap for i in range(cap)]
    return [Sample(op.op, ((found[i].input, *found[i].args), found[i].kwargs)) for i in picked], len(found)


def examine(op: Any, run: Run, cap: int, dtype: torch.dtype) -> Outcome:
    """Compile, run and compare an operator's samples."""
    start = time.perf_counter()
    samples, total = samples_of(op, cap, dtype)
    outcome = Outcome(op.formatted_name, samples=len(samples), of=total)
    _examine(samples, run, outcome)
    outcome.seconds = time.perf_counter() - start
    return outcome


def _examine(samples: Sequence[Sample], run: Run, outcome: Outcome) -> None:
    """All samples in one program; where that fails, one by one."""
    try:
        expected = [_eager(sample) for sample in samples]
        inputs = tuple(x.clone() for sample in samples for x in sample.inputs)
        found = [pytree.tree_leaves(result) for result in run(Samples(samples), inputs)]
    except Exception as error:
        if len(samples) == 1:
            is_refusal = isinstance(error, SwkpuError) and not _is_fault(error)
            (outcome.refusals if is_refusal else outcome.faults).append(
                f"{samples[0]}: {type(error).__name__}: {_reason(error)}"
            )
        else:
            for sample in samples:
                _examine([sample], run, outcome)
        return
    for sample, actual, values in zip(samples, found, expected, strict=True):
        fault = difference(actual, values, compared(outcome.name, values))
        outcome.passed += fault is None
        if fault is not None:
            outcome.faults.append(f"{sample}: {fault}")


def _eager(sample: Sample) -> list[Any]:
    try:
        return sample.eager()
    except Exception as error:  # whatever the operator raises
        raise ModelError(f"eager fails on a copy of the inputs: {_first_line(error)}") from error


def _is_fault(error: SwkpuError) -> bool:
    """Whether the error says that swkpu did something wrong, rather than that it cannot do something."""
    return isinstance(error, ProgramError | SimulationError) or "a fault of swkpu" in str(error)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:300]


def _reason(error: Exception) -> str:
    """The message; of unsupported operators the first line about one, which has the reason."""
    if isinstance(error, UnsupportedOpError):
        return ("; ".join(str(error).split("\n")[1:-1]) or str(error)).strip()[:400]
    return _first_line(error)


def compared(name: str, results: Sequence[Any]) -> int:
    """How many of an operator's results, from the first on, have to have eager's values."""
    if name in UNSPECIFIED:
        return 0
    return 1 if name in ANY_OF_EQUALS and not results[0].is_floating_point() else len(results)


def difference(found: Sequence[Any], expected: Sequence[Any], compared: int) -> str | None:
    """What is wrong about results, None where nothing is: the first `compared` have eager's values to the accuracy of
    their types, and all have its types and shapes.
    """
    if len(found) != len(expected):
        return f"{len(found)} results, expected {len(expected)}"
    for index, (a, b) in enumerate(zip(found, expected)):
        if not isinstance(b, torch.Tensor):
            if a != b:
                return f"result {index} is {a!r}, expected {b!r}"
        elif not isinstance(a, torch.Tensor):
            return f"result {index} is {type(a).__name__}, expected a tensor"
        elif (fault := _tensor_difference(a, b, index < compared)) is not None:
            return f"result {index}{fault}"
    return None


def _tensor_difference(a: torch.Tensor, b: torch.Tensor, values: bool) -> str | None:
    if a.layout != b.layout:
        return f" is {a.layout}, expected {b.layout}"
    if a.shape != b.shape or a.dtype != b.dtype:
        return f" is {a.dtype}{list(a.shape)}, expected {b.dtype}{list(b.shape)}"
    if not values:
        return None
    rtol, atol = 0.0, 0.0
    if b.is_floating_point():
        finite = b[b.isfinite()]
        rtol = ACCURACY.get(b.dtype, 1e-4)
        atol = rtol / 10 * max(1.0, float(finite.abs().max()) if finite.numel() else 1.0)
    try:
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol, equal_nan=True, check_stride=False)
    except AssertionError as error:
        return f": {' '.join(str(error).split())[:200]}"
    return None


def conformance(
    run: Run = on_nn,
    cap: int = CAP,
    only: Sequence[str] = (),
    shard: tuple[int, int] = (0, 1),
    dtype: torch.dtype = torch.float32,
) -> Iterator[Outcome]:
    """Every operator's outcome, as it is known."""
    for op in entries(only, shard, dtype):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield examine(op, run, cap, dtype)


def summary(outcomes: Sequence[Outcome], cap: int) -> str:
    """Counts, and the operators that are not whole with their first reason."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    capped = sum(outcome.of > outcome.samples for outcome in outcomes)
    lines: list[str] = []
    for verdict in ("refused", "partial", "wrong"):
        for outcome in (o for o in outcomes if o.verdict == verdict):
            reason = (outcome.faults or outcome.refusals)[0]
            lines.append(f"{verdict:8} {outcome.name:45} {outcome.passed}/{outcome.samples}  {reason}")
    lines.append(
        f"{len(outcomes)} operators: "
        + ", ".join(f"{counts[v]} {v}" for v in ("whole", "partial", "refused", "wrong"))
        + f"; {sum(o.passed for o in outcomes)} of {sum(o.samples for o in outcomes)} samples pass"
    )
    lines.append(f"at most {cap} samples of an operator are tried; {capped} operators have more")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks conformance", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="operators whose name contains this")
    parser.add_argument("--level", choices=LEVELS, default="nn", help="how far samples are compiled (default: nn)")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="every N-th operator, from the I-th on")
    parser.add_argument("--dtype", default="float32", help="the type of the samples (default: float32)")
    parser.add_argument("--cap", type=int, default=CAP, help=f"samples per operator (default: {CAP})")
    parser.add_argument("--json", metavar="FILE", help="write every outcome as JSON")
    args = parser.parse_args(arguments)
    index, count = map(int, args.shard.split("/"))
    outcomes: list[Outcome] = []
    for outcome in conformance(LEVELS[args.level], args.cap, args.only, (index, count), getattr(torch, args.dtype)):
        outcomes.append(outcome)
        if sys.stderr.isatty():
            print(f"\r{len(outcomes)} {outcome.name:60}", end="", file=sys.stderr)
        if args.json:
            rows = [{**asdict(o), "verdict": o.verdict} for o in outcomes]
            Path(args.json).write_text(json.dumps(rows, indent=1))
    print(summary(outcomes, args.cap))
    whole = sum(o.verdict == "whole" for o in outcomes)
    everything = not args.only and count == 1 and args.dtype == "float32"
    if everything and whole < LEAST_WHOLE:
        print(f"missed: {whole} operators are whole, expected at least {LEAST_WHOLE}", file=sys.stderr)
        return 1
    return 1 if any(o.verdict == "wrong" for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
