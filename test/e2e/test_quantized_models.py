"""Networks at int8 and int4, calibrated: close to PyTorch, and the same integers at every level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from laws import check_laws
from small_nets import NETS, conv
from torch import nn
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

import swkpu
from swkpu import zoo
from swkpu.compiler import compile_module, program_of
from swkpu.dialects.nn import quantized_type_of
from swkpu.executable import Executable
from swkpu.frontend import import_model
from swkpu.interp import run_module
from swkpu.interp.nn_quantized import quantized
from swkpu.passes.pipeline import Quantization
from swkpu.quant.source import Source, ranges_pass
from swkpu.report.compare import compare
from swkpu.target import load_target

pytestmark = pytest.mark.filterwarnings("ignore::swkpu.errors.CalibrationWarning")
TARGET = "kpu-t64"


class Transformer(nn.Module):
    """Two pre-norm layers of attention and GELU over a sequence."""

    def __init__(self, width: int = 48, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.mixed = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(2))
        self.joined = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.up = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(2))
        self.classify = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in range(2):
            parts = self.mixed[layer](self.norms[2 * layer](x)).unflatten(-1, (3, self.heads, -1))
            q, k, v = (parts[:, :, i].transpose(1, 2) for i in range(3))
            x = x + self.joined[layer](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
            x = x + self.down[layer](F.gelu(self.up[layer](self.norms[2 * layer + 1](x))))
        return self.classify(x.mean(1))


class Dense(nn.Module):
    """Every block reads the results of all before it."""

    def __init__(self, growth: int = 8, blocks: int = 4):
        super().__init__()
        self.stem = conv(3, 16, 3, stride=2)
        self.blocks = nn.ModuleList(conv(16 + i * growth, growth, 3) for i in range(blocks))
        self.transition = conv(16 + blocks * growth, 24, 1)
        self.classify = nn.Linear(24, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [self.stem(x)]
        for block in self.blocks:
            parts.append(block(torch.cat(parts, 1)))
        x = F.avg_pool2d(self.transition(torch.cat(parts, 1)), 2)
        return self.classify(x.mean((2, 3)))


@dataclass(frozen=True)
class Case:
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    precision: str
    sqnr_db: float
    """At least."""

    def inputs(self, count: int, seed: int) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return [torch.randn(self.shape, generator=generator) for _ in range(count)]

    def model(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(7)
            return self.build().eval().requires_grad_(False)


CASES = {
    "resnet18": Case(lambda: zoo.build("resnet18"), (1, 3, 64, 64), "int8", 27.0),
    "mobilenet_v2": Case(lambda: zoo.build("mobilenet_v2"), (1, 3, 64, 64), "int8", 15.0),
    "transformer": Case(Transformer, (1, 24, 48), "int8", 36.0),
    "dense": Case(Dense, (1, 3, 32, 32), "int8", 55.0),
    "classifier": Case(NETS["classifier"].make, (1, 3, 32, 32), "int8", 47.0),
    "classifier at int4": Case(NETS["classifier"].make, (1, 3, 32, 32), "int4", 36.0),
    "transformer at int4": Case(Transformer, (1, 24, 48), "int4", 24.0),
}


@pytest.mark.parametrize("name", CASES)
def test_close_to_eager(name: str):
    case = CASES[name]
    model = case.model()
    executable = swkpu.compile(
        model,
        (case.inputs(1, 0)[0],),
        target=TARGET,
        precision=case.precision,
        calibration=case.inputs(16, seed=1),
    )
    found, expected = list[np.ndarray](), list[np.ndarray]()
    for x in case.inputs(4, seed=2):
        found.append(executable(x).numpy())
        expected.append(model(x).numpy())
    check = compare(found, expected)
    assert check.sqnr_db is not None
    assert check.sqnr_db > case.sqnr_db
    check_laws(executable)


@pytest.mark.parametrize("name", ["mobilenet_v2", "transformer"])
def test_the_same_integers_at_every_level(name: str):
    case, machine = CASES[name], load_target(TARGET)
    (x,) = case.inputs(1, seed=3)
    module = import_model(case.model(), (x,), name)
    stored, results = list[torch.Tensor](), dict[str, torch.Tensor]()

    def observe(step: ModulePass, module: ModuleOp) -> None:
        if step.name == "nn-narrow-integers":
            function = next(op for op in module.walk() if isinstance(op, FuncOp))
            element = quantized_type_of(function.args[0])
            stored.append(x if element is None else quantized(x, element))
        if step.name in ("nn-narrow-integers", "df-choose-mapping"):
            results[step.name] = run_module(module, stored)[0]

    ranges = ranges_pass(Source(case.inputs(4, seed=1)), case.precision, machine)
    compile_module(module, machine, TARGET, case.precision, observe, quantization=Quantization(ranges))
    program = program_of(module, machine)
    binary = Executable(program, machine)(x)
    assert torch.equal(results["nn-narrow-integers"], results["df-choose-mapping"])
    assert torch.equal(results["df-choose-mapping"], binary)
