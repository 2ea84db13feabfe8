"""Attention guidance written out: the bias as a matrix on explicit logits, for comparison with the folded one."""

from __future__ import annotations

from importlib import import_module

import torch
from conftest import PACK

STRENGTH, WIDTH, END = 3.0, 0.4, 0.5


def module(name):
    return import_module(f"{PACK}.learn_to_steer.{name}")


def choice(layers=None, strength=STRENGTH, scale=1.0, **more):
    """Options of the method "attention" with every setting named."""
    guidance = module("guidance").GuidancePlan(
        end=END, strength=strength, width=WIDTH, others=1.0, layers=tuple(layers) if layers else None, **more
    )
    plan = module("steering").SteeringPlan(strength=scale)
    return module("hosts.comfyui.choice").Choice(plan, "attention", guidance)


def fields(layout, height, width):
    """(K, height * width): each object's peak less the other's, of two objects. layout: as a record has it."""
    ys = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width)
    xs = ((torch.arange(width) + 0.5) / width)[None].expand(height, width)
    peaks = []
    for (x, y), (across, down) in zip(layout["places"], layout["sizes"], strict=True):
        distance = ((xs - x) / (WIDTH * across)) ** 2 + ((ys - y) / (WIDTH * down)) ** 2
        peaks.append((-distance / 2).exp().flatten())
    first, second = peaks
    return torch.stack([first - second, second - first])


def biased(logits, layout, grid, objects, own, strength=STRENGTH):
    """Logits (heads, N, T) of one image with the bias on them. objects: token positions of each; own: of the whole
    prompt."""
    spots = [int(i * 0.6180339887 % 1 * logits.shape[1]) for i in range(32)]
    some = logits[:, spots][..., list(own)]
    spread = some.var(-1, unbiased=False).mean(-1).sqrt()
    logits = logits.clone()
    for field, tokens in zip(fields(layout, *grid), objects, strict=True):
        for token in tokens:
            logits[..., token] += strength * spread[:, None] * field
    return logits


def attended(q, k, v, mask=None):
    """(logits, what makes values of them) for q, k, v (heads, tokens, d)."""
    k, v = (x.repeat_interleave(q.shape[0] // x.shape[0], 0) for x in (k, v))
    logits = q @ k.mT * q.shape[-1] ** -0.5
    if mask is not None:
        logits = logits.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else logits + mask
    return logits, lambda of: (of.softmax(-1) @ v).movedim(0, 1).flatten(1)


def by_head(x, heads, split):
    return x if split else x.flatten(2).unflatten(-1, (heads, -1)).transpose(1, 2)
