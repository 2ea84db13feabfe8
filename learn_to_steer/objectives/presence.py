"""Every named object is there: it has a strong, compact place that is not the others'.

An object that will be missing has a map without a peak of its own: flat, or the peak of another object. Attend-and-Excite
(Chefer et al., SIGGRAPH 2023) therefore raises the largest value of the smoothed map of the weakest object. Here a value
is the share of an object's attention that lies in its best place, less what the other objects have there, so that it means
the same at every size of the picture and with any number of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from ..attention import MapStack
from .base import Reading, StepInfo, only, spread_reading, target_slots
from .places import in_window, object_places
from .targets import PresenceTarget, Target

WINDOW = 0.125
"""Standard deviation of a place, as a share of the picture's side."""


class PresenceObjective:
    """Each object of a target has a place of its own.

    With v as `presences` has it, z = (v - level) / softness: loss = softplus(-z), probability = sigmoid(z). layers: names
    of the layers to read (None: all).
    """

    def __init__(
        self, layers: tuple[str, ...] | None = None, level: float = 0.12, softness: float = 0.02
    ) -> None:
        self.layers, self.level, self.softness = layers, level, softness

    def reading(self, layers: tuple[str, ...]) -> PresenceObjective:
        """The same objective on other layers."""
        return PresenceObjective(layers, self.level, self.softness)

    def check(self, targets: Sequence[Sequence[Target]]) -> None:
        """Raises SteeringError for targets of another kind."""
        only(PresenceTarget, targets)

    def __call__(self, maps: MapStack, targets: Sequence[Sequence[Target]], step: StepInfo) -> Reading:
        self.check(targets)
        values = presences(object_places(maps, self.layers))
        image, slot = target_slots(targets, 1, values.device)
        z = (values[image, slot] - self.level) / self.softness
        return spread_reading(F.softplus(-z), z.detach().sigmoid(), targets)


def presences(places: Tensor) -> Tensor:
    """(B, O) in [-1, 1]: the largest value over the picture of an object's attention in a place, less the mean of the
    other objects' there. places (B, O, S, S) as `object_places` has them; objects without a map do not count as others.
    """
    there = in_window(places, WINDOW)
    named = places.flatten(2).any(2).to(there)
    others = (named.sum(1, keepdim=True) - named).clamp(min=1)
    rest = (there.sum(1, keepdim=True) - there) / others[..., None, None]
    return (there - rest).flatten(2).amax(2)
