"""Losses of published methods, to be compared with in the same loop, on the same maps and pictures.

Both speak of objects only, not of relations. Neither is a copy of its authors' procedure: each is the loss as published on
maps as they are recorded here, and a plan says when and how far it moves.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..attention import MapStack, resized
from .base import Reading, StepInfo, only, spread_reading, target_slots
from .places import SIZE, in_window
from .targets import Goal, PresenceTarget, SeparationTarget, Target

ENOUGH = 0.8
"""Value of an object's map at which Attend-and-Excite stops refining."""

_SMOOTH = 1 / 32  # of the side: 0.5 cells of 16


class AttendAndExciteObjective:
    """1 - the largest value of the smoothed map of the most neglected object (Chefer et al., SIGGRAPH 2023).

    The published maps are a softmax over the prompt's tokens without the begin token; here they are shares among the named
    objects, which are the tokens that are recorded. An object is reached where its value is `ENOUGH`. layers: names
    of the layers to read (None: all).
    """

    goals: tuple[Goal, ...] = ("presence",)

    def __init__(self, layers: tuple[str, ...] | None = None) -> None:
        self.layers = layers

    def reading(self, layers: tuple[str, ...]) -> AttendAndExciteObjective:
        """The same objective on other layers."""
        return AttendAndExciteObjective(layers)

    def check(self, targets: Sequence[Sequence[Target]]) -> None:
        """Raises SteeringError for targets of another kind."""
        only(PresenceTarget, targets)

    def __call__(self, maps: MapStack, targets: Sequence[Sequence[Target]], step: StepInfo) -> Reading:
        self.check(targets)
        raw = mean_maps(maps, self.layers)
        shares = raw / (raw.sum(1, keepdim=True) + 1e-8)
        kernel = in_window(torch.ones_like(shares), _SMOOTH)
        values = (in_window(shares, _SMOOTH) / kernel).flatten(2).amax(2)
        image, slot = target_slots(targets, 1, values.device)
        value = values[image, slot]
        probability = (value.detach() / ENOUGH).clamp(0, 1)
        read = spread_reading(1 - value, probability, targets)
        weakest = torch.where(read.mask, read.loss.detach(), -torch.inf)
        neglected = (weakest == weakest.amax(1, keepdim=True)) & read.mask
        return Reading(read.loss, read.probability, read.mask, neglected.to(read.loss))


class RtdObjective:
    """The overlap of every two objects' maps, <a, b> / (|a| + |b| - <a, b>) (RTD, arXiv 2608.03135).

    Each map is divided by its largest value, and |a| is the sum of its values. The probability is 1 - the overlap.
    layers: names of the layers to read (None: all).
    """

    goals: tuple[Goal, ...] = ("separation",)

    def __init__(self, layers: tuple[str, ...] | None = None) -> None:
        self.layers = layers

    def reading(self, layers: tuple[str, ...]) -> RtdObjective:
        """The same objective on other layers."""
        return RtdObjective(layers)

    def check(self, targets: Sequence[Sequence[Target]]) -> None:
        """Raises SteeringError for targets of another kind."""
        only(SeparationTarget, targets)

    def __call__(self, maps: MapStack, targets: Sequence[Sequence[Target]], step: StepInfo) -> Reading:
        self.check(targets)
        raw = mean_maps(maps, self.layers)
        image, first, second = target_slots(targets, 2, raw.device)
        overlaps = summed_overlap(raw[image, first], raw[image, second])
        return spread_reading(overlaps, 1 - overlaps.detach(), targets)


def mean_maps(maps: MapStack, layers: tuple[str, ...] | None) -> Tensor:
    """(B, O, SIZE, SIZE): the mean over all heads of the layers, brought to one size and nothing else."""
    chosen = maps.select(layers).maps
    return torch.cat([resized(m, SIZE, "area") for m in chosen], dim=2).mean(2)


def summed_overlap(a: Tensor, b: Tensor) -> Tensor:
    """(N,) in [0, 1]: <a, b> / (sum a + sum b - <a, b>) of maps (N, S, S) after division by their largest values."""
    a, b = (x / x.flatten(1).amax(1).clamp(min=1e-12)[:, None, None] for x in (a, b))
    common, first, second = (x.flatten(1).sum(1) for x in (a * b, a, b))
    return common / (first + second - common).clamp(min=1e-12)
