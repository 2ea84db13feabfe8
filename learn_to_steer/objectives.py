"""What "right" means: objectives turn attention maps into a loss and a probability per wanted relation.

An objective is the only thing steering knows about a goal. `LearnedObjective` asks a trained relation
classifier (Learn-to-Steer: cross-entropy of the wanted relation); `CentroidObjective` is the hand-made
baseline. Anything else that fulfils `Objective` - counting, attribute binding - steers in the same way.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .attention import MapStack, normalised
from .classifier import RelationReader
from .errors import SteeringError
from .language import canonical_relation


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
    """Where in the schedule a reading is taken. step: index into the schedule's own steps, from 0. total:
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
        self._index = {_canonical(name): i for i, name in enumerate(self.card.relations)}

    @property
    def layers(self) -> tuple[str, ...] | None:
        return self.card.layers

    def reading(self, layers: tuple[str, ...]) -> LearnedObjective:
        """The same objective on other layers; the host refuses them where the classifier does not fit."""
        other = LearnedObjective(self.classifier, self.timestep)
        other.card = other.classifier.card = replace(self.card, layers=layers)
        return other

    def check(self, targets: Sequence[Sequence[RelationTarget]]) -> None:
        """Raises SteeringError for a relation the classifier was not trained for."""
        for target in _flat(targets):
            if _canonical(target.relation) not in self._index:
                raise SteeringError(
                    "Expected one of the relations this classifier was trained for "
                    f"({', '.join(self._index)}), "
                    f'got "{target.relation}"; rephrase the prompt or load a classifier that knows it.'
                )

    def logits(self, maps: MapStack, targets: Sequence[Sequence[RelationTarget]], step: StepInfo) -> Tensor:
        """(P, relations) for all P wanted relations of the batch, image after image. Columns as
        `card.relations`."""
        stacked = maps.select(self.layers).stacked(self.card.map_size, self.card.renormalise)
        if stacked.device != next(self.classifier.parameters()).device:
            self.classifier.to(stacked.device)
        image, subject, other = _indices(targets, stacked.device)
        pairs = torch.stack([stacked[image, subject], stacked[image, other]], dim=1)
        index = (
            self.timestep
            if self.timestep is not None
            else self.card.timestep_index(step.step, step.total, step.sigma)
        )
        timesteps = torch.full((len(pairs),), index, dtype=torch.long, device=pairs.device)
        return self.classifier(pairs, timesteps)

    def __call__(
        self, maps: MapStack, targets: Sequence[Sequence[RelationTarget]], step: StepInfo
    ) -> Reading:
        self.check(targets)
        logits = self.logits(maps, targets, step).float()
        wanted = torch.tensor(
            [self._index[_canonical(t.relation)] for t in _flat(targets)], device=logits.device
        )
        log_p = logits.log_softmax(-1).gather(1, wanted[:, None])[:, 0]
        return _reading(-log_p, log_p.detach().exp(), targets)


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

    def check(self, targets: Sequence[Sequence[RelationTarget]]) -> None:
        """Raises SteeringError for a relation without a direction in the image plane (see
        `Relation.direction`)."""
        for target in _flat(targets):
            if canonical_relation(target.relation).direction is None:
                raise SteeringError(
                    f'Expected a relation with a direction, such as "above", got "{target.relation}"; '
                    "rephrase the prompt or use a classifier trained for it."
                )

    def __call__(
        self, maps: MapStack, targets: Sequence[Sequence[RelationTarget]], step: StepInfo
    ) -> Reading:
        self.check(targets)
        where = centroids(maps.select(self.layers))
        image, subject, other = _indices(targets, where.device)
        direction = where.new_tensor([canonical_relation(t.relation).direction for t in _flat(targets)])
        distance = ((where[image, subject] - where[image, other]) * direction).sum(-1)
        z = (distance - self.margin) / self.softness
        return _reading(F.softplus(-z), z.detach().sigmoid(), targets)


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


def _canonical(name: str) -> str:
    """The vocabulary's name for a relation; a name outside the vocabulary stands for itself."""
    try:
        return str(canonical_relation(name).value)
    except SteeringError:
        return name


def _flat(targets: Sequence[Sequence[RelationTarget]]) -> list[RelationTarget]:
    return [target for image in targets for target in image]


def _indices(
    targets: Sequence[Sequence[RelationTarget]], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    rows = [(b, t.subject, t.object) for b, image in enumerate(targets) for t in image]
    image, subject, other = torch.tensor(rows, dtype=torch.long, device=device).reshape(-1, 3).unbind(1)
    return image, subject, other


def _reading(loss: Tensor, probability: Tensor, targets: Sequence[Sequence[RelationTarget]]) -> Reading:
    """Spread per-relation values, image after image, over (B, R)."""
    most = max((len(image) for image in targets), default=0)
    mask = torch.tensor([[r < len(image) for r in range(most)] for image in targets], dtype=torch.bool)
    mask = mask.reshape(len(targets), most).to(loss.device)
    return Reading(
        loss=loss.new_zeros(mask.shape).masked_scatter(mask, loss),
        probability=probability.new_ones(mask.shape).masked_scatter(mask, probability),
        mask=mask,
    )
