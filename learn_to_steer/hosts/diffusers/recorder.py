"""A pipeline as recording wants it: latents of pictures at every noise level, and the maps of named objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...attention import MapStack, token_weights
from ...language import find_words
from .pipelines import run_of, token_positions


class PipelineRecorder:
    """A `hosts.protocol.MapRecorder`. family: the model's. steps: of the schedule."""

    def __init__(self, pipe: Any, family: str, steps: int) -> None:
        self.pipe, self.family, self.steps = pipe, family, steps

    def encode(self, pictures: np.ndarray) -> Tensor:
        """See `hosts.protocol.MapRecorder`."""
        vae = self.pipe.vae
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(vae.device, vae.dtype) / 127.5 - 1
        shift = getattr(vae.config, "shift_factor", None) or 0.0
        return (vae.encode(pixels).latent_dist.mean - shift) * vae.config.scaling_factor

    def signal(self) -> list[float]:
        """See `hosts.protocol.MapRecorder`."""
        one = torch.ones(self.steps, 1, 1, 1)
        left = run_of(self.pipe, [], self.steps).noised(one, torch.zeros_like(one), torch.arange(self.steps))
        return left.flatten().tolist()

    def sigmas(self) -> list[float]:
        """See `hosts.protocol.MapRecorder`."""
        return list(run_of(self.pipe, [], self.steps).schedule().sigmas)

    def noised(self, latents: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """See `hosts.protocol.MapRecorder`."""
        run = run_of(self.pipe, [], self.steps)
        return run.packed(run.noised(latents, noise, steps))

    def inverted(self, latents: Tensor, prompts: Sequence[str]) -> Tensor:
        """See `hosts.protocol.MapRecorder`."""
        return run_of(self.pipe, prompts, self.steps, guidance_scale=1.0).inverted(latents)

    def maps(
        self, noisy: Tensor, steps: Tensor, prompts: Sequence[str], names: Sequence[tuple[str, str]]
    ) -> MapStack:
        """See `hosts.protocol.MapRecorder`."""
        run = run_of(self.pipe, prompts, self.steps, guidance_scale=1.0)
        positions = [
            [token_positions(run, i, find_words(prompt, name)) for name in pair]
            for i, (prompt, pair) in enumerate(zip(prompts, names, strict=True))
        ]
        schedule = run.schedule()
        branch = run.branch(run.encoded(), schedule, self.family)
        weights = token_weights(positions, run.text_length)
        return branch.record_at(noisy, schedule.timesteps[steps], range(len(prompts)), weights, None)
