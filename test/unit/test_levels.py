"""nn, df, kpu and the binary mean the same: every level runs, and agrees with the one before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import nn
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from swkpu.emit import emit
from swkpu.frontend import import_model
from swkpu.interp import run_module
from swkpu.interp.kpu import run_kpu
from swkpu.passes.pipeline import default_pipeline
from swkpu.program.check import check
from swkpu.program.races import check_races
from swkpu.sim.functional import run_program
from swkpu.target import load_target
from swkpu.types import dtype_of, to_numpy, torch_dtype

EPS = {"fp32": 2.0**-23, "bf16": 2.0**-8, "fp16": 2.0**-11}


class Net(nn.Module):
    """Everything this version lowers: strides, padding, depthwise and grouped-free convolution, residual, pools,
    linear.
    """

    def __init__(self, channels: int, out: int, stride: int, kernel: int, depthwise: bool):
        super().__init__()
        self.stem = nn.Conv2d(3, channels, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.bn.running_mean = torch.linspace(-0.2, 0.3, channels)
        self.bn.running_var = torch.linspace(0.5, 1.5, channels)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.dw = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels if depthwise else 1)
        self.pw = nn.Conv2d(channels, channels, 1)
        self.fc = nn.Linear(channels, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.bn(self.stem(x))))
        x = torch.clamp(x + self.pw(torch.nn.functional.relu6(self.dw(x))), 0.0, 4.0)
        return self.fc(x.mean((2, 3)))


@dataclass
class Levels:
    nn: np.ndarray
    df: np.ndarray
    kpu: np.ndarray
    binary: np.ndarray


def run_levels(model: nn.Module, x: torch.Tensor, target: str, precision: str) -> Levels:
    """One input through every level."""
    module = import_model(model, (x,), "net")
    ctx = Context()

    def advance(module: ModuleOp, until: str, skip: int) -> int:
        passes = default_pipeline(target, None, precision, until)
        for p in passes[skip:]:
            p.apply(ctx, module)
        module.verify()
        return len(passes)

    done = advance(module, "nn", 0)
    storage = torch_dtype(
        dtype_of(next(o for o in module.walk() if o.name == "func.func").body.block.args[0].type.element_type)
    )
    given_x = x.to(storage)
    at_nn = run_module(module, [given_x])[0]
    done = advance(module, "df", done)
    at_df = run_module(module, [given_x])[0]
    passes = default_pipeline(target, None, precision, "kpu")
    for p in passes[done:]:
        if p.name == "kpu-schedule":
            name = next(o for o in module.walk() if o.name == "kpu.input").sym_name.data
            at_kpu = next(iter(run_kpu(module, {name: to_numpy(given_x)}).values()))
        p.apply(ctx, module)
    machine = load_target(target)
    program = emit(module, machine)
    check(program, machine)
    check_races(program)
    at_binary = next(iter(run_program(program, machine, {name: to_numpy(given_x)}).values()))
    return Levels(*(np.asarray(a, dtype=np.float64) for a in (at_nn, at_df, at_kpu, at_binary)))


def assert_equal_levels(levels: Levels, precision: str) -> None:
    """A whole network's outputs may differ by summation order: a few roundings of its largest value.

    kpu and binary run the same blocks and are equal.
    """
    scale = np.abs(levels.nn).max() + 1e-30
    assert np.array_equal(levels.kpu, levels.binary)
    assert np.abs(levels.df - levels.nn).max() <= 8 * EPS[precision] * scale
    assert np.abs(levels.binary - levels.df).max() <= 8 * EPS[precision] * scale


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)
@given(
    channels=st.sampled_from([4, 8, 17, 24]),
    out=st.sampled_from([1, 10, 33]),
    size=st.sampled_from([15, 24, 33]),
    stride=st.sampled_from([1, 2]),
    kernel=st.sampled_from([1, 3, 5]),
    depthwise=st.booleans(),
    batch=st.sampled_from([1, 3]),
    target=st.sampled_from(["swkpu-v1", "kpu-16x16", "kpu-t64", "kpu-t256", "kpu-t768", "kpu-t64-r2"]),
)
def test_small_networks(
    channels: int, out: int, size: int, stride: int, kernel: int, depthwise: bool, batch: int, target: str
) -> None:
    torch.manual_seed(channels * size + kernel)
    model = Net(channels, out, stride, kernel, depthwise).eval()
    x = torch.randn(batch, 3, size, size + 2)
    precision = "bf16" if target.startswith("kpu-t") else "fp16"
    assert_equal_levels(run_levels(model, x, target, precision), precision)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_precisions_against_eager(precision: str) -> None:
    torch.manual_seed(1)
    model = Net(16, 10, 2, 3, True).eval()
    x = torch.randn(1, 3, 32, 32)
    levels = run_levels(model, x, "kpu-t64", precision)
    assert_equal_levels(levels, precision)
    with torch.no_grad():
        reference = model(x).double().numpy()
    sqnr = 10 * np.log10((reference**2).sum() / ((levels.binary - reference) ** 2).sum())
    assert sqnr > {"fp32": 100, "fp16": 52, "bf16": 35}[precision]


@pytest.mark.parametrize(
    "name,target,precision",
    [("resnet18", "kpu-t64", "bf16"), ("resnet50", "swkpu-v1", "fp16"), ("mobilenet_v2", "swkpu-v1", "fp16")],
)
def test_real_networks(name: str, target: str, precision: str) -> None:
    """Real shapes: 224 x 224, whole networks."""
    from swkpu import zoo

    levels = run_levels(zoo.build(name), zoo.example_input(name), target, precision)
    assert np.array_equal(levels.kpu, levels.binary)
    for a, b in ((levels.nn, levels.df), (levels.df, levels.binary)):
        noise = ((a - b) ** 2).sum()
        assert noise == 0 or 10 * np.log10((a**2).sum() / noise) > {"bf16": 38, "fp16": 52}[precision]
