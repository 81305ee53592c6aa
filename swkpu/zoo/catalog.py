"""The models that come with swkpu."""

from __future__ import annotations

from swkpu.zoo.info import InputSpec, ModelInfo


def _model(name: str, family: str, parameters: int, macs: int, description: str, *inputs: InputSpec) -> ModelInfo:
    """Defined by the function of its name in its family's module."""
    return ModelInfo(name, family, parameters, macs, inputs, description, f"swkpu.zoo.{family}:{name}")


def _vision(
    name: str, family: str, parameters: int, macs: int, description: str, size: int = 224, channels: int = 3
) -> ModelInfo:
    """A model of square images."""
    image = InputSpec("x", (1, channels, size, size), kind="image")
    return _model(name, family, parameters, macs, description, image)


_TEXT = (
    InputSpec("input_ids", (1, 128), "int64", "tokens", below=30522),
    InputSpec("attention_mask", (1, 128), "int64", "mask"),
)
_STEP = (
    InputSpec("input_ids", (1, 1), "int64", "tokens", below=50257),
    InputSpec("past_keys", (1, 12, 12, 127, 64)),
    InputSpec("past_values", (1, 12, 12, 127, 64)),
)

BUILT_IN = (
    _vision("resnet18", "resnet", 11_689_512, 1_814_073_344, "ResNet-18: 8 basic blocks"),
    _vision("resnet34", "resnet", 21_797_672, 3_663_761_408, "ResNet-34: 16 basic blocks"),
    _vision("resnet50", "resnet", 25_557_032, 4_089_184_256, "ResNet-50 v1.5: 16 bottlenecks"),
    _vision("resnet101", "resnet", 44_549_160, 7_801_405_440, "ResNet-101 v1.5: 33 bottlenecks"),
    _vision("resnet152", "resnet", 60_192_808, 11_513_626_624, "ResNet-152 v1.5: 50 bottlenecks"),
    _vision("resnext50_32x4d", "resnet", 25_028_904, 4_230_479_872, "ResNeXt-50: 16 bottlenecks with 32 groups"),
    _vision("wide_resnet50_2", "resnet", 68_883_240, 11_398_021_120, "Wide ResNet-50: 16 bottlenecks, twice as wide"),
    _vision("mobilenet_v2", "mobilenet", 3_504_872, 300_774_272, "MobileNetV2: 17 inverted residuals"),
    _vision("mobilenet_v3_small", "mobilenet", 2_542_856, 56_510_400, "MobileNetV3-Small: gated channels, hardswish"),
    _vision("mobilenet_v3_large", "mobilenet", 5_483_032, 216_589_760, "MobileNetV3-Large: gated channels, hardswish"),
    _vision("efficientnet_b0", "efficientnet", 5_288_548, 385_814_752, "EfficientNet-B0: gated channels, SiLU"),
    _vision("efficientnet_b4", "efficientnet", 19_341_616, 4_393_771_024, "EfficientNet-B4: wider and deeper", 380),
    _vision("regnet_y_400mf", "regnet", 4_344_144, 401_842_848, "RegNetY-400MF: grouped convolutions, gated channels"),
    _vision("vgg16", "vgg", 138_357_544, 15_470_264_320, "VGG-16: plain 3x3 convolutions, large linear layers"),
    _vision("alexnet", "vgg", 61_100_840, 714_188_480, "AlexNet: large kernels, large linear layers"),
    _vision("squeezenet1_1", "squeezenet", 1_235_496, 349_151_936, "SqueezeNet 1.1: fire modules, no linear layer"),
    _vision("googlenet", "googlenet", 6_624_904, 1_498_376_192, "GoogLeNet: inception modules of four branches"),
    _vision("densenet121", "densenet", 7_978_856, 2_834_161_664, "DenseNet-121: 58 layers that see all before them"),
    _vision("shufflenet_v2_x1_0", "shufflenet", 2_278_604, 144_907_992, "ShuffleNetV2: channel splits and shuffles"),
    _vision("convnext_tiny", "convnext", 28_589_128, 4_455_531_264, "ConvNeXt-T: depthwise 7x7, layer norms, GELU"),
    _vision("vit_b_16", "vit", 86_567_656, 17_563_828_224, "ViT-B/16: 12 transformer blocks on 196 patches"),
    _vision("vit_b_32", "vit", 88_224_232, 4_409_186_304, "ViT-B/32: 12 transformer blocks on 49 patches"),
    _vision("swin_t", "swin", 28_288_354, 4_490_566_656, "Swin-T: attention in shifted windows"),
    _vision(
        "fcn_resnet50", "segmentation", 32_957_013, 142_725_772_800, "FCN: dilated ResNet-50, 21 classes per pixel", 520
    ),
    _vision(
        "deeplabv3_resnet50",
        "segmentation",
        39_638_869,
        168_731_205_888,
        "DeepLabV3: dilated ResNet-50, pyramid of dilations",
        520,
    ),
    _vision("unet", "unet", 31_037_698, 48_171_581_440, "U-Net: transposed convolutions, skips across", 256),
    _vision("yolov8n", "yolo", 3_157_200, 4_371_993_600, "YOLOv8n: detection, boxes decoded, 80 classes", 640),
    _model("bert_base", "bert", 109_482_240, 11_174_215_680, "BERT base: 12 layers and pooler, 128 tokens", *_TEXT),
    _model("gpt2", "gpt2", 124_439_808, 125_891_328, "GPT-2 small: one token after 127 in the cache", *_STEP),
    _model(
        "llama_stack",
        "llama",
        45_097_984,
        5_905_580_032,
        "a stack of 4 LLaMA blocks, width 1024, 128 tokens",
        InputSpec("inputs_embeds", (1, 128, 1024)),
    ),
    _model(
        "whisper_tiny_encoder",
        "whisper",
        8_208_384,
        18_468_864_000,
        "Whisper tiny's encoder: 30 s of sound, 1500 positions",
        InputSpec("input_features", (1, 80, 3000)),
    ),
    _vision("mlp", "small", 535_818, 535_040, "three linear layers, for digits", 28, channels=1),
    _vision("lenet", "small", 61_706, 416_520, "LeNet-5, for digits", 28, channels=1),
    _model(
        "lstm", "small", 232_714, 7_341_312, "2-layer LSTM on 32 steps, and a linear layer", InputSpec("x", (1, 32, 64))
    ),
    _vision("autoencoder", "small", 186_595, 82_575_360, "convolutions down, transposed convolutions up", 128),
)
