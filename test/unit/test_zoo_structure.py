"""The zoo's models have the published sizes, and the names and shapes of the libraries that they are known from.

Nothing here has weights: the models are on the meta device.
"""

import inspect
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from swkpu import zoo

Shape = tuple[int, ...]
LOGITS = ((1, 1000),)


class Expected(NamedTuple):
    parameters: int
    tensors: int
    """In the state_dict."""
    outputs: tuple[Shape, ...]
    keys: dict[str, Shape]


TORCHVISION = {
    "resnet18": Expected(
        11_689_512,
        122,
        LOGITS,
        {
            "conv1.weight": (64, 3, 7, 7),
            "bn1.running_var": (64,),
            "bn1.num_batches_tracked": (),
            "layer1.0.conv2.weight": (64, 64, 3, 3),
            "layer2.0.downsample.0.weight": (128, 64, 1, 1),
            "layer2.0.downsample.1.running_mean": (128,),
            "fc.weight": (1000, 512),
            "fc.bias": (1000,),
        },
    ),
    "resnet34": Expected(21_797_672, 218, LOGITS, {"layer3.5.bn2.bias": (256,)}),
    "resnet50": Expected(
        25_557_032,
        320,
        LOGITS,
        {
            "layer1.0.downsample.0.weight": (256, 64, 1, 1),
            "layer1.0.conv3.weight": (256, 64, 1, 1),
            "layer4.2.bn3.weight": (2048,),
            "fc.weight": (1000, 2048),
        },
    ),
    "resnet101": Expected(44_549_160, 626, LOGITS, {"layer3.22.conv2.weight": (256, 256, 3, 3)}),
    "resnet152": Expected(
        60_192_808, 932, LOGITS, {"layer2.7.conv1.weight": (128, 512, 1, 1), "layer3.35.bn1.weight": (256,)}
    ),
    "resnext50_32x4d": Expected(
        25_028_904, 320, LOGITS, {"layer1.0.conv2.weight": (128, 4, 3, 3), "layer4.2.conv3.weight": (2048, 1024, 1, 1)}
    ),
    "wide_resnet50_2": Expected(
        68_883_240,
        320,
        LOGITS,
        {"layer1.0.conv2.weight": (128, 128, 3, 3), "layer4.0.downsample.0.weight": (2048, 1024, 1, 1)},
    ),
    "mobilenet_v2": Expected(
        3_504_872,
        314,
        LOGITS,
        {
            "features.0.0.weight": (32, 3, 3, 3),
            "features.1.conv.0.0.weight": (32, 1, 3, 3),
            "features.1.conv.1.weight": (16, 32, 1, 1),
            "features.1.conv.2.running_mean": (16,),
            "features.2.conv.3.weight": (24,),
            "features.17.conv.2.weight": (320, 960, 1, 1),
            "features.18.1.bias": (1280,),
            "classifier.1.bias": (1000,),
        },
    ),
    "mobilenet_v3_small": Expected(
        2_542_856,
        244,
        LOGITS,
        {
            "features.0.0.weight": (16, 3, 3, 3),
            "features.1.block.1.fc1.weight": (8, 16, 1, 1),
            "features.12.1.running_var": (576,),
            "classifier.0.weight": (1024, 576),
            "classifier.3.bias": (1000,),
        },
    ),
    "mobilenet_v3_large": Expected(
        5_483_032,
        312,
        LOGITS,
        {
            "features.4.block.2.fc2.bias": (72,),
            "features.15.block.3.0.weight": (160, 960, 1, 1),
            "features.16.0.weight": (960, 160, 1, 1),
            "classifier.3.weight": (1000, 1280),
        },
    ),
    "efficientnet_b0": Expected(
        5_288_548,
        360,
        LOGITS,
        {
            "features.1.0.block.1.fc1.weight": (8, 32, 1, 1),
            "features.7.0.block.3.1.running_mean": (320,),
            "features.8.0.weight": (1280, 320, 1, 1),
            "classifier.1.weight": (1000, 1280),
        },
    ),
    "efficientnet_b4": Expected(
        19_341_616,
        706,
        LOGITS,
        {
            "features.1.1.block.2.0.weight": (24, 24, 1, 1),
            "features.6.7.block.3.0.weight": (272, 1632, 1, 1),
            "classifier.1.weight": (1000, 1792),
        },
    ),
    "regnet_y_400mf": Expected(
        4_344_144,
        384,
        LOGITS,
        {
            "stem.0.weight": (32, 3, 3, 3),
            "trunk_output.block1.block1-0.proj.0.weight": (48, 32, 1, 1),
            "trunk_output.block4.block4-5.f.b.0.weight": (440, 8, 3, 3),
            "trunk_output.block2.block2-0.f.se.fc1.weight": (12, 104, 1, 1),
            "fc.weight": (1000, 440),
        },
    ),
    "vgg16": Expected(
        138_357_544,
        32,
        LOGITS,
        {"features.28.bias": (512,), "classifier.0.weight": (4096, 25088), "classifier.6.bias": (1000,)},
    ),
    "alexnet": Expected(
        61_100_840, 16, LOGITS, {"features.10.weight": (256, 256, 3, 3), "classifier.1.weight": (4096, 9216)}
    ),
    "squeezenet1_1": Expected(
        1_235_496,
        52,
        LOGITS,
        {
            "features.3.squeeze.weight": (16, 64, 1, 1),
            "features.12.expand3x3.bias": (256,),
            "classifier.1.weight": (1000, 512, 1, 1),
        },
    ),
    "googlenet": Expected(
        6_624_904,
        344,
        LOGITS,
        {
            "conv1.conv.weight": (64, 3, 7, 7),
            "inception3a.branch3.1.conv.weight": (32, 16, 3, 3),
            "inception5b.branch4.1.bn.bias": (128,),
            "fc.weight": (1000, 1024),
        },
    ),
    "densenet121": Expected(
        7_978_856,
        727,
        LOGITS,
        {
            "features.conv0.weight": (64, 3, 7, 7),
            "features.denseblock1.denselayer1.norm1.weight": (64,),
            "features.denseblock4.denselayer16.conv1.weight": (128, 992, 1, 1),
            "features.transition3.conv.weight": (512, 1024, 1, 1),
            "features.norm5.bias": (1024,),
            "classifier.weight": (1000, 1024),
        },
    ),
    "shufflenet_v2_x1_0": Expected(
        2_278_604,
        338,
        LOGITS,
        {
            "stage2.0.branch1.0.weight": (24, 1, 3, 3),
            "stage3.7.branch2.6.bias": (116,),
            "conv5.0.weight": (1024, 464, 1, 1),
            "fc.weight": (1000, 1024),
        },
    ),
    "convnext_tiny": Expected(
        28_589_128,
        182,
        LOGITS,
        {
            "features.1.0.layer_scale": (96, 1, 1),
            "features.2.1.weight": (192, 96, 2, 2),
            "features.5.8.block.3.weight": (1536, 384),
            "classifier.0.bias": (768,),
            "classifier.2.weight": (1000, 768),
        },
    ),
    "vit_b_16": Expected(
        86_567_656,
        152,
        LOGITS,
        {
            "class_token": (1, 1, 768),
            "conv_proj.weight": (768, 3, 16, 16),
            "encoder.pos_embedding": (1, 197, 768),
            "encoder.layers.encoder_layer_11.self_attention.in_proj_weight": (2304, 768),
            "encoder.layers.encoder_layer_0.mlp.3.weight": (768, 3072),
            "encoder.ln.bias": (768,),
            "heads.head.weight": (1000, 768),
        },
    ),
    "vit_b_32": Expected(
        88_224_232, 152, LOGITS, {"conv_proj.weight": (768, 3, 32, 32), "encoder.pos_embedding": (1, 50, 768)}
    ),
    "swin_t": Expected(
        28_288_354,
        185,
        LOGITS,
        {
            "features.0.2.bias": (96,),
            "features.1.1.attn.relative_position_bias_table": (169, 3),
            "features.1.1.attn.relative_position_index": (2401,),
            "features.2.reduction.weight": (192, 384),
            "features.7.1.mlp.3.weight": (768, 3072),
            "head.weight": (1000, 768),
        },
    ),
    # Published with the auxiliary head, which is for training.
    "fcn_resnet50": Expected(
        35_322_218 - 2_365_205,
        326,
        ((1, 21, 520, 520),),
        {"backbone.layer4.2.conv2.weight": (512, 512, 3, 3), "classifier.4.bias": (21,)},
    ),
    "deeplabv3_resnet50": Expected(
        42_004_074 - 2_365_205,
        362,
        ((1, 21, 520, 520),),
        {
            "backbone.conv1.weight": (64, 3, 7, 7),
            "classifier.0.convs.3.0.weight": (256, 2048, 3, 3),
            "classifier.0.convs.4.1.weight": (256, 2048, 1, 1),
            "classifier.0.project.0.weight": (256, 1280, 1, 1),
            "classifier.4.weight": (21, 256, 1, 1),
        },
    ),
}
OTHERS = {
    "unet": Expected(
        31_037_698,
        118,
        ((1, 2, 256, 256),),
        {
            "down4.maxpool_conv.1.double_conv.4.running_mean": (1024,),
            "up1.up.weight": (1024, 512, 2, 2),
            "outc.conv.bias": (2,),
        },
    ),
    "yolov8n": Expected(
        3_157_200,
        355,
        ((1, 84, 8400),),
        {
            "model.0.conv.weight": (16, 3, 3, 3),
            "model.4.m.1.cv2.bn.running_var": (32,),
            "model.9.cv2.conv.weight": (256, 512, 1, 1),
            "model.22.cv2.0.2.weight": (64, 64, 1, 1),
            "model.22.cv3.2.2.bias": (80,),
            "model.22.dfl.conv.weight": (1, 16, 1, 1),
        },
    ),
    "bert_base": Expected(
        109_482_240,
        199,
        ((1, 128, 768), (1, 768)),
        {
            "embeddings.word_embeddings.weight": (30522, 768),
            "embeddings.LayerNorm.bias": (768,),
            "encoder.layer.0.attention.self.query.weight": (768, 768),
            "encoder.layer.11.attention.output.LayerNorm.weight": (768,),
            "encoder.layer.11.output.dense.weight": (768, 3072),
            "pooler.dense.bias": (768,),
        },
    ),
    "gpt2": Expected(
        124_439_808,
        149,
        ((1, 1, 50257), (1, 12, 12, 128, 64), (1, 12, 12, 128, 64)),
        {
            "transformer.wpe.weight": (1024, 768),
            "transformer.h.11.attn.c_attn.weight": (768, 2304),
            "transformer.h.0.mlp.c_proj.bias": (768,),
            "transformer.ln_f.weight": (768,),
            "lm_head.weight": (50257, 768),
        },
    ),
    "llama_stack": Expected(
        45_097_984,
        37,
        ((1, 128, 1024),),
        {
            "layers.0.self_attn.k_proj.weight": (256, 1024),
            "layers.3.mlp.down_proj.weight": (1024, 2816),
            "layers.3.post_attention_layernorm.weight": (1024,),
            "norm.weight": (1024,),
        },
    ),
    "whisper_tiny_encoder": Expected(
        8_208_384,
        67,
        ((1, 1500, 384),),
        {
            "conv2.weight": (384, 384, 3),
            "embed_positions.weight": (1500, 384),
            "layers.3.self_attn.v_proj.bias": (384,),
            "layers.0.final_layer_norm.bias": (384,),
            "layer_norm.weight": (384,),
        },
    ),
    "mlp": Expected(784 * 512 + 512 + 512 * 256 + 256 + 2570, 6, ((1, 10),), {}),
    "lenet": Expected(61_706, 10, ((1, 10),), {"conv2.weight": (16, 6, 5, 5), "fc1.weight": (120, 400)}),
    "lstm": Expected(232_714, 10, ((1, 10),), {"lstm.weight_ih_l0": (512, 64), "lstm.weight_hh_l1": (512, 128)}),
    "autoencoder": Expected(186_595, 24, ((1, 3, 128, 128),), {"decoder.4.weight": (32, 3, 3, 3)}),
}
MODELS = TORCHVISION | OTHERS


def shapes_only(name: str) -> nn.Module:
    with torch.device("meta"):
        return zoo.build(name)


def test_names():
    assert set(zoo.names()) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_size_and_state_dict(name: str):
    model, expected = shapes_only(name), MODELS[name]
    state = model.state_dict()
    assert sum(p.numel() for p in model.parameters()) == zoo.info(name).parameters == expected.parameters
    assert {key: tuple(state[key].shape) for key in expected.keys} == expected.keys
    assert len(state) == expected.tensors
    assert not any(module.training for module in model.modules())
    assert not any(p.requires_grad for p in model.parameters())
    assert all(p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_macs_and_outputs(name: str):
    model, info = shapes_only(name), zoo.info(name)
    assert list(inspect.signature(model.forward).parameters) == [spec.name for spec in info.inputs]
    inputs = [torch.empty(spec.shape, dtype=getattr(torch, spec.dtype), device="meta") for spec in info.inputs]
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        outputs = model(*inputs)
    assert counter.get_total_flops() == 2 * info.macs
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    assert tuple(tuple(output.shape) for output in outputs) == MODELS[name].outputs


def test_macs_of_a_matrix_product_by_hand():
    """What `macs` counts of a transformer: 4 projections and the 2 products of attention, and the 2 layers of the MLP;
    around them the patches' convolution, and the head for one token."""
    tokens, dim = 50, 768
    block = 4 * tokens * dim**2 + 2 * tokens**2 * dim + 8 * tokens * dim**2
    assert zoo.info("vit_b_32").macs == 49 * 3 * 32**2 * dim + 12 * block + 1000 * dim
