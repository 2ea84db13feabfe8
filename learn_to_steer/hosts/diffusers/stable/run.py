"""A call of a Stable Diffusion pipeline (1.x, 2.x, XL), as the diffusers host steers it."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from ....attention import AttentionLayer, AttentionRecorder, MapStack
from ....inversion import Slope
from ..branch import Branch
from ..guidance import GuidedProcessor, Place
from ..protocol import UNetPipeline
from ..run import TEXT_STATES, Run
from ..schedule import Schedule
from .guidance import GuidedCrossAttention, places
from .unet import attention_layers, listen, model_family, record_unet


class _ConditionalUNet(Branch):
    """See `Branch`."""

    def time(self, timesteps: Tensor) -> Tensor:
        return timesteps

    def record(
        self,
        latent: Tensor,
        timesteps: Tensor,
        context: Tensor,
        weights: Tensor,
        layers: tuple[str, ...] | None,
        given: dict[str, Any],
    ) -> MapStack:
        return record_unet(self.model, latent, self.time(timesteps), context, weights, layers, **given)

    def listen(self, recorder: AttentionRecorder) -> list[torch.utils.hooks.RemovableHandle]:
        return listen(self.model, recorder)


class StableDiffusionRun(Run):
    """See `Run`. Latents are (B, 4, h, w) throughout."""

    pipe: UNetPipeline

    @property
    def model(self) -> nn.Module:
        return self.pipe.unet

    @property
    def layers(self) -> list[AttentionLayer]:
        return attention_layers(self.pipe.unet)

    @property
    def family(self) -> str:
        return model_family(self.pipe.unet)

    @property
    def guided(self) -> bool:
        """Whether there is a negative branch."""
        return bool(self.guidance_scale > 1 and self.pipe.unet.config.time_cond_proj_dim is None)

    @property
    def size(self) -> tuple[int, int]:
        sample = self.pipe.unet.config.sample_size
        default = (sample, sample) if isinstance(sample, int) else tuple(sample)
        factor = self.pipe.vae_scale_factor
        return self.height or default[0] * factor, self.width or default[1] * factor

    @property
    def tokenizer(self) -> Any:
        return self.pipe.tokenizer if self.pipe.tokenizer is not None else self.pipe.tokenizer_2

    @property
    def text_length(self) -> int:
        return int(self.tokenizer.model_max_length)

    def schedule(self) -> Schedule:
        return Schedule(
            self.pipe.scheduler,
            self.num_inference_steps,
            self.pipe._execution_device,
            self.extra.get("timesteps"),
            self.extra.get("sigmas"),
        )

    def encode(
        self, prompts: list[str], negatives: list[str] | None, each: int, given: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        extra = self.extra
        lora = (extra.get("cross_attention_kwargs") or {}).get("scale")
        second = extra.get("negative_prompt_2")
        states = self.pipe.encode_prompt(
            prompt=prompts,
            device=self.pipe._execution_device,
            num_images_per_prompt=each,
            do_classifier_free_guidance=self.guided,
            negative_prompt=negatives,
            lora_scale=lora,
            clip_skip=extra.get("clip_skip"),
            **({} if second is None else {"negative_prompt_2": second}),
            **given,
        )
        return {name: state for name, state in zip(TEXT_STATES, states, strict=False) if state is not None}

    @property
    def latent_shape(self) -> tuple[int, ...]:
        height, width = (side // self.pipe.vae_scale_factor for side in self.size)
        return len(self.prompts), self.pipe.unet.config.in_channels, height, width

    def drawn_noise(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        noise: Tensor = randn_tensor(self.latent_shape, generator=self.generators, device=device, dtype=dtype)
        return noise

    def slope(self, branch: Branch, sigmas: list[float]) -> Slope:
        """The predicted noise, whatever the model itself predicts."""
        kind = self.pipe.scheduler.config.prediction_type

        def noise(x: Tensor, step: int) -> Tensor:
            sigma = sigmas[step]
            latents = self.model_input(x, sigma)
            output = branch.predict(latents, step)
            if kind == "epsilon":
                return output
            if kind == "sample":
                return (x - output) / sigma
            return (output + sigma * latents) / (1 + sigma**2) ** 0.5  # v_prediction

        return noise

    def model_input(self, latents: Tensor, sigma: float | Tensor) -> Tensor:
        return latents / (1 + sigma**2) ** 0.5

    def unpacked(self, latents: Tensor) -> Tensor:
        return latents

    def packed(self, latents: Tensor) -> Tensor:
        return latents

    def branch(self, encoded: dict[str, Tensor], schedule: Schedule, family: str) -> _ConditionalUNet:
        context = encoded["prompt_embeds"].to(self.pipe._execution_device)
        return _ConditionalUNet(
            self.pipe.unet, self.layers, family, schedule, context, self._arguments(encoded)
        )

    def listen(self, recorder: AttentionRecorder) -> list[torch.utils.hooks.RemovableHandle]:
        return listen(self.pipe.unet, recorder)

    def guided_places(self) -> tuple[list[Place], type[GuidedProcessor]]:
        return places(self.pipe.unet, *self.latent_shape[-2:]), GuidedCrossAttention

    def _arguments(self, encoded: dict[str, Tensor]) -> dict[str, Any]:
        """What the UNet is given besides latent, timestep and text states, conditional rows only."""
        pipe, extra, context = self.pipe, self.extra, encoded["prompt_embeds"]
        batch, device, dtype = len(self.prompts), context.device, context.dtype
        arguments: dict[str, Any] = {"cross_attention_kwargs": extra.get("cross_attention_kwargs")}
        added: dict[str, Any] = {}
        if isinstance(pipe, StableDiffusionXLPipeline):
            width = pipe.text_encoder_2.config.projection_dim if pipe.text_encoder_2 is not None else None
            ids = pipe._get_add_time_ids(
                extra.get("original_size") or self.size,
                extra.get("crops_coords_top_left") or (0, 0),
                extra.get("target_size") or self.size,
                dtype=dtype,
                text_encoder_projection_dim=width or int(encoded["pooled_prompt_embeds"].shape[-1]),
            )
            added = {
                "text_embeds": encoded["pooled_prompt_embeds"],
                "time_ids": ids.to(device).repeat(batch, 1),
            }
        image, embeds = extra.get("ip_adapter_image"), extra.get("ip_adapter_image_embeds")
        if image is not None or embeds is not None:
            with torch.no_grad():
                states = pipe.prepare_ip_adapter_image_embeds(image, embeds, device, batch, self.guided)
            added["image_embeds"] = [state.chunk(2)[1] if self.guided else state for state in states]
        if added:
            arguments["added_cond_kwargs"] = added
        if pipe.unet.config.time_cond_proj_dim is not None:
            scale = torch.tensor(self.guidance_scale - 1).repeat(batch)
            embedding = pipe.get_guidance_scale_embedding(
                scale, embedding_dim=pipe.unet.config.time_cond_proj_dim
            )
            arguments["timestep_cond"] = embedding.to(device=device, dtype=dtype)
        return arguments
