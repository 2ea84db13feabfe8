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

CROWD = WEIGHTS / "crowd"
"""Folder of both models trained on with up to five objects a picture; autoencoder, tokenizer and judge are those of
`WEIGHTS`."""

FAMILY = "emojiworld-unet"
"""Model family that the classifiers of EmojiWorld's UNet name."""

FAMILIES = {"unet": FAMILY, "mmdit": "emojiworld-mmdit"}
"""EmojiWorld's models, and the family that the classifiers of each name."""

SHIPPED = {
    "unet": (WEIGHTS, "unet"),
    "mmdit": (WEIGHTS, "mmdit"),
    "unet-crowd": (CROWD, "unet"),
    "mmdit-crowd": (CROWD, "mmdit"),
}
"""Names of the shipped models: their folder, and which model of `FAMILIES` it is."""

STEPS = 20
"""Sampling steps that the figures are made with."""

GUIDANCE = 6.0
"""Guidance scale that the figures are made with."""


def family_of(pipe: Any) -> str:
    """The family of an EmojiWorld pipeline."""
    return FAMILIES["mmdit" if hasattr(pipe, "transformer") else "unet"]


def shared_folder(folder: Path) -> Path:
    """Where the autoencoder, the tokenizer and the judge of a folder of EmojiWorld's lie."""
    return WEIGHTS if folder.resolve() == CROWD.resolve() else folder


def located(folder: Path, model: str) -> tuple[Path, str]:
    """The folder and which model of `FAMILIES` it is. model: one of these, in `folder`, or a name of `SHIPPED`, for which
    the folder is not looked at. Raises SteeringError for another name."""
    if model in FAMILIES:
        return folder, model
    if model not in SHIPPED:
        raise SteeringError(
            f'Expected a model of EmojiWorld among {", ".join(SHIPPED)}, got "{model}"; choose one of them.'
        )
    return SHIPPED[model]


def load_pipeline(
    folder: Path = WEIGHTS, device: str = "cpu", model: str = "unet"
) -> StableDiffusionPipeline | FluxPipeline:
    """EmojiWorld as a diffusers pipeline in float32, quiet.

    folder, model: see `located`. Raises SteeringError for an unknown model, when diffusers is missing, and where the folder
    holds no model.
    """
    folder, model = located(folder, model)
    try:
        import diffusers
        import transformers
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
    if (rest := shared_folder(folder)) != folder:
        shared = {
            "vae": diffusers.AutoencoderKL.from_pretrained(rest / "vae"),
            "tokenizer": transformers.CLIPTokenizer.from_pretrained(rest / "tokenizer"),
        }
    else:
        shared = {}
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, local_files_only=True, **shared)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device, torch.float32)
