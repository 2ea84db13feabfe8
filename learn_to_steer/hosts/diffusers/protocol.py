"""What the diffusers host uses of a pipeline, by architecture."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor


class Pipeline(Protocol):
    """Of every pipeline that can be steered."""

    scheduler: Any
    vae_scale_factor: int
    """Pixels a latent element, in height and width."""

    @property
    def _execution_device(self) -> torch.device:
        """Where the denoiser computes, also when offloading has put it elsewhere for the moment."""

    def encode_prompt(self, *, prompt: list[str], **arguments: Any) -> tuple[Tensor | None, ...]: ...

    def maybe_convert_prompt(self, prompt: str, tokenizer: Any) -> str:
        """The prompt with the further tokens of textual inversions written out."""

    def __call__(self, **arguments: Any) -> Any: ...


class UNetPipeline(Pipeline, Protocol):
    """Stable Diffusion 1.x, 2.x and XL."""

    unet: Any
    tokenizer: Any
    tokenizer_2: Any
    text_encoder_2: Any

    def prepare_ip_adapter_image_embeds(self, *arguments: Any) -> list[Tensor]: ...

    def get_guidance_scale_embedding(self, w: Tensor, embedding_dim: int) -> Tensor: ...

    def _get_add_time_ids(self, *arguments: Any, **keywords: Any) -> Tensor: ...


class TransformerPipeline(Pipeline, Protocol):
    """Flux."""

    transformer: Any
    tokenizer_2: Any
    default_sample_size: int

    def prepare_ip_adapter_image_embeds(self, *arguments: Any) -> Any: ...

    def prepare_latents(self, *arguments: Any) -> tuple[Tensor, Tensor]: ...

    def _prepare_latent_image_ids(self, *arguments: Any) -> Tensor: ...

    def _pack_latents(self, *arguments: Any) -> Tensor: ...

    def _unpack_latents(self, *arguments: Any) -> Tensor: ...
