"""Attention guidance written out: the bias as a matrix on explicit logits, for comparison with the folded one. Two objects,
and a background."""

from __future__ import annotations

from importlib import import_module

import torch
from conftest import PACK

STRENGTH, WIDTH, END, BACKGROUND = 3.0, 0.4, 0.5, 0.3


def module(name):
    return import_module(f"{PACK}.learn_to_steer.{name}")


def choice(layers=None, strength=STRENGTH, scale=1.0, **more):
    """Options of the method "attention" with every setting named."""
    guidance = module("guidance").GuidancePlan(
        end=END,
        strength=strength,
        width=WIDTH,
        background=BACKGROUND,
        layers=tuple(layers) if layers else None,
        **more,
    )
    plan = module("steering").SteeringPlan(strength=scale)
    return module("hosts.comfyui.choice").Choice(plan, "attention", guidance)


def fields(layout, height, width):
    """(3, height * width): of two objects and of the background. layout: as a record has it."""
    ys = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width)
    xs = ((torch.arange(width) + 0.5) / width)[None].expand(height, width)
    peaks = []
    for (x, y), (across, down) in zip(layout["places"], layout["sizes"], strict=True):
        distance = ((xs - x) / (WIDTH * across)) ** 2 + ((ys - y) / (WIDTH * down)) ** 2
        peaks.append((-distance / 2).exp().flatten())
    first, second = peaks
    return torch.stack([2 * first - 1, 2 * second - 1, BACKGROUND * (1 - torch.maximum(first, second))])


def biased(logits, layout, grid, objects, own, spreads, layers, strength=STRENGTH):
    """Logits (heads, N, T) of one image with the bias on them. objects: token positions of each; own: of the whole
    prompt. spreads: what this image's layers have measured so far, in their order; it is added to. layers: how many there
    are in a pass."""
    spots = [int(i * 0.6180339887 % 1 * logits.shape[1]) for i in range(32)]
    some = logits[:, spots][..., list(own)]
    spreads.append(some.var(-1, unbiased=False).mean(-1).sqrt().mean())
    unit = torch.stack(spreads[-layers:]).mean()
    named = [token for tokens in objects for token in tokens]
    around = [token for token in own if not min(named) <= token <= max(named)]
    logits = logits.clone()
    for field, tokens in zip(fields(layout, *grid), [*objects, around], strict=True):
        for token in tokens:
            logits[..., token] += strength * unit * field
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
