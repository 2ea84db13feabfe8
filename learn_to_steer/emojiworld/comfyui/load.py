"""EmojiWorld as genuine MODEL, CLIP and VAE objects of ComfyUI, built from the shipped files (diffusers and
transformers layout). Everything in float32, so that the host's samplers give the pictures of the diffusers host.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import comfy.latent_formats
import comfy.model_base
import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models_base
import comfy.utils
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ...errors import SteeringError
from .. import FAMILIES, FAMILY, WEIGHTS, located, shared_folder
from .autoencoder import comfy_archive_dtypes, load_vae
from .flux_model import flux_model, patcher_of

_OWN = {
    "text": "text_encoder/model.safetensors",
    "settings": "text_encoder/config.json",
    "scheduler": "scheduler/scheduler_config.json",
}
"""Files that each of the two models has for itself, in its own folder."""

_MODELS = {
    "unet": {"unet": "unet/diffusion_pytorch_model.safetensors", **_OWN},
    "mmdit": {
        "transformer": "mmdit/transformer/diffusion_pytorch_model.safetensors",
        "layout": "mmdit/transformer/config.json",
        **{name: f"mmdit/{path}" for name, path in _OWN.items()},
    },
}

_SHARED = {
    "vae settings": "vae/config.json",
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "vocabulary": "tokenizer/vocab.json",
    "merges": "tokenizer/merges.txt",
}


def load_emojiworld(
    folder: Path = WEIGHTS, model: str = "unet"
) -> tuple[comfy.model_patcher.ModelPatcher, comfy.sd.CLIP, comfy.sd.VAE]:
    """MODEL, CLIP and VAE of EmojiWorld, not yet on a device.

    folder, model: see `located`; "unet" predicts v on SD's noise schedule, "mmdit" is of the Flux layout (rectified flow).
    Latents are 4 x 16 x 16 for the native 128 x 128 pixels; text is 32 tokens of width 128. Raises SteeringError for an
    unknown model and when a file is missing.
    """
    folder, model = located(folder, model)
    shared = shared_folder(folder)
    files = {name: folder / path for name, path in _MODELS[model].items()}
    files |= {name: shared / path for name, path in _SHARED.items()}
    if missing := [str(path.relative_to(shared)) for path in files.values() if not path.is_file()]:
        raise SteeringError(
            f"Expected EmojiWorld's files in {shared}, but {', '.join(missing)} is missing; install the pack again."
        )
    build = _unet if model == "unet" else _transformer
    return build(files), _clip(files), load_vae(shared)


class _LatentFormat(comfy.latent_formats.SD15):
    """SD 1.5's previews are of no use here; the scale is EmojiWorld's own."""

    def __init__(self, scale_factor: float = 1.0) -> None:
        super().__init__()
        self.scale_factor = scale_factor
        self.latent_rgb_factors = None
        self.taesd_decoder_name = None


class _ModelConfig(comfy.supported_models_base.BASE):
    unet_config = {
        "image_size": 16,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 64,
        "channel_mult": [1, 2],
        "num_res_blocks": [1, 1],
        "transformer_depth": [1, 1],
        "transformer_depth_middle": 1,
        "transformer_depth_output": [1, 1, 1, 1],
        "context_dim": 128,
        "adm_in_channels": None,
        "use_spatial_transformer": True,
        "use_linear_in_transformer": False,
        "legacy": False,
    }
    unet_extra_config = {"num_heads": 4, "num_head_channels": -1}
    latent_format = _LatentFormat
    memory_usage_factor = 1.0
    learn_to_steer_family = FAMILY
    """Read by the host that steers: a text width alone does not tell whose model this is."""

    def model_type(self, state_dict: Any, prefix: str = "") -> comfy.model_base.ModelType:
        return comfy.model_base.ModelType.V_PREDICTION


def _scale(files: dict[str, Path]) -> float:
    return json.loads(files["vae settings"].read_text())["scaling_factor"]


def _transformer(files: dict[str, Path]) -> comfy.model_patcher.ModelPatcher:
    scheduler = json.loads(files["scheduler"].read_text())
    latents = _LatentFormat(_scale(files))
    config = json.loads(files["layout"].read_text())
    return flux_model(config, load_file(files["transformer"]), latents, scheduler["shift"], FAMILIES["mmdit"])


def _unet(files: dict[str, Path]) -> comfy.model_patcher.ModelPatcher:
    scheduler = json.loads(files["scheduler"].read_text())
    if scheduler["prediction_type"] != "v_prediction":
        raise SteeringError(
            f"Expected EmojiWorld's model to predict v, got {scheduler['prediction_type']}; install the pack again."
        )
    config = _ModelConfig(_ModelConfig.unet_config)
    config.latent_format = _LatentFormat(_scale(files))
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "")
    for module in model.diffusion_model.modules():
        if isinstance(module, nn.GroupNorm):
            module.num_groups = 16  # the host writes 32 into its code
    given = load_file(files["unet"])
    # The host's map knows a downsampler and an upsampler behind every level, the outermost ones included.
    names = {k: v for k, v in comfy.utils.unet_to_diffusers(config.unet_config).items() if k in given}
    model.diffusion_model.load_state_dict({names[k]: tensor.float() for k, tensor in given.items()})
    return patcher_of(model)


def _clip(files: dict[str, Path]) -> comfy.sd.CLIP:
    settings = json.loads(files["settings"].read_text())
    target = comfy.supported_models_base.ClipTarget(
        _tokenizer_class(files["vocabulary"].parent, settings), _encoder_class(settings)
    )
    clip = comfy.sd.CLIP(target, embedding_directory=None, model_options={"dtype": torch.float32})
    tensors = {
        name if name.startswith("text_model.") else f"text_model.{name}": tensor.float()
        for name, tensor in load_file(files["text"]).items()
    }
    # The pooled state is projected nowhere; the host computes that all the same, and must not meet stray memory.
    tensors["text_projection.weight"] = torch.eye(settings["hidden_size"])
    _load_strictly(clip.cond_stage_model.clip_l.transformer, tensors)
    comfy_archive_dtypes(clip.cond_stage_model)
    return clip


def _load_strictly(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    own = module.state_dict().keys()
    module.load_state_dict({k: v for k, v in tensors.items() if k in own or not k.endswith("position_ids")})


def _encoder_class(settings: dict[str, Any]) -> type:
    """The host's CLIP text model with EmojiWorld's sizes, as `ClipTarget` wants it."""
    special = {k: settings[f"{n}_token_id"] for k, n in (("start", "bos"), ("end", "eos"), ("pad", "pad"))}

    class TextModel(comfy.sd1_clip.SDClipModel):
        def __init__(
            self, device: Any = "cpu", dtype: Any = None, model_options: dict[str, Any] | None = None
        ) -> None:
            super().__init__(
                device=device,
                dtype=dtype,
                max_length=settings["max_position_embeddings"],
                textmodel_json_config=dict(settings),
                special_tokens=special,
                return_projected_pooled=False,
                model_options=model_options or {},
            )
            # The host's class takes CLIP's vocabulary for granted.
            width, words = settings["hidden_size"], settings["vocab_size"]
            operations = getattr(self, "operations", None) or comfy.ops.manual_cast
            table = operations.Embedding(words, width, device=device, dtype=dtype)
            self.transformer.set_input_embeddings(table.requires_grad_(False))

    class EmojiWorldText(comfy.sd1_clip.SD1ClipModel):
        def __init__(
            self, device: Any = "cpu", dtype: Any = None, model_options: dict[str, Any] | None = None
        ) -> None:
            super().__init__(
                device=device, dtype=dtype, model_options=model_options or {}, clip_model=TextModel
            )

    return EmojiWorldText


def _tokenizer_class(folder: Path, settings: dict[str, Any]) -> type:
    class WordPieces(comfy.sd1_clip.SDTokenizer):
        def __init__(
            self, embedding_directory: Any = None, tokenizer_data: dict[str, Any] | None = None
        ) -> None:
            super().__init__(
                str(folder),
                max_length=settings["max_position_embeddings"],
                embedding_directory=embedding_directory,
                embedding_size=settings["hidden_size"],
                tokenizer_data=tokenizer_data or {},
            )

    class EmojiWorldTokenizer(comfy.sd1_clip.SD1Tokenizer):
        def __init__(
            self, embedding_directory: Any = None, tokenizer_data: dict[str, Any] | None = None
        ) -> None:
            super().__init__(
                embedding_directory=embedding_directory,
                tokenizer_data=tokenizer_data or {},
                tokenizer=WordPieces,
            )

    return EmojiWorldTokenizer
