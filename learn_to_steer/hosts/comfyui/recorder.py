"""A MODEL with its CLIP and VAE as recording wants it: latents of pictures, the model's own way from them to noise, and the
maps of named objects.

Each pass goes through the host's sampling machinery (`asking.py`), under its inference mode and its model management: the
model may be moved, patched or unloaded between two passes, and a user's interruption is met before each. What comes back
are ordinary tensors on the CPU. Latents are in the model's own space, as samplers hold them (`process_latent_in`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import comfy.samplers
import numpy as np
import torch
from torch import Tensor

from ...attention import AttentionRecorder, MapStack, token_weights
from ...errors import SteeringError
from ...inversion import Slope
from ..modules import for_autograd
from .asking import ask, pictures_of
from .digest import digest_of
from .prompt.relations import words_in
from .read.evaluation import (
    conditional_maps,
    holding_now,
    located_layers,
    model_family,
    options_of_evaluation,
)
from .steer import without_steering

REMEMBERED = 64
"""Prompts whose text states are kept: a batch asks for the same ones at every step."""


class GraphRecorder:
    """A `hosts.protocol.MapRecorder`. steps, scheduler: of the host's schedule. height, width: of the pictures, in pixels.

    Steering that the model carries already is left out. Raises SteeringError for a model that cannot be read, and for a
    size that the VAE would cut.
    """

    def __init__(
        self, model: Any, clip: Any, vae: Any, steps: int, height: int, width: int, scheduler: str = "simple"
    ) -> None:
        self.model, self.clip, self.vae = without_steering(model), clip, vae
        self._located = located_layers(self.model.get_model_object("diffusion_model"))
        self.layers = [one.layer for one in self._located]
        self.family = model_family(self.model.model)
        self.size = height, width
        factor = int(vae.spacial_compression_encode())
        if height % factor or width % factor:
            raise SteeringError(
                f"Expected a height and a width that are multiples of {factor} pixels, got {height} x {width}; choose the "
                "nearest ones."
            )
        sampling = self.model.get_model_object("model_sampling")
        planned = comfy.samplers.calculate_sigmas(sampling, scheduler, steps)
        self._sampling, self._sigmas = sampling, [float(sigma) for sigma in planned[:-1]]
        self.steps = len(self._sigmas)
        one = torch.ones(1, 1, 1, 1)
        kept = sampling.noise_scaling(0.5 * one, torch.zeros_like(one), one, False)
        self.flow = float(kept) == 0.5
        self._encoded = lru_cache(REMEMBERED)(self._encode)
        self._words = lru_cache(REMEMBERED)(lambda text, names: words_in(clip, text, names))
        self._digest = ""

    def digest(self) -> str:
        """See `hosts.protocol.MapRecorder`. Patches of the weights, such as LoRA, count."""
        self._digest = self._digest or digest_of(self.model)
        return self._digest

    def sigmas(self) -> list[float]:
        """See `hosts.protocol.MapRecorder`."""
        return list(self._sigmas)

    def encode(self, pictures: np.ndarray) -> Tensor:
        """See `hosts.protocol.MapRecorder`."""
        with torch.inference_mode():
            pixels = torch.from_numpy(pictures).float() / 255
            # An autoencoder of videos takes the pictures of a batch for its frames.
            video = getattr(self.vae, "latent_dim", 2) == 3
            parts = [self.vae.encode(part) for part in (pixels.split(1) if video else (pixels,))]
            latents = self.model.model.process_latent_in(torch.cat(parts).float())
        return for_autograd(latents.cpu())

    def decode(self, latents: Tensor) -> np.ndarray:
        """See `hosts.protocol.MapRecorder`."""
        with torch.inference_mode():
            return pictures_of(self.vae, self.model.model.process_latent_out(latents))

    def slope(self, prompts: Sequence[str]) -> Slope:
        """See `hosts.protocol.MapRecorder`."""

        def along(guider: Any, x: Tensor, sigma: Tensor, given: dict[str, Any]) -> Tensor:
            options = options_of_evaluation(given["model_options"])
            entries = guider.conds["positive"]
            (clean,) = comfy.samplers.calc_cond_batch(guider.inner_model, [entries], x, sigma, options)
            return (x - clean) / sigma.view(-1, *[1] * (x.ndim - 1))

        def at(x: Tensor, step: int) -> Tensor:
            parts = []
            with torch.inference_mode():
                for rows, positive in self._together(prompts):
                    parts.append(ask(self.model, positive, x[rows], self._sigmas[step], along).float().cpu())
                whole = torch.cat(parts)
            return for_autograd(whole)

        return at

    def model_input(self, latents: Tensor, steps: Tensor) -> Tensor:
        """See `hosts.protocol.MapRecorder`."""
        return latents * self._scale(steps, latents.ndim)

    def maps(
        self,
        noisy: Tensor,
        steps: Tensor,
        prompts: Sequence[str],
        names: Sequence[tuple[str, str]],
        layers: tuple[str, ...] | None = None,
    ) -> MapStack:
        """See `hosts.protocol.MapRecorder`."""
        latents = noisy / self._scale(steps, noisy.ndim)
        sigmas = torch.tensor(self._sigmas)[steps]
        parts = []
        for rows, positive in self._together(prompts):
            found = [self._words(prompts[row], tuple(names[row])) for row in range(len(prompts))[rows]]
            weights = token_weights([places for places, _ in found], found[0][1])

            def read(
                guider: Any, x: Tensor, sigma: Tensor, given: dict[str, Any], weights: Tensor = weights
            ) -> MapStack:
                with torch.inference_mode(False), torch.no_grad():
                    latent, level = for_autograd(x), for_autograd(sigma)
                    entry = holding_now(guider.conds["positive"], level)[0]
                    recorder = AttentionRecorder(weights.to(x.device), self.layers, layers)
                    base, options = guider.inner_model, given["model_options"]
                    return conditional_maps(base, entry, latent, level, options, recorder, self._located)

            with torch.inference_mode():
                parts.append(ask(self.model, positive, latents[rows], sigmas[rows], read))
        if len(parts) == 1:
            return parts[0]
        whole = zip(*(part.maps for part in parts), strict=True)
        return MapStack(parts[0].layers, tuple(torch.cat(maps) for maps in whole))

    def _scale(self, steps: Tensor, ndim: int) -> Tensor:
        """(B, 1, ...): from the sampler's latent at these steps to what the model is given."""
        sigmas = torch.tensor(self._sigmas)[steps]
        scale: Tensor = self._sampling.calculate_input(sigmas, torch.ones(len(sigmas), *[1] * (ndim - 1)))
        return scale

    def _together(self, prompts: Sequence[str]) -> list[tuple[slice, Any]]:
        """Rows of a batch that one pass can be asked for, each with its conditioning: all at once where the texts are alike
        in everything but their states, else one by one."""
        each = [self._encoded(text) for text in prompts]
        if (whole := _one_conditioning(each)) is not None:
            return [(slice(0, len(each)), whole)]
        return [(slice(row, row + 1), one) for row, one in enumerate(each)]

    def _encode(self, text: str) -> Any:
        """The conditioning of a prompt, as the host's text encoder gives it. A model that is told how closely to follow the
        prompt (Flux dev) is told 1, no more than it does: as guidance 1, the published inversion's."""
        with torch.inference_mode():
            encoded = self.clip.encode_from_tokens_scheduled(self.clip.tokenize(text))
            network = self.model.get_model_object("diffusion_model")
            told = bool(getattr(getattr(network, "params", None), "guidance_embed", False))
            more = {"guidance": 1.0} if told else {}
            return [[states.cpu(), {**extra, **more}] for states, extra in encoded]


def _one_conditioning(each: Sequence[Any]) -> Any | None:
    """The conditionings of several prompts as one for a batch; None where they differ in more than text states and their
    pooled ones: in masks of tokens, in lengths, in times at which they hold."""
    if any(len(one) != 1 for one in each):
        return None
    states, extras = zip(*(one[0] for one in each), strict=True)
    first = extras[0]
    if len({tuple(s.shape) for s in states}) > 1 or any(extra.keys() != first.keys() for extra in extras):
        return None
    joined: dict[str, Any] = {}
    for key, value in first.items():
        values = [extra[key] for extra in extras]
        if isinstance(value, Tensor):
            if key != "pooled_output" or any(v.shape != value.shape for v in values):
                return None
            joined[key] = torch.cat(values)
        elif any(isinstance(v, Tensor) or v != value for v in values):
            return None
        else:
            joined[key] = value
    return [[torch.cat(states), joined]]
