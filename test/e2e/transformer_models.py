"""Small, untrained models of Hugging Face's families: the architectures are theirs, the sizes are not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers as hf
from torch import nn


@dataclass(frozen=True)
class Family:
    model: type[nn.Module]
    config: Callable[[], Any]
    inputs: Callable[[torch.Generator], dict[str, torch.Tensor]]

    def build(self) -> nn.Module:
        """The model, its weights moved a little so that none is zero or one."""
        torch.manual_seed(0)
        model = self.model(self.config()).eval()
        with torch.no_grad():
            for tensor in model.state_dict().values():
                if tensor.is_floating_point():
                    tensor.add_(torch.rand_like(tensor) * 0.1)
        return model

    def example(self) -> dict[str, torch.Tensor]:
        return self.inputs(torch.Generator().manual_seed(1))


WORDS = 99
TEXT = {"vocab_size": WORDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
ENCODER = {**TEXT, "intermediate_size": 64, "max_position_embeddings": 64}
DECODER = {**ENCODER, "use_cache": False, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
IMAGE = {"image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


def words(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Two sentences, the second one shorter."""
    mask = torch.ones(2, 12, dtype=torch.int64)
    mask[1, 7:] = 0
    return {"input_ids": torch.randint(3, WORDS, (2, 12), generator=generator), "attention_mask": mask}


def unpadded(generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {"input_ids": torch.randint(3, WORDS, (2, 12), generator=generator)}


def two_texts(generator: torch.Generator) -> dict[str, torch.Tensor]:
    decoder = torch.randint(3, WORDS, (2, 5), generator=generator)
    return {**words(generator), "decoder_input_ids": decoder}


def image(size: int) -> Callable[[torch.Generator], dict[str, torch.Tensor]]:
    return lambda generator: {"pixel_values": torch.randn(2, 3, size, size, generator=generator)}


def speech(generator: torch.Generator) -> dict[str, torch.Tensor]:
    decoder = torch.randint(3, WORDS, (2, 5), generator=generator)
    return {"input_features": torch.randn(2, 16, 40, generator=generator), "decoder_input_ids": decoder}


def wave(generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {"input_values": torch.randn(2, 800, generator=generator)}


def text_and_image(generator: torch.Generator) -> dict[str, torch.Tensor]:
    return {**words(generator), **image(32)(generator)}


def _clip() -> hf.CLIPConfig:
    text = {**ENCODER, "projection_dim": 16, "eos_token_id": 2, "bos_token_id": 1, "pad_token_id": 0}
    return hf.CLIPConfig(
        text_config=text, vision_config={**IMAGE, "intermediate_size": 64, "projection_dim": 16}, projection_dim=16
    )


def _detr() -> hf.DetrConfig:
    backbone = hf.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], out_features=["stage4"]
    )
    return hf.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_queries=6,
    )


FAMILIES: dict[str, Family] = {
    "bert": Family(hf.BertModel, lambda: hf.BertConfig(**ENCODER), words),
    "roberta": Family(hf.RobertaModel, lambda: hf.RobertaConfig(**ENCODER), words),
    "electra": Family(hf.ElectraModel, lambda: hf.ElectraConfig(**ENCODER, embedding_size=16), words),
    "albert": Family(hf.AlbertModel, lambda: hf.AlbertConfig(**ENCODER, embedding_size=16), words),
    "distilbert": Family(
        hf.DistilBertModel,
        lambda: hf.DistilBertConfig(vocab_size=WORDS, dim=32, n_layers=2, n_heads=4, hidden_dim=64),
        words,
    ),
    "deberta": Family(hf.DebertaV2Model, lambda: hf.DebertaV2Config(**ENCODER, relative_attention=True), words),
    "gpt2": Family(
        hf.GPT2LMHeadModel,
        lambda: hf.GPT2Config(vocab_size=WORDS, n_embd=32, n_layer=2, n_head=4, n_positions=64, use_cache=False),
        words,
    ),
    "gpt_neox": Family(hf.GPTNeoXForCausalLM, lambda: hf.GPTNeoXConfig(**DECODER), words),
    "opt": Family(
        hf.OPTForCausalLM,
        lambda: hf.OPTConfig(**TEXT, ffn_dim=64, max_position_embeddings=64, word_embed_proj_dim=32, use_cache=False),
        words,
    ),
    "bloom": Family(
        hf.BloomForCausalLM,
        lambda: hf.BloomConfig(vocab_size=WORDS, hidden_size=32, n_layer=2, n_head=4, use_cache=False),
        words,
    ),
    "llama": Family(hf.LlamaForCausalLM, lambda: hf.LlamaConfig(**DECODER, num_key_value_heads=2), words),
    "mistral": Family(
        hf.MistralForCausalLM, lambda: hf.MistralConfig(**DECODER, num_key_value_heads=2, sliding_window=4), words
    ),
    "qwen2": Family(hf.Qwen2ForCausalLM, lambda: hf.Qwen2Config(**DECODER, num_key_value_heads=2), words),
    "qwen3": Family(hf.Qwen3ForCausalLM, lambda: hf.Qwen3Config(**DECODER, num_key_value_heads=2, head_dim=8), words),
    "phi": Family(hf.PhiForCausalLM, lambda: hf.PhiConfig(**DECODER), words),
    "gemma": Family(hf.GemmaForCausalLM, lambda: hf.GemmaConfig(**DECODER, num_key_value_heads=2, head_dim=8), words),
    "t5": Family(
        hf.T5Model,
        lambda: hf.T5Config(vocab_size=WORDS, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, use_cache=False),
        two_texts,
    ),
    "bart": Family(
        hf.BartModel,
        lambda: hf.BartConfig(
            vocab_size=WORDS,
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=64,
            use_cache=False,
        ),
        two_texts,
    ),
    "whisper": Family(
        hf.WhisperModel,
        lambda: hf.WhisperConfig(
            vocab_size=WORDS,
            num_mel_bins=16,
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_source_positions=20,
            max_target_positions=20,
            use_cache=False,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        ),
        speech,
    ),
    "wav2vec2": Family(
        hf.Wav2Vec2Model,
        lambda: hf.Wav2Vec2Config(
            **TEXT,
            intermediate_size=64,
            conv_dim=[16] * 3,
            conv_kernel=[5, 3, 3],
            conv_stride=[4, 2, 2],
            num_feat_extract_layers=3,
            num_conv_pos_embeddings=8,
            num_conv_pos_embedding_groups=2,
        ),
        wave,
    ),
    "vit": Family(hf.ViTModel, lambda: hf.ViTConfig(**IMAGE, intermediate_size=64), image(32)),
    "deit": Family(hf.DeiTModel, lambda: hf.DeiTConfig(**IMAGE, intermediate_size=64), image(32)),
    "beit": Family(hf.BeitModel, lambda: hf.BeitConfig(**IMAGE, intermediate_size=64), image(32)),
    "dinov2": Family(hf.Dinov2Model, lambda: hf.Dinov2Config(**IMAGE), image(48)),
    "swin": Family(
        hf.SwinModel,
        lambda: hf.SwinConfig(
            image_size=32, patch_size=2, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4
        ),
        image(32),
    ),
    "convnext": Family(
        hf.ConvNextModel, lambda: hf.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 2], num_stages=2), image(32)
    ),
    "resnet": Family(
        hf.ResNetForImageClassification,
        lambda: hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic"),
        image(32),
    ),
    "mobilevit": Family(
        hf.MobileViTModel,
        lambda: hf.MobileViTConfig(
            image_size=64, hidden_sizes=[16, 20, 24], neck_hidden_sizes=[8, 8, 12, 16, 20, 24, 32]
        ),
        image(64),
    ),
    "segformer": Family(
        hf.SegformerForSemanticSegmentation,
        lambda: hf.SegformerConfig(
            depths=[1, 1, 1, 1],
            hidden_sizes=[8, 16, 16, 32],
            num_attention_heads=[1, 2, 2, 4],
            decoder_hidden_size=16,
            num_labels=5,
        ),
        image(64),
    ),
    "detr": Family(hf.DetrForObjectDetection, _detr, image(64)),
    "clip": Family(hf.CLIPModel, _clip, text_and_image),
}
