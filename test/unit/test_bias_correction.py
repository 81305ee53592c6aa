"""Bias correction: the mean error of rounded weights goes away, whatever the layer."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from quantized_nets import Array, Net, at_nn, entry
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from swkpu.dialects import nn
from swkpu.dialects.nn import RangeAttr, set_range, shape_of
from swkpu.errors import CalibrationError, CalibrationWarning
from swkpu.interp.constants import constant, constant_array
from swkpu.interp.prepared import PreparedFunction
from swkpu.passes.nn_correct_bias import NnCorrectBiasPass
from swkpu.passes.nn_equalize import NnEqualizePass
from swkpu.passes.nn_quantize import NnQuantizePass
from swkpu.passes.op_precision import set_precision
from swkpu.passes.pipeline import Quantization, default_pipeline
from swkpu.quant.calibration import Calibration, calibrate
from swkpu.quant.input_means import INPUT_MEAN, InputMeans, set_input_means
from swkpu.quant.layer_weights import layer_weight
from swkpu.quant.names import value_names
from swkpu.quant.source import CalibratePass, Source
from swkpu.quant.weights import WeightCache, dequantize_weight

RANDOM = np.random.default_rng(0)


def weights(*shape: int) -> Array:
    return RANDOM.normal(size=shape)


Make = Callable[[Net], Operation]
IMAGE, ROWS = (4, 6, 5, 7), (4, 9, 32)
LAYERS: dict[str, tuple[tuple[int, ...], Make]] = {
    "conv": (IMAGE, lambda n: nn.Conv2dOp(n.inputs[0], n.constant(weights(8, 6, 3, 3)), (2, 1), (1, 0, 2, 1))),
    "grouped": (IMAGE, lambda n: nn.Conv2dOp(n.inputs[0], n.constant(weights(4, 3, 1, 1)), groups=2)),
    "depthwise": (IMAGE, lambda n: nn.Conv2dOp(n.inputs[0], n.constant(weights(6, 1, 3, 3)), groups=6)),
    "transposed": (IMAGE, lambda n: nn.ConvTranspose2dOp(n.inputs[0], n.constant(weights(6, 4, 3, 3)), (2, 2))),
    "linear": (ROWS, lambda n: nn.LinearOp(n.inputs[0], n.constant(weights(8, 32)))),
    "matmul": (ROWS, lambda n: nn.MatmulOp(n.inputs[0], n.constant(weights(32, 8)))),
    "volume": ((2, 3, 4, 4, 4), lambda n: nn.Conv3dOp(n.inputs[0], n.constant(weights(2, 3, 2, 2, 2)))),
}


def layer_module(name: str) -> ModuleOp:
    shape, make = LAYERS[name]
    net = Net(shape)
    return net.module(net(make(net)))


def layer_of(module: ModuleOp) -> Operation:
    return next(op for op in module.walk() if layer_weight(op, 8, None) is not None)


def with_means(module: ModuleOp, x: Array) -> ModuleOp:
    """The means of one run, written on the layers."""
    function = entry(module)
    means = InputMeans(function)
    PreparedFunction(module, function).run([torch.from_numpy(x)], means.observe)
    set_input_means(module, means.results(value_names(function), 1))
    return module


def corrected(module: ModuleOp, precision: str, group: int | None = None) -> ModuleOp:
    module = module.clone()
    NnCorrectBiasPass(precision, group).apply(Context(), module)
    module.verify()
    assert not any(INPUT_MEAN in op.attributes for op in module.walk())
    return module


def rounded(module: ModuleOp, precision: str, group: int | None = None) -> ModuleOp:
    """The weights replaced by what is stored of them."""

    module = module.clone()
    op = layer_of(module)
    weight = layer_weight(op, 4 if precision == "int4" else 8, group)
    assert weight is not None
    stored, scales = WeightCache().quantized(weight.array, weight.bits, weight.axis, weight.group)
    new = constant(dequantize_weight(stored, scales, weight.axis, weight.group))
    Rewriter.insert_op(new, InsertPoint.before(op))
    op.operands[1] = new.result
    return module


def by_channel(name: str, result: Array) -> Array:
    dim = result.ndim - 1 if name in ("linear", "matmul") else 1
    return result.astype(np.float64).mean(tuple(d for d in range(result.ndim) if d != dim))


@pytest.mark.parametrize(("precision", "group"), [("int8", None), ("int4", None), ("int4", 16)])
@pytest.mark.parametrize("name", LAYERS)
def test_the_mean_error_goes_away(name: str, precision: str, group: int | None) -> None:
    """Exactly, where each channel is constant, at borders too."""
    shape, _ = LAYERS[name]
    dim = len(shape) - 1 if name in ("linear", "matmul") else 1
    channels = RANDOM.normal(2, 1, shape[dim]).reshape(-1, *(1,) * (len(shape) - 1 - dim))
    x = np.broadcast_to(channels, shape).astype(np.float32).copy()
    module = with_means(layer_module(name), x)
    exact = by_channel(name, at_nn(module, [x])[0])
    plain = by_channel(name, at_nn(rounded(module, precision, group), [x])[0])
    better = by_channel(name, at_nn(rounded(corrected(module, precision, group), precision, group), [x])[0])
    assert np.abs(plain - exact).max() > 1e-3
    assert np.abs(better - exact).max() < 1e-4


@pytest.mark.parametrize("name", ["linear", "matmul", "grouped"])
def test_without_borders_any_input_will_do(name: str) -> None:
    shape, _ = LAYERS[name]
    x = RANDOM.normal(1, 2, shape).astype(np.float32)
    module = with_means(layer_module(name), x)
    exact = by_channel(name, at_nn(module, [x])[0])
    better = by_channel(name, at_nn(rounded(corrected(module, "int4"), "int4"), [x])[0])
    np.testing.assert_allclose(better, exact, atol=1e-4)


@pytest.mark.parametrize(("precision", "group"), [("int8", None), ("int4", None), ("int4", 16)])
@pytest.mark.parametrize("name", LAYERS)
def test_the_weights_are_those_that_nn_quantize_stores(name: str, precision: str, group: int | None) -> None:
    module = layer_module(name)
    weight = layer_weight(layer_of(module), 4 if precision == "int4" else 8, group)
    assert weight is not None
    stored, _ = WeightCache().quantized(weight.array, weight.bits, weight.axis, weight.group)
    for value in value_names(entry(module)):
        set_range(value, RangeAttr.of(-4.0, 4.0))
    NnQuantizePass(precision, group).apply(Context(), module)
    constants = [constant_array(op.results[0]) for op in module.walk() if isinstance(op, nn.ConstantOp)]
    held = [c for c in constants if c is not None and c.size == stored.size and c.dtype.itemsize == 1]
    assert any(np.array_equal(np.sort(c.astype(np.int8).ravel()), np.sort(stored.ravel())) for c in held)


def test_float_layers_stay_as_they_are() -> None:
    module = with_means(layer_module("linear"), RANDOM.normal(size=ROWS).astype(np.float32))
    set_precision(layer_of(module), "bf16")
    assert not any(isinstance(op, nn.AddOp) for op in corrected(module, "int8").walk())


def test_all_readers_and_the_range_move_to_the_sum() -> None:
    net = Net((2, 8))
    y = net(nn.LinearOp(net.inputs[0], net.constant(weights(4, 8))))
    results: list[SSAValue] = [net(nn.ReluOp(y)), net(nn.SigmoidOp(y))]
    module = with_means(net.module(*results), np.ones((2, 8), np.float32))
    set_range(y, RangeAttr.of(-1.0, 1.0))
    after = corrected(module, "int4")
    add = next(op for op in after.walk() if isinstance(op, nn.AddOp))
    assert {type(use.operation) for use in add.result.uses} == {nn.ReluOp, nn.SigmoidOp}
    assert nn.range_of(add.result) == RangeAttr.of(-1.0, 1.0) and nn.range_of(add.lhs) is None
    assert shape_of(add.rhs) == (4,)


def test_unknown_layers_are_an_error() -> None:
    with pytest.raises(CalibrationError, match='input means of "x0"'):
        set_input_means(layer_module("linear"), {"x0": (1.0,)})


# ---- from calibration to a quantized module ------------------------------------------------------------------------


def network() -> tuple[ModuleOp, Array]:
    """Layers whose inputs have means, so that rounded weights shift what comes out."""
    random = np.random.default_rng(1)
    net = Net((1, 4, 8, 8))
    x = net.inputs[0]
    for inputs, outputs in ((4, 16), (16, 16), (16, 8)):
        x = net(
            nn.Conv2dOp(
                x, net.constant(random.normal(size=(outputs, inputs, 3, 3)) / (3 * inputs**0.5)), padding=(1,) * 4
            )
        )
        x = net(nn.ReluOp(x))
    return net.module(x), random.normal(1, 1, (20, 4, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def calibrated() -> tuple[ModuleOp, Array, Calibration]:
    module, samples = network()
    with pytest.warns(CalibrationWarning):
        return module, samples, calibrate(module, samples, "min-max")


def noise(module: ModuleOp, samples: Array, calibration: Calibration, precision: str, correct: bool) -> float:
    """The mean square of the difference from the floats."""
    quantized = module.clone()
    calibration.annotate(quantized, means=correct)
    NnCorrectBiasPass(precision).apply(Context(), quantized)
    NnQuantizePass(precision).apply(Context(), quantized)
    found = [at_nn(quantized, [x[None]])[0] - at_nn(module, [x[None]])[0] for x in samples]
    return float(np.square(found).mean())


@pytest.mark.parametrize(("precision", "factor"), [("int8", 0.9), ("int4", 0.7)])
def test_less_noise(calibrated, precision: str, factor: float) -> None:
    assert noise(*calibrated, precision, True) < factor * noise(*calibrated, precision, False)


def test_calibration_finds_the_means(calibrated) -> None:
    module, samples, calibration = calibrated
    first, *rest = calibration.input_means.values()
    np.testing.assert_allclose(first, samples.mean((0, 2, 3)), rtol=1e-5)
    assert [len(mean) for mean in rest] == [16, 16]
    names = value_names(entry(module))
    assert list(calibration.input_means) == [
        names[op.results[0]] for op in module.walk() if isinstance(op, nn.Conv2dOp)
    ]


def test_the_file_keeps_them(calibrated) -> None:
    _, _, calibration = calibrated
    assert Calibration.from_json(calibration.to_json()) == calibration
    equalized = replace(calibration, equalized=True)
    assert Calibration.from_json(equalized.to_json()) == equalized


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("input_means", [], "input_means: expected lists of numbers by the names of layers"),
        ("input_means", {"conv2d": 1}, "input_means.conv2d: expected a list of numbers, found 1"),
        ("input_means", {"conv2d": [1, "a"]}, 'input_means.conv2d[1]: expected a finite number, found "a"'),
        ("equalized", 1, "equalized: expected true or false, found 1"),
    ],
)
def test_wrong_files(calibrated, key: str, value: object, message: str) -> None:
    data = json.loads(calibrated[2].to_json()) | {key: value}
    with pytest.raises(CalibrationError, match=re.escape(message)):
        Calibration.from_json(json.dumps(data))


def test_equalized_and_not_do_not_mix(calibrated) -> None:
    module, samples, calibration = calibrated
    equalized = module.clone()
    NnEqualizePass().apply(Context(), equalized)
    with pytest.raises(CalibrationError, match="was made of a model, and this one is equalized"):
        calibration.annotate(equalized)
    with pytest.warns(CalibrationWarning):
        other = calibrate(equalized, samples, "min-max")
    other.annotate(equalized)
    with pytest.raises(CalibrationError, match="was made of an equalized model, and this one is not"):
        other.annotate(module.clone())


@pytest.mark.parametrize("correct", [True, False])
def test_the_pipeline_corrects(calibrated, correct: bool) -> None:
    module, _, calibration = calibrated
    passes = default_pipeline(
        "kpu-t64", None, "int8", "nn", Quantization(CalibratePass(Source(calibration, correct_bias=correct)))
    )
    assert [p.name for p in passes].index("nn-correct-bias") < [p.name for p in passes].index("nn-quantize")
    module, seen = module.clone(), 0
    for step in passes:
        seen += step.name == "nn-quantize" and sum(isinstance(op, nn.AddOp) for op in module.walk())
        step.apply(Context(), module)
    assert seen == (3 if correct else 0)
