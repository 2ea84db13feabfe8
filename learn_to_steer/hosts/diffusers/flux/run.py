"""A call of a Flux pipeline (schnell, dev, and other models of this layout), as the diffusers host steers it.

Rectified flow: the scheduler's sigma, 1..0, is the model's time. A guidance-distilled model has no negative branch; with
`true_cfg_scale` there is one, and steering still reads the conditional branch alone. The pipeline keeps its latents packed:
each 2 x 2 patch is one token, row-major.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from torch import Tensor, nn

from ....attention import AttentionLayer, AttentionRecorder, MapStack
from ....inversion import Slope
from ..branch import Branch
from ..guidance import GuidedProcessor, Place
from ..protocol import TransformerPipeline
from ..run import Run
from ..schedule import Schedule
from .guidance import GuidedJointAttention, places
from .transformer import flux_attention_layers, flux_family, listen, record_flux

LONGEST_TEXT = 512
"""Text tokens of a Flux pipeline that is not told otherwise."""


class _ConditionalTransformer(Branch):
    """See `Branch`. grid: height and width in tokens."""

    grid: tuple[int, int]

    def time(self, timesteps: Tensor) -> Tensor:
        return timesteps.to(self.dtype) / 1000

    def record(
        self,
        latent: Tensor,
        timesteps: Tensor,
        context: Tensor,
        weights: Tensor,
        layers: tuple[str, ...] | None,
        given: dict[str, Any],
    ) -> MapStack:
        return record_flux(
            self.model, latent, self.time(timesteps), context, weights, *self.grid, layers, **given
        )

    def listen(self, recorder: AttentionRecorder) -> list[torch.utils.hooks.RemovableHandle]:
        return listen(self.model, self.context.shape[1], self.grid, recorder)


class FluxRun(Run):
    """See `Run`. Latents are packed, (B, h / 2 * w / 2, 4 * channels)."""

    pipe: TransformerPipeline

    @property
    def model(self) -> nn.Module:
        return self.pipe.transformer

    @property
    def layers(self) -> list[AttentionLayer]:
        return flux_attention_layers(self.pipe.transformer)

    @property
    def family(self) -> str:
        return flux_family(self.pipe.transformer)

    @property
    def size(self) -> tuple[int, int]:
        default = self.pipe.default_sample_size * self.pipe.vae_scale_factor
        return self.height or default, self.width or default

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the picture in tokens."""
        patch = self.pipe.vae_scale_factor * 2
        return self.size[0] // patch, self.size[1] // patch

    @property
    def tokenizer(self) -> Any:
        return self.pipe.tokenizer_2

    @property
    def text_length(self) -> int:
        """As the pipeline is told, or its own choice; a tokenizer made for fewer tokens keeps it short."""
        told = self.extra.get("max_sequence_length", LONGEST_TEXT)
        return int(min(told, getattr(self.pipe, "longest_text", told)))

    def schedule(self) -> Schedule:
        scheduler, steps = self.pipe.scheduler, self.num_inference_steps
        sigmas = self.extra.get("sigmas")
        if sigmas is None:
            sigmas = np.linspace(1.0, 1 / steps, steps)
        settings = scheduler.config
        if settings.get("use_flow_sigmas"):
            sigmas = None
        shift = calculate_shift(
            self.grid[0] * self.grid[1],
            settings.get("base_image_seq_len", 256),
            settings.get("max_image_seq_len", 4096),
            settings.get("base_shift", 0.5),
            settings.get("max_shift", 1.15),
        )
        return Schedule(scheduler, steps, self.pipe._execution_device, sigmas=sigmas, mu=shift)

    def encode(
        self, prompts: list[str], negatives: list[str] | None, each: int, given: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        lora = (self.extra.get("joint_attention_kwargs") or {}).get("scale")
        states = self.pipe.encode_prompt(
            prompt=prompts,
            prompt_2=None,
            device=self.pipe._execution_device,
            num_images_per_prompt=each,
            max_sequence_length=self.extra.get("max_sequence_length", LONGEST_TEXT),
            lora_scale=lora,
            **{name: given[name] for name in ("prompt_embeds", "pooled_prompt_embeds") if name in given},
        )
        encoded = {"prompt_embeds": states[0], "pooled_prompt_embeds": states[1]}
        return {**given, **{name: state for name, state in encoded.items() if state is not None}}

    def unencoded(self) -> dict[str, Any]:
        """The negative prompts: only the pipeline knows whether it has use for them."""
        second = self.extra.get("negative_prompt_2")
        return {
            "negative_prompt": self.negatives,
            **({} if second is None else {"negative_prompt_2": second}),
        }

    def listen(self, recorder: AttentionRecorder) -> list[torch.utils.hooks.RemovableHandle]:
        return listen(self.pipe.transformer, self.text_length, self.grid, recorder)

    def guided_places(self) -> tuple[list[Place], type[GuidedProcessor]]:
        return places(self.pipe.transformer, *self.grid), GuidedJointAttention

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return len(self.prompts), self.grid[0] * self.grid[1], self.pipe.transformer.config.in_channels

    def drawn_noise(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        channels = self.pipe.transformer.config.in_channels // 4
        latents, _ = self.pipe.prepare_latents(
            len(self.prompts), channels, *self.size, dtype, device, self.generators
        )
        return latents

    def slope(self, branch: Branch, sigmas: list[float]) -> Slope:
        """The velocity, which is what the model predicts."""
        return branch.predict

    def model_input(self, latents: Tensor, sigma: float | Tensor) -> Tensor:
        return latents

    def unpacked(self, latents: Tensor) -> Tensor:
        return self.pipe._unpack_latents(latents, *self.size, self.pipe.vae_scale_factor)

    def packed(self, latents: Tensor) -> Tensor:
        return self.pipe._pack_latents(latents, *latents.shape)

    def branch(self, encoded: dict[str, Tensor], schedule: Schedule, family: str) -> _ConditionalTransformer:
        pipe, extra, batch = self.pipe, self.extra, len(self.prompts)
        device = pipe._execution_device
        context = encoded["prompt_embeds"].to(device)
        arguments: dict[str, Any] = {"pooled_projections": encoded["pooled_prompt_embeds"].to(device)}
        if pipe.transformer.config.guidance_embeds:
            arguments["guidance"] = torch.full((batch,), self.guidance_scale, device=device)
        shared = {
            "img_ids": pipe._prepare_latent_image_ids(batch, *self.grid, device, context.dtype),
            "txt_ids": torch.zeros(context.shape[1], 3, device=device, dtype=context.dtype),
        }
        image, embeds = extra.get("ip_adapter_image"), extra.get("ip_adapter_image_embeds")
        joint = dict(extra.get("joint_attention_kwargs") or {})
        if image is not None or embeds is not None:
            with torch.no_grad():
                joint["ip_adapter_image_embeds"] = pipe.prepare_ip_adapter_image_embeds(
                    image, embeds, device, batch
                )
        if joint:
            arguments["joint_attention_kwargs"] = joint
        made = _ConditionalTransformer(
            pipe.transformer, self.layers, family, schedule, context, arguments, shared
        )
        made.grid = self.grid
        return made
