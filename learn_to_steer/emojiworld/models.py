"""The parts of EmojiWorld, all standard: AutoencoderKL, CLIPTextModel + CLIPTokenizer, UNet2DConditionModel.

128 px picture -> 16 x 16 x 4 latent; 32 text tokens x 128; cross-attention at 16 x 16 and 8 x 8.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .world import IMAGE_SIZE, OBJECTS, PHRASES

TEXT_LENGTH = 32
TEXT_WIDTH = 128


def build_autoencoder() -> AutoencoderKL:
    """A thin AutoencoderKL: factor 8, four latent channels, 8 to 96 feature channels (1 M parameters)."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 16, 48, 96),
        layers_per_block=1,
        norm_num_groups=1,  # with more, the few channels of the first level would lose the picture's mean colour
        latent_channels=4,
        sample_size=IMAGE_SIZE,
        mid_block_add_attention=False,
    )


def build_unet() -> UNet2DConditionModel:
    """64 and 128 channels, seven cross-attention layers of four heads (4 M parameters)."""
    return UNet2DConditionModel(
        sample_size=IMAGE_SIZE // 8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(64, 128),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,  # diffusers' name for the number of heads
        norm_num_groups=16,
    )


def build_text_encoder(vocabulary: int) -> CLIPTextModel:
    """Two layers of width 128, trained together with the UNet."""
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TEXT_LENGTH,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
        projection_dim=TEXT_WIDTH,
    )
    model = CLIPTextModel(config)
    for name, parameter in model.named_parameters():
        if name.endswith("token_embedding.weight"):  # CLIP's 0.02 would take thousands of steps to be heard
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def build_scheduler() -> DDIMScheduler:
    """SD's noise schedule, v-prediction, timesteps from the noisiest on ("trailing")."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,  # without effect on "trailing"; diffusers warns about anything else
    )


def write_tokenizer(folder: Path) -> CLIPTokenizer:
    """A tokenizer in CLIP's file format whose merges spell EmojiWorld's words as one token each.

    Any other text falls apart into letters, as rare words do in CLIP.
    """
    words = {"a", "an", "the", "and", "photo", "picture", "of", "to", "is", "with", "side"}
    words |= {word for name in OBJECTS for word in name.split()}
    words |= {word for phrases in PHRASES.values() for phrase in phrases for word in phrase.split()}
    alphabet = list(_byte_alphabet())
    vocabulary = alphabet + [letter + "</w>" for letter in alphabet]
    merges: list[tuple[str, str]] = []
    for word in sorted(words):
        pieces = [*word[:-1], word[-1] + "</w>"]
        while (
            len(pieces) > 1
        ):  # from the right: every merge then ends a word, so no merge can cut into another word
            pair = pieces[-2], pieces[-1]
            pieces[-2:] = ["".join(pair)]
            if pair not in merges:
                merges.append(pair)
                vocabulary.append(pieces[-1])
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary_file, merges_file = folder / "vocab.json", folder / "merges.txt"
    vocabulary_file.write_text(
        json.dumps({piece: i for i, piece in enumerate(vocabulary)}, ensure_ascii=False)
    )
    merges_file.write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), encoding="utf-8")
    tokenizer = CLIPTokenizer(str(vocabulary_file), str(merges_file), model_max_length=TEXT_LENGTH)
    tokenizer.save_pretrained(folder)
    return tokenizer


def _byte_alphabet() -> str:
    """The 256 characters by which byte-level BPE (GPT-2, CLIP) writes bytes."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [b for b in range(256) if b not in visible]
    return "".join(map(chr, visible)) + "".join(chr(256 + i) for i in range(len(hidden)))
