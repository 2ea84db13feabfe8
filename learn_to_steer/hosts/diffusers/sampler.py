"""A pipeline as evaluation wants it: prompts and seeds in, pictures out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...guidance import GuidancePlan, Method
from ...language import RelationTriplet
from ...objectives import Objective
from ...steering import SteeringPlan
from ..modules import digest
from ..protocol import Drawn
from .generate import generate
from .pipelines import denoiser


class PipelineSampler:
    """A `hosts.protocol.Sampler`. family: the model's, where its layout does not tell. height, width: of the pictures in
    pixels; None = the model's own."""

    def __init__(
        self, pipe: Any, family: str | None = None, height: int | None = None, width: int | None = None
    ) -> None:
        self.pipe, self.family, self.height, self.width = pipe, family, height, width

    def sample(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        objective: Objective | None = None,
        plan: SteeringPlan | None = None,
        steps: int | None,
        guidance: float | None,
        triplets: Sequence[Sequence[RelationTriplet]] | None = None,
        method: Method = "gradient",
        attention: GuidancePlan | None = None,
    ) -> Drawn:
        """See `hosts.protocol.Sampler`. In half precision the pipeline decodes: it knows which autoencoders overflow."""
        whole = self.pipe.vae.dtype == torch.float32
        output = generate(
            self.pipe,
            prompts,
            objective=objective,
            plan=plan,
            seed=seeds,
            num_inference_steps=steps,
            guidance_scale=guidance,
            family=self.family,
            triplets=triplets,
            output_type="latent" if whole else "pil",
            method=method,
            guidance=attention,
            height=self.height,
            width=self.width,
        )
        pictures = (
            decoded(self.pipe, output.latents)
            if whole
            else np.stack([np.asarray(i.convert("RGB")) for i in output.images])
        )
        return Drawn(pictures, output.trace, output.model_calls)

    def digest(self) -> str:
        """See `hosts.protocol.Sampler`."""
        return digest(denoiser(self.pipe))


@torch.no_grad()
def decoded(pipe: Any, latents: Tensor) -> np.ndarray:
    """Latents (B, channels, h, w) -> pictures uint8 (B, 8h, 8w, 3)."""
    config = pipe.vae.config
    shift = getattr(config, "shift_factor", None) or 0.0
    pixels = pipe.vae.decode((latents / config.scaling_factor + shift).to(pipe.vae.dtype)).sample.float()
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
