"""An object is in one place, not in two: what lies away from its main place is weak.

An object that will be drawn twice has two peaks. The value is the height of the second peak over that of the first; the
second is the highest one at a distance, so that one large object is not taken for two.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attention import MapStack
from .base import Reading, StepInfo, only, spread_reading, target_slots
from .places import in_window, object_places
from .targets import SingleTarget, Target

WINDOW = 1.5 / 16
"""Standard deviation of the smoothing, as a share of the picture's side."""

APART = 5 / 16
"""Distance from its main place beyond which attention is another place, as a share of the picture's side."""


class SingleObjective:
    """Each object of a target has one place.

    With v as `second_places` has it, z = (level - v) / softness: loss = softplus(-z), probability = sigmoid(z). layers:
    names of the layers to read (None: all).
    """

    def __init__(
        self, layers: tuple[str, ...] | None = None, level: float = 0.6, softness: float = 0.05
    ) -> None:
        self.layers, self.level, self.softness = layers, level, softness

    def reading(self, layers: tuple[str, ...]) -> SingleObjective:
        """The same objective on other layers."""
        return SingleObjective(layers, self.level, self.softness)

    def check(self, targets: Sequence[Sequence[Target]]) -> None:
        """Raises SteeringError for targets of another kind."""
        only(SingleTarget, targets)

    def __call__(self, maps: MapStack, targets: Sequence[Sequence[Target]], step: StepInfo) -> Reading:
        self.check(targets)
        values = second_places(object_places(maps, self.layers))
        image, slot = target_slots(targets, 1, values.device)
        z = (self.level - values[image, slot]) / self.softness
        return spread_reading(F.softplus(-z), z.detach().sigmoid(), targets)


def second_places(places: Tensor) -> Tensor:
    """(B, O) in [0, 1]: the highest value of a smoothed map further than `APART` from its highest value, over that value;
    0 for an empty map. places (B, O, S, S) as `object_places` has them."""
    there = in_window(places, WINDOW)
    size = there.shape[-1]
    highest, at = there.flatten(2).max(2)
    cells = torch.arange(size, device=there.device)
    dy = cells[:, None] - (at // size)[..., None, None]
    dx = cells[None, :] - (at % size)[..., None, None]
    beyond = (dy**2 + dx**2) > (APART * size) ** 2
    second = torch.where(beyond, there, 0.0).flatten(2).amax(2)
    return second / highest.clamp(min=1e-12)
