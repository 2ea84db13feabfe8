"""EmojiWorld-MMDiT: the same world drawn by a small transformer of the Flux layout, trained by rectified flow.

Autoencoder and tokenizer are those of the UNet; the text encoder has the same layout and weights of its own. Its last
states are what joint attention attends to (T5's place in Flux), its pooled state goes into the modulation (CLIP's place).
The model is not guidance-distilled: guidance is classifier-free, with a negative branch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from ..errors import SteeringError
from . import GUIDANCE, shared_folder
from .models import TEXT_LENGTH, TEXT_WIDTH
from .world import IMAGE_SIZE

FOLDER = "mmdit"
"""Folder of its own parts among EmojiWorld's weights."""

PARTS = ("transformer", "text_encoder", "scheduler")


def build_transformer() -> FluxTransformer2DModel:
    """Four double and six single blocks of width 128, four heads each (4 M parameters): 40 channels of 8 x 8 maps.

    Modulations and the last layer begin at zero, so that every block begins as the identity (adaLN-Zero; Peebles and
    Xie, ICCV 2023).
    """
    model = FluxTransformer2DModel(
        in_channels=16,  # four latent channels in patches of 2 x 2
        num_layers=4,
        num_single_layers=6,
        attention_head_dim=32,
        num_attention_heads=4,
        joint_attention_dim=TEXT_WIDTH,
        pooled_projection_dim=TEXT_WIDTH,
        guidance_embeds=False,
        axes_dims_rope=(8, 12, 12),
    )
    for name, module in model.named_modules():
        if name == "proj_out" or (isinstance(module, nn.Linear) and ".norm" in f".{name}"):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return model


def build_flow_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """Euler steps of equal length from time 1 (noise) to 0 (picture)."""
    return FlowMatchEulerDiscreteScheduler(shift=1.0)


class EmojiWorldFluxPipeline(FluxPipeline):
    """A FluxPipeline with text of 32 tokens, whose guidance_scale is classifier-free guidance
    against `negative_prompt` (default: the empty prompt)."""

    longest_text = TEXT_LENGTH

    def _get_t5_prompt_embeds(
        self,
        prompt: Any = None,
        num_images_per_prompt: int = 1,
        max_sequence_length: int = TEXT_LENGTH,
        device: Any = None,
        dtype: Any = None,
    ) -> torch.Tensor:
        length = min(max_sequence_length, self.longest_text)
        return super()._get_t5_prompt_embeds(prompt, num_images_per_prompt, length, device, dtype)

    def __call__(
        self,
        prompt: Any = None,
        *arguments: Any,
        guidance_scale: float = GUIDANCE,
        negative_prompt: Any = None,
        true_cfg_scale: float | None = None,
        **keywords: Any,
    ) -> Any:
        """As FluxPipeline's. true_cfg_scale: instead of guidance_scale."""
        prompts = [prompt] if isinstance(prompt, str) else prompt
        if negative_prompt is None or isinstance(negative_prompt, str):
            images = len(keywords["prompt_embeds"] if prompts is None else prompts)
            negative_prompt = [negative_prompt or ""] * images
        scale = guidance_scale if true_cfg_scale is None else true_cfg_scale
        return super().__call__(
            prompts, *arguments, negative_prompt=negative_prompt, true_cfg_scale=scale, **keywords
        )


def load_mmdit_pipeline(folder: Path, device: str = "cpu") -> EmojiWorldFluxPipeline:
    """EmojiWorld-MMDiT in float32, quiet. folder: EmojiWorld's weights.

    Raises SteeringError where a part is missing.
    """
    shared = shared_folder(folder)
    places = [folder / FOLDER / part for part in PARTS] + [shared / part for part in ("vae", "tokenizer")]
    if missing := [str(place) for place in places if not place.is_dir()]:
        raise SteeringError(
            f"Expected EmojiWorld-MMDiT's weights in {folder}, found no {missing[0]}; reinstall, or train it with "
            "learn-to-steer emojiworld train mmdit."
        )
    own = folder / FOLDER
    text = CLIPTextModel.from_pretrained(own / "text_encoder", local_files_only=True)
    tokenizer = CLIPTokenizer.from_pretrained(shared / "tokenizer", local_files_only=True)
    vae = AutoencoderKL.from_pretrained(shared / "vae", local_files_only=True)
    vae.register_to_config(shift_factor=0.0)
    pipe = EmojiWorldFluxPipeline(
        FlowMatchEulerDiscreteScheduler.from_pretrained(own / "scheduler", local_files_only=True),
        vae,
        text,
        tokenizer,
        text,
        tokenizer,
        FluxTransformer2DModel.from_pretrained(own / "transformer", local_files_only=True),
    )
    pipe.default_sample_size = IMAGE_SIZE // pipe.vae_scale_factor
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device, torch.float32)
