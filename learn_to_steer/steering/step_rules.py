"""Step rules: the gradient of the loss -> the move of the latent."""

from __future__ import annotations

import torch
from torch import Tensor

from .plan import SteeringPlan


def norms(x: Tensor) -> Tensor:
    """(B,): the L2 norm of each image of (B, ...)."""
    return x.flatten(1).norm(dim=1)


def move_of(z: Tensor, gradient: Tensor, plan: SteeringPlan) -> tuple[Tensor, Tensor]:
    """The move of each image, and (b,) whether its gradient was finite (no move where it was not)."""
    finite = gradient.flatten(1).isfinite().all(1)
    shape = (-1,) + (1,) * (z.ndim - 1)
    gradient = torch.where(finite.view(shape), gradient, 0.0)
    length = torch.full_like(finite, plan.step_size, dtype=z.dtype)
    if plan.step_rule == "relative":
        size = norms(gradient)
        length = torch.where(size > 0, length * norms(z) / size.clamp(min=torch.finfo(z.dtype).tiny), 0.0)
    return -plan.strength * length.view(shape) * gradient, finite
