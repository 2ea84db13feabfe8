"""The learned objective: cross-entropy of the wanted relation under a trained classifier (Learn-to-Steer)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..attention import MapStack
from ..classifiers import RelationReader
from ..errors import SteeringError
from ..language import vocabulary_name
from .base import Reading, StepInfo, only, spread_reading, target_slots
from .targets import RelationTarget, Target


class LearnedObjective:
    """Cross-entropy of the wanted relation under a trained classifier (Learn-to-Steer, section on the learned
    loss).

    The classifier is copied, put into eval mode and frozen; the original is left as it is.
    timestep: always feed this timestep index instead of choosing it by noise level.
    """

    def __init__(self, classifier: RelationReader, timestep: int | None = None) -> None:
        self.classifier = copy.deepcopy(classifier).eval().requires_grad_(False)
        self.card = classifier.card
        self.timestep = timestep
        self._index = {vocabulary_name(name): i for i, name in enumerate(self.card.relations)}

    @property
    def layers(self) -> tuple[str, ...] | None:
        return self.card.layers

    def reading(self, layers: tuple[str, ...]) -> LearnedObjective:
        """The same objective on other layers; the host refuses them where the classifier does not fit.

        The weights are shared: copies made inside a host's inference mode could not take part in a backward pass.
        """
        other = copy.copy(self)
        other.classifier = copy.copy(self.classifier)
        other.card = other.classifier.card = replace(self.card, layers=layers)
        return other

    def check(self, targets: Sequence[Sequence[Target]]) -> None:
        """Raises SteeringError for a relation the classifier was not trained for."""
        for target in only(RelationTarget, targets):
            if vocabulary_name(target.relation) not in self._index:
                raise SteeringError(
                    "Expected one of the relations this classifier was trained for "
                    f"({', '.join(self._index)}), "
                    f'got "{target.relation}"; rephrase the prompt or load a classifier that knows it.'
                )

    def logits(self, maps: MapStack, targets: Sequence[Sequence[Target]], step: StepInfo) -> Tensor:
        """(P, relations) for all P wanted relations of the batch, image after image. Columns as
        `card.relations`."""
        stacked = maps.select(self.layers).stacked(
            self.card.map_size, self.card.renormalise, self.card.resize
        )
        if stacked.device != next(self.classifier.parameters()).device:
            self.classifier.to(stacked.device)
        image, subject, other = target_slots(targets, 2, stacked.device)
        pairs = torch.stack([stacked[image, subject], stacked[image, other]], dim=1)
        index = (
            self.timestep
            if self.timestep is not None
            else self.card.timestep_index(step.step, step.total, step.sigma)
        )
        timesteps = torch.full((len(pairs),), index, dtype=torch.long, device=pairs.device)
        return self.classifier(pairs, timesteps)

    def __call__(self, maps: MapStack, targets: Sequence[Sequence[Target]], step: StepInfo) -> Reading:
        self.check(targets)
        logits = self.logits(maps, targets, step).float()
        wanted = torch.tensor(
            [self._index[vocabulary_name(t.relation)] for t in only(RelationTarget, targets)],
            device=logits.device,
        )
        log_p = logits.log_softmax(-1).gather(1, wanted[:, None])[:, 0]
        return spread_reading(-log_p, log_p.detach().exp(), targets)
