"""Where words act, and whether attention tells them apart: what a check measures on a model.

A map says where a model *attends* to a word. Where the word *acts* can be seen without any map: give the model the same
latent under the same prompt with another noun in its place; where its answer changes, the word was at work. On a latent
that steering pushed until its maps please a classifier the two part, so the second one is a judge of the first.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...attention import MapStack
from ...attention.stack import normalised

SIDE = 16
"""Maps are compared at this many positions a side."""


def mean_maps(maps: MapStack) -> Tensor:
    """(B, O, S, S): each object's attention over all heads of all layers, each head divided by its sum."""
    return normalised(maps.stacked(SIDE, "always", "area").mean(2))


def alike(maps: Tensor) -> Tensor:
    """(B,): the share of attention that two objects have in common, 0 = apart, 1 = the same map. maps (B, 2, S, S)."""
    both = normalised(maps)
    return torch.minimum(both[:, 0], both[:, 1]).flatten(1).sum(1)


def texture(latents: Tensor) -> Tensor:
    """(B,): how alike neighbouring places of latents (B, channels, h, w) are, the mean correlation over channels and both
    directions; near 0 for noise, which is what untrained weights draw."""
    found = []
    for one, next_to_it in (
        (latents[..., 1:], latents[..., :-1]),
        (latents[..., 1:, :], latents[..., :-1, :]),
    ):
        a, b = (x.flatten(2) - x.flatten(2).mean(-1, keepdim=True) for x in (one, next_to_it))
        found.append((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp(min=1e-12))
    return torch.stack(found).mean((0, 2))


def effect(answer: Tensor, without: Tensor) -> Tensor:
    """(B, h, w): how much the model's answer changes at each place with another word, the rms over channels.

    answer, without (B, channels, h, w): what it puts out with the word and with the other one.
    """
    return (answer - without).square().mean(1).sqrt()


def centre(effects: Tensor) -> Tensor:
    """(..., 2): where a word acts, as (x, y) in shares of width and height, y downwards. effects (..., h, w). Its square
    is weighed, so that what changes a little everywhere counts little."""
    weight = normalised(effects.square())
    height, width = effects.shape[-2:]
    xs = (torch.arange(width, device=effects.device) + 0.5) / width
    ys = (torch.arange(height, device=effects.device) + 0.5) / height
    return torch.stack([(weight.sum(-2) * xs).sum(-1), (weight.sum(-1) * ys).sum(-1)], -1)


def lead(effects: Tensor, directions: Tensor) -> Tensor:
    """(B,): how far the subject acts from the object in the asked direction, in sides of the picture; negative: the other
    way. effects (B, 2, h, w): of subject and object. directions (B, 2): unit vectors, see `Relation.direction`."""
    centres = centre(effects)
    return ((centres[:, 0] - centres[:, 1]) * directions.to(effects)).sum(-1)
