"""Import of models that PyTorch quantized: PT2E's graphs give the same values at the nn level, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from imports import check, module_of, ops_of
from pt2e_nets import NETS, batches, net
from xdsl.dialects.builtin import ModuleOp

from benchmarks.quantization.pytorch import quantized, x86, xnnpack
from swkpu.dialects import nn
from swkpu.dialects.nn import QuantizedType
from swkpu.errors import ModelError, UnsupportedOpError
from swkpu.frontend import import_program
from swkpu.frontend.resolve import resolve_model
from swkpu.interp import call_module
from swkpu.types import i4, i8

q = torch.ops.quantized_decomposed

QUANTIZERS: dict[str, Callable[[], Any]] = {
    "xnnpack": xnnpack,
    "xnnpack_per_tensor": lambda: xnnpack(is_per_channel=False),
    "x86": x86,
}
X = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)) * 3
WEIGHT = torch.randn(6, 8, generator=torch.Generator().manual_seed(1))


def quantized_types(module: ModuleOp) -> list[QuantizedType]:
    found = [nn.quantized_type_of(op.result) for op in module.walk() if isinstance(op, nn.QuantizeOp)]
    return [element for element in found if element is not None]


# ---- whole models ----


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("name", NETS)
def test_models(name: str, quantizer: str):
    graph = quantized(net(name), batches(name), QUANTIZERS[quantizer]())
    with torch.no_grad():
        (x,) = batches(name, 5)[-1]
        module, expected = import_program(torch.export.export(graph, (x,)), "m"), graph(x)
    found = call_module(module, x)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    contractions = [op for op in module.walk() if isinstance(op, nn.Conv2dOp | nn.LinearOp)]
    weights = [op.operands[1].owner for op in contractions]
    assert weights and all(isinstance(w, nn.DequantizeWeightOp) for w in weights)
    assert all(element.storage == i8 for element in quantized_types(module))


def test_residual_is_the_same_bit_for_bit():
    graph = quantized(net("residual"), batches("residual"), xnnpack())
    (x,) = batches("residual", 6)[-1]
    with torch.no_grad():
        assert torch.equal(call_module(import_program(torch.export.export(graph, (x,)), "m"), x), graph(x))


def test_a_saved_program(tmp_path: Path):
    graph, (x,) = quantized(net("residual"), batches("residual")), batches("residual")[0]
    torch.export.save(torch.export.export(graph, (x,)), tmp_path / "model.pt2")
    module = resolve_model(str(tmp_path / "model.pt2")).imported()
    with torch.no_grad():
        assert torch.equal(call_module(module, x), graph(x))


# ---- activations ----


def round_trip(scale: float, zero_point: int, low: int, high: int, dtype: torch.dtype) -> Callable[..., torch.Tensor]:
    arguments = (scale, zero_point, low, high, dtype)
    return lambda x: q.dequantize_per_tensor(q.quantize_per_tensor(x, *arguments), *arguments)


@pytest.mark.parametrize(
    ("arguments", "zero_point", "ops"),
    [
        ((0.02, 5, -128, 127, torch.int8), 5, ["nn.quantize", "nn.dequantize"]),
        ((0.02, 5, -127, 127, torch.int8), 5, ["nn.clamp", "nn.quantize", "nn.dequantize"]),
        ((0.02, 7, 0, 127, torch.int8), 7, ["nn.clamp", "nn.quantize", "nn.dequantize"]),
        ((0.02, 7, 0, 127, torch.uint8), 7, ["nn.clamp", "nn.quantize", "nn.dequantize"]),
        ((0.02, 130, 0, 255, torch.uint8), 2, ["nn.quantize", "nn.dequantize"]),
        ((0.02, 200, 3, 250, torch.uint8), 72, ["nn.clamp", "nn.quantize", "nn.dequantize"]),
        ((1e-4, 11, -(2**31), 2**31 - 1, torch.int32), 11, ["nn.quantize", "nn.dequantize"]),
    ],
)
def test_ranges(arguments: tuple[float, int, int, int, torch.dtype], zero_point: int, ops: list[str]):
    function, steps = round_trip(*arguments), torch.arange(-200, 200) * arguments[0]
    check(function, X, ops=ops, tolerance=0)
    check(function, steps + arguments[0] / 2, tolerance=0)
    check(function, steps, tolerance=0)
    assert quantized_types(module_of(function, X)) == [
        QuantizedType.of(arguments[0], zero_point, 32 if arguments[4] == torch.int32 else 8)
    ]


def test_scales_in_tensors():
    scale, zero_point = torch.tensor(0.05), torch.tensor(3)
    low, high = torch.tensor(-128), torch.tensor(127)

    def function(x: torch.Tensor) -> torch.Tensor:
        y = q.dequantize_per_tensor.tensor(
            q.quantize_per_tensor.tensor(x, scale, zero_point, -128, 127, torch.int8),
            scale, zero_point, -128, 127, torch.int8,
        )  # fmt: skip
        return q.dequantize_per_tensor.tensor2(
            q.quantize_per_tensor.tensor2(y + 1, scale, zero_point, low, high, torch.int8),
            scale, zero_point, low, high, torch.int8,
        )  # fmt: skip

    check(function, X, ops=["nn.quantize", "nn.dequantize", "nn.add", "nn.quantize", "nn.dequantize"])


def test_integers_that_were_not_quantized_here():
    check(lambda x: q.dequantize_per_tensor(x, 0.1, 3, -128, 127, torch.int8), X.to(torch.int8), tolerance=0)
    check(lambda x: q.dequantize_per_tensor(x, 0.1, 3, 0, 255, torch.uint8), X.abs().to(torch.uint8), tolerance=0)


# ---- weights ----


def per_channel(axis: int, zero_points: torch.Tensor | None, limits: tuple[int, int], dtype: torch.dtype = torch.int8):
    scales = torch.linspace(0.01, 0.02, WEIGHT.shape[axis])
    zeros = torch.zeros(WEIGHT.shape[axis], dtype=torch.int64) if zero_points is None else zero_points
    stored = q.quantize_per_channel(WEIGHT, scales, zeros, axis, *limits, dtype)

    def function(x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, q.dequantize_per_channel(stored, scales, zeros, axis, *limits, dtype))

    return function


def weight_types(module: ModuleOp) -> list[object]:
    return [nn.type_of(op.weight).element_type for op in module.walk() if isinstance(op, nn.DequantizeWeightOp)]


@pytest.mark.parametrize(
    ("function", "element"),
    [
        (per_channel(0, None, (-127, 127)), i8),
        (per_channel(1, None, (-128, 127)), i8),
        (per_channel(0, None, (-8, 7)), i4),
        (per_channel(0, torch.full((6,), 128), (0, 255), torch.uint8), i8),
        (per_channel(0, torch.tensor([1, 0, 2, 0, 0, 5]), (-100, 100)), i8),
    ],
)
def test_weights(function: Callable[[torch.Tensor], torch.Tensor], element: object):
    x = torch.randn(2, 8)
    check(function, x, ops=["nn.dequantize_weight", "nn.linear"])
    assert weight_types(module_of(function, x)) == [element]


def test_a_weight_that_is_quantized_in_the_graph():
    scales, zeros = torch.full((6,), 0.03), torch.zeros(6, dtype=torch.int64)
    arguments = (scales, zeros, 0, -127, 127, torch.int8)

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(WEIGHT)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            stored = q.quantize_per_channel(self.weight, *arguments)
            return F.linear(x, q.dequantize_per_channel(stored, *arguments))

    layer, x = Layer().eval(), torch.randn(2, 8)
    module = import_program(torch.export.export(layer, (x,)), "m")
    assert ops_of(module) == ["nn.dequantize_weight", "nn.linear"]
    with torch.no_grad():
        torch.testing.assert_close(call_module(module, x), layer(x))


def test_weights_in_groups():
    scales, zeros = torch.rand(6, 2) * 0.1 + 0.1, torch.zeros(6, 2, dtype=torch.int64)
    arguments = (scales, zeros, -8, 7, torch.int8, 4)
    stored = q.quantize_per_channel_group(WEIGHT, *arguments)

    def function(x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, q.dequantize_per_channel_group(stored, *arguments, torch.float32))

    x = torch.randn(2, 8)
    check(function, x, ops=["nn.dequantize_weight", "nn.linear"])
    (op,) = (op for op in module_of(function, x).walk() if isinstance(op, nn.DequantizeWeightOp))
    assert op.layout == (0, 4) and nn.type_of(op.weight).element_type == i4


def test_a_constant_that_is_no_weight():
    """Its zero point may be any: it becomes floats."""
    arguments = (0.03, 60, -128, 127, torch.int8)
    stored = q.quantize_per_tensor(torch.rand(4, 5) * 7 - 5, *arguments)
    check(lambda x: x + q.dequantize_per_tensor(stored, *arguments), X, ops=["nn.add"], tolerance=0)


def test_a_quantized_bias():
    arguments = (0.001, 0, -(2**31), 2**31 - 1, torch.int32)
    bias = q.quantize_per_tensor(torch.randn(6), *arguments)
    function = per_channel(0, None, (-127, 127))
    check(lambda x: function(x) + q.dequantize_per_tensor(bias, *arguments), torch.randn(2, 8))


# ---- errors ----


def fails(function: Callable[..., object], *inputs: torch.Tensor, match: str):
    with pytest.raises(UnsupportedOpError, match=match):
        module_of(function, *inputs)


def test_dynamic_quantization_is_refused():
    def function(x: torch.Tensor) -> torch.Tensor:
        scale, zero_point = q.choose_qparams.tensor(x, -128, 127, 1e-5, torch.int8)
        stored = q.quantize_per_tensor.tensor(x, scale, zero_point, -128, 127, torch.int8)
        return q.dequantize_per_tensor.tensor(stored, scale, zero_point, -128, 127, torch.int8)

    fails(function, X, match=r"choose_qparams.tensor \(dynamic quantization computes scales at run time; accepted is")


def test_asymmetric_weights_are_refused():
    function = per_channel(0, torch.full((6,), 100), (-128, 127))
    fails(function, torch.randn(2, 8), match="of a weight with zero points up to 100; accepted are symmetric weights")


def test_other_operators_on_integers_are_refused():
    fails(lambda x: q.quantize_per_tensor(x, 0.1, 0, -128, 127, torch.int8) + 1, X, match="on quantized integers")


def test_a_quantized_output_is_refused():
    with pytest.raises(ModelError, match="output 0 of the model is quantized; swkpu takes models that dequantize it"):
        module_of(lambda x: q.quantize_per_tensor(x, 0.1, 0, -128, 127, torch.int8), X)


def test_two_scales_for_one_tensor_are_refused():
    def function(x: torch.Tensor) -> torch.Tensor:
        stored = q.quantize_per_tensor(x, 0.1, 0, -128, 127, torch.int8)
        return q.dequantize_per_tensor(stored, 0.2, 0, -128, 127, torch.int8)

    fails(function, X, match=r"as !nn.q<i8, 0.2, 0> of what was quantized as !nn.q<i8, 0.1, 0>")


def test_wide_ranges_are_refused():
    fails(
        round_trip(0.1, 0, -40000, 2**31, torch.int32),
        X,
        match="to integers from -40000 to 2147483648; accepted are those of int8, uint8 or int32",
    )


def test_weights_that_are_computed_are_refused():
    scales, zeros = torch.ones(4), torch.zeros(4, dtype=torch.int64)
    fails(
        lambda x: q.quantize_per_channel(x, scales, zeros, 1, -128, 127, torch.int8).float(),
        X,
        match="on tensors that are not constants; activations are quantized per tensor",
    )
