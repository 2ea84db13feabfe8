"""EmojiWorld: a small text-to-image model with the weakness of the large ones, so that steering can be measured anywhere.

It draws twelve emoji well and puts them where the prompt says badly. Everything is small, standard (diffusers and
transformers file layout) and shipped: autoencoder, text encoder, tokenizer, UNet, an independent judge.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SteeringError

if TYPE_CHECKING:
    from diffusers import FluxPipeline, StableDiffusionPipeline

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the shipped weights; also a complete ``StableDiffusionPipeline`` folder."""

FAMILY = "emojiworld-unet"
"""Model family that the classifiers of EmojiWorld's UNet name."""

FAMILIES = {"unet": FAMILY, "mmdit": "emojiworld-mmdit"}
"""EmojiWorld's models, and the family that the classifiers of each name."""

STEPS = 20
"""Sampling steps that the figures are made with."""

GUIDANCE = 6.0
"""Guidance scale that the figures are made with."""


def family_of(pipe: Any) -> str:
    """The family of an EmojiWorld pipeline."""
    return FAMILIES["mmdit" if hasattr(pipe, "transformer") else "unet"]


def load_pipeline(
    folder: Path = WEIGHTS, device: str = "cpu", model: str = "unet"
) -> StableDiffusionPipeline | FluxPipeline:
    """EmojiWorld as a diffusers pipeline in float32, quiet.

    model: "unet" | "mmdit", which of EmojiWorld's. Raises SteeringError when diffusers is missing or the folder holds no
    model.
    """
    try:
        import diffusers
    except ImportError as error:
        raise SteeringError(
            "Expected diffusers and transformers for EmojiWorld, but they are not installed; "
            'run: pip install "learn-to-steer[demo]".'
        ) from error
    import torch

    if model == "mmdit":
        from .mmdit import load_mmdit_pipeline

        return load_mmdit_pipeline(folder, device)
    index = folder / "model_index.json"
    if not index.exists():
        raise SteeringError(
            f"Expected EmojiWorld's weights in {folder}, found no model_index.json; reinstall."
        )
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device, torch.float32)
