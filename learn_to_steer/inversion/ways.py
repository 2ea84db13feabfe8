"""The ways to bring a picture's latents to the noise levels of a schedule, under one contract.

"euler": one implicit Euler step each. "fixed-point": the published five iterations. "rf": RF-Inversion, for flow models.
"noising": noise is added, whatever the prompt says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import SteeringError
from .euler import Slope, invert, sampled
from .rf import lowered, raised

Way = Literal["euler", "fixed-point", "rf", "noising"]
WAYS: tuple[Way, ...] = ("euler", "fixed-point", "rf", "noising")

ITERATIONS = {"euler": 1, "fixed-point": 5}


@dataclass(frozen=True)
class Path:
    """A model's own way between pictures and noise, under one prompt a picture.

    sigmas: noise levels of the steps, falling. flow: whether a latent is (1 - sigma) * clean + sigma * noise, else clean +
    sigma * noise. slope: see `inversion.Slope`.
    """

    sigmas: tuple[float, ...]
    flow: bool
    slope: Slope


def signal(sigmas: tuple[float, ...], flow: bool) -> list[float]:
    """Per noise level, the share of the clean latent that is left in what the model is given."""
    return [1 - sigma if flow else (1 + sigma**2) ** -0.5 for sigma in sigmas]


def noised(clean: Tensor, noise: Tensor, sigma: float | Tensor, flow: bool) -> Tensor:
    """`clean` brought to a noise level by noise of the same shape."""
    return (1 - sigma) * clean + sigma * noise if flow else clean + sigma * noise


def levels(way: Way, clean: Tensor, noise: Tensor, path: Path) -> Tensor:
    """Latents (steps, B, ...) at each step. noise: like `clean`, used by "noising" and "rf".

    Raises SteeringError for RF-Inversion of a model that is no flow model.
    """
    if way == "noising":
        return torch.stack([noised(clean, noise, sigma, path.flow) for sigma in path.sigmas])
    if way == "rf":
        if not path.flow:
            raise SteeringError(
                "Expected a flow model, such as Flux, for RF-Inversion, got a diffusion model; use euler or fixed-point."
            )
        return lowered(raised(clean, noise, path.sigmas, path.slope), clean, path.sigmas, path.slope)
    return invert(clean, path.sigmas, path.slope, ITERATIONS[way])


def passes(way: Way, steps: int, back: bool = False) -> int:
    """Model passes of `levels` for a batch, and of `returned` with `back`."""
    if way == "noising":
        return 0
    if way == "rf":
        # Neither the way up nor the first step down asks the model.
        return max(0, steps - 2) + (max(1, steps - 1) if back else 0)
    return ITERATIONS[way] * steps + 1 + (steps if back else 0)


def returned(way: Way, found: Tensor, path: Path) -> Tensor:
    """The clean latents (B, ...) to which the sampler leads back from what `levels` found."""
    begin = 1 if way == "rf" and len(found) > 1 else 0  # the controlled step led to step 1
    return sampled(found[begin], path.sigmas, path.slope, begin)


LEAST_PSNR = {False: 19.5, True: 20.0}
"""Published bounds, in dB, under which an inversion is rejected: diffusion models, flow models."""


def psnr(pictures: np.ndarray, again: np.ndarray) -> list[float]:
    """Peak signal to noise ratio in dB of each picture (B, height, width, 3) uint8 against its way back; at most 99."""
    error = (pictures.astype(np.float64) - again.astype(np.float64)) ** 2
    mean = np.maximum(error.reshape(len(pictures), -1).mean(1), 255**2 * 10**-9.9)
    return [float(value) for value in 10 * np.log10(255**2 / mean)]
