"""Folding and storage casts: what whole models compute before and after, and what the passes keep."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, NameLoc, StringAttr, TensorType, bf16, f16, f32
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute
from xdsl.passes import ModulePass
from xdsl.utils.arg_spec import parse_pipeline

from swkpu.dialects.nn import AddOp, BatchNormOp, CastOp, ConstantOp, Conv2dOp, MulOp, NNOp, ReluOp, type_of
from swkpu.dialects.weights import weights_of
from swkpu.errors import IRError
from swkpu.frontend import import_model
from swkpu.interp import run_module
from swkpu.passes.elementwise import absorbed_producer
from swkpu.passes.nn_fold_batch_norm import NnFoldBatchNormPass
from swkpu.passes.nn_fold_constants import NnFoldConstantsPass
from swkpu.passes.nn_quantize import NnQuantizePass
from swkpu.zoo import build, example_input

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
ELEMENTS: dict[str, Attribute] = {"bf16": bf16, "fp16": f16}


def apply(module: ModuleOp, *passes: ModulePass) -> ModuleOp:
    """A copy of the module after the passes."""
    module = module.clone()
    for p in passes:
        p.apply(Context(), module)
        module.verify()
    return module


def imported(model: nn.Module, *inputs: torch.Tensor) -> ModuleOp:
    return import_model(model.eval(), inputs, "m")


def relative_error(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max()).item()


def sqnr_db(noisy: torch.Tensor, reference: torch.Tensor) -> float:
    noise = (noisy.double() - reference.double()).square().sum()
    return (10 * torch.log10(reference.double().square().sum() / noise)).item()


def count(module: ModuleOp, op: type) -> int:
    return sum(isinstance(o, op) for o in module.walk())


def layers(module: ModuleOp) -> list[str]:
    return [
        o.location.desc.data if isinstance(o.location, NameLoc) else "?" for o in module.walk() if isinstance(o, NNOp)
    ]


def fitted(model: nn.Module, x: torch.Tensor) -> nn.Module:
    """The model with batch norms that do something, as after training."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.momentum = None
            with torch.no_grad():
                module.weight.uniform_(0.5, 2, generator=generator)
                module.bias.uniform_(-1, 1, generator=generator)
    model.train()(x)
    return model.eval()


IMAGE = torch.randn(4, 3, 10, 10, generator=torch.Generator().manual_seed(1))

# ---- whole models ----


@pytest.fixture(scope="module", params=["resnet18", "mobilenet_v2"])
def zoo(request: pytest.FixtureRequest) -> tuple[str, ModuleOp, torch.Tensor, torch.Tensor]:
    """Name, imported module, input and eager output."""
    name: str = request.param
    model, x = build(name), example_input(name)
    return name, import_model(model, (x,), name), x, model(x)


def test_folding_keeps_the_model(zoo) -> None:
    _, module, x, expected = zoo
    folded = apply(module, NnFoldConstantsPass(), NnFoldBatchNormPass())
    assert relative_error(run_module(folded, [x])[0], expected) <= 1e-5
    assert count(folded, BatchNormOp) == 0 and count(folded, MulOp) == 0
    assert count(folded, AddOp) - count(module, AddOp) == count(module, BatchNormOp)  # no more than a bias each
    assert set(layers(folded)) <= set(layers(module))


@pytest.mark.parametrize("precision", DTYPES)
def test_storage_keeps_the_model(zoo, precision: str) -> None:
    name, module, x, expected = zoo
    quantized = apply(module, NnFoldBatchNormPass(), NnQuantizePass(precision))
    (result,) = run_module(quantized, [x.to(DTYPES[precision])])
    least = {"bf16": 30 if name == "mobilenet_v2" else 35, "fp16": 52}[precision]
    assert result.dtype == torch.float32
    assert sqnr_db(result, expected) > least


@pytest.mark.parametrize("precision", DTYPES)
def test_each_layer_rounds_once(zoo, precision: str) -> None:
    _, module, _, _ = zoo
    folded = apply(module, NnFoldBatchNormPass())
    quantized = apply(folded, NnQuantizePass(precision))
    storage = ELEMENTS[precision]
    rounded: list[str] = []
    for op in quantized.walk():
        if isinstance(op, Conv2dOp):
            assert type_of(op.input).element_type == type_of(op.weight).element_type == storage
        if isinstance(op, CastOp) and type_of(op.result).element_type == storage:
            assert not isinstance(op.input.owner, CastOp)
            rounded.append(op.input.owner.location.desc.data)
    assert len(set(rounded)) == len(rounded)
    # Every conv, and the mean before the last layer, ends in one rounding.
    assert len(rounded) == count(folded, Conv2dOp) + 1


# ---- constants ----


def test_folding_does_not_change_shared_arrays() -> None:
    model = fitted(nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)), IMAGE)
    module = imported(model, IMAGE)
    before = {w: w.array().copy() for w in weights_of(module)}
    apply(module, NnFoldConstantsPass(), NnFoldBatchNormPass(), NnQuantizePass("bf16"))
    assert all(np.array_equal(w.array(), array) for w, array in before.items())


def test_folded_names_depend_on_content_only() -> None:
    texts = {
        str(apply(imported(build("resnet18"), example_input("resnet18")), NnFoldBatchNormPass())) for _ in range(2)
    }
    assert len(texts) == 1


class TwoConvsOneWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 20, 3)
        self.bn = nn.BatchNorm2d(20)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.bn(self.conv(x)), self.conv(x)


def test_a_weight_used_twice_is_scaled_for_one_use_only() -> None:
    model = fitted(TwoConvsOneWeight(), IMAGE)
    folded = apply(imported(model, IMAGE), NnFoldBatchNormPass())
    for result, expected in zip(run_module(folded, [IMAGE]), model(IMAGE)):
        assert relative_error(result, expected) <= 1e-5
    weights = {w.data.key for w in weights_of(folded)}
    assert "conv.weight" in weights and len([k for k in weights if k.startswith("sha256-")]) >= 1


# ---- batch norm ----

FOLDABLE: list[tuple[str, nn.Module, torch.Tensor, int]] = [
    ("bias", nn.Sequential(nn.Conv2d(3, 20, 3), nn.BatchNorm2d(20)), IMAGE, 1),
    ("groups", nn.Sequential(nn.Conv2d(3, 6, 3, groups=3, bias=False), nn.BatchNorm2d(6)), IMAGE, 1),
    ("linear", nn.Sequential(nn.Linear(10, 20), nn.BatchNorm1d(20)), IMAGE[0, 0], 1),
    ("twice", nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5), nn.BatchNorm2d(5)), IMAGE, 1),
    ("one channel", nn.Sequential(nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1)), IMAGE, 1),
]


@pytest.mark.parametrize(("model", "x", "adds"), [c[1:] for c in FOLDABLE], ids=[c[0] for c in FOLDABLE])
def test_batch_norm_folds(model: nn.Module, x: torch.Tensor, adds: int) -> None:
    model = fitted(model, x)
    folded = apply(imported(model, x), NnFoldBatchNormPass())
    assert count(folded, BatchNormOp) == 0 and count(folded, MulOp) == 0
    assert count(folded, AddOp) == adds
    assert relative_error(run_module(folded, [x])[0], model(x)) <= 1e-5


class Residual(nn.Module):
    """A batch norm after a sum, whose conv it must not touch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.bn = nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(x) + x)


class SpatialBias(nn.Module):
    """A constant is added that varies along the image, not along channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        self.bn = nn.BatchNorm2d(3)
        self.register_buffer("ramp", torch.arange(10.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(x) + self.ramp)


@pytest.mark.parametrize(
    "model",
    [nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), Residual(), SpatialBias()],
    ids=["alone", "after sum", "spatial bias"],
)
def test_batch_norm_becomes_multiply_and_add(model: nn.Module) -> None:
    model = fitted(model, IMAGE)
    folded = apply(imported(model, IMAGE), NnFoldBatchNormPass())
    assert count(folded, BatchNormOp) == 0 and count(folded, MulOp) == 1
    assert relative_error(run_module(folded, [IMAGE])[0], model(IMAGE)) <= 1e-5


def test_scaling_is_computed_in_f64() -> None:
    conv = nn.Conv2d(3, 4, 1, bias=False)
    norm = nn.BatchNorm2d(4, eps=1e-5)
    model = fitted(nn.Sequential(conv, norm), IMAGE)
    folded = apply(imported(model, IMAGE), NnFoldBatchNormPass())
    eps = float(np.float32(1e-5))
    scale = norm.weight.double() / (norm.running_var.double() + eps).sqrt()
    expected = (conv.weight.double() * scale.reshape(-1, 1, 1, 1)).float()
    weight = next(op for op in folded.walk() if isinstance(op, Conv2dOp)).weight.owner
    assert isinstance(weight, ConstantOp)
    from swkpu.interp.constants import array_of

    assert np.array_equal(array_of(weight), expected.detach().numpy())


def test_half_precision_model_keeps_its_roundings() -> None:
    """A bf16 conv rounds before its batch norm, so folding into the weight would change the result."""
    model = fitted(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), IMAGE).bfloat16()
    x = IMAGE.bfloat16()
    module = imported(model, x)
    folded = apply(module, NnFoldBatchNormPass())
    assert count(folded, CastOp) >= 3 and count(folded, MulOp) == 1
    assert relative_error(run_module(folded, [x])[0].float(), model(x).float()) <= 2**-7


# ---- locations and names ----


def test_locations_and_names_survive() -> None:
    module = imported(build("resnet18"), example_input("resnet18"))
    final = apply(module, NnFoldConstantsPass(), NnFoldBatchNormPass(), NnQuantizePass("bf16"))
    for op in final.walk():
        if isinstance(op, NNOp | ConstantOp):
            assert isinstance(op.location, NameLoc), op.name
            assert op.results[0].name_hint is not None
    bias = next(op for op in final.walk() if isinstance(op, AddOp))
    assert isinstance(bias.location, NameLoc) and bias.location.desc == StringAttr("conv1")
    (main,) = final.ops
    assert isinstance(main, FuncOp)
    assert [a.name_hint for a in main.body.block.args] == ["x"]


# ---- storage casts ----


def signature(module: ModuleOp) -> tuple[Sequence[Attribute], Sequence[Attribute]]:
    (main,) = module.ops
    assert isinstance(main, FuncOp)
    elements = [[t.element_type for t in types if isinstance(t, TensorType)] for types in
                (main.function_type.inputs, main.function_type.outputs)]  # fmt: skip
    assert [a.type for a in main.body.block.args] == list(main.function_type.inputs)
    return elements[0], elements[1]


class Everything(nn.Module):
    """Each kind of producer and use."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.fc = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        a = self.conv(x)
        b = torch.relu(a + y) * torch.sigmoid(a)
        pooled = nn.functional.max_pool2d(b, 2)
        averaged = nn.functional.avg_pool2d(b * b, 2)
        gate = torch.sigmoid(pooled.mean((2, 3), keepdim=True))
        z = pooled * gate + averaged
        logits = self.fc(z.amax((2, 3)))
        return logits.softmax(-1), z.permute(0, 2, 3, 1), x, a


@pytest.mark.parametrize("precision", DTYPES)
def test_every_kind_of_use(precision: str) -> None:
    model = Everything().eval()
    y = torch.randn(IMAGE.shape, generator=torch.Generator().manual_seed(5))
    module = imported(model, IMAGE, y)
    quantized = apply(module, NnQuantizePass(precision))
    storage = ELEMENTS[precision]
    assert signature(quantized) == ([storage, storage], [f32, f32, f32, f32])
    results = run_module(quantized, [IMAGE.to(DTYPES[precision]), y.to(DTYPES[precision])])
    for result, expected in zip(results, model(IMAGE, y)):
        assert sqnr_db(result, expected) > (30 if precision == "bf16" else 48)


def test_fp32_changes_nothing() -> None:
    module = imported(Everything(), IMAGE, IMAGE)
    after = apply(module, NnQuantizePass("fp32"))
    assert after.attributes.pop("nn.precision") == StringAttr("fp32")
    assert str(after) == str(module)


def test_quantizing_twice_changes_nothing_more() -> None:
    once = apply(imported(Everything(), IMAGE, IMAGE), NnFoldConstantsPass(), NnQuantizePass("bf16"))
    twice = apply(once, NnQuantizePass("bf16"))
    x = IMAGE.bfloat16()
    for a, b in zip(run_module(once, [x, x]), run_module(twice, [x, x])):
        assert torch.equal(a, b)
    assert count(twice, CastOp) == count(once, CastOp)


def test_unknown_precision() -> None:
    with pytest.raises(IRError, match=r'unknown precision "fp8"; available are fp32, bf16, fp16'):
        NnQuantizePass("fp8").apply(Context(), ModuleOp([]))


def test_pass_text() -> None:
    (spec,) = parse_pipeline("nn-quantize{precision=bf16}")
    assert NnQuantizePass.from_pass_spec(spec) == NnQuantizePass("bf16")


def test_absorbed_producer_is_the_latest() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 3, 1, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first, second = self.a(x), self.b(x)
            return torch.relu(second + first)

    module = imported(Sum(), IMAGE)
    ops = [op for op in module.walk() if isinstance(op, NNOp)]
    first, second, add, relu = ops
    assert isinstance(add, AddOp) and isinstance(relu, ReluOp)
    assert absorbed_producer(add) is second.results[0]
    assert absorbed_producer(relu) is add.result
    assert absorbed_producer(first) is None
