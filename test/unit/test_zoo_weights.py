"""The zoo's weights: deterministic, with sane activations, and outputs that a rounding does not upset."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from swkpu import zoo
from swkpu.zoo.weights import residual_ends

CONVOLUTIONAL = ("resnet18", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x1_0")
LEAST_DB = {
    "resnet18": 40,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 33,
    "shufflenet_v2_x1_0": 36,
    "squeezenet1_1": 43,
    "efficientnet_b0": 36,
    "yolov8n": 37,
    "convnext_tiny": 42,
    "swin_t": 42,
    "whisper_tiny_encoder": 40,
    "llama_stack": 42,
    "mlp": 40,
    "lenet": 40,
    "lstm": 42,
    "autoencoder": 39,
}


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    return {name: zoo.build(name) for name in CONVOLUTIONAL}


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_batch_norms_are_like_trained_ones(models: dict[str, nn.Module], name: str):
    for module in models[name].modules():
        if not isinstance(module, nn.BatchNorm2d):
            continue
        assert module.running_var is not None and module.running_mean is not None
        assert module.weight.std() > 0.01 and module.bias.std() > 0.05
        assert module.running_mean.std() > 0
        assert (module.running_var - 1).abs().max() > 0.1
        assert module.running_var.min() >= 0.2 * module.running_var.mean() > 0.01


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_activations_are_sane(models: dict[str, nn.Module], name: str):
    model = models[name]
    worst: list[float] = []

    def record(_module: nn.Module, _args: object, output: torch.Tensor) -> None:
        worst.append(output.abs().max().item())
        assert 0.005 < output.std().item() < 20

    hooks = [m.register_forward_hook(record) for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    logits = model(zoo.example_input(name, 2))
    for hook in hooks:
        hook.remove()
    assert max(worst) < 200
    assert logits.shape == (2, 1000)
    assert 0.3 < logits.std().item() < 6
    assert torch.corrcoef(logits)[0, 1] < 0.98
    assert (logits[0] - logits[1]).std() > 0.2 * logits.std()


@pytest.mark.parametrize("name", LEAST_DB)
def test_bf16_does_little(name: str):
    """Weights, inputs and every result in bf16, against fp32: outputs of a fair size that keep most of their digits."""
    model, inputs = zoo.build(name), zoo.example_inputs(name)
    reference = model(*inputs)
    error = deepcopy(model).bfloat16()(*(x.bfloat16() for x in inputs)).float() - reference
    assert 10 * torch.log10(reference.square().mean() / error.square().mean()) > LEAST_DB[name]
    assert 0.1 < reference.std() < (6 if name != "yolov8n" else 640)  # pixels


def test_detections_are_boxes_in_the_image_and_scores():
    model, x = zoo.build("yolov8n"), zoo.example_input("yolov8n")
    boxes, scores = model(x)[0].split((4, 80))
    assert boxes.shape == (4, 8400)
    assert (boxes[2:] > 0).all()
    assert boxes[0, 0] < 64 and boxes[1, 0] < 64 and (boxes[:2, 6399] > 560).all()  # the corner cells of the finest map
    assert scores.min() >= 0 and scores.max() <= 1 and scores.std() > 0.05


def test_what_a_model_does_not_draw():
    """Constants among the weights, and a tensor that two layers share."""
    state = zoo.build("swin_t").state_dict()
    index = state["features.1.0.attn.relative_position_index"].view(49, 49)
    assert (index.diagonal() == 84).all() and index.min() == 0 and index.max() == 168
    assert torch.equal(zoo.build("yolov8n").state_dict()["model.22.dfl.conv.weight"].flatten(), torch.arange(16.0))
    with torch.device("meta"):
        step = zoo.build("gpt2")
    assert step.get_parameter("lm_head.weight") is step.get_parameter("transformer.wte.weight")
    whisper = zoo.build("whisper_tiny_encoder").state_dict()
    assert torch.equal(whisper["embed_positions.weight"][0], torch.cat((torch.zeros(192), torch.ones(192))))


def test_every_residual_branch_is_damped():
    """As many ends as there are additions to a skip connection."""
    ends = {"resnet152": 50, "mobilenet_v2": 10, "efficientnet_b0": 9, "yolov8n": 6, "vit_b_16": 24, "bert_base": 24}
    with torch.device("meta"):
        assert {name: len(residual_ends(zoo.build(name))) for name in ends} == ends


def test_deterministic_and_independent_of_the_global_state(models: dict[str, nn.Module]):
    torch.manual_seed(1234)
    before = torch.get_rng_state()
    again = zoo.build("resnet18").state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    first = models["resnet18"].state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["layer1.0.conv1.weight"], first["layer1.0.conv2.weight"])
    mlp, lenet = (zoo.build(name).state_dict()["fc3.weight"] for name in ("mlp", "lenet"))
    assert not torch.equal(mlp[:10, :84], lenet)


def test_statistics_do_not_depend_on_the_number_of_threads():
    def built(threads: int) -> dict[str, torch.Tensor]:
        torch.set_num_threads(threads)
        return zoo.build("mobilenet_v2").state_dict()

    before = torch.get_num_threads()
    try:
        one, two = built(1), built(2)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("name", ["lstm", "lenet"])
def test_exportable(name: str):
    model, inputs = zoo.build(name), zoo.example_inputs(name)
    exported = torch.export.export(model, inputs)
    assert torch.allclose(exported.module()(*inputs), model(*inputs))
