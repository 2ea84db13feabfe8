"""What prompts say -> the targets of a batch and the tokens of their objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from torch import Tensor

from ..attention import token_weights
from ..errors import SteeringError
from ..language import NamedObject, Relation, RelationTriplet, contradiction, implied_relations
from ..objectives import (
    Goal,
    Objective,
    PresenceTarget,
    RelationTarget,
    SeparationTarget,
    SingleTarget,
    Target,
    goals_of,
)

Span = tuple[int, int]

_OVERLAPPING = (Relation.INSIDE, Relation.IN_FRONT_OF, Relation.BEHIND)
"""Relations of two objects that may lie on each other in the picture."""


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

    targets: per image, what is wanted of it, its relations first. objects: per image, the words of each object slot.
    weights (B, O, T). left_out: per image, the relations that cannot be steered, and why. kept: per image, the stated
    relations of `targets`, in their order. notes: sentences about objects that cannot be read.
    """

    targets: list[list[Target]]
    objects: list[list[str]]
    weights: Tensor
    left_out: list[list[LeftOut]]
    kept: list[list[RelationTriplet]]
    notes: list[str] = field(default_factory=list)


def batch_targets(
    triplets: Sequence[Sequence[RelationTriplet]],
    objective: Objective,
    positions: Callable[[int, tuple[int, int]], list[int]],
    length: int,
    named: Sequence[Sequence[NamedObject]] | None = None,
) -> BatchTargets:
    """Triplets of each prompt -> targets and token weights. One object slot per noun, however often it is
    related.

    The objective says by its goals (`objectives.goals_of`) which kinds of targets are made. named: per image, the things
    that its prompt names; those of its relations need not be among them. positions(image, span) -> token positions of the
    noun at these characters of the image's prompt. length: T. A relation is left out, and the others are not, where the
    objective does not know it and where `positions` raises SteeringError for one of its objects; so is an object. Raises
    SteeringError for relations that cannot all hold in one picture.
    """
    goals = goals_of(objective)
    targets: list[list[Target]] = []
    objects: list[list[str]] = []
    tokens: list[list[list[int]]] = []
    left_out: list[list[LeftOut]] = []
    notes: list[str] = []
    kept: list[list[RelationTriplet]] = []
    for image, of_image in enumerate(triplets):
        _refuse_contradictions(of_image)
        things = {thing.noun: thing for thing in (named[image] if named is not None else ())}
        slots = _Slots(lambda span, image=image: positions(image, span))  # type: ignore[misc]
        related: list[RelationTriplet] = []
        lost: list[LeftOut] = []
        for triplet in of_image:
            try:
                if "relation" in goals:
                    _check_knows(objective, triplet.relation.value)
                slots.take((triplet.subject_noun, triplet.subject), (triplet.object_noun, triplet.object))
            except SteeringError as error:
                lost.append(LeftOut(triplet, str(error)))
                continue
            related.append(triplet)
        if set(goals) - {"relation", "implied"}:
            for thing in things.values():
                try:
                    slots.take((thing.noun, thing.text))
                except SteeringError as error:
                    notes.append(f'"{thing.text}" is not read: {error}')
        targets.append(_wanted(goals, objective, related, slots, things))
        objects.append(slots.words)
        tokens.append(slots.tokens)
        left_out.append(lost)
        kept.append(related if "relation" in goals else [])
    weights = token_weights(tokens, length)
    return BatchTargets(targets, objects, weights, left_out, kept, list(dict.fromkeys(notes)))


class _Slots:
    """The object slots of one image. find: token positions of the noun at a span."""

    def __init__(self, find: Callable[[Span], list[int]]) -> None:
        self._find = find
        self.of: dict[Span, int] = {}
        self.words: list[str] = []
        self.tokens: list[list[int]] = []

    def take(self, *nouns: tuple[Span, str]) -> None:
        """A slot for each of these (span, words) that has none; for none of them where one cannot be found."""
        places = [(span, words, self._find(span)) for span, words in nouns if span not in self.of]
        for span, words, place in places:
            self.of[span] = len(self.of)
            self.words.append(words)
            self.tokens.append(place)


def _wanted(
    goals: Sequence[Goal],
    objective: Objective,
    related: Sequence[RelationTriplet],
    slots: _Slots,
    things: dict[Span, NamedObject],
) -> list[Target]:
    """The targets of one image."""
    stated = list(related) if "relation" in goals else []
    if "implied" in goals:
        stated += [t for t in implied_relations(related) if knows(objective, t.relation.value)]
    wanted: list[Target] = [
        RelationTarget(slots.of[t.subject_noun], slots.of[t.object_noun], t.relation.value) for t in stated
    ]
    if "presence" in goals:
        wanted += [PresenceTarget(slot) for slot in slots.of.values()]
    if "separation" in goals:
        meet = {frozenset((t.subject_noun, t.object_noun)) for t in related if t.relation in _OVERLAPPING}
        wanted += [
            SeparationTarget(slots.of[first], slots.of[second])
            for first, second in combinations(slots.of, 2)
            if frozenset((first, second)) not in meet
        ]
    if "single" in goals:
        wanted += [
            SingleTarget(slot)
            for span, slot in slots.of.items()
            if span not in things or not things[span].several
        ]
    return wanted


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
