"""Capture and import of PyTorch models, and what is said about those that cannot be."""

import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, Builtin, FileLineColLoc, ModuleOp, NameLoc, StringAttr
from xdsl.dialects.func import Func, FuncOp, ReturnOp
from xdsl.parser import Parser

from swkpu.dialects.nn import NN, ConstantOp, NNOp, shape_of
from swkpu.dialects.weights import weights_of
from swkpu.errors import InputError, ModelError, UnsupportedOpError
from swkpu.frontend import capture, import_model, import_program, supported_ops
from swkpu.frontend.examples import program_inputs
from swkpu.frontend.names import portable_path, ssa_hint, user_frame
from swkpu.frontend.resolve import resolve_model
from swkpu.interp import call_module, run_module
from swkpu.zoo import build, example_input

MODELS = ["resnet18", "resnet34", "resnet50", "mobilenet_v2"]


class Fn(nn.Module):
    """A function as a model, with a small layer to use."""

    def __init__(self, function: Callable[..., object]):
        super().__init__()
        self.function = function
        self.linear = nn.Linear(4, 4)

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.function(self, *inputs)


def module_of(function: Callable[..., object], *inputs: torch.Tensor) -> ModuleOp:
    return import_model(Fn(function).eval(), inputs, "m")


def ops_of(module: ModuleOp) -> list[str]:
    return [op.name for op in module.walk() if isinstance(op, NNOp)]


def main(module: ModuleOp) -> FuncOp:
    (function,) = module.ops
    assert isinstance(function, FuncOp)
    return function


# ---- whole models ----


@pytest.mark.parametrize("name", MODELS)
def test_zoo_model_equals_eager(name: str) -> None:
    model, x = build(name), example_input(name)
    module = import_model(model, (x,), name)
    module.verify()
    assert module.sym_name == StringAttr(name)
    (result,) = run_module(module, [x])
    expected = model(x)
    assert (result - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_imported_text_parses_back() -> None:
    module = import_model(build("resnet18"), (example_input("resnet18"),), "resnet18")
    context = Context()
    for dialect in (Builtin, Func, NN):
        context.load_dialect(dialect)
    again = Parser(context, str(module)).parse_module()
    assert again.is_structurally_equivalent(module)
    assert again.attributes["nn.signature"] == module.attributes["nn.signature"]


def test_weights_have_their_state_dict_names() -> None:
    model = build("resnet18")
    module = import_model(model, (example_input("resnet18"),), "resnet18")
    state = model.state_dict()
    weights = {w.data.key: w.array() for w in weights_of(module)}
    assert weights.keys() == {k for k in state if not k.endswith("num_batches_tracked")}
    assert all(torch.equal(torch.from_numpy(a), state[k]) for k, a in weights.items())


def test_changing_the_model_afterwards_does_not_change_the_module() -> None:
    model, x = Fn(lambda s, x: s.linear(x)).eval(), torch.randn(2, 4)
    expected = model(x)
    module = import_model(model, (x,), "m")
    with torch.no_grad():
        model.linear.weight.zero_()
    torch.testing.assert_close(run_module(module, [x])[0], expected)


# ---- names and locations ----


def locations(module: ModuleOp) -> list[tuple[str, str, int]]:
    out: list[tuple[str, str, int]] = []
    for op in module.walk():
        if isinstance(op, NNOp):
            assert isinstance(op.location, NameLoc) and isinstance(op.location.location, FileLineColLoc)
            where = op.location.location
            out.append((op.location.desc.data, where.filename.data, where.line.data))
    return out


def test_ops_know_their_layer_and_source_line() -> None:
    module = import_model(build("resnet18"), (example_input("resnet18"),), "resnet18")
    found = locations(module)
    names = [name for name, _, _ in found]
    assert names[:4] == ["conv1", "bn1", "relu", "maxpool"]
    assert "layer1.0.add" in names and "layer1.0.relu_1" in names and "layer2.0.downsample.1" in names
    assert len(set(names)) == len(names) - 1  # fc is a linear and the add of its bias
    assert {file for _, file, _ in found} == {"swkpu/zoo/resnet.py"}
    import swkpu.zoo.resnet

    with open(swkpu.zoo.resnet.__file__) as f:
        source = f.read().splitlines()
    line = next(line for name, _, line in found if name == "layer1.0.add")
    assert "identity" in source[line - 1]


def test_value_names_are_readable() -> None:
    module = import_model(build("mobilenet_v2"), (example_input("mobilenet_v2"),), "mobilenet_v2")
    text = str(module)
    assert "%x: tensor<1x3x224x224xf32>" in text
    assert "%features_0_0_conv2d = nn.conv2d %x, %features_0_0_weight" in text


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("conv1", "conv1"),
        ("layer1.0.relu", "layer1_0_relu"),
        ("f.0", "f_0_x"),
        ("0.a", "_0_a"),
        ("0", "_0_x"),
        ("", "__x"),
    ],
)
def test_ssa_hint(name: str, hint: str) -> None:
    assert ssa_hint(name, "x") == hint


def test_user_frame_skips_torch() -> None:
    trace = (
        f'File "{__file__}", line 7, in forward\n    y = self.l(x)\n'
        f'  File "{torch.__file__.replace("__init__", "nn/modules/linear")}", line 134, in forward\n    return F'
    )
    assert user_frame(trace) == (portable_path(__file__), 7)
    assert user_frame(trace.partition("\n")[2])[0] == "torch/nn/modules/linear.py"
    assert user_frame("") == ("", 0)


def test_paths_are_not_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "timm" / "models"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    assert portable_path("/somewhere/else/model.py") == "model.py"
    assert portable_path(str(package / "vit.py")) == "timm/models/vit.py"
    monkeypatch.chdir(package)
    assert portable_path(str(package / "vit.py")) == "timm/models/vit.py"


# ---- inputs and outputs ----


def test_nested_outputs_are_recorded() -> None:
    def f(s: Fn, a: torch.Tensor, b: torch.Tensor) -> object:
        return {"sum": a + b, "rest": (a, [b * 2.0, s.linear.bias])}

    a, b = torch.randn(4), torch.randn(4)
    module = module_of(f, a, b)
    assert module.attributes["nn.input_names"] == ArrayAttr([StringAttr("inputs_0"), StringAttr("inputs_1")])
    assert module.attributes["nn.signature"] == StringAttr(
        "(float32, float32) -> {'sum': float32, 'rest': (float32, [float32, float32])}"
    )
    result = call_module(module, a, b)
    torch.testing.assert_close(result["sum"], a + b)
    torch.testing.assert_close(result["rest"][0], a)
    torch.testing.assert_close(result["rest"][1][0], b * 2)
    assert result["rest"][1][1].shape == (4,)


def test_outputs_that_are_not_tensors() -> None:
    module = module_of(lambda s, x: {"y": x + 1, "size": 3, "none": None, "name": ("a", True)}, X)
    result = call_module(module, X)
    torch.testing.assert_close(result.pop("y"), X + 1)
    assert result == {"size": 3, "none": None, "name": ("a", True)}


def test_inputs_by_name_and_nested() -> None:
    class Nested(nn.Module):
        def forward(self, x: torch.Tensor, parts: dict[str, Any], scale: float, mask: torch.Tensor) -> torch.Tensor:
            return (x + parts["a"] * scale + parts["b"][0]) * mask

    parts = {"a": X * 2, "b": [X * 3, None]}
    module = import_model(Nested().eval(), (X, parts), "m", {"mask": X > 0, "scale": 0.5})
    assert module.attributes["nn.input_names"] == ArrayAttr(
        [StringAttr(n) for n in ("x", "parts_a", "parts_b_0", "mask")]
    )
    assert str(module.attributes["nn.signature"]) == (
        "\"(float32, {'a': float32, 'b': [float32, None]}, mask=bool, scale=0.5) -> float32\""
    )
    expected = (X + X + X * 3) * (X > 0)
    torch.testing.assert_close(call_module(module, X, parts, mask=X > 0, scale=0.5), expected)
    torch.testing.assert_close(call_module(module, X, parts, scale=0.5, mask=X > 0), expected)
    with pytest.raises(InputError, match=r"compiled for the constant 0\.5 among its inputs, got 2"):
        call_module(module, X, parts, mask=X > 0, scale=2)


def test_results_of_a_registered_type() -> None:
    module = module_of(lambda s, x: OrderedDict(a=x + 1, b=[x]), X)
    result = call_module(module, X)
    assert isinstance(result, OrderedDict)
    torch.testing.assert_close(result["a"], X + 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.uint8, torch.int16])
def test_types_computed_as_others(dtype: torch.dtype) -> None:
    x = torch.tensor([[3, 200, -5, 90]]).to(dtype)
    function = lambda s, x: (x * 3, x + 100, -x, x // 7, x[:, 1:], x.float() + 1, x > 2)  # noqa: E731
    if dtype == torch.float64:
        with pytest.warns(UserWarning, match="float64 is computed as float32: inputs_0, mul, add and 3 more"):
            module = module_of(function, x)
    else:
        module = module_of(function, x)
    for result, expected in zip(call_module(module, x), function(None, x), strict=True):
        torch.testing.assert_close(result, expected)


def test_input_type_without_storage() -> None:
    with pytest.raises(ModelError, match=r'input "inputs_0" is complex64; accepted are float32, float16'):
        module_of(lambda s, x: x + 1, torch.randn(4, dtype=torch.complex64))


def test_gradients_switched_on_inside_the_model() -> None:
    def f(s: Fn, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad(), torch.autocast("cpu", enabled=False):
            return s.linear(x) + 1

    module = module_of(f, X)
    assert ops_of(module) == ["nn.linear", "nn.add", "nn.add"]


def test_autocast_inside_the_model() -> None:
    def f(s: Fn, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return s.linear(x)

    module = module_of(f, X)
    assert ops_of(module)[-4:] == ["nn.linear", "nn.cast", "nn.add", "nn.cast"]


# ---- operators ----

X = torch.randn(2, 4, generator=torch.Generator().manual_seed(1))
IMAGE = torch.randn(2, 4, 12, 12, generator=torch.Generator().manual_seed(2))

OPERATORS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor, list[str]]] = {
    "relu6": (F.relu6, X, ["nn.clamp"]),
    "hardtanh": (F.hardtanh, X, ["nn.clamp"]),
    "clamp_no_bound": (lambda x: x.clamp(float("-inf"), float("inf")) + 1, X, ["nn.add"]),
    "clamp_min": (lambda x: x.clamp_min(0.5), X, ["nn.clamp"]),
    "clamp_tensor": (lambda x: torch.clamp(x, x - 1, x * 0.5), X, ["nn.sub", "nn.mul", "nn.maximum", "nn.minimum"]),
    "sigmoid": (torch.sigmoid, X, ["nn.sigmoid"]),
    "tanh": (torch.tanh, X, ["nn.tanh"]),
    "exp": (torch.exp, X, ["nn.exp"]),
    "neg": (torch.neg, X, ["nn.neg"]),
    "sqrt_abs": (lambda x: x.abs().sqrt(), X, ["nn.abs", "nn.sqrt"]),
    "rsqrt": (lambda x: (x * x + 1).rsqrt(), X, ["nn.mul", "nn.add", "nn.rsqrt"]),
    "add_alpha": (lambda x: torch.add(x, x, alpha=3), X, ["nn.mul", "nn.add"]),
    "sub_scalar": (lambda x: x - 2, X, ["nn.sub"]),
    "rsub": (lambda x: 2 - x, X, ["nn.sub"]),
    "div": (lambda x: x / 3, X, ["nn.div"]),
    "mul_integers": (lambda x: x * torch.arange(4), X, ["nn.cast", "nn.mul"]),
    "maximum": (lambda x: torch.maximum(x, -x), X, ["nn.neg", "nn.maximum"]),
    "mean": (lambda x: x.mean(-1), X, ["nn.mean"]),
    "mean_all": (lambda x: x.mean(), X, ["nn.mean"]),
    "sum": (lambda x: x.sum((0, 1), keepdim=True), X, ["nn.sum"]),
    "amax": (lambda x: x.amax(1), X, ["nn.max"]),
    "max_dim": (lambda x: x.max(1).values, X, ["nn.max"]),
    "softmax": (lambda x: x.softmax(-1), X, ["nn.softmax"]),
    "transpose": (lambda x: x.transpose(0, -1), X, ["nn.permute"]),
    "t": (lambda x: x.t(), X, ["nn.permute"]),
    "permute_back": (lambda x: x.t().t(), X, ["nn.permute", "nn.permute"]),
    "flatten": (lambda x: x.flatten(1), IMAGE, ["nn.reshape"]),
    "unsqueeze": (lambda x: x.unsqueeze(1), X, ["nn.reshape"]),
    "mm": (lambda x: x @ x.t(), X, ["nn.permute", "nn.matmul"]),
    "matmul_vector": (lambda x: x @ torch.arange(4.0), X, ["nn.reshape", "nn.matmul", "nn.reshape"]),
    "bmm": (lambda x: torch.bmm(x, x), IMAGE[0], ["nn.matmul"]),
    "addmm": (
        lambda x: torch.addmm(torch.ones(4), x, torch.ones(4, 4), beta=0.5, alpha=2),
        X,
        ["nn.matmul", "nn.mul", "nn.mul", "nn.add"],
    ),
    "conv_same": (
        lambda x: F.conv2d(x, torch.ones(4, 4, 2, 4), torch.ones(4), padding="same"),
        IMAGE,
        ["nn.conv2d", "nn.reshape", "nn.add"],
    ),
    "conv_groups": (
        lambda x: F.conv2d(x, torch.ones(8, 1, 3, 3), None, (2, 1), (1, 0), (2, 1), groups=4),
        IMAGE,
        ["nn.conv2d"],
    ),
    "conv_unbatched": (
        lambda x: F.conv2d(x, torch.ones(4, 4, 3, 3)),
        IMAGE[0],
        ["nn.reshape", "nn.conv2d", "nn.reshape"],
    ),
    "max_pool": (lambda x: F.max_pool2d(x, 3, 2, 1, 2, ceil_mode=True), IMAGE, ["nn.max_pool2d"]),
    "max_pool_indices": (
        lambda x: F.max_pool2d_with_indices(x, 2)[0],
        IMAGE,
        ["nn.max_pool2d"],
    ),
    "avg_pool": (lambda x: F.avg_pool2d(x, 3, 2, 1), IMAGE, ["nn.avg_pool2d"]),
    "avg_pool_ceil": (lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), IMAGE, ["nn.avg_pool2d"]),
    "avg_pool_ceil_counted": (lambda x: F.avg_pool2d(x, 5, 4, 2, True, True), IMAGE, ["nn.avg_pool2d"]),
    "avg_pool_divisor": (lambda x: F.avg_pool2d(x, 2, divisor_override=3), IMAGE, ["nn.avg_pool2d"]),
    "adaptive_one": (lambda x: F.adaptive_avg_pool2d(x, 1), IMAGE, ["nn.mean"]),
    "adaptive_divides": (lambda x: F.adaptive_avg_pool2d(x, (3, 6)), IMAGE, ["nn.avg_pool2d"]),
    "batch_norm": (
        lambda x: F.batch_norm(x, torch.arange(4.0), torch.arange(1.0, 5.0)),
        IMAGE,
        ["nn.batch_norm"],
    ),
    "dropout": (lambda x: F.dropout(x, 0.5, training=False) + 1, X, ["nn.add"]),
    "in_place": (lambda x: (x + 1).relu_().mul_(2), X, ["nn.add", "nn.relu", "nn.mul"]),
    "to_half": (lambda x: x.to(torch.float16), X, ["nn.cast"]),
    "half_arithmetic": (
        lambda x: x.half().sigmoid() + 1,
        X,
        ["nn.cast", "nn.cast", "nn.sigmoid", "nn.cast", "nn.cast", "nn.add", "nn.cast"],
    ),
    "half_linear": (
        lambda x: F.linear(x.bfloat16(), torch.ones(3, 4, dtype=torch.bfloat16)),
        X,
        ["nn.cast", "nn.linear", "nn.cast"],
    ),
}


@pytest.mark.parametrize("case", OPERATORS)
def test_operator(case: str) -> None:
    function, x, expected_ops = OPERATORS[case]
    module = module_of(lambda s, x: function(x), x)
    assert ops_of(module) == expected_ops
    (result,) = run_module(module, [x])
    torch.testing.assert_close(result, function(x), rtol=1e-5, atol=1e-6)


def test_conv_bias_is_an_add_of_a_reshaped_constant() -> None:
    module = import_model(nn.Conv2d(4, 5, 1).eval(), (IMAGE,), "m")
    assert ops_of(module) == ["nn.conv2d", "nn.reshape", "nn.add"]
    reshape = next(op for op in module.walk() if op.name == "nn.reshape")
    assert isinstance(reshape.operands[0].owner, ConstantOp)
    assert shape_of(reshape.results[0]) == (1, 5, 1, 1)


def test_batch_norm_without_affine_parameters() -> None:
    norm = nn.BatchNorm2d(4, affine=False).eval()
    norm.running_mean = torch.arange(4.0)
    (result,) = run_module(import_model(norm, (IMAGE,), "m"), [IMAGE])
    torch.testing.assert_close(result, norm(IMAGE))


def test_every_rule_has_a_summary() -> None:
    table = supported_ops()
    assert ("aten.conv2d.default", "nn.conv2d, then nn.add of the bias") in table
    assert table == sorted(table)
    assert all(summary for _, summary in table)


# ---- what cannot be imported ----


def test_all_unsupported_operators_are_named_at_once() -> None:
    class Strange(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.special.bessel_j0(torch.special.bessel_y0(x))
            return torch.special.bessel_j0(x).flatten().sort().values

    with pytest.raises(UnsupportedOpError) as caught:
        import_model(Strange().eval(), (IMAGE,), "m")
    error = caught.value
    assert error.ops == ["aten.sort.default", "aten.special_bessel_j0.default", "aten.special_bessel_y0.default"]
    text = str(error)
    line = Strange.forward.__code__.co_firstlineno
    assert f"aten.special_bessel_j0.default: 2 calls, first at special_bessel_j0 (test_frontend.py:{line + 1})" in text
    assert "aten.sort.default (along 1152 elements; up to 1024 are supported): 1 call" in text


@pytest.mark.parametrize(
    "function",
    [
        lambda s, x: torch.special.bessel_j0(x),
        lambda s, x: torch.complex(x, x),
        lambda s, x: torch.rand_like(x) + x,
        lambda s, x: F.dropout(x, 0.5, training=True),
    ],
)
def test_unsupported_forms(function: Callable[..., object]) -> None:
    with pytest.raises(UnsupportedOpError) as caught:
        module_of(function, X)
    assert caught.value.ops


def test_data_dependent_branch(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match=r"control flow that depends on tensor values at test_frontend.py:\d+"):
        module_of(lambda s, x: x + 1 if x.sum() > 0 else x, X)
    assert capsys.readouterr().out == ""


def test_torch_cond() -> None:
    with pytest.raises(ModelError, match=r"torch\.cond at .*test_frontend\.py"):
        module_of(lambda s, x: torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,)), X)


@pytest.mark.parametrize("function", [lambda s, x: x * x.sum().item(), lambda s, x: x.nonzero() * 1])
def test_data_dependent_size(function: Callable[..., object]) -> None:
    with pytest.raises(ModelError, match="depends on the values of its inputs"):
        module_of(function, X)


def test_dynamic_shape() -> None:
    model = nn.Linear(4, 4).eval()
    program = torch.export.export(model, (X,), dynamic_shapes={"input": {0: torch.export.Dim("n")}})
    with pytest.raises(ModelError, match=r'input "input" has the dynamic shape \(.*, 4\); .*static shapes'):
        import_program(program, "m")


def test_capture_failure_says_what_and_where() -> None:
    with pytest.raises(
        ModelError, match=r"could not capture Fn for inputs \(float32\[2, 5\]\) at test_frontend.py:\d+"
    ):
        module_of(lambda s, x: s.linear(x), torch.randn(2, 5))


def test_results_in_an_unknown_container() -> None:
    class Cache:
        pass

    with pytest.raises(ModelError, match=r"Fn returns a test_frontend\..*Cache, which torch does not know .*use_cache"):
        module_of(lambda s, x: (x, Cache()), X)


def test_state_is_refused() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.count += 1
            return x + self.count

    with pytest.raises(ModelError, match=r'changes its buffer "count"'):
        import_model(Counter().eval(), (X,), "m")


def test_input_changed_in_place_is_a_warning() -> None:
    with pytest.warns(UserWarning, match='changes its input "inputs_0" in place'):
        module = module_of(lambda s, x: x.relu_() + 1, X)
    torch.testing.assert_close(run_module(module, [X])[0], X.relu() + 1)


def test_train_mode_is_put_in_eval() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 4)).train()
    with pytest.warns(UserWarning, match="Sequential is in train mode"):
        capture(model, (X,))
    assert not model.training
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        capture(model, (X,))


def test_weights_without_data() -> None:
    with torch.device("meta"):
        model = nn.Linear(4, 4).eval()
    with pytest.raises(ModelError, match="meta device"):
        import_model(model, (torch.randn(2, 4, device="meta"),), "m")


# ---- MODEL arguments ----


def test_resolve_zoo() -> None:
    model = resolve_model("resnet18", 2, None)
    assert model.name == "resnet18" and model.example_inputs[0].shape == (2, 3, 224, 224)
    small = resolve_model("resnet18", None, (1, 3, 64, 64))
    assert small.example_inputs[0].shape == (1, 3, 64, 64)
    module = small.imported()
    torch.testing.assert_close(
        run_module(module, list(small.example_inputs))[0], small.eager()(*small.example_inputs), rtol=1e-4, atol=1e-5
    )


def test_resolve_exported_program(tmp_path) -> None:
    path = tmp_path / "tiny.pt2"
    model = nn.Linear(4, 3).eval()
    torch.export.save(torch.export.export(model, (X,)), path)
    resolved = resolve_model(str(path), None, None)
    assert resolved.name == "tiny"
    (result,) = run_module(resolved.imported(), list(resolved.example_inputs))
    torch.testing.assert_close(result, model(*resolved.example_inputs))
    assert resolve_model(str(path), 2, (2, 4)).example_inputs[0].shape == (2, 4)
    with pytest.raises(ModelError, match=r"exported for inputs of shape 2,4, which is fixed in the file; got 3,4"):
        resolve_model(str(path), 3, None)
    (tmp_path / "bad.pt2").write_bytes(b"no")
    with pytest.raises(ModelError, match=r"is not a program saved by torch\.export\.save"):
        resolve_model(str(tmp_path / "bad.pt2"), None, None)


def test_resolve_callable(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_models.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def tiny(): return nn.Linear(4, 3).eval()\n"
        "def with_inputs(): return nn.Linear(4, 3).eval(), (torch.zeros(5, 4),)\n"
        "def wrong(): return 3\n"
        "def broken(): raise KeyError('x')\n"
        "NUMBER = 3\n"
    )
    (tmp_path / "bad_import.py").write_text("import no_such_package\n")
    monkeypatch.chdir(tmp_path)
    try:
        assert resolve_model("my_models:tiny", 1, (2, 4)).example_inputs[0].shape == (2, 4)
        assert resolve_model("my_models:with_inputs", None, None).example_inputs[0].shape == (5, 4)
        for spec, message in {
            "my_models:tiny": "needs an input shape",
            "my_models:tony": "did you mean tiny",
            "my_models:wrong": "returned a int; expected a torch.nn.Module",
            "my_models:broken": "calling my_models:broken failed: KeyError",
            "my_models:NUMBER": "is a int; expected a callable",
            "no_models:tiny": "no Python module no_models",
            "bad_import:tiny": "importing bad_import failed: No module named 'no_such_package'",
            "my models:tiny": "not of the form package.module:callable",
            "my_models:": "not of the form package.module:callable",
        }.items():
            with pytest.raises(ModelError, match=message):
                resolve_model(spec, 1, None)
    finally:
        sys.modules.pop("my_models", None)


def test_resolve_callable_with_token_ids_and_inputs_by_name(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "texts.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Text(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.table, self.head = nn.Embedding(50, 8), nn.Linear(8, 2)\n"
        "    def forward(self, ids, mask=None, scale=1.0):\n"
        "        x = self.head(self.table(ids)) * scale\n"
        "        return {'y': x if mask is None else x * mask[..., None], 'mask': None}\n"
        "def text(): return Text().eval()\n"
        "def named(): return text(), {'ids': torch.tensor([[3, 1]]), 'mask': torch.tensor([[True, False]])}\n"
        "def both(): return text(), torch.tensor([[3, 1]]), {'scale': 2.0}\n"
    )
    monkeypatch.chdir(tmp_path)
    try:
        ids = resolve_model("texts:text", None, (4, 16)).example_inputs[0]
        assert ids.dtype == torch.int64 and ids.min() >= 0 and 8 < ids.max() < 50
        for spec in ("texts:text", "texts:named", "texts:both"):
            resolved = resolve_model(spec, None, (4, 16) if spec == "texts:text" else None)
            module = resolved.imported()
            result = call_module(module, *resolved.example_inputs, **resolved.example_kwargs)
            assert result["mask"] is None
            torch.testing.assert_close(result["y"], resolved.call(resolved.tensors())["y"])
    finally:
        sys.modules.pop("texts", None)


def test_exported_program_without_inputs_gets_valid_ones() -> None:
    model = nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 2)).eval()
    program = torch.export.export(model, (torch.zeros(2, 16, dtype=torch.int64),))
    program.example_inputs = None
    (ids,), kwargs = program_inputs("p", program)
    assert not kwargs and ids.shape == (2, 16) and 8 < ids.max() < 50


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnet19", r'unknown model "resnet19"; did you mean resnet\d+\?.*The zoo has resnet18'),
        ("model.onnx", "ONNX files are not supported yet"),
        ("weights.pth", "weights alone do not say what to compute"),
        ("none.pt2", "there is no file none.pt2"),
    ],
)
def test_resolve_mistakes(spec: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        resolve_model(spec, 1, None)


@pytest.mark.parametrize(
    ("batch", "shape", "message"),
    [(0, None, "whole number from 1"), (1, (1, 0), "whole numbers from 1"), (4, (1, 3, 32, 32), "contradicts")],
)
def test_resolve_sizes(batch: int, shape: tuple[int, ...] | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        resolve_model("resnet18", batch, shape)


def test_what_depends_on_no_input_is_evaluated() -> None:
    def f(s: Fn, x: torch.Tensor) -> torch.Tensor:
        mask = torch.arange(4)[None, :] <= torch.arange(2)[:, None]
        return x + torch.where(mask, 0.0, float("-inf"))

    module = module_of(f, X)
    assert ops_of(module) == ["nn.add"]
    torch.testing.assert_close(run_module(module, [X])[0], f(Fn(f), X))


def test_random_numbers_are_not_evaluated() -> None:
    with pytest.raises(UnsupportedOpError, match="rand"):
        module_of(lambda s, x: x + torch.rand(4), X)


def test_return_is_last() -> None:
    module = module_of(lambda s, x: x, X)
    assert [type(op) for op in main(module).body.block.ops] == [ReturnOp]
