"""What a check asks of a model in the middle of a run: `evaluation.check` asks, each host has one that answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..attention import AttentionLayer, MapStack
from ..language import RelationTriplet
from ..objectives import Objective, StepInfo
from ..steering import SteeringPlan
from .protocol import Drawn


@dataclass(frozen=True)
class Moment:
    """A batch in the middle of its run. latents: as the host's sampler holds them there. turn: the host's own number of
    that place. step: the same for an objective."""

    latents: Tensor
    turn: int
    step: StepInfo


@dataclass(frozen=True)
class Probed:
    """A batch that was drawn, with what a check asks of it.

    latents (B, channels, h, w): the finished ones. moment: where it stood at the wanted share of the schedule.
    """

    drawn: Drawn
    latents: Tensor
    moment: Moment


class Probe(Protocol):
    """A model under some host that can be asked what its words do in the middle of a run; see `evaluation.check`.

    Prompts and seeds are one an image. Everything is done on the conditional branch.
    """

    @property
    def family(self) -> str: ...

    @property
    def layers(self) -> list[AttentionLayer]: ...

    def draw(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        objective: Objective | None,
        plan: SteeringPlan,
        share: float,
    ) -> Probed:
        """Draw plainly (objective None) or steered, and keep the moment at this share of the model's own schedule."""

    def maps(
        self, prompts: Sequence[str], triplets: Sequence[RelationTriplet], moment: Moment,
        layers: tuple[str, ...] | None,
    ) -> MapStack:  # fmt: skip
        """The maps of subject (slot 0) and object (slot 1) of each image's relation, one pass at that moment. Raises
        SteeringError where they cannot be read."""

    def predict(self, prompts: Sequence[str], moment: Moment) -> Tensor:
        """What the model puts out at that moment under these prompts, (B, channels, h, w)."""
