"""EmojiWorld: a small text-to-image model with the weakness of the large ones, so that obedience can be measured anywhere.

It draws twelve emoji well and puts them where the prompt says badly. Everything is small, standard (diffusers and
transformers file layout) and shipped: autoencoder, text encoder, tokenizer, UNet, an independent judge.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SteeringError

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the shipped weights; also a complete ``StableDiffusionPipeline`` folder."""

CLASSIFIERS = Path(__file__).parent.parent / "classifier_weights"
"""Folder of the shipped relation classifiers."""

FAMILY = "emojiworld-unet"
"""Model family that EmojiWorld's classifiers name."""

STEPS = 20
"""Sampling steps that the figures are made with."""

GUIDANCE = 6.0
"""Guidance scale that the figures are made with."""


def load_pipeline(folder: Path = WEIGHTS, device: str = "cpu") -> StableDiffusionPipeline:
    """EmojiWorld as a diffusers pipeline in float32, quiet.

    Raises SteeringError when diffusers is missing or the folder holds no model.
    """
    try:
        from diffusers import StableDiffusionPipeline
    except ImportError as error:
        raise SteeringError(
            "Expected diffusers and transformers for EmojiWorld, but they are not installed; "
            'run: pip install "learn-to-steer[demo]".'
        ) from error
    import torch

    if not (folder / "model_index.json").exists():
        raise SteeringError(
            f"Expected EmojiWorld's weights in {folder}, found no model_index.json; reinstall."
        )
    pipe = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device, torch.float32)
