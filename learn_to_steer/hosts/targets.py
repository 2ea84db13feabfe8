"""Triplets of prompts -> the targets of a batch and the tokens of their objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..attention import token_weights
from ..errors import SteeringError
from ..language import RelationTriplet, contradiction
from ..objectives import Objective, RelationTarget


@dataclass(frozen=True)
class LeftOut:
    """A relation that was understood and cannot be steered. reason: in one sentence."""

    triplet: RelationTriplet
    reason: str

    def __str__(self) -> str:
        words = f"{self.triplet.subject} {self.triplet.relation.value} {self.triplet.object}"
        return f'"{words}" is not steered: {self.reason}'


@dataclass(frozen=True)
class BatchTargets:
    """What a batch of prompts asks for, in the engine's terms.

    targets: per image, its steerable relations. objects: per image, the words of each object slot. weights
    (B, O, T). left_out: per image, the relations that cannot be steered, and why. kept: per image, those of `targets`.
    """

    targets: list[list[RelationTarget]]
    objects: list[list[str]]
    weights: Tensor
    left_out: list[list[LeftOut]]
    kept: list[list[RelationTriplet]]


def batch_targets(
    triplets: Sequence[Sequence[RelationTriplet]],
    objective: Objective,
    positions: Callable[[int, tuple[int, int]], list[int]],
    length: int,
) -> BatchTargets:
    """Triplets of each prompt -> targets and token weights. One object slot per noun, however often it is
    related.

    positions(image, span) -> token positions of the noun at these characters of the image's prompt. length: T. A relation
    is left out, and the others are not, where the objective does not know it and where `positions` raises SteeringError
    for one of its objects. Raises SteeringError for relations that cannot all hold in one picture.
    """
    targets: list[list[RelationTarget]] = []
    objects: list[list[str]] = []
    tokens: list[list[list[int]]] = []
    left_out: list[list[LeftOut]] = []
    kept: list[list[RelationTriplet]] = []
    for image, of_image in enumerate(triplets):
        _refuse_contradictions(of_image)
        slots: dict[tuple[int, int], int] = {}
        words: list[str] = []
        found: list[list[int]] = []
        wanted: list[RelationTarget] = []
        lost: list[LeftOut] = []
        for triplet in of_image:
            ends = {triplet.subject_noun: triplet.subject, triplet.object_noun: triplet.object}
            try:
                _check_knows(objective, triplet.relation.value)
                places = {span: positions(image, span) for span in ends if span not in slots}
            except SteeringError as error:
                lost.append(LeftOut(triplet, str(error)))
                continue
            for span, place in places.items():
                slots[span] = len(slots)
                words.append(ends[span])
                found.append(place)
            wanted.append(
                RelationTarget(
                    slots[triplet.subject_noun], slots[triplet.object_noun], triplet.relation.value
                )
            )
        targets.append(wanted)
        objects.append(words)
        tokens.append(found)
        left_out.append(lost)
        kept.append([t for t in of_image if t not in [one.triplet for one in lost]])
    return BatchTargets(targets, objects, token_weights(tokens, length), left_out, kept)


def _refuse_contradictions(triplets: Sequence[RelationTriplet]) -> None:
    if ring := contradiction(triplets):
        words = ", ".join(f'"{t.subject} {t.relation} {t.object}"' for t in ring)
        raise SteeringError(
            f"Expected relations of which all can be true, got {words}, which cannot all hold; take one out."
        )


def _check_knows(objective: Objective, relation: str) -> None:
    objective.check([[RelationTarget(0, 1, relation)]])


def knows(objective: Objective, relation: str) -> bool:
    """Whether the objective can steer towards this relation."""
    try:
        _check_knows(objective, relation)
    except SteeringError:
        return False
    return True
