"""A pipeline as recording wants it: latents of pictures, the model's own way from them to noise, and the maps of named
objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...attention import AttentionLayer, MapStack, token_weights
from ...inversion import Slope
from ...language import find_words
from ..modules import digest
from .pipelines import attention_layers, denoiser, run_of, token_positions
from .run import Run


class PipelineRecorder:
    """A `hosts.protocol.MapRecorder`. family: the model's. steps: of the schedule. height, width: of the pictures in
    pixels, None = the model's own."""

    def __init__(
        self, pipe: Any, family: str, steps: int, height: int | None = None, width: int | None = None
    ) -> None:
        self.pipe, self.family, self.steps = pipe, family, steps
        self._height, self._width = height, width
        self.size: tuple[int, int] = self._run([]).size
        self.layers: list[AttentionLayer] = attention_layers(denoiser(pipe))
        self.flow = hasattr(pipe, "transformer")
        if getattr(pipe.vae.config, "force_upcast", False) and pipe.vae.dtype == torch.float16:
            pipe.vae.to(torch.float32)  # SDXL's autoencoder has no numbers left in half precision

    def _run(self, prompts: Sequence[str]) -> Run:
        return run_of(
            self.pipe, prompts, self.steps, guidance_scale=1.0, height=self._height, width=self._width
        )

    def digest(self) -> str:
        """See `hosts.protocol.MapRecorder`."""
        return digest(denoiser(self.pipe))

    def sigmas(self) -> list[float]:
        """See `hosts.protocol.MapRecorder`."""
        schedule = self._run([]).schedule()
        return [schedule.sigmas[turn] for turn in schedule.steps]

    @torch.no_grad()
    def encode(self, pictures: np.ndarray) -> Tensor:
        """See `hosts.protocol.MapRecorder`."""
        vae = self.pipe.vae
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(vae.device, vae.dtype) / 127.5 - 1
        shift = getattr(vae.config, "shift_factor", None) or 0.0
        latents = (vae.encode(pixels).latent_dist.mean.float() - shift) * vae.config.scaling_factor
        return self._run([""] * len(pictures)).packed(latents)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> np.ndarray:
        """See `hosts.protocol.MapRecorder`."""
        from .sampler import decoded

        return decoded(self.pipe, self._run([""] * len(latents)).unpacked(latents))

    def slope(self, prompts: Sequence[str]) -> Slope:
        """See `hosts.protocol.MapRecorder`."""
        run = self._run(prompts)
        branch = run.branch(run.encoded(), run.schedule(), self.family)
        slope = run.slope(branch, self.sigmas())

        def at(x: Tensor, step: int) -> Tensor:
            return slope(x, step).float()

        return at

    def model_input(self, latents: Tensor, steps: Tensor) -> Tensor:
        """See `hosts.protocol.MapRecorder`."""
        sigma = torch.tensor(self.sigmas(), dtype=latents.dtype)[steps].to(latents.device)
        return self._run([]).model_input(latents, sigma.view(-1, *[1] * (latents.ndim - 1)))

    def maps(
        self,
        noisy: Tensor,
        steps: Tensor,
        prompts: Sequence[str],
        names: Sequence[tuple[str, str]],
        layers: tuple[str, ...] | None = None,
    ) -> MapStack:
        """See `hosts.protocol.MapRecorder`."""
        run = self._run(prompts)
        positions = [
            [token_positions(run, i, find_words(prompt, name)) for name in pair]
            for i, (prompt, pair) in enumerate(zip(prompts, names, strict=True))
        ]
        branch = run.branch(run.encoded(), run.schedule(), self.family)
        weights = token_weights(positions, run.text_length)
        turns = torch.stack([branch.timestep_of[step] for step in steps.tolist()])
        return branch.record_at(noisy, turns, range(len(prompts)), weights, layers)
