"""Maps that no model made: two blobs whose relation is known from their boxes.

A classifier that has seen the maps of one or two models only reads those. Here places, sizes and shapes of two objects
are drawn, each becomes a blob as attention makes them - filled or hollow, whole or only a part of the object, hidden in
part by the other, with further objects beside them -, and the relation is GenEval's (see `evaluation.rules.geneval`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..classifiers import SYMMETRIC_RELATIONS

_TRIES = 24
"""Placements drawn for each sample, of which the first with exactly one relation is taken; more than half have one."""


def synthetic_pairs(count: int, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`count` pairs of maps (count, 2, size, size) float32 with values of 0 to about 1.5, and their relation (count,) int64
    as an index into SYMMETRIC_RELATIONS."""
    centres, sides, relation = _placed(count, generator)
    blobs = _blobs(_of_the_attended(centres, sides, generator), size, generator)
    hidden = _uniform(generator, 0, 0.9, count, 1, 1) * _chance(generator, 0.3, count, 1, 1)
    first, second = blobs.unbind(1)
    # The order of a picture's objects is by chance, so which hides the other needs no second draw.
    blobs = torch.stack([first * (1 - hidden * second), second], dim=1)
    return blobs + _further(count, size, generator), relation


def relations_of(centres: Tensor, sides: Tensor) -> Tensor:
    """Which of SYMMETRIC_RELATIONS hold by GenEval's rule, (N, 4) bool. centres, sides (N, 2 objects, 2) as (x, y) and
    (width, height), y downwards."""
    offset = centres[:, 0] - centres[:, 1]
    margin = 0.1 * sides.sum(1)
    shrunk = (offset.abs() - margin).clamp_min(0) * offset.sign()
    x, y = (shrunk / offset.norm(dim=-1, keepdim=True).clamp_min(1e-6)).unbind(-1)
    return torch.stack([x < -0.5, x > 0.5, y < -0.5, y > 0.5], dim=-1)


def _placed(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Centres and sides (count, 2, 2) of two boxes with exactly one relation, and its index (count,)."""
    many = count * _TRIES
    size = _uniform(generator, 0.1, 0.6, many, 2, 1)
    aspect = _uniform(generator, 0.6, 1.6, many, 2, 1)
    sides = torch.cat([size * aspect.sqrt(), size / aspect.sqrt()], dim=-1)
    centres = sides / 2 + (1 - sides) * torch.rand(many, 2, 2, generator=generator)
    held = relations_of(centres, sides).view(count, _TRIES, len(SYMMETRIC_RELATIONS))
    chosen = torch.arange(count) * _TRIES + (held.sum(-1) == 1).int().argmax(1)
    return centres[chosen], sides[chosen], held.flatten(0, 1)[chosen].int().argmax(-1)


def _of_the_attended(centres: Tensor, sides: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 2, 4) centre and half axes of what a map shows: the object, or a part of it such as an animal's head."""
    n = len(centres)
    part = _chance(generator, 0.4, n, 2, 1)
    shrunk = 1 - part * _uniform(generator, 0.2, 0.6, n, 2, 1)
    moved = part * _uniform(generator, -0.3, 0.3, n, 2, 2) * sides
    # Less than a cell of the grid would show nothing.
    return torch.cat([centres + moved, (sides * shrunk / 2).clamp_min(0.05)], dim=-1)


def _blobs(ellipses: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """(N, O, 4) centre and half axes -> (N, O, size, size): soft to nearly box-like, some of them hollow."""
    n, objects = ellipses.shape[:2]
    at = (torch.arange(size) + 0.5) / size
    x = (at.view(1, 1, 1, -1) - ellipses[..., 0, None, None]) / ellipses[..., 2, None, None]
    y = (at.view(1, 1, -1, 1) - ellipses[..., 1, None, None]) / ellipses[..., 3, None, None]
    distance = torch.sqrt(x.square() + y.square() + 1e-6)
    hardness = _uniform(generator, 1.5, 6, n, objects, 1, 1)
    filled = torch.exp(-distance.pow(hardness))
    hollow = _uniform(generator, 0, 0.9, n, objects, 1, 1) * _chance(generator, 0.3, n, objects, 1, 1)
    return filled * (1 - hollow * torch.exp(-(distance * 1.6).pow(4)))


def _further(count: int, size: int, generator: torch.Generator) -> Tensor:
    """(count, 2, size, size): further objects, which the words of both may attend to a little."""
    place = _uniform(generator, 0.05, 0.95, count, 2, 2)
    axes = _uniform(generator, 0.05, 0.25, count, 2, 2)
    blobs = _blobs(torch.cat([place, axes], dim=-1), size, generator)
    share = _uniform(generator, 0, 0.6, count, 2, 2, 1, 1) * _chance(generator, 0.3, count, 1, 2, 1, 1)
    return (share * blobs[:, None]).sum(2)


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def _chance(generator: torch.Generator, share: float, *shape: int) -> Tensor:
    """1 with this probability, else 0."""
    return (torch.rand(shape, generator=generator) < share).float()
