"""Mixed precision: what is chosen meets its target, is written on the IR, and computes what it says."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn as tnn
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

import swkpu
from swkpu.errors import CalibrationError, CalibrationWarning, IRError
from swkpu.frontend import capture, import_program
from swkpu.passes.nn_quantize import NnQuantizePass
from swkpu.passes.op_precision import is_layer, own_precision, set_precision
from swkpu.passes.pipeline import folding_pipeline
from swkpu.quant.calibration import Calibration, calibrate
from swkpu.quant.mixed import MixedChoice, assess_precision, choose_precisions, macs_of
from swkpu.quant.names import entry_of
from swkpu.quant.trial import Trials
from swkpu.quantized_arrays import dequantized, quantized
from swkpu.target import load_target

T64 = load_target("kpu-t64", None)


@pytest.fixture(autouse=True)
def few_samples() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        yield


class Net(tnn.Module):
    """Convolutions, a residual, a pool that two precisions may read, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = tnn.Conv2d(3, 16, 3, padding=1)
        self.depthwise = tnn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.project = tnn.Conv2d(16, 16, 1)
        self.down = tnn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.head = tnn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = tnn.functional.max_pool2d(torch.relu(self.stem(x)), 2)
        x = x + self.project(tnn.functional.silu(self.depthwise(x)))
        return self.head(torch.relu(self.down(x)).mean((2, 3)))


def samples(count: int, seed: int = 1) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 3, 16, 16, generator=generator) for _ in range(count)]


def module_with_ranges() -> ModuleOp:
    torch.manual_seed(0)
    module = import_program(capture(Net().eval(), (samples(1)[0],)), "net")
    for step in folding_pipeline():
        step.apply(Context(), module)
    calibrate(module, samples(8)).annotate(module)
    return module


def chosen(target: float) -> tuple[ModuleOp, MixedChoice]:
    module = module_with_ranges()
    return module, choose_precisions(module, [(x,) for x in samples(4)], T64, target)


def precisions_on(module: ModuleOp) -> list[str | None]:
    return [own_precision(op) for op in entry_of(module).body.block.ops if is_layer(op)]


@pytest.mark.parametrize("target", [0.5, 0.01, 0.004, 0.001])
def test_the_choice_meets_its_target_and_is_on_the_layers(target: float) -> None:
    module, choice = chosen(target)
    assert choice.max_error <= target
    assert precisions_on(module) == [layer.precision for layer in choice.layers]
    assert Trials(module_with_ranges(), [(x,) for x in samples(4)]).error(list(choice.precisions.values())) <= target


def test_a_looser_target_is_no_slower() -> None:
    cycles = [sum(layer.cycles for layer in chosen(target)[1].layers) for target in (0.5, 0.004, 0.001)]
    assert cycles == sorted(cycles)
    assert {layer.precision for layer in chosen(0.5)[1].layers} == {"int8"}
    assert {layer.precision for layer in chosen(0.004)[1].layers} > {"int8"}


def test_a_target_that_no_precision_meets_is_an_error() -> None:
    machine, inputs = load_target("swkpu-v1", None), [(x,) for x in samples(2)]
    with pytest.raises(CalibrationError, match=r"no precision meets a relative error of 1e-12 .*fp16 .*bf16"):
        choose_precisions(module_with_ranges(), inputs, machine, 1e-12)


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_any_assignment_runs_and_is_close_to_its_trial(precision: str, every: int) -> None:
    """The integers that nn-quantize makes agree with the Q/DQ form on which the choice is made."""
    module = module_with_ranges()
    layers = [op for op in entry_of(module).body.block.ops if is_layer(op)]
    assigned = [precision if i % every == 0 else "int8" for i in range(len(layers))]
    inputs = [(x,) for x in samples(2)]
    trial = Trials(module, inputs).outputs(assigned)
    for layer, own in zip(layers, assigned):
        set_precision(layer, own)
    NnQuantizePass("mixed").apply(Context(), module)
    module.verify()
    torch.manual_seed(0)
    executable = swkpu.compile(
        Net().eval(), inputs[0], precision="mixed",
        calibration=Calibration("net", "mse", 8, _ranges(), _names(assigned)),
    )  # fmt: skip
    for (x,), (expected,) in zip(inputs, trial):
        found = executable(x)
        assert (found - expected).abs().max() <= 0.01 * expected.abs().max()


def _ranges() -> object:
    module = module_with_ranges()
    for op in module.walk():
        op.attributes.pop("nn.range", None)
    return calibrate(module, samples(8)).values


def _names(assigned: list[str]) -> dict[str, str]:
    return dict(zip(("stem", "depthwise", "project", "down", "head"), assigned))


def test_the_quality_of_layers_at_one_precision() -> None:
    module = module_with_ranges()
    quality = assess_precision(module, [(x,) for x in samples(2)], T64, "int8")
    assert [layer.op for layer in quality.layers] == ["conv2d", "conv2d", "conv2d", "conv2d", "linear"]
    assert all(25 < layer.sqnr_db < 70 for layer in quality.layers)
    finer = assess_precision(module, [(x,) for x in samples(2)], T64, "fp16")
    assert all(f.sqnr_db > q.sqnr_db for f, q in zip(finer.layers, quality.layers))


def test_macs_are_those_of_the_convolution() -> None:
    layers = [op for op in entry_of(module_with_ranges()).body.block.ops if is_layer(op)]
    expected = [16 * 16 * 16 * 27, 8 * 8 * 16 * 9, 8 * 8 * 16 * 16, 4 * 4 * 32 * 144, 320]
    assert [macs_of(layer) for layer in layers] == expected


# ---- compile and the calibration file ------------------------------------------------------------------------------


def test_compile_chooses_and_both_kinds_of_tiles_work() -> None:
    torch.manual_seed(0)
    net = Net().eval()
    executable = swkpu.compile(net, (samples(1)[0],), precision="mixed", calibration=samples(8), max_error=0.004)
    types = {layer.mac_type for layer in executable.program.layers if layer.macs}
    assert "i8" in types and types & {"f16", "bf16"}
    for x in samples(3):
        with torch.no_grad():
            expected = net(x)
        assert (executable(x) - expected).abs().max() <= 0.006 * expected.abs().max()


def test_precisions_are_kept_in_the_calibration_file(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    Calibration("net", "mse", 8, _ranges(), _names(["fp16", "int8", "int8", "bf16", "int8"])).save(str(path))  # pyright: ignore[reportArgumentType]
    assert json.loads(path.read_text())["precisions"]["down"] == "bf16"
    module = module_with_ranges()
    Calibration.load(str(path)).annotate(module)
    assert precisions_on(module) == ["fp16", "int8", "int8", "bf16", "int8"]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: d["precisions"].update(down="fp8"), r"precisions\.down: expected one of int8, .* found \"fp8\""),
        (lambda d: d["precisions"].update(dwn="int8"), r"values that the module does not have: \"dwn\" \(near: down"),
        (lambda d: d.update(precisions=[1]), r"precisions: expected precisions by the names of layers"),
    ],
)  # fmt: skip
def test_wrong_precisions_in_a_file_are_explained(tmp_path: Path, change: object, message: str) -> None:
    calibration = Calibration("net", "mse", 8, _ranges(), _names(["int8"] * 5))  # pyright: ignore[reportArgumentType]
    data = json.loads(calibration.to_json())
    change(data)  # pyright: ignore
    with pytest.raises(CalibrationError, match=message):
        Calibration.from_json(json.dumps(data)).annotate(module_with_ranges())


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"precision": "int8", "max_error": 0.1},
            "an error target .* is for precision mixed, not for int8",
        ),
        ({"precision": "mixed", "max_error": -1.0}, "expected a positive number"),
        ({"precision": "mixed", "calibration": None}, "mixed needs calibration data"),
    ],
)
def test_wrong_options_are_explained(options: dict[str, object], message: str) -> None:
    arguments = {"calibration": samples(2), **options}
    with pytest.raises(CalibrationError, match=message):
        swkpu.compile(Net().eval(), (samples(1)[0],), **arguments)  # pyright: ignore


def test_ranges_without_samples_or_precisions_are_not_enough(tmp_path: Path) -> None:
    calibration = Calibration("net", "mse", 8, _ranges())  # pyright: ignore[reportArgumentType]
    with pytest.raises(CalibrationError, match="mixed precision measures errors on samples"):
        swkpu.compile(Net().eval(), (samples(1)[0],), precision="mixed", calibration=calibration)


def test_an_unknown_precision_on_a_layer_is_an_error() -> None:
    module = module_with_ranges()
    layer = next(op for op in entry_of(module).body.block.ops if is_layer(op))
    set_precision(layer, "fp8")
    with pytest.raises(IRError, match=r'nn.precision = "fp8"; expected one of int8, int4, fp32, bf16, fp16'):
        NnQuantizePass("mixed").apply(Context(), module)


def test_the_input_is_stored_once_for_readers_of_two_precisions() -> None:
    """A value that an fp16 and an int8 layer read is stored as f16, and quantized from what is stored."""

    class Fork(tnn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = tnn.Conv2d(3, 8, 1), tnn.Conv2d(3, 8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(x) + self.b(x)

    torch.manual_seed(0)
    module = import_program(capture(Fork().eval(), (samples(1)[0],)), "fork")
    for step in folding_pipeline():
        step.apply(Context(), module)
    calibrate(module, samples(4)).annotate(module)
    first = next(op for op in entry_of(module).body.block.ops if is_layer(op))
    set_precision(first, "fp16")
    NnQuantizePass("mixed").apply(Context(), module)
    module.verify()
    (argument,) = entry_of(module).args
    assert "f16" in str(argument.type)
    kinds = sorted(op.name for op in entry_of(module).body.block.ops if op.name in ("nn.quantize", "nn.conv2d"))
    assert kinds == ["nn.conv2d", "nn.conv2d", "nn.quantize"]


def test_a_quantized_input_may_come_as_it_is_stored() -> None:
    torch.manual_seed(0)
    executable = swkpu.compile(Net().eval(), (samples(1)[0],), precision="int8", calibration=samples(4))
    (symbol,) = executable.program.inputs
    stored = quantized(samples(1, 5)[0].numpy(), symbol.scale, symbol.zero_point, np.dtype(np.int8))
    reals = dequantized(stored, symbol.scale, symbol.zero_point)
    (own,), (other,) = (executable.run({symbol.name: array}).values() for array in (stored, reals))
    assert np.array_equal(own, other)
