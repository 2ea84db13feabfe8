"""A picture's latents at every noise level of a schedule, by going the sampler's own way backwards.

In the noise level sigma, DDIM and rectified flow are the same method, Euler's: x_next = x + (sigma_next - sigma) *
slope(x, sigma). For a diffusion model x is clean + sigma * noise and its slope the predicted noise (Song et al. 2021,
"Denoising Diffusion Implicit Models", section 4.3); for a flow model x is (1 - sigma) * clean + sigma * noise and its
slope the velocity. The step back asks for the slope at the point it leads to, which is found by fixed-point iteration:
one iteration (UniEdit-Flow's Uni-Inv and its DDIM twin), or the published five.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Slope = Callable[[Tensor, int], Tensor]
"""(x (B, ...), step) -> dx / dsigma, same shape."""

RELAXATION = 0.7
"""Share of a new slope in every iteration after the first: near a clean picture the iteration swings from side to side of
its solution, sometimes without end."""


@torch.no_grad()
def invert(clean: Tensor, sigmas: Sequence[float], slope: Slope, iterations: int = 1) -> Tensor:
    """Latents (steps, B, ...) at each step of a schedule that ends at `clean` (B, ...).

    sigmas: of the steps, in the order of sampling (falling), the clean picture's 0 not among them. iterations: slopes
    asked for at each step, at least one; each step begins with the last slope of the step before, the very first with
    the slope at the clean picture. Slopes are asked for `iterations * steps + 1` times. Sampled again, most pictures come
    back to within 15% of their spread after one iteration and to within 5% after five; a few, which are steep near the
    clean picture, do not.
    """
    x, level, last = clean, 0.0, slope(clean, len(sigmas) - 1)
    found: list[Tensor] = []
    for step in reversed(range(len(sigmas))):
        start, rise = x, sigmas[step] - level
        for iteration in range(iterations):
            new = slope(start + rise * last, step)
            last = new if iteration == 0 else last.lerp(new, RELAXATION)
        x, level = start + rise * last, sigmas[step]
        found.append(x)
    return torch.stack(found[::-1])


@torch.no_grad()
def sampled(first: Tensor, sigmas: Sequence[float], slope: Slope, begin: int = 0) -> Tensor:
    """The clean latents (B, ...) at the end of Euler's way from `first`, which stands at step `begin`."""
    x = first
    for step in range(begin, len(sigmas)):
        after = sigmas[step + 1] if step + 1 < len(sigmas) else 0.0
        x = x + (after - sigmas[step]) * slope(x, step)
    return x
