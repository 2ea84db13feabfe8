"""The contract of an objective: maps and targets in, a loss and a probability for each target out.

An objective is the only thing that steering knows about a goal. Whatever fulfils `Objective` steers in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..attention import MapStack


@dataclass(frozen=True)
class RelationTarget:
    """One wanted relation of one image: object slot `subject` stands in `relation` to object slot `object`.

    Slots index the O axis of the recorded maps (`tokens.token_weights`). relation: any name or synonym.
    """

    subject: int
    object: int
    relation: str


@dataclass(frozen=True)
class StepInfo:
    """Where in the schedule an evaluation is made. step: index into the schedule's own steps, from 0. total:
    number of those steps. sigma: noise level of this step (variance-exploding scale, sigma = sqrt(1 - abar) /
    sqrt(abar); for flow models the 1..0 time), None where the host has none."""

    step: int
    total: int
    sigma: float | None = None


@dataclass(frozen=True)
class Reading:
    """What an objective says about a batch. All (B, R), R = the most relations of any image.

    loss: float32, differentiable with respect to the maps, 0 where padded. probability: float32, of each
    wanted relation, 1 where padded. mask: bool, False where padded.
    """

    loss: Tensor
    probability: Tensor
    mask: Tensor


class Objective(Protocol):
    """A loss on attention maps. layers: names of the layers it reads, None = all the model has."""

    @property
    def layers(self) -> tuple[str, ...] | None: ...

    def reading(self, layers: tuple[str, ...]) -> Objective:
        """The same objective on other layers of the model."""

    def check(self, targets: Sequence[Sequence[RelationTarget]]) -> None:
        """Raises SteeringError for a relation this objective does not know. Called before anything runs."""

    def __call__(
        self, maps: MapStack, targets: Sequence[Sequence[RelationTarget]], step: StepInfo
    ) -> Reading: ...


def flat_targets(targets: Sequence[Sequence[RelationTarget]]) -> list[RelationTarget]:
    """The targets of all images, image after image."""
    return [target for image in targets for target in image]


def target_indices(
    targets: Sequence[Sequence[RelationTarget]], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """(N,) int64 each: image, subject slot and object slot of every target."""
    rows = [(b, t.subject, t.object) for b, image in enumerate(targets) for t in image]
    image, subject, other = torch.tensor(rows, dtype=torch.long, device=device).reshape(-1, 3).unbind(1)
    return image, subject, other


def spread_reading(loss: Tensor, probability: Tensor, targets: Sequence[Sequence[RelationTarget]]) -> Reading:
    """Spread per-relation values, image after image, over (B, R)."""
    most = max((len(image) for image in targets), default=0)
    mask = torch.tensor([[r < len(image) for r in range(most)] for image in targets], dtype=torch.bool)
    mask = mask.reshape(len(targets), most).to(loss.device)
    return Reading(
        loss=loss.new_zeros(mask.shape).masked_scatter(mask, loss),
        probability=probability.new_ones(mask.shape).masked_scatter(mask, probability),
        mask=mask,
    )


def lowest_sigma(objective: Objective) -> float | None:
    """The lowest noise level at which the objective can be believed, None where it does not say. See `StepInfo.sigma`."""
    card = getattr(objective, "card", None)
    return min(card.sigmas) if card is not None and card.sigmas else None


def last_share(objective: Objective) -> float:
    """The part of a model's own schedule up to which the objective can be believed, see `ClassifierCard.last_share`; 1
    where it does not say."""
    return float(getattr(getattr(objective, "card", None), "last_share", 1.0))
