"""The hand-made baseline: the centres of both objects' attention, compared along the relation's direction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attention import MapStack, normalised
from ..errors import SteeringError
from ..language import canonical_relation
from .base import Reading, StepInfo, only, spread_reading, target_slots
from .targets import RelationTarget, Target


class CentroidObjective:
    """Hand-made baseline: the centroids of both objects' maps should differ by a margin along the relation's
    direction.

    With d = the signed distance (in fractions of the image side) by which the subject lies on the wanted side
    of the object, z = (d - margin) / softness: loss = softplus(-z), probability = sigmoid(z). Each map counts
    equally, after division by its own sum. layers: names of the layers to read (None: all).
    """

    def __init__(
        self, margin: float = 0.1, softness: float = 0.025, layers: tuple[str, ...] | None = None
    ) -> None:
        if not softness > 0:
            raise SteeringError(f"Expected a softness above 0, got {softness}; 0.025 is a good value.")
        self.margin, self.softness, self._layers = margin, softness, layers

    @property
    def layers(self) -> tuple[str, ...] | None:
        return self._layers

    def reading(self, layers: tuple[str, ...]) -> CentroidObjective:
        """The same objective on other layers."""
        return CentroidObjective(self.margin, self.softness, layers)

    def check(self, targets: Sequence[Sequence[Target]]) -> None:
        """Raises SteeringError for a relation without a direction in the image plane (see
        `Relation.direction`)."""
        for target in only(RelationTarget, targets):
            if canonical_relation(target.relation).direction is None:
                raise SteeringError(
                    f'Expected a relation with a direction, such as "above", got "{target.relation}"; '
                    "rephrase the prompt or use a classifier trained for it."
                )

    def __call__(self, maps: MapStack, targets: Sequence[Sequence[Target]], step: StepInfo) -> Reading:
        self.check(targets)
        where = centroids(maps.select(self.layers))
        image, subject, other = target_slots(targets, 2, where.device)
        direction = where.new_tensor(
            [canonical_relation(t.relation).direction for t in only(RelationTarget, targets)]
        )
        distance = ((where[image, subject] - where[image, other]) * direction).sum(-1)
        z = (distance - self.margin) / self.softness
        return spread_reading(F.softplus(-z), z.detach().sigmoid(), targets)


def centroids(maps: MapStack) -> Tensor:
    """Mean position of each object's attention, (B, O, 2) as (x, y) in fractions of width and height, y
    downwards."""
    per_layer = []
    for layer in maps.maps:
        mean = normalised(layer).mean(2)  # (B, O, H, W)
        h, w = mean.shape[-2:]
        xs = (torch.arange(w, device=mean.device) + 0.5) / w
        ys = (torch.arange(h, device=mean.device) + 0.5) / h
        at = torch.stack([(mean.sum(-2) * xs).sum(-1), (mean.sum(-1) * ys).sum(-1)], dim=-1)
        per_layer.append(at * layer.shape[2])
    return torch.stack(per_layer).sum(0) / maps.channels
