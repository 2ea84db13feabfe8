"""A MODEL of ComfyUI around a Flux transformer in diffusers' layout, of any size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import torch
from torch import Tensor

from .flux_weights import host_layout, host_weights


def flux_model(
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    latents: comfy.latent_formats.LatentFormat,
    shift: float = 1.0,
    family: str | None = None,
    dtype: torch.dtype = torch.float32,
    compute: torch.dtype | None = None,
) -> comfy.model_patcher.ModelPatcher:
    """The host's Flux with these weights, as a MODEL that samples by rectified flow, not yet on a device.

    config, tensors: config.json and state dict of a FluxTransformer2DModel; the weights become `dtype`, and
    are cast to `compute` when used (None: computed with as they are). latents: the
    latent format of the autoencoder. shift: of the sigmas towards noise, 1 = none. family: read by the host that steers,
    where the layout alone does not tell whose model this is.

    Raises SteeringError for weights that are not those of this layout.
    """
    model_config = _config_class(shift, family)({"image_model": "flux", **host_layout(config)})
    model_config.latent_format = latents
    model_config.set_inference_dtype(dtype, compute)
    model = model_config.get_model({}, "")
    network = model.diffusion_model
    converted = host_weights(tensors, network.state_dict().keys())
    network.load_state_dict({name: tensor.to(dtype) for name, tensor in converted.items()})
    return patcher_of(model)


def _config_class(shift: float, family: str | None) -> type:
    class FluxConfig(comfy.supported_models.FluxSchnell):
        sampling_settings = {"multiplier": 1.0, "shift": shift}
        memory_usage_factor = 1.0

    if family is not None:
        FluxConfig.learn_to_steer_family = family  # type: ignore[attr-defined]
    return FluxConfig


def patcher_of(model: comfy.model_base.BaseModel) -> comfy.model_patcher.ModelPatcher:
    """A MODEL that lives on the host's devices."""
    return comfy.model_patcher.ModelPatcher(
        model,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
