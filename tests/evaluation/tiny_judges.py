"""Tiny judges with random weights: the genuine classes, built from configs and saved with genuine processors."""

import json
import string

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertTokenizerFast,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    CLIPVisionConfig,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    Mask2FormerImageProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
    PreTrainedTokenizerFast,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessor,
    RTDetrV2Config,
    RTDetrV2ForObjectDetection,
    SwinConfig,
)

COCO = {0: "person", 1: "motorbike", 2: "dog", 3: "cat", 4: "teddy bear", 5: "tvmonitor", 6: "car"}
"""Labels as converted checkpoints write them."""

LABELS = {"id2label": COCO, "label2id": {name: i for i, name in COCO.items()}}

WORDS = (
    "a an . dog cat teddy bear frog fox car pig balloon penguin umbrella elephant cactus sunflower".split()
)


def _saved(folder, processor, model):
    torch.manual_seed(0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def clip_tokenizer(folder):
    """CLIP's byte-pair tokenizer that knows letters only."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = list(string.printable[:94]) + [c + "</w>" for c in string.printable[:94]]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=64, pad_token="!")


def _text(tokenizer, **more):
    return {
        "vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 64, "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id, **more,
    }  # fmt: skip


def _vision(size, patch):
    return {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": size, "patch_size": patch,
    }  # fmt: skip


def owlv2(folder, scratch):
    torch.manual_seed(1)
    tokenizer = clip_tokenizer(scratch)
    config = Owlv2Config(text_config=_text(tokenizer), vision_config=_vision(64, 16), projection_dim=16)
    processor = Owlv2Processor(Owlv2ImageProcessor(size={"height": 64, "width": 64}), tokenizer)
    return _saved(folder, processor, Owlv2ForObjectDetection(config))


def _swin(**more):
    return SwinConfig(
        image_size=64, patch_size=4, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, **more
    )  # fmt: skip


def mask2former(folder, **more):
    """more: of the processor."""
    torch.manual_seed(2)
    config = Mask2FormerConfig(
        backbone_config=_swin(out_features=["stage1", "stage2", "stage3", "stage4"]), feature_size=32, mask_feature_size=32,
        hidden_dim=32, encoder_feedforward_dim=16, dim_feedforward=16, encoder_layers=1, decoder_layers=2,
        num_attention_heads=2, num_queries=6, **LABELS,
    )  # fmt: skip
    processor = Mask2FormerImageProcessor(size={"height": 64, "width": 64}, num_labels=len(COCO), **more)
    return _saved(folder, processor, Mask2FormerForUniversalSegmentation(config))


def rt_detr(folder, version=2):
    torch.manual_seed(3)
    kinds = {1: (RTDetrConfig, RTDetrForObjectDetection), 2: (RTDetrV2Config, RTDetrV2ForObjectDetection)}
    config, model = kinds[version]
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    made = config(
        backbone_config=backbone, encoder_hidden_dim=16, encoder_in_channels=[8, 8, 8], encoder_ffn_dim=16,
        encoder_attention_heads=2, d_model=16, decoder_in_channels=[16, 16, 16], decoder_ffn_dim=16, num_queries=10,
        decoder_layers=2, decoder_attention_heads=2, num_denoising=0, decoder_n_points=2, **LABELS,
    )  # fmt: skip
    processor = RTDetrImageProcessor(size={"height": 64, "width": 64})
    return _saved(folder, processor, model(made))


def grounding_dino(folder, scratch):
    torch.manual_seed(4)
    scratch.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", *WORDS]
    (scratch / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = BertTokenizerFast.from_pretrained(scratch)
    config = GroundingDinoConfig(
        backbone_config=_swin(out_features=["stage2", "stage3", "stage4"]),
        text_config={"model_type": "bert", "vocab_size": len(vocabulary), "hidden_size": 16, "num_hidden_layers": 1,
                     "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 64},
        num_queries=10, encoder_layers=1, encoder_ffn_dim=16, encoder_attention_heads=2, decoder_layers=2,
        decoder_ffn_dim=16, decoder_attention_heads=2, d_model=32, num_feature_levels=4, max_text_len=64,
    )  # fmt: skip
    processor = GroundingDinoProcessor(
        GroundingDinoImageProcessor(size={"shortest_edge": 128, "longest_edge": 256}), tokenizer
    )
    return _saved(folder, processor, GroundingDinoForObjectDetection(config))


CHAT = (
    "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image> "
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %} :"
)


def llava(folder, template=CHAT, words=("Yes", "No", "yes", "no")):
    torch.manual_seed(5)
    vocabulary = [
        "<pad>",
        "<unk>",
        "<image>",
        *words,
        *"is the there in this picture answer with or . ? :".split(),
        *WORDS,
    ]
    tokens = Tokenizer(
        models.WordLevel({w: i for i, w in enumerate(dict.fromkeys(vocabulary))}, unk_token="<unk>")
    )
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="<pad>", unk_token="<unk>", additional_special_tokens=["<image>"]
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=256, pad_token_id=0,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_vision(32, 16)), text_config=text, image_token_id=2, image_token_index=2,
        vision_feature_layer=-1,
    )  # fmt: skip
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = LlavaProcessor(
        images, tokenizer, patch_size=16, vision_feature_select_strategy="default", chat_template=template,
        num_additional_image_tokens=1,
    )  # fmt: skip
    return _saved(folder, processor, LlavaForConditionalGeneration(config))


def clip(folder, scratch):
    torch.manual_seed(6)
    tokenizer = clip_tokenizer(scratch)
    config = CLIPConfig(text_config=_text(tokenizer), vision_config=_vision(32, 16), projection_dim=16)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return _saved(folder, CLIPProcessor(images, tokenizer), CLIPModel(config))
