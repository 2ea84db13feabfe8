"""Two objects do not lie on each other: their maps overlap little.

Objects whose maps overlap fuse, or one of them takes the place of both. The overlap is a soft intersection over union, as
RTD (arXiv 2608.03135) and SAGA take it, in a form that is 1 for equal maps whatever their shape.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from ..attention import MapStack
from .base import Reading, StepInfo, only, spread_reading, target_slots
from .places import in_window, object_places
from .targets import SeparationTarget, Target

_SMOOTH = 1 / 16  # of the side


class SeparationObjective:
    """The maps of both objects of a target lie apart.

    With v as `overlap` has it, z = (level - v) / softness: loss = softplus(-z), probability = sigmoid(z). layers: names of
    the layers to read (None: all).
    """

    def __init__(
        self, layers: tuple[str, ...] | None = None, level: float = 0.45, softness: float = 0.05
    ) -> None:
        self.layers, self.level, self.softness = layers, level, softness

    def reading(self, layers: tuple[str, ...]) -> SeparationObjective:
        """The same objective on other layers."""
        return SeparationObjective(layers, self.level, self.softness)

    def check(self, targets: Sequence[Sequence[Target]]) -> None:
        """Raises SteeringError for targets of another kind."""
        only(SeparationTarget, targets)

    def __call__(self, maps: MapStack, targets: Sequence[Sequence[Target]], step: StepInfo) -> Reading:
        self.check(targets)
        places = in_window(object_places(maps, self.layers), _SMOOTH)
        image, first, second = target_slots(targets, 2, places.device)
        z = (self.level - overlap(places[image, first], places[image, second])) / self.softness
        return spread_reading(F.softplus(-z), z.detach().sigmoid(), targets)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """(N,) in [0, 1]: <a, b> / (|a|^2 + |b|^2 - <a, b>) of maps (N, S, S), none below 0. Of regions of 0 and 1 it is their
    intersection over their union; 1 for equal maps, 0 where they nowhere meet or one is empty."""
    common, first, second = (x.flatten(1).sum(1) for x in (a * b, a * a, b * b))
    return common / (first + second - common).clamp(min=1e-12)
