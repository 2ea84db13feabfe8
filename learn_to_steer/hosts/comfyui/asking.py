"""One question to a MODEL about a latent, outside of any sampler.

It goes through the host's whole sampling machinery, so models are loaded, conditionings prepared and hooks registered as
ever, and all is put back behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import comfy.model_management
import comfy.samplers
import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")

Question = Callable[[Any, Tensor, Tensor, dict[str, Any]], T]
"""(prepared guider, latents (B, ...) and noise levels (B,) on the model's device, keywords of a call) -> answer."""


def ask(model: Any, positive: Any, latents: Tensor, sigma: Tensor | float, question: Question[T]) -> T:
    """What `question` says. latents: in the model's own space. sigma: one for all of them, or (B,).

    Raises the host's InterruptProcessingException where the user has interrupted, and what `question` raises.
    """
    comfy.model_management.throw_exception_if_processing_interrupted()
    levels = torch.as_tensor(sigma, dtype=torch.float32).expand(len(latents))
    sampler = _Asking(latents, levels, question)
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, positive)
    guider.set_cfg(1.0)
    empty = torch.zeros_like(latents)
    steps = torch.tensor([float(levels.max()), 0.0])
    guider.sample(empty, empty, sampler, steps, disable_pbar=True, seed=0)
    (answer,) = sampler.answers
    return answer


class _Asking(comfy.samplers.Sampler):
    """A "sampler" that asks one question about a latent and gives nothing back."""

    def __init__(self, latents: Tensor, levels: Tensor, question: Question[Any]) -> None:
        self.latents, self.levels, self.question = latents, levels, question
        self.answers: list[Any] = []

    def sample(
        self, model_wrap: Any, sigmas: Tensor, extra_args: dict[str, Any], callback: Any, noise: Tensor,
        latent_image: Tensor | None = None, denoise_mask: Any = None, disable_pbar: bool = False,
    ) -> Tensor:  # fmt: skip
        x, sigma = self.latents.to(noise.device), self.levels.to(noise.device)
        given = {k: v for k, v in extra_args.items() if k in ("model_options", "seed")}
        self.answers.append(self.question(model_wrap, x, sigma, given))
        return noise


def pictures_of(vae: Any, latents: Tensor) -> np.ndarray:
    """Finished latents as the host's VAE takes them -> (B, height, width, 3) uint8."""
    pixels = vae.decode(latents)
    pixels = pixels.reshape(-1, *pixels.shape[-3:])[..., :3]
    whole: np.ndarray = (pixels.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return whole
