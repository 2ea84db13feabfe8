"""The contract of an objective: maps and targets in, a loss and a probability for each target out.

An objective is the only thing that steering knows about a goal. Whatever fulfils `Objective` steers in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from ..attention import MapStack
from ..errors import SteeringError
from .targets import Goal, Target

T = TypeVar("T")


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
    """What an objective says about a batch. All (B, R), R = the most targets of any image.

    loss: float32, differentiable with respect to the maps, 0 where padded. probability: float32 in [0, 1], that each
    target is reached, 1 where padded. mask: bool, False where padded. weight: float32, how much each loss counts in the
    gradient at this evaluation (None: 1 each); a target of weight 0 is wanted all the same.
    """

    loss: Tensor
    probability: Tensor
    mask: Tensor
    weight: Tensor | None = None

    @property
    def weights(self) -> Tensor:
        """`weight`, 0 where padded."""
        counts = self.mask.to(self.loss.dtype)
        return counts if self.weight is None else self.weight * counts


class Objective(Protocol):
    """A loss on attention maps. layers: names of the layers it reads, None = all the model has."""

    @property
    def layers(self) -> tuple[str, ...] | None: ...

    def reading(self, layers: tuple[str, ...]) -> Objective:
        """The same objective on other layers of the model."""

    def check(self, targets: Sequence[Sequence[Target]]) -> None:
        """Raises SteeringError for a target this objective does not know. Called before anything runs."""

    def __call__(self, maps: MapStack, targets: Sequence[Sequence[Target]], step: StepInfo) -> Reading: ...


def only(kind: type[T], targets: Sequence[Sequence[Target]]) -> list[T]:
    """The targets of all images, image after image. Raises SteeringError where one is of another kind."""
    found: list[T] = []
    for target in (target for image in targets for target in image):
        if not isinstance(target, kind):
            raise SteeringError(
                f"Expected targets of the kind {kind.__name__}, got one that says {target.words()!r}; "
                "combine several kinds in a CombinedObjective."
            )
        found.append(target)
    return found


def target_slots(
    targets: Sequence[Sequence[Target]], objects: int, device: torch.device
) -> tuple[Tensor, ...]:
    """(N,) int64 each: the image, then each of the slots of every target. objects: slots of a target, all of one kind."""
    rows = [(b, *target.slots) for b, image in enumerate(targets) for target in image]
    table = torch.tensor(rows, dtype=torch.long, device=device).reshape(-1, objects + 1)
    return table.unbind(1)


def target_mask(targets: Sequence[Sequence[object]], device: torch.device) -> Tensor:
    """(B, R) bool: where there is a target."""
    most = max((len(image) for image in targets), default=0)
    rows = [[r < len(image) for r in range(most)] for image in targets]
    return torch.tensor(rows, dtype=torch.bool, device=device).reshape(len(targets), most)


def spread_reading(loss: Tensor, probability: Tensor, targets: Sequence[Sequence[Target]]) -> Reading:
    """Spread per-target values, image after image, over (B, R)."""
    mask = target_mask(targets, loss.device)
    return Reading(
        loss=loss.new_zeros(mask.shape).masked_scatter(mask, loss),
        probability=probability.new_ones(mask.shape).masked_scatter(mask, probability),
        mask=mask,
    )


def lowest_sigma(objective: Objective) -> float | None:
    """The lowest noise level at which the objective can be believed, None where it does not say. See `StepInfo.sigma`."""
    card = getattr(objective, "card", None)
    return min(card.sigmas) if card is not None and card.sigmas else None


def goals_of(objective: Objective) -> tuple[Goal, ...]:
    """The kinds of targets that the objective wants to be given of a prompt: its stated relations, unless it says more
    by an attribute `goals`."""
    return getattr(objective, "goals", ("relation",))


def last_share(objective: Objective) -> float:
    """The part of a model's own schedule up to which the objective can be believed, see `ClassifierCard.last_share`; 1
    where it does not say."""
    return float(getattr(getattr(objective, "card", None), "last_share", 1.0))
