"""The model zoo: torchvision's names and sizes, deterministic weights, sane activations."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from swkpu import zoo
from swkpu.errors import ModelError

PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "mobilenet_v2": 3_504_872,
}
KEYS = {  # torchvision's names and shapes
    "resnet18": {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_var": (64,),
        "bn1.num_batches_tracked": (),
        "layer1.0.conv2.weight": (64, 64, 3, 3),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1),
        "layer2.0.downsample.1.running_mean": (128,),
        "fc.weight": (1000, 512),
        "fc.bias": (1000,),
    },
    "resnet34": {"layer3.5.bn2.bias": (256,)},
    "resnet50": {
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.conv3.weight": (256, 64, 1, 1),
        "layer4.2.bn3.weight": (2048,),
        "fc.weight": (1000, 2048),
    },
    "resnet101": {"layer3.22.conv2.weight": (256, 256, 3, 3)},
    "resnet152": {"layer2.7.conv1.weight": (128, 512, 1, 1), "layer3.35.bn1.weight": (256,)},
    "mobilenet_v2": {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.1.conv.0.0.weight": (32, 1, 3, 3),
        "features.1.conv.1.weight": (16, 32, 1, 1),
        "features.1.conv.2.running_mean": (16,),
        "features.2.conv.0.0.weight": (96, 16, 1, 1),
        "features.2.conv.3.weight": (24,),
        "features.17.conv.2.weight": (320, 960, 1, 1),
        "features.18.0.weight": (1280, 320, 1, 1),
        "features.18.1.bias": (1280,),
        "classifier.1.bias": (1000,),
    },
}
TENSORS = {"resnet18": 122, "resnet34": 218, "resnet50": 320, "resnet101": 626, "resnet152": 932, "mobilenet_v2": 314}


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    return {name: zoo.build(name) for name in PARAMETERS}


def test_names():
    assert set(PARAMETERS) <= set(zoo.names())


@pytest.mark.parametrize("name", PARAMETERS)
def test_size_and_state_dict(models: dict[str, nn.Module], name: str):
    model = models[name]
    state = model.state_dict()
    assert sum(p.numel() for p in model.parameters()) == zoo.info(name).parameters == PARAMETERS[name]
    assert {key: tuple(state[key].shape) for key in KEYS[name]} == KEYS[name]
    assert len(state) == TENSORS[name]
    assert not model.training
    assert all(t.dtype == torch.float32 for key, t in state.items() if not key.endswith("num_batches_tracked"))
    assert not any(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("name", PARAMETERS)
def test_macs(models: dict[str, nn.Module], name: str):
    with FlopCounterMode(display=False) as counter:
        models[name](torch.zeros(zoo.info(name).input_shape))
    assert counter.get_total_flops() == 2 * zoo.info(name).macs


@pytest.mark.parametrize("name", PARAMETERS)
def test_batch_norms_are_like_trained_ones(models: dict[str, nn.Module], name: str):
    for module in models[name].modules():
        if not isinstance(module, nn.BatchNorm2d):
            continue
        assert module.running_var is not None and module.running_mean is not None
        assert module.weight.std() > 0.01 and module.bias.std() > 0.05
        assert module.running_mean.std() > 0
        assert (module.running_var - 1).abs().max() > 0.1
        assert module.running_var.min() >= 0.2 * module.running_var.mean() > 0.01


@pytest.mark.parametrize("name", PARAMETERS)
def test_activations_are_sane(models: dict[str, nn.Module], name: str):
    model = models[name]
    worst: list[float] = []

    def record(_module: nn.Module, _args: object, output: torch.Tensor) -> None:
        worst.append(output.abs().max().item())
        assert 0.005 < output.std().item() < 20

    hooks = [m.register_forward_hook(record) for m in model.modules() if isinstance(m, nn.BatchNorm2d | nn.Conv2d)]
    logits = model(zoo.example_input(name, 2))
    for hook in hooks:
        hook.remove()
    assert max(worst) < 200
    assert logits.shape == (2, 1000)
    assert 0.3 < logits.std().item() < 6
    assert torch.corrcoef(logits)[0, 1] < 0.98
    assert (logits[0] - logits[1]).std() > 0.2 * logits.std()


@pytest.mark.parametrize(("name", "least_db"), [("resnet18", 35), ("resnet152", 35), ("mobilenet_v2", 30)])
def test_rounding_to_bf16_does_little(models: dict[str, nn.Module], name: str, least_db: float):
    """Weights and the results of convolutions, residual sums and activations in bf16, accumulation in fp32."""
    model = zoo.build(name)
    x = zoo.example_input(name)
    reference = model(x)

    def rounded(_module: nn.Module, _args: object, output: torch.Tensor) -> torch.Tensor:
        return output.bfloat16().float()

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.copy_(module.weight.bfloat16())
        if isinstance(module, nn.BatchNorm2d | nn.ReLU | nn.ReLU6):
            module.register_forward_hook(rounded)
    error = model(x) - reference
    assert 10 * torch.log10(reference.square().mean() / error.square().mean()) > least_db


def test_deterministic_and_independent_of_the_global_state(models: dict[str, nn.Module]):
    torch.manual_seed(1234)
    before = torch.get_rng_state()
    again = zoo.build("resnet18").state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    first = models["resnet18"].state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    x = zoo.example_input("resnet18", 2)
    assert torch.equal(x, zoo.example_input("resnet18", 2))
    assert x.shape == (2, 3, 224, 224) and x.dtype == torch.float32
    assert 0.3 < x.std() < 3 and x.abs().max() < 20
    assert not torch.equal(x[0], x[1])
    assert not torch.equal(first["layer1.0.conv1.weight"], first["layer1.0.conv2.weight"])
    assert not torch.equal(first["conv1.weight"], models["resnet34"].state_dict()["conv1.weight"])


def test_statistics_do_not_depend_on_the_number_of_threads():
    script = (
        "import sys, torch, hashlib; torch.set_num_threads(int(sys.argv[1])); from swkpu import zoo\n"
        "state = zoo.build('mobilenet_v2').state_dict()\n"
        "print(hashlib.sha256(b''.join(t.numpy().tobytes() for t in state.values())).hexdigest())"
    )
    digests = {
        subprocess.run([sys.executable, "-c", script, n], capture_output=True, text=True, check=True).stdout
        for n in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2"])
def test_exportable(models: dict[str, nn.Module], name: str):
    x = zoo.example_input(name)
    exported = torch.export.export(models[name], (x,))
    assert torch.allclose(exported.module()(x), models[name](x))


def test_importing_the_zoo_does_not_import_torch():
    script = "import sys; from swkpu import zoo; zoo.names(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_user_errors():
    with pytest.raises(
        ModelError, match=r"unknown model 'resnet19' \(did you mean 'resnet18'\?\); the zoo has: resnet18"
    ):
        zoo.build("resnet19")
    with pytest.raises(ModelError, match="batch = 0: expected a whole number from 1"):
        zoo.example_input("resnet18", 0)


class _Entry:
    def __init__(self, loaded: object):
        self.name, self.value, self.loaded = "tiny", "package:tiny", loaded

    def load(self) -> object:
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


def tiny() -> nn.Module:
    return nn.Linear(3, 2)


def _with_entry(monkeypatch: pytest.MonkeyPatch, loaded: object) -> None:
    zoo.models.cache_clear()
    monkeypatch.setattr(zoo, "entry_points", lambda group: [_Entry(loaded)] if group == "swkpu.zoo" else [])


def test_entry_points(monkeypatch: pytest.MonkeyPatch):
    info = zoo.ModelInfo("tiny", "test", 8, 6, (1, 3), "a linear layer", f"{__name__}:tiny")
    try:
        _with_entry(monkeypatch, info)
        assert zoo.names() == [*PARAMETERS, "tiny"]
        assert zoo.build("tiny")(zoo.example_input("tiny", 4)).shape == (4, 2)
        _with_entry(monkeypatch, "nonsense")
        with pytest.raises(
            ModelError, match=r"swkpu\.zoo: tiny = package:tiny: expected a swkpu\.zoo\.ModelInfo, got str"
        ):
            zoo.names()
        _with_entry(monkeypatch, ImportError("no module named x"))
        with pytest.raises(ModelError, match="no module named x"):
            zoo.names()
    finally:
        zoo.models.cache_clear()
