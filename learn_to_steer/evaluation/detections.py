"""What a detector found in a picture, what the prompt asks for, and which of the one is meant by the other."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import SteeringError
from ..language import Relation, canonical_relation, parse_relations

PixelBox = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in pixels, y downwards, x0 <= x1 and y0 <= y1. A box may have no width or no height."""

Mask = npt.NDArray[np.bool_]
"""(height, width) bool: the pixels of one object."""

_ARTICLES = ("a", "an", "the")


@dataclass(frozen=True)
class Detection:
    """One object that was found.

    Attributes:
        name: as the detector says it.
        box: where; None only where a rule of masks is asked.
        score: the detector's confidence, 0 to 1; 1 where it gives none.
        mask: (height, width) bool, or None.
        colour: one of GenEval's ten, where something has read it.
    """

    name: str
    box: PixelBox | None
    score: float = 1.0
    mask: Mask | None = None
    colour: str | None = None


@dataclass(frozen=True)
class Thing:
    """An object that the prompt names: the whole phrase without article ("red dog"), and its noun ("dog")."""

    phrase: str
    noun: str


@dataclass(frozen=True)
class Asked:
    """A relation that the picture shall show."""

    subject: Thing
    relation: Relation
    object: Thing

    @property
    def words(self) -> tuple[str, str, str]:
        """(subject, canonical relation name, object)."""
        return self.subject.phrase, self.relation.value, self.object.phrase


@dataclass(frozen=True)
class Demand:
    """All that a prompt asks of a picture.

    Attributes:
        relations: the relations. Their subjects and objects are asked for by that alone.
        counts: (object, how many at least); GenEval's `include`.
        limits: (object, so many are too many); GenEval's `exclude`.
        counting: whether it is a counting prompt, for which GenEval wants surer detections.
        colours: (object, colour, how many at least have it); GenEval's `color`.
    """

    relations: tuple[Asked, ...] = ()
    counts: tuple[tuple[Thing, int], ...] = ()
    limits: tuple[tuple[Thing, int], ...] = ()
    counting: bool = False
    colours: tuple[tuple[Thing, str, int], ...] = ()

    @property
    def things(self) -> tuple[Thing, ...]:
        """Every object that is asked for, once, in the order of the prompt."""
        named = [thing for a in self.relations for thing in (a.subject, a.object)]
        return tuple(dict.fromkeys(named + [thing for thing, _ in self.counts]))


@dataclass(frozen=True)
class RelationVerdict:
    """Whether one relation holds, and its score from 0 to 1."""

    asked: Asked
    holds: bool
    score: float


@dataclass(frozen=True)
class Verdict:
    """What a rule says of a picture.

    Attributes:
        present: all objects that are asked for were found.
        relations: one verdict per relation, in the demand's order.
        score: of the whole picture, 0 to 1; None where nothing was asked.
    """

    present: bool
    relations: tuple[RelationVerdict, ...]
    score: float | None


def plain_name(name: str) -> str:
    """Lower case, single spaces, no article in front: the form in which names are compared."""
    words = re.split(r"[\s_]+", name.strip().lower())
    return " ".join(words[1:] if len(words) > 1 and words[0] in _ARTICLES else words)


def thing(name: str) -> Thing:
    """The object that these words name; its noun is found as in a prompt ("red dog" -> "dog")."""
    phrase = " ".join(name.split())
    sentence = f"{phrase} {Relation.ABOVE} a thing"  # the parser knows which part of a phrase is the noun
    found = parse_relations(sentence)
    whole = len(found) == 1 and plain_name(found[0].subject) == plain_name(phrase)
    return Thing(phrase, sentence[slice(*found[0].subject_noun)] if whole else phrase)


def asked_of(prompt: str) -> tuple[Asked, ...]:
    """The relations that a prompt states."""
    return tuple(
        Asked(
            Thing(t.subject, prompt[slice(*t.subject_noun)]),
            t.relation,
            Thing(t.object, prompt[slice(*t.object_noun)]),
        )
        for t in parse_relations(prompt)
    )


def asked_by_hand(subject: str, relation: str, other: str) -> Asked:
    """A relation given as three texts. Raises SteeringError for a relation that is not known."""
    return Asked(thing(subject), canonical_relation(relation), thing(other))


def class_of(detections: Sequence[Detection], wanted: Thing) -> str:
    """The name, as `plain_name` gives it, under which the detections know the wanted object.

    A detector that knows the whole phrase ("red dog") is taken at its word; where none of its names is the
    phrase, the noun ("dog") counts. "bear" is not a "teddy bear", and neither the other way round.
    """
    phrase = plain_name(wanted.phrase)
    return phrase if any(plain_name(d.name) == phrase for d in detections) else plain_name(wanted.noun)


def of_class(detections: Sequence[Detection], name: str) -> list[Detection]:
    """The detections of that class, in their own order."""
    return [d for d in detections if plain_name(d.name) == name]


def find(detections: Sequence[Detection], wanted: Thing) -> list[Detection]:
    """The detections that are the wanted object, in their own order."""
    return of_class(detections, class_of(detections, wanted))


def best(detections: Sequence[Detection], count: int | None = None) -> list[Detection]:
    """The `count` detections of the highest scores (all: None), the best first; equal ones keep their order."""
    return sorted(detections, key=lambda d: -d.score)[:count]


def pairs_of(
    subjects: Sequence[Detection], objects: Sequence[Detection]
) -> list[tuple[Detection, Detection]]:
    """Every (subject, object) of two different detections: one thing is not beside itself."""
    return [(a, b) for a in subjects for b in objects if a is not b]


def leading_pairs(
    subjects: Sequence[Detection], objects: Sequence[Detection]
) -> list[tuple[Detection, Detection]]:
    """The first subject with the first object; where both ends are of one class, the first two, either way round.

    Empty where one is missing.
    """
    one_class = bool(subjects) and bool(objects) and subjects[0] is objects[0]
    count = 2 if one_class else 1
    return pairs_of(subjects[:count], objects[:count])


def box_of(detection: Detection) -> PixelBox:
    """The detection's box. Raises SteeringError where it has none."""
    if detection.box is None:
        raise SteeringError(
            f'Expected a box for the detection "{detection.name}", got none; give "box": [x0, y0, x1, y1].'
        )
    return detection.box


def checked_box(box: Sequence[object]) -> PixelBox:
    """The four numbers as a box. Raises SteeringError for another count, NaN, infinity and swapped corners."""
    numbers = [number(value) for value in box]
    if len(numbers) != 4 or None in numbers:
        raise SteeringError(
            f"Expected a box of four finite numbers [x0, y0, x1, y1], got {short(box)}; correct or leave out the detection."
        )
    x0, y0, x1, y1 = (float(value) for value in numbers if value is not None)
    if x0 > x1 or y0 > y1:
        raise SteeringError(
            f"Expected a box [x0, y0, x1, y1] with x0 <= x1 and y0 <= y1, got {short(box)}; "
            "give the left top corner first."
        )
    return x0, y0, x1, y1


def number(value: object) -> float | None:
    """A finite number as float; None for anything else, `true` and `false` included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number beyond every float
        return None


def short(value: object) -> str:
    """A value for a message: not longer than a line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
