"""Triplets of prompts -> the targets of a batch and the tokens of their objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..attention import token_weights
from ..errors import SteeringError
from ..language import RelationTriplet
from ..objectives import Objective, RelationTarget


@dataclass(frozen=True)
class BatchTargets:
    """What a batch of prompts asks for, in the engine's terms.

    targets: per image, its steerable relations. objects: per image, the words of each object slot. weights
    (B, O, T).
    """

    targets: list[list[RelationTarget]]
    objects: list[list[str]]
    weights: Tensor


def batch_targets(
    triplets: Sequence[Sequence[RelationTriplet]],
    objective: Objective,
    positions: Callable[[int, tuple[int, int]], list[int]],
    length: int,
) -> BatchTargets:
    """Triplets of each prompt -> targets and token weights. One object slot per noun, however often it is
    related.

    Relations the objective does not know are left out. positions(image, span) -> token positions of the noun
    at these characters of the image's prompt. length: T. Raises SteeringError as `positions` does.
    """
    targets: list[list[RelationTarget]] = []
    objects: list[list[str]] = []
    tokens: list[list[list[int]]] = []
    for image, of_image in enumerate(triplets):
        slots: dict[tuple[int, int], int] = {}
        words: list[str] = []
        wanted: list[RelationTarget] = []
        for triplet in of_image:
            if not knows(objective, triplet.relation.value):
                continue
            for span, text in (
                (triplet.subject_noun, triplet.subject),
                (triplet.object_noun, triplet.object),
            ):
                if span not in slots:
                    slots[span] = len(slots)
                    words.append(text)
            wanted.append(
                RelationTarget(
                    slots[triplet.subject_noun], slots[triplet.object_noun], triplet.relation.value
                )
            )
        targets.append(wanted)
        objects.append(words)
        tokens.append([positions(image, span) for span in slots])
    return BatchTargets(targets, objects, token_weights(tokens, length))


def knows(objective: Objective, relation: str) -> bool:
    """Whether the objective can steer towards this relation."""
    try:
        objective.check([[RelationTarget(0, 1, relation)]])
    except SteeringError:
        return False
    return True
