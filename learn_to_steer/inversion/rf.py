"""RF-Inversion: a flow model's way to a given noise and back, held to the picture by a controller (Rout et al. 2024,
"Semantic Image Inversion and Editing using Rectified Stochastic Differential Equations").

Up: dx/dsigma = v + gamma * ((noise - x) / (1 - sigma) - v), v the model's velocity. With gamma 1, as published for
Learn-to-Steer, the model has no say: the way up is the straight line to the noise. Down: dx/dsigma = v + eta * ((x -
clean) / sigma - v), eta 1 on the first step only, so that the path which is recorded is the model's own under its prompt.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .euler import Slope


@torch.no_grad()
def raised(clean: Tensor, noise: Tensor, sigmas: Sequence[float], slope: Slope, gamma: float = 1.0) -> Tensor:
    """The latent (B, ...) at the first (highest) of `sigmas`, at the end of the controlled way up from `clean`."""
    x, level = clean, 0.0
    for step in reversed(range(len(sigmas))):
        towards = (noise - x) / (1 - level)
        velocity = slope(x, step) if gamma < 1 else towards
        x = x + (sigmas[step] - level) * (velocity + gamma * (towards - velocity))
        level = sigmas[step]
    return x


@torch.no_grad()
def lowered(
    first: Tensor, clean: Tensor, sigmas: Sequence[float], slope: Slope, eta: Sequence[float] = (1.0,)
) -> Tensor:
    """Latents (steps, B, ...) at each step of the controlled way down from `first`. eta: of the first steps, 0 after
    them."""
    x, found = first, [first]
    for step, sigma in enumerate(sigmas[:-1]):
        strength = eta[step] if step < len(eta) else 0.0
        towards = (x - clean) / sigma
        velocity = slope(x, step) if strength < 1 else towards
        x = x + (sigmas[step + 1] - sigma) * (velocity + strength * (towards - velocity))
        found.append(x)
    return torch.stack(found)
