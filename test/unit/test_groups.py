"""Groups of recurrences: whether they are mapped together or each alone changes no bit, at any level."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from quantized_nets import stored_inputs
from torch import nn
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from swkpu.dialects import kpu
from swkpu.dialects.df import RecurrenceOp
from swkpu.emit import emit
from swkpu.frontend import import_model
from swkpu.interp import run_module
from swkpu.interp.kpu import run_kpu
from swkpu.io import module_text, parse_text
from swkpu.mapping.views import stays_in_l1
from swkpu.passes.convert_df_to_kpu import ConvertDfToKpuPass
from swkpu.passes.df_choose_mapping import DfChooseMappingPass
from swkpu.passes.kpu_assign_memory import KpuAssignMemoryPass
from swkpu.passes.kpu_schedule import KpuSchedulePass
from swkpu.passes.pipeline import default_pipeline
from swkpu.program.check import check
from swkpu.program.races import check_races
from swkpu.quant.calibration import calibrate
from swkpu.quant.names import entry_of
from swkpu.sim.functional import run_program
from swkpu.sim.reference import reference_timing
from swkpu.sim.timing import simulate_timing
from swkpu.target import Machine, load_target
from swkpu.types import to_numpy

TARGETS = ["kpu-t64", "kpu-t768", "swkpu-v1", "kpu-16x16"]


class Norms(nn.Module):
    """Two layer norms with a residual stream that outlives them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.LayerNorm(48), nn.LayerNorm(48)
        self.up, self.down = nn.Linear(48, 96), nn.Linear(96, 48)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x + self.down(nn.functional.gelu(self.up(self.first(x))))
        return self.second(y)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.qkv, self.out = nn.Linear(32, 96), nn.Linear(32, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).reshape(1, 19, 3, 4, 8).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(1, 19, 32)) + x


class Squeeze(nn.Module):
    """Squeeze and excite between two pointwise convolutions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.expand, self.project = nn.Conv2d(8, 24, 1), nn.Conv2d(24, 8, 1)
        self.squeeze, self.excite = nn.Conv2d(24, 4, 1), nn.Conv2d(4, 24, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.silu(self.expand(x))
        s = torch.sigmoid(self.excite(nn.functional.silu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.project(x * s)


NETS = {"norms": (Norms, (1, 13, 48)), "attention": (Attention, (1, 19, 32)), "squeeze": (Squeeze, (1, 8, 10, 10))}


@dataclass
class Results:
    """What the levels compute, the df module with its mappings, and how the program was cut into layers."""

    df: list[np.ndarray]
    kpu: list[np.ndarray]
    binary: list[np.ndarray]
    mapped: ModuleOp
    layers: int


def before_mapping(name: str, target: str) -> tuple[ModuleOp, torch.Tensor, torch.Tensor]:
    """An int8 net in df, not mapped yet, and an input as the host has it and as it is stored."""
    build, shape = NETS[name]
    g = torch.Generator().manual_seed(1)
    x = torch.randn(shape, generator=g)
    module = import_model(build().eval(), (x,), name)
    calibrate(module, [(torch.randn(shape, generator=g),) for _ in range(3)], "min-max").annotate(module)
    stored = x
    for step in default_pipeline(target, None, "int8", "df"):
        if step.name == "df-choose-mapping":
            break
        step.apply(Context(), module)
        if step.name == "nn-narrow-integers":
            stored = stored_inputs(module, [x.numpy()])[0]
    return module, x, stored


def run(module: ModuleOp, x: torch.Tensor, stored: torch.Tensor, machine: Machine) -> Results:
    """Run a mapped module at every level that is left."""
    target = machine.name
    mapped = module.clone()
    argument = entry_of(module).args[0]
    at_df = [to_numpy(t) for t in run_module(module, [stored])]
    ConvertDfToKpuPass(target).apply(Context(), module)
    module.verify()
    at_kpu = list(run_kpu(module, {argument.name_hint or "x": to_numpy(stored)}).values())
    for step in (KpuAssignMemoryPass(target), KpuSchedulePass(target)):
        step.apply(Context(), module)
    program = emit(module, machine)
    check(program, machine)
    check_races(program)
    binary = list(run_program(program, machine, {program.inputs[0].name: x.numpy()}).values())
    return Results(at_df, at_kpu, binary, mapped, len(program.layers))


def groups_in(module: ModuleOp) -> int:
    return sum(isinstance(o, RecurrenceOp) and stays_in_l1(o.result) for o in module.walk())


@pytest.mark.filterwarnings("ignore::swkpu.errors.CalibrationWarning")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NETS)
def test_grouped_is_ungrouped(name: str, target: str) -> None:
    machine = load_target(target)
    module, x, stored = before_mapping(name, target)
    results: list[Results] = []
    for groups in (True, False):
        own = module.clone()
        DfChooseMappingPass(target, None, groups).apply(Context(), own)
        own.verify()
        results.append(run(own, x, stored, machine))
    together, apart = results
    assert groups_in(together.mapped) > 0 == groups_in(apart.mapped)
    assert together.layers < apart.layers
    for a, b, c, d, e in zip(together.df, together.kpu, apart.kpu, together.binary, apart.binary, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(d, e)


NORM = """
func.func @main(%x: tensor<10x48xf32>, %g: tensor<48xf32>) -> tensor<10x48xf32> {{
  %s = df.recurrence (t = 10 | c = 48) ins(%x[t, c] : tensor<10x48xf32>) max
    epilogue(%a: f32) {{ df.yield %a : f32 }} -> [t] mapping #df.mapping<{s}> : tensor<10xf32>
  %d = df.recurrence (row = 10, col = 48) none with(%x[row, col] : tensor<10x48xf32>, %s[row] : tensor<10xf32>)
    epilogue(%a: f32, %m: f32) {{
      %0 = arith.subf %a, %m : f32
      df.yield %0 : f32
    }} -> [col, row] mapping #df.mapping<{d}> : tensor<48x10xf32>
  %y = df.recurrence (t = 10, c = 48) none with(%d[c, t] : tensor<48x10xf32>, %g[c] : tensor<48xf32>)
    epilogue(%a: f32, %m: f32) {{
      %0 = arith.mulf %a, %m : f32
      df.yield %0 : f32
    }} -> [t, c] mapping #df.mapping<{y}> : tensor<10x48xf32>
  func.return %y : tensor<10x48xf32>
}}
"""
"""Largest, difference, product; the difference is stored the other way round."""


def by_rows(t: str) -> str:
    """Two parts of unequal tiles, with a clipped piece in the second."""
    rest = f"l1 = {{{t} = 2}}, order = [{t}]"
    return (
        f"split = {t}, parts = [<int8, share = [0, 7], space = {{{t} = 2}}, {rest}>, "
        f"<bf16, share = [7, 10], space = {{{t} = 2}}, {rest}>]"
    )


WAYS = {
    "two parts": by_rows,
    "tiles of L2": lambda t: f"l2 = {{{t} = 5}}, parts = [<matrix>]",
    "pieces in tiles of L2": lambda t: f"l2 = {{{t} = 5}}, parts = [<int8, l1 = {{{t} = 1}}, order = [{t}]>]",
    "whole": lambda t: "parts = [<int8>]",
}


@pytest.mark.parametrize("way", WAYS)
def test_by_hand(way: str) -> None:
    s, d, y = (f"result = {r}, {WAYS[way](t)}" for r, t in (("l1", "t"), ("l1", "row"), ("dram", "t")))
    module = parse_text(NORM.format(s=s, d=d, y=y), "norm.mlir")
    module.verify()
    x, g = torch.randn(10, 48, generator=torch.Generator().manual_seed(0)), torch.linspace(-1, 1, 48)
    machine = load_target("kpu-t64")
    expected = ((x - x.amax(1, keepdim=True)) * g).numpy()
    np.testing.assert_array_equal(run_module(module, [x, g])[0].numpy(), expected)
    ConvertDfToKpuPass().apply(Context(), module)
    module.verify()
    text = module_text(module)
    assert module_text(parse_text(text, "norm.mlir")) == text
    given = {"x": x.numpy(), "g": g.numpy()}
    np.testing.assert_array_equal(run_kpu(module, given)["output"], expected)
    for step in (KpuAssignMemoryPass(), KpuSchedulePass()):
        step.apply(Context(), module)
    program = emit(module, machine)
    check(program, machine)
    check_races(program)
    np.testing.assert_array_equal(run_program(program, machine, given)["output"], expected)
    assert simulate_timing(program, machine).cycles == reference_timing(program, machine).cycles
    assert len(program.layers) == 1


def test_blocks_share_memory_in_turn() -> None:
    """Of a chain of five, no more than two handed-over blocks are in use at once."""
    link = """
      %{n} = df.recurrence (t = 64) none with(%{m}[t] : tensor<64xf32>)
        epilogue(%p: f32) {{
          %0 = arith.addf %p, %p : f32
          df.yield %0 : f32
        }} -> [t] mapping #df.mapping<result = {r}, parts = [<int8>]> : tensor<64xf32>"""
    names = ["x", "a", "b", "c", "d", "e"]
    links = [link.format(m=m, n=n, r="dram" if n == "e" else "l1") for m, n in pairwise(names)]
    body = "".join(links) + "func.return %e : tensor<64xf32>"
    module = parse_text(f"func.func @main(%x: tensor<64xf32>) -> tensor<64xf32> {{ {body} }}", "chain.mlir")
    ConvertDfToKpuPass().apply(Context(), module)
    KpuAssignMemoryPass().apply(Context(), module)
    allocs = [o for o in module.walk() if isinstance(o, kpu.AllocOp) and o.group is not None]
    places = [o.address.value.data for o in allocs if o.address is not None]
    assert len(places) == 6
    assert len(set(places)) == 4  # the input, the result, and two for all between
