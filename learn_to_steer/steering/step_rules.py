"""Step rules: the gradient of the loss -> the move of the latent.

A length is measured in units of the latent's rms per element, so that it means the same at every size of the picture:
what turns a wrong reading into a right one is a move of 2 to 8 of these units, whether the latent has 1,024 elements or
65,536.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .plan import SteeringPlan

MEAN_LIMIT = 0.2
"""A move changes no element by more than this on average, in rms: a small part of a picture (a noise mask) is not moved
as far as a whole one."""

ELEMENT_LIMIT = 1.0
"""A move changes no single element by more than this, in rms."""


def norms(x: Tensor) -> Tensor:
    """(B,): the L2 norm of each image of (B, ...)."""
    return x.flatten(1).norm(dim=1)


def rms(z: Tensor, movable: Tensor) -> Tensor:
    """(B,): root mean square of each image's movable elements. movable: bool, as z."""
    kept = torch.where(movable, z, 0.0).flatten(1)
    return (kept.square().sum(1) / movable.flatten(1).sum(1).clamp(min=1)).sqrt()


def move_of(z: Tensor, gradient: Tensor, plan: SteeringPlan, share: Tensor) -> Tensor:
    """The move of each image's latent.

    z, gradient (b, ...), finite. share (b,): of the planned length, less than 1 after a move that went too far.
    "gradient": plan.step_size * gradient, as published. "relative": plan.step_size * the latent's own norm along the
    gradient. "rms": plan.step_size units of the latent's rms along the gradient, within the two limits above.
    """
    shape = (-1,) + (1,) * (z.ndim - 1)
    if plan.step_rule == "gradient":
        return -plan.strength * plan.step_size * gradient
    size = norms(gradient)
    direction = gradient / size.clamp(min=torch.finfo(z.dtype).tiny).view(shape)
    if plan.step_rule == "relative":
        return -(plan.strength * plan.step_size * norms(z)).view(shape) * direction
    movable = gradient != 0
    unit, count = rms(z, movable), movable.flatten(1).sum(1)
    longest = torch.minimum(torch.full_like(unit, plan.step_size), MEAN_LIMIT * count.sqrt().to(unit))
    length = plan.strength * share * longest * unit
    limit = (ELEMENT_LIMIT * unit).view(shape)
    return (-length.view(shape) * direction).clamp(-limit, limit)
