"""Tiny Stable Diffusion and Flux pipelines with random weights; everything real, nothing downloaded."""

import json
import string

import pytest
import tokenizers
import torch
import transformers
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from learn_to_steer.emojiworld import load_pipeline

WIDTH = 32


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """CLIP's byte-pair tokenizer with single characters and a few merges as its whole vocabulary."""
    folder = tmp_path_factory.mktemp("tokenizer")
    merges = ["d o", "do g</w>", "c a", "ca t</w>", "a b", "ab o", "abo v", "abov e</w>"]
    pieces = list(string.printable[:94]) + [c + "</w>" for c in string.printable[:94]]
    pieces += [merge.replace(" ", "") for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77)


def text_config(tokenizer, width=WIDTH):
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def unet(**changes):
    settings = {
        "sample_size": 16,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": WIDTH,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
        **changes,
    }
    return UNet2DConditionModel(**settings).eval()


def autoencoder(**changes):
    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=32,
        **changes,
    ).eval()


def scheduler():
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


@pytest.fixture
def pipe(tokenizer):
    torch.manual_seed(0)
    text = CLIPTextModel(text_config(tokenizer)).eval()
    made = StableDiffusionPipeline(
        autoencoder(), text, tokenizer, unet(), scheduler(), None, None, requires_safety_checker=False
    )
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture
def xl_pipe(tokenizer):
    torch.manual_seed(0)
    first = CLIPTextModel(text_config(tokenizer)).eval()
    second = CLIPTextModelWithProjection(text_config(tokenizer)).eval()
    model = unet(
        cross_attention_dim=2 * WIDTH,
        transformer_layers_per_block=(1, 2),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + WIDTH,
    )
    made = StableDiffusionXLPipeline(
        autoencoder(), first, second, tokenizer, tokenizer, model, scheduler(), add_watermarker=False
    )
    made.set_progress_bar_config(disable=True)
    return made


WORDS = [
    "a",
    "an",
    "and",
    "the",
    "dog",
    "cat",
    "fox",
    "teddy",
    "bear",
    "above",
    "below",
    "left",
    "right",
    "to",
    "of",
    "next",
]


@pytest.fixture(scope="session")
def t5_tokenizer():
    """T5's unigram tokenizer whose vocabulary is a few words, pieces of words and letters."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("\u2581", -4.0)]
    pieces += [(letter, -6.0) for letter in string.ascii_lowercase + string.punctuation]
    pieces += [("\u2581" + word, -2.0) for word in WORDS] + [("\u2581hydr", -3.0), ("ant", -3.0)]
    if int(transformers.__version__.split(".")[0]) >= 5:
        return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=512)
    made = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=2))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    made.decoder = tokenizers.decoders.Metaspace()
    made.post_processor = tokenizers.processors.TemplateProcessing("$A </s>", None, [("</s>", 1)])
    return T5TokenizerFast(tokenizer_object=made, extra_ids=0, model_max_length=512)


def flux_transformer(**changes):
    settings = {
        "in_channels": 16,
        "num_layers": 2,
        "num_single_layers": 2,
        "attention_head_dim": 8,
        "num_attention_heads": 2,
        "joint_attention_dim": 12,
        "pooled_projection_dim": WIDTH,
        "axes_dims_rope": (2, 2, 4),
        **changes,
    }
    return FluxTransformer2DModel(**settings).eval()


def make_flux_pipe(tokenizer, t5_tokenizer, scheduler=None, **transformer):
    torch.manual_seed(0)
    text = CLIPTextModel(text_config(tokenizer)).eval()
    t5 = T5EncoderModel(
        T5Config(
            vocab_size=len(t5_tokenizer),
            d_model=12,
            d_kv=6,
            d_ff=24,
            num_layers=1,
            num_heads=2,
            feed_forward_proj="gated-gelu",
        )
    ).eval()
    made = FluxPipeline(
        scheduler or FlowMatchEulerDiscreteScheduler(),
        autoencoder(shift_factor=0.1),
        text,
        tokenizer,
        t5,
        t5_tokenizer,
        flux_transformer(**transformer),
    )
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture
def flux_pipe(tokenizer, t5_tokenizer):
    """Of schnell's kind: no guidance embedding, sigmas as they are."""
    return make_flux_pipe(tokenizer, t5_tokenizer)


@pytest.fixture
def dev_pipe(tokenizer, t5_tokenizer):
    """Of dev's kind: a guidance embedding, sigmas shifted by the picture's size."""
    shifted = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
    return make_flux_pipe(tokenizer, t5_tokenizer, shifted, guidance_embeds=True)


@pytest.fixture(scope="session")
def emojiworlds():
    """Both EmojiWorlds, with the weights that ship."""
    return {model: load_pipeline(model=model) for model in ("unet", "mmdit")}
