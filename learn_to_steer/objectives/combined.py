"""Several kinds of targets at once: relations, and that their objects are there, apart, and each only once.

Each kind has an objective of its own. Their losses are added, each with its weight; and a relation whose objects are not
there yet can be kept waiting by a gate (presence first, as in Self-Cross guidance).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from ..attention import MapStack
from ..errors import SteeringError
from .base import Objective, Reading, StepInfo, target_mask
from .learned import LearnedObjective
from .presence import PresenceObjective
from .separation import SeparationObjective
from .single import SingleObjective
from .targets import GOALS, Goal, PresenceTarget, RelationTarget, SeparationTarget, SingleTarget, Target

Gate = Literal["none", "hard", "smooth"]

WEIGHTS: Mapping[Goal, float] = MappingProxyType(
    {"relation": 1.0, "implied": 1.0, "presence": 1.0, "separation": 1.0, "single": 1.0}
)
"""How much the loss of each kind counts unless said otherwise."""

REACHED = 0.98
"""Probability from which an object counts as there for the gate "hard"."""


class CombinedObjective:
    """Targets of every kind.

    relation: the objective of relations; None: there are no relations among the goals. goals: the kinds that a host
    makes targets of. weights: of the losses, by goal (default `WEIGHTS`); relations that are implied weigh what
    "relation" does. gate: how relations wait for their image's objects. "none": they do not; "hard": they have no part in
    the gradient until every presence target is reached; "smooth": their weight is the product of the presence
    probabilities. Images without presence targets have no gate. layers: names of the layers that presence,
    separation and single read (None: those of `relation`).

    Raises SteeringError for goals, weights and gates that there are not.
    """

    def __init__(
        self,
        relation: Objective | None,
        goals: Sequence[Goal] = ("relation", "separation"),
        weights: Mapping[Goal, float] | None = None,
        gate: Gate = "none",
        layers: tuple[str, ...] | None = None,
    ) -> None:
        self.goals = checked_goals(goals)
        if relation is None and {"relation", "implied"} & set(self.goals):
            raise SteeringError(
                "Expected an objective for the goal relation, got none; give one or leave this goal out."
            )
        if gate not in get_args(Gate):
            raise SteeringError(
                f"Expected a gate among {', '.join(get_args(Gate))}, got {gate!r}; choose one of them."
            )
        if wrong := [k for k, v in (weights or {}).items() if k not in GOALS or not v >= 0]:
            raise SteeringError(
                f"Expected weights of 0 or more for goals among {', '.join(GOALS)}, got {weights!r}; correct "
                f"that of {wrong[0]!r}."
            )
        self.relation, self.gate = relation, gate
        self.weights: dict[Goal, float] = {**WEIGHTS, **(weights or {})}
        own = layers if layers is not None or relation is None else relation.layers
        self._own_layers = own
        self._parts: dict[type, tuple[Goal, Any]] = {
            RelationTarget: ("relation", relation),
            PresenceTarget: ("presence", PresenceObjective(own)),
            SeparationTarget: ("separation", SeparationObjective(own)),
            SingleTarget: ("single", SingleObjective(own)),
        }

    @property
    def layers(self) -> tuple[str, ...] | None:
        """Of all parts together."""
        theirs = self.relation.layers if self.relation is not None else self._own_layers
        if theirs is None or self._own_layers is None:
            return None
        return tuple(dict.fromkeys([*theirs, *self._own_layers]))

    @property
    def card(self) -> Any:
        """Of the relations' classifier, None where there is none."""
        return getattr(self.relation, "card", None)

    @property
    def classifier(self) -> Any:
        """Of the relations, None where there is none."""
        return getattr(self.relation, "classifier", None)

    @property
    def said(self) -> str:
        """What it wants, in a few words."""
        weights = ", ".join(f"{goal} {self.weights[goal]:g}" for goal in self.goals)
        return f"goals {weights}; gate {self.gate}"

    def reading(self, layers: tuple[str, ...]) -> CombinedObjective:
        """The same objective on other layers."""
        relation = self.relation.reading(layers) if self.relation is not None else None
        return CombinedObjective(relation, self.goals, self.weights, self.gate, layers)

    def wanting(self, goals: Sequence[Goal]) -> CombinedObjective:
        """The same objective with other goals."""
        return CombinedObjective(self.relation, goals, self.weights, self.gate, self._own_layers)

    def check(self, targets: Sequence[Sequence[Target]]) -> None:
        """Raises SteeringError for a relation that the objective of relations does not know."""
        related = [[t for t in image if isinstance(t, RelationTarget)] for image in targets]
        if any(related):
            self._part(RelationTarget)[1].check(related)

    def _part(self, kind: type) -> tuple[Goal, Objective]:
        goal, part = self._parts[kind]
        if part is None:
            raise SteeringError(
                "Expected an objective for relations, got none; give one, or wish for no relation."
            )
        return goal, part

    def __call__(self, maps: MapStack, targets: Sequence[Sequence[Target]], step: StepInfo) -> Reading:
        device = maps.maps[0].device
        mask = target_mask(targets, device)
        loss = torch.zeros(mask.shape, device=device, dtype=maps.maps[0].dtype)
        probability, weight = torch.ones_like(loss), torch.zeros_like(loss)
        there = torch.ones(len(targets), device=device, dtype=loss.dtype)
        for kind in self._parts:
            chosen = [[t for t in image if isinstance(t, kind)] for image in targets]
            if not any(chosen):
                continue
            goal, part = self._part(kind)
            read = part(maps, chosen, step)
            at = _places(targets, kind, mask)
            loss = loss.masked_scatter(at, read.loss[read.mask].to(loss))
            probability = probability.masked_scatter(at, read.probability[read.mask].to(probability))
            weight = torch.where(at, self.weights[goal], weight)
            if kind is PresenceTarget:
                there = self._there(read.probability)
        related = _places(targets, RelationTarget, mask)
        weight = torch.where(related, weight * there[:, None], weight)
        return Reading(loss, probability, mask, weight)

    def _there(self, presence: Tensor) -> Tensor:
        """(B,): how far the gate of each image is open, given the probabilities of its presence targets (B, R)."""
        if self.gate == "none":
            return torch.ones_like(presence[:, 0])
        if self.gate == "hard":
            return (presence >= REACHED).all(1).to(presence)
        return presence.prod(1)


def checked_goals(goals: Sequence[str]) -> tuple[Goal, ...]:
    """The goals, each once. Raises SteeringError for one that there is not, and for none."""
    chosen = tuple(dict.fromkeys(goals))
    wrong = [goal for goal in chosen if goal not in GOALS]
    if wrong or not chosen or isinstance(goals, str):
        got = repr(goals) if isinstance(goals, str) else repr(wrong[0]) if wrong else "none"
        raise SteeringError(
            f"Expected goals among {', '.join(GOALS)}, got {got}; give a list of some of these."
        )
    return chosen  # type: ignore[return-value]


def _places(targets: Sequence[Sequence[Target]], kind: type, mask: Tensor) -> Tensor:
    """(B, R) bool: where the targets of this kind are."""
    rows = [
        [r < len(image) and isinstance(image[r], kind) for r in range(mask.shape[1])] for image in targets
    ]
    return torch.tensor(rows, dtype=torch.bool, device=mask.device).reshape(mask.shape)


def with_goals(objective: Objective | None, goals: Sequence[Goal]) -> CombinedObjective:
    """The objective with these goals, whatever its own are. objective: of relations, or already combined; None where no
    relation is among the goals. Raises SteeringError for goals that there are not."""
    if isinstance(objective, CombinedObjective):
        return objective.wanting(goals)
    return CombinedObjective(objective, goals)


def learned_part(objective: Objective) -> LearnedObjective | None:
    """The part of an objective that reads with a trained classifier, None where there is none."""
    part = objective.relation if isinstance(objective, CombinedObjective) else objective
    return part if isinstance(part, LearnedObjective) else None
